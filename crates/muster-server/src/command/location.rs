//! `musterd location records`: what an administrator adds to DNS and to a directory, so that clients find this site. It is printed and
//! nothing else: this server writes into no directory, so it needs no right in one.

use super::say;
use crate::config::Config;
use clap::Subcommand;
use muster_model::{
    enrol::{is_host_name, is_https_authority},
    id::SiteCode,
};
use std::{fmt::Write, path::PathBuf, process::ExitCode};

/// Characters of a distinguished name.
const BASE_CHARS: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum LocationCommand {
    /// Print SRV records as lines of a zone, and objects as LDIF.
    Records(Records),
}

#[derive(Debug, clap::Args)]
pub(super) struct Records {
    /// The site's directory.
    #[arg(long, env = "MUSTERD_DIR", default_value = "/var/lib/musterd", value_name = "DIR")]
    dir: PathBuf,
    /// The DNS domain of the clients.
    #[arg(long)]
    domain: Option<String>,
    /// Lifetime of the records in seconds; Configuration Manager has 14400.
    #[arg(long, default_value_t = 14_400, value_parser = clap::value_parser!(u32).range(60..=604_800))]
    ttl: u32,
    /// Also the record under Configuration Manager's name, for clients that are moved.
    #[arg(long)]
    configmgr: bool,
    /// Distinguished name of the container for the objects, as `CN=System Management,CN=System,DC=corp,DC=example`.
    #[arg(long, value_name = "DN")]
    base: Option<String>,
}

