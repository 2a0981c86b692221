//! SRV records of the configured domain. DNS proves nothing, with or without DNSSEC on the way: it is asked for an order of names.

use super::{
    Hints, LocateError, Service, Source,
    order::{Record, ordered},
};
use crate::{clock::random, http::Address};
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{NameServerConfig, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
};
use muster_model::{
    enrol::{is_host_name, is_server_name},
    id::SiteCode,
    limits,
};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, time::Duration};

/// How long a question may take with everything that is tried for it, and how often each server is asked.
const PATIENCE: Duration = Duration::from_secs(15);
const TIMEOUT: Duration = Duration::from_secs(4);
const ATTEMPTS: usize = 2;

/// DNS as a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsConfig {
    /// The domain below which the records are: `corp.example`.
    pub domain: String,
    /// Whether the record that Configuration Manager publishes is read as well.
    #[serde(default)]
    pub configmgr: bool,
    /// Name servers, `address:port`; none: those of the system.
    #[serde(default)]
    pub servers: Vec<SocketAddr>,
}

impl DnsConfig {
    /// The names that are asked for, best first. The last dot keeps the system's search list out.
    fn names(&self, site: Option<SiteCode>, service: Service) -> Vec<String> {
        let domain = self.domain.trim_end_matches('.');
        match service {
            Service::Enrolment => vec![format!("_muster-enrol._tcp.{domain}.")],
            Service::ManagementPoint => {
                let mut names = vec![format!("_muster-mp._tcp.{domain}.")];
                if let (true, Some(site)) = (self.configmgr, site) {
                    names.push(format!("_mssms_mp_{}._tcp.{domain}.", site.as_str().to_ascii_lowercase()));
                }
                names
            }
        }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let provider = TokioRuntimeProvider::default();
        let (config, mut options) = match self.servers.is_empty() {
            true => hickory_resolver::system_conf::read_system_conf()?,
            false => {
                let servers = self.servers.iter().take(limits::LOCATION_ANSWERS).map(|server| {
                    let mut config = NameServerConfig::udp_and_tcp(server.ip());
                    for connection in &mut config.connections {
                        connection.port = server.port();
                    }
                    config
                });
                (ResolverConfig::from_name_servers(servers.collect()), ResolverOpts::default())
            }
        };
        (options.timeout, options.attempts, options.cache_size) = (TIMEOUT, ATTEMPTS, 0);
        let mut builder = Resolver::builder_with_config(config, provider);
        *builder.options_mut() = options;
        builder.build()
    }
}

/// Asks, and adds what was said.
pub(super) async fn ask(config: &DnsConfig, site: Option<SiteCode>, service: Service, found: &mut Hints) {
    if !is_host_name(config.domain.trim_end_matches('.')) {
        found.errors.push(LocateError::Config(format!("{:?} is not a domain", config.domain)));
        return;
    }
    let resolver = match config.resolver() {
        Ok(resolver) => resolver,
        Err(error) => {
            for name in config.names(site, service) {
                let name = Source::Dns(name.trim_end_matches('.').to_owned()).to_string();
                found.errors.push(LocateError::Dns { name, reason: error.to_string() });
            }
            return;
        }
    };
    for name in config.names(site, service) {
        let source = Source::Dns(name.trim_end_matches('.').to_owned());
        match look_up(&resolver, &name).await {
            Ok(records) => take(records, &source, found),
            Err(reason) => found.errors.push(LocateError::Dns { name: source.to_string(), reason }),
        }
    }
}

async fn look_up(resolver: &TokioResolver, name: &str) -> Result<Vec<Record>, String> {
    let answer = match tokio::time::timeout(PATIENCE, resolver.srv_lookup(name)).await {
        Err(_) => return Err("it took too long".to_owned()),
        // That there is nothing is an answer.
        Ok(Err(error)) if error.is_no_records_found() || error.is_nx_domain() => return Ok(Vec::new()),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(answer)) => answer,
    };
    let records = answer.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => {
            Some(Record { priority: srv.priority, weight: srv.weight, port: srv.port, target: srv.target.to_ascii() })
        }
        _ => None,
    });
    // All of them: one message is the bound, and the best may come last.
    Ok(records.collect())
}