pub(super) fn run(command: &LocationCommand) -> Result<ExitCode, String> {
    let LocationCommand::Records(wanted) = command;
    let config = crate::config::load(&wanted.dir).map_err(|error| error.to_string())?;
    let site = Published::of(&config)?;
    if wanted.domain.is_none() && wanted.base.is_none() {
        return Err("say where clients look: --domain for DNS, --base for a directory, or both".to_owned());
    }
    let mut text = String::new();
    if let Some(domain) = &wanted.domain {
        text.push_str(&site.zone(domain.trim_end_matches('.'), wanted.ttl, wanted.configmgr)?);
    }
    if let Some(base) = &wanted.base {
        text.push_str(&site.ldif(base)?);
    }
    say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// What is published of a site.
#[derive(Debug)]
struct Published {
    code: SiteCode,
    management_points: Vec<String>,
    enrolment: String,
}

impl Published {
    fn of(config: &Config) -> Result<Self, String> {
        let names = &config.names;
        let name =
            names.server.first().ok_or("names.server is empty: name the host by which clients reach this server")?;
        let host = if name.contains(':') { format!("[{name}]") } else { name.clone() };
        let here = |port: u16| format!("https://{host}:{port}");
        let management_points = match &names.management_points[..] {
            [] => vec![here(config.listen.management_point.port())],
            named => named.to_vec(),
        };
        let enrolment = names.enrolment.clone().unwrap_or_else(|| here(config.listen.enrolment.port()));
        if let Some(odd) = management_points.iter().chain([&enrolment]).find(|address| !is_https_authority(address)) {
            return Err(format!("{odd:?} is not an address for clients; `musterd config check` says more"));
        }
        Ok(Self { code: config.site.code, management_points, enrolment })
    }

    fn zone(&self, domain: &str, ttl: u32, configmgr: bool) -> Result<String, String> {
        if !is_host_name(domain) {
            return Err(format!("{domain:?} is not a DNS domain"));
        }
        let mut text = format!(
            "; Site {}: lines for the zone of {domain}. The lowest priority is used first; among equal ones, the weight is the share.\n",
            self.code
        );
        let mut services = vec![("_muster-mp".to_owned(), &self.management_points[..])];
        if configmgr {
            services.push((format!("_mssms_mp_{}", self.code.as_str().to_ascii_lowercase()), &self.management_points));
        }
        services.push(("_muster-enrol".to_owned(), std::slice::from_ref(&self.enrolment)));
        for (service, addresses) in services {
            for address in addresses {
                match srv(address) {
                    Some((host, port)) => {
                        let _ = writeln!(text, "{service}._tcp.{domain}. {ttl} IN SRV 0 100 {port} {host}.");
                    }
                    None => {
                        let _ = writeln!(text, "; {address} has no name; an SRV record cannot hold an address.");
                    }
                }
            }
        }
        Ok(text + "\n")
    }

    fn ldif(&self, base: &str) -> Result<String, String> {
        let printable = base.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if base.trim() != base || base.is_empty() || base.len() > BASE_CHARS || !printable || !base.contains('=') {
            return Err(format!("{base:?} is not a distinguished name of printable ASCII characters"));
        }
        let mut text = format!(
            "# Site {}: objects for `ldapadd`, made by somebody who may create children of\n# {base}\n# Nobody else needs the right to change them.\n",
            self.code
        );
        for (class, addresses) in
            [("muster-mp", &self.management_points[..]), ("muster-enrol", std::slice::from_ref(&self.enrolment))]
        {
            let name = format!("{class}-{}", self.code);
            let _ = writeln!(
                text,
                "\ndn: CN={name},{base}\nobjectClass: serviceConnectionPoint\ncn: {name}\nserviceClassName: {class}\n\
                 keywords: muster\nkeywords: site:{}",
                self.code
            );
            for address in addresses {
                let _ = writeln!(text, "serviceBindingInformation: {address}");
            }
        }
        Ok(text)
    }
}

/// Host and port of an address whose host is a name.
fn srv(address: &str) -> Option<(&str, u16)> {
    let authority = address.strip_prefix("https://")?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, 443),
    };
    (is_host_name(host) && host.parse::<std::net::IpAddr>().is_err()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Published {
        let points = ["https://mp1.corp.example:8440", "https://192.0.2.1:8440", "https://mp2.corp.example"];
        Published {
            code: "TST".parse().unwrap(),
            management_points: points.map(str::to_owned).into(),
            enrolment: "https://mp1.corp.example:8441".to_owned(),
        }
    }

    #[test]
    fn a_zone_has_a_record_for_each_name() {
        let zone = published().zone("corp.example", 600, true).unwrap();
        assert_eq!(
            zone.lines().skip(1).collect::<Vec<_>>(),
            [
                "_muster-mp._tcp.corp.example. 600 IN SRV 0 100 8440 mp1.corp.example.",
                "; https://192.0.2.1:8440 has no name; an SRV record cannot hold an address.",
                "_muster-mp._tcp.corp.example. 600 IN SRV 0 100 443 mp2.corp.example.",
                "_mssms_mp_tst._tcp.corp.example. 600 IN SRV 0 100 8440 mp1.corp.example.",
                "; https://192.0.2.1:8440 has no name; an SRV record cannot hold an address.",
                "_mssms_mp_tst._tcp.corp.example. 600 IN SRV 0 100 443 mp2.corp.example.",
                "_muster-enrol._tcp.corp.example. 600 IN SRV 0 100 8441 mp1.corp.example.",
                "",
            ]
        );
        assert!(published().zone("corp example", 600, false).is_err());
    }

    #[test]
    fn objects_are_written_below_a_name_that_cannot_break_out() {
        let ldif = published().ldif("CN=System Management,DC=corp").unwrap();
        assert!(
            ldif.contains("\ndn: CN=muster-mp-TST,CN=System Management,DC=corp\nobjectClass: serviceConnectionPoint\n")
        );
        assert!(ldif.contains("keywords: site:TST\nserviceBindingInformation: https://mp1.corp.example:8440\n"));
        assert!(ldif.contains("cn: muster-enrol-TST\n"));
        for odd in ["", "corp", "DC=a\nobjectClass: top", " DC=a", "DC=\u{fc}", &"DC=a,".repeat(300)] {
            assert!(published().ldif(odd).is_err(), "{odd:?}");
        }
    }
}