fn take(records: Vec<Record>, source: &Source, found: &mut Hints) {
    for record in ordered(records, random).into_iter().take(limits::LOCATION_ANSWERS) {
        // A single dot says that there is no such service here.
        if record.target == "." {
            continue;
        }
        match target(&record) {
            Some(address) => found.push(address, source),
            None => found.odd(source, &format!("{}:{}", record.target, record.port)),
        }
    }
}

/// A target is a name, and not an address: what looks like one, or like anything else that some program follows, is refused.
fn target(record: &Record) -> Option<Address> {
    let name = record.target.strip_suffix('.').unwrap_or(&record.target);
    is_server_name(name).then(|| Address::new(name, record.port).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(domain: &str) -> DnsConfig {
        DnsConfig { domain: domain.to_owned(), configmgr: true, servers: Vec::new() }
    }

    #[test]
    fn the_names_are_ours_and_configuration_managers() {
        let site = Some("P01".parse().unwrap());
        let names = config("corp.example").names(site, Service::ManagementPoint);
        assert_eq!(names, ["_muster-mp._tcp.corp.example.", "_mssms_mp_p01._tcp.corp.example."]);
        assert_eq!(config("corp.example.").names(site, Service::Enrolment), ["_muster-enrol._tcp.corp.example."]);
    }

    #[test]
    fn a_target_is_a_host_name_and_nothing_that_some_program_follows() {
        // proves S12: an odd target is refused by parsing.
        let target = |target: &str, port| {
            let record = Record { priority: 0, weight: 0, port, target: target.to_owned() };
            super::target(&record).map(|address| address.to_string())
        };
        assert_eq!(target("mp1.corp.example.", 8440).as_deref(), Some("mp1.corp.example:8440"));
        assert_eq!(target("localhost.", 1).as_deref(), Some("localhost:1"));
        let odd = [
            "",
            ".",
            r"\\192.0.2.77\share.",
            r"\\canary@80\x.",
            "192.0.2.77.",
            "[2001:db8::77].",
            "2130706433.",
            "0x7f000001.",
            "0177.0.0.0x1.",
            "127.1.",
            "mp1/x.",
            "user@mp1.corp.example.",
            "mp1.corp.example:99.",
            "a b.example.",
            "..",
            "mp1..example.",
            "-mp.example.",
            "xn--\u{fc}.example.",
            r"mp1\.corp.example.",
            r"mp\0001.example.",
        ];
        for odd in odd {
            assert_eq!(target(odd, 8440), None, "{odd:?}");
        }
        assert_eq!(target("mp1.corp.example.", 0), None, "no port");
        assert_eq!(target(&format!("{}.example.", "a".repeat(64)), 1), None, "a label has 63 bytes");
    }

    #[test]
    fn the_best_records_are_taken_wherever_they_stand() {
        // proves S12: many records before it, and those of other sources, do not hide a point.
        let record = |priority, name: String| Record { priority, weight: 0, port: 8440, target: name };
        let mut records: Vec<_> = (0..100).map(|number| record(10, format!("x{number}.corp.example."))).collect();
        records.push(record(1, "mp1.corp.example.".to_owned()));
        let mut found = Hints::default();
        take(records.clone(), &Source::Dns("_a".to_owned()), &mut found);
        assert_eq!(found.hints[0].address.host(), "mp1.corp.example");
        assert_eq!(found.hints.len(), limits::LOCATION_SHARE);
        let other = record(1, "mp2.corp.example.".to_owned());
        take(vec![other], &Source::Dns("_b".to_owned()), &mut found);
        assert_eq!(found.hints.last().unwrap().address.host(), "mp2.corp.example");
        // What a source named that does not answer now is still its word, and no other's.
        let error = LocateError::Dns { name: Source::Dns("_a".to_owned()).to_string(), reason: String::new() };
        assert!(error.is_of(&found.hints[0].source) && !error.is_of(&found.hints.last().unwrap().source));
    }

    #[tokio::test]
    async fn a_domain_that_is_none_asks_nobody() {
        for odd in ["", "a b", r"\\x", "corp..example", "http://x"] {
            let mut found = Hints::default();
            ask(&config(odd), None, Service::ManagementPoint, &mut found).await;
            assert!(matches!(found.errors[..], [LocateError::Config(_)]) && found.hints.is_empty(), "{odd}");
        }
    }
}
