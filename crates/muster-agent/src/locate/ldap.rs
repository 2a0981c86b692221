//! Objects in a directory: the service connection points that an administrator made of `musterd location records`, and those that
//! Configuration Manager left. Only over TLS that an authority of the configuration vouches for, so that a stranger neither learns
//! the bind password nor answers; and what comes is a hint all the same, because many people can write into a directory.

use super::{Hints, LocateError, Service, Source};
use crate::{
    clock::{Clock, random},
    http::Address,
    os::open_foreign,
};
use muster_model::{
    enrol::is_server_name,
    id::SiteCode,
    ldap::{self, Answer, Filter, Scope, Search},
    limits,
};
use muster_trust::tls;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Read},
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// How long the whole conversation may take, and how long the server may search.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
const SEARCH_SECONDS: u32 = 10;
/// Bytes of the file of authorities and of the file with the password.
const AUTHORITIES_BYTES: u64 = 1 << 20;
const PASSWORD_BYTES: u64 = 1 << 10;
/// Where Configuration Manager's management points listen when nothing else is configured.
const CONFIGMGR_PORT: u16 = 443;
/// What our objects have in `keywords`.
const KEYWORD: &str = "muster";

/// A directory as a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryConfig {
    /// `ldaps://host[:port]`, or `ldap://host[:port]`, which is TLS as well: nothing is said before it has started.
    pub server: String,
    /// The distinguished name below which the objects are: `CN=System Management,CN=System,DC=corp,DC=example`.
    pub base: String,
    /// File with the certificates (PEM) of the authorities that vouch for the server.
    pub authorities: PathBuf,
    /// Who binds; nobody: the bind is anonymous.
    #[serde(default)]
    pub bind: Option<BindConfig>,
    /// Whether the objects that Configuration Manager publishes are read as well.
    #[serde(default)]
    pub configmgr: bool,
    /// Whether it is an Active Directory that knows this machine's site, by the subnets in it; for boundaries of that kind.
    #[serde(default)]
    pub sites: bool,
    /// The port at the hosts that those objects name.
    #[serde(default = "configmgr_port")]
    pub configmgr_port: u16,
}

const fn configmgr_port() -> u16 {
    CONFIGMGR_PORT
}

/// A simple bind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindConfig {
    /// Distinguished name, or what else the directory takes.
    pub name: String,
    /// File with the password, which nobody but the agent's user may read.
    pub password_file: PathBuf,
}

/// One search.
struct Wanted<'a> {
    class: &'static str,
    equal: Vec<(&'a str, &'a str)>,
    attributes: &'static [&'static str],
}

/// Asks, and adds what was said.
pub(super) async fn ask(
    config: &DirectoryConfig,
    site: Option<SiteCode>,
    service: Service,
    clock: &Clock,
    found: &mut Hints,
) {
    let failed = |reason: String| LocateError::Directory { server: config.server.clone(), reason };
    let asked = async {
        let mut connection = Connection::open(config, clock).await?;
        connection.bind(config.bind.as_ref()).await?;
        let keyword = site.map(|site| format!("site:{site}"));
        let mut all = Vec::new();
        for wanted in searches(config, site.as_ref(), keyword.as_deref(), service) {
            let from = (config.base.as_str(), Scope::Subtree);
            let filter = Filter::equal(&wanted.equal);
            all.push((wanted.class, connection.search(from, &filter, wanted.attributes).await?));
        }
        connection.end().await;
        Ok::<_, String>(all)
    };
    match timeout(PATIENCE, asked).await {
        Err(_) => found.errors.push(failed("did not answer in time".to_owned())),
        Ok(Err(reason)) => found.errors.push(failed(reason)),
        Ok(Ok(all)) => {
            for (class, mut entries) in all {
                // Nobody says which is best, and whoever can add many must not hide the others for ever.
                entries.sort_by_cached_key(|_| random());
                let source = Source::Directory { class, server: config.server.clone() };
                for entry in &entries {
                    take(entry, config, &source, found);
                }
            }
        }
    }
}

fn searches<'a>(
    config: &DirectoryConfig,
    site: Option<&'a SiteCode>,
    keyword: Option<&'a str>,
    service: Service,
) -> Vec<Wanted<'a>> {
    const POINT: &str = "serviceConnectionPoint";
    const CONFIGMGR: &str = "mSSMSManagementPoint";
    let kind = match service {
        Service::ManagementPoint => "muster-mp",
        Service::Enrolment => "muster-enrol",
    };
    let mut equal = vec![("objectClass", POINT), ("keywords", KEYWORD), ("serviceClassName", kind)];
    equal.extend(keyword.map(|keyword| ("keywords", keyword)));
    let mut searches = vec![Wanted { class: POINT, equal, attributes: &["serviceBindingInformation"] }];
    if let (true, Service::ManagementPoint, Some(site)) = (config.configmgr, service, site) {
        let equal = vec![("objectClass", CONFIGMGR), ("mSSMSSiteCode", site.as_str())];
        searches.push(Wanted { class: CONFIGMGR, equal, attributes: &["dNSHostName"] });
    }
    searches
}

/// An object that was found: attributes in the order in which they came.
pub(super) type Entry = Vec<(String, Vec<String>)>;

/// Texts that are not UTF-8 are nobody's address; they stay recognisable as such.
fn texts(entry: ldap::Entry) -> Entry {
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    let of = |(name, values): (String, Vec<Vec<u8>>)| (name, values.into_iter().map(text).collect());
    entry.attributes.into_iter().map(of).collect()
}

fn take(entry: &Entry, config: &DirectoryConfig, source: &Source, found: &mut Hints) {
    for (name, values) in entry {
        for value in values.iter().take(limits::LOCATION_POINTS) {
            let address = match name.to_ascii_lowercase().as_str() {
                "servicebindinginformation" => value.parse::<Address>().ok().filter(is_plain),
                "dnshostname" if is_server_name(value) => Address::new(value, config.configmgr_port).ok(),
                "dnshostname" => None,
                // Servers may send what was not asked for.
                _ => continue,
            };
            match address {
                Some(address) => found.push(address, source),
                None => found.odd(source, value),
            }
        }
    }
}

/// An address is written as one, or it is a name.
fn is_plain(address: &Address) -> bool {
    let host = address.host().trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok() || is_server_name(host)
}

/// The server of a directory: host, port, and whether TLS starts with the connection.
fn server(text: &str) -> Option<(Address, bool)> {
    let (rest, port, at_once) = match (text.strip_prefix("ldaps://"), text.strip_prefix("ldap://")) {
        (Some(rest), _) => (rest, 636, true),
        (_, Some(rest)) => (rest, 389, false),
        _ => return None,
    };
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let text = if has_port { format!("https://{rest}") } else { format!("https://{rest}:{port}") };
    Some((text.parse().ok()?, at_once))
}

fn authorities(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot be asked: {}: {error}", path.display());
    let mut pem = Vec::new();
    open_foreign(path)
        .and_then(|file| file.take(AUTHORITIES_BYTES).read_to_end(&mut pem))
        .map_err(|error| failed(&error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).map(|c| c.map(|c| c.to_vec())).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(failed(&"there is no certificate in it")),
        Err(error) => Err(failed(&error)),
    }
}

fn password(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let read = || -> io::Result<Zeroizing<Vec<u8>>> {
        let file = open_foreign(path)?;
        if file.metadata()?.mode() & 0o077 != 0 {
            return Err(io::Error::other("others can read it; run chmod 0600 on it"));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(PASSWORD_BYTES).read_to_end(&mut bytes)?;
        while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.pop();
        }
        Ok(bytes)
    };
    match read() {
        // A bind with a name and without a password succeeds as nobody (RFC 4513, 5.1.2), and looks as if it had worked.
        Ok(bytes) if bytes.is_empty() => Err(format!("is not asked: the password in {} is empty", path.display())),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(format!("is not asked: {}: {error}", path.display())),
    }
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A conversation; every byte that comes is counted.
pub(super) struct Connection<S> {
    stream: S,
    id: u32,
    left: usize,
    read: Vec<u8>,
}

impl Connection<Box<dyn Stream>> {
    pub(super) async fn open(config: &DirectoryConfig, clock: &Clock) -> Result<Self, String> {
        let (address, at_once) = server(&config.server).ok_or("is not of the form ldaps://host:port")?;
        let config = tls::client_of_directory(&authorities(&config.authorities)?, Arc::new(clock.clone()))
            .map_err(|error| format!("cannot be asked: {error}"))?;
        let unreachable = |error: io::Error| format!("cannot be reached: {error}");
        let name = ServerName::try_from(address.host().to_owned()).map_err(|_| "has no usable name")?;
        let mut tcp = TcpStream::connect((address.host(), address.port())).await.map_err(unreachable)?;
        if !at_once {
            let mut plain = Connection { stream: &mut tcp, id: 0, left: limits::DIRECTORY_BYTES, read: Vec::new() };
            plain.say(ldap::start_tls).await?;
            match plain.answer().await? {
                // What came before TLS stands is nobody's word.
                Answer::Done { code: 0, .. } if plain.read.is_empty() => {}
                Answer::Done { code, .. } => return Err(format!("does not start TLS (result {code})")),
                _ => return Err(ldap::Malformed.to_string()),
            }
        }
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
        let stream = tls.map_err(|error| format!("is not trusted: {error}"))?;
        Ok(Self { stream: Box::new(stream), id: 0, left: limits::DIRECTORY_BYTES, read: Vec::new() })
    }
}

impl<S: Stream> Connection<S> {
    async fn say(&mut self, request: impl FnOnce(u32) -> Vec<u8>) -> Result<(), String> {
        self.id += 1;
        let request = Zeroizing::new(request(self.id));
        let sent = async {
            self.stream.write_all(&request).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| format!("does not listen: {error}"))
    }

    /// The next answer to the last request.
    async fn answer(&mut self) -> Result<Answer, String> {
        loop {
            if let Some(length) = ldap::length(&self.read).map_err(|error| error.to_string())? {
                if length > limits::DIRECTORY_BYTES {
                    return Err(too_large());
                }
                if self.read.len() >= length {
                    let rest = self.read.split_off(length);
                    let message = std::mem::replace(&mut self.read, rest);
                    let (id, answer) = ldap::answer(&message).map_err(|error| error.to_string())?;
                    // 0 is a notice of its own accord, mostly that it closes.
                    return if id == u64::from(self.id) { Ok(answer) } else { Err(ldap::Malformed.to_string()) };
                }
            }
            let mut piece = [0; 4_096];
            match self.stream.read(&mut piece).await {
                Ok(0) => return Err("closed the connection".to_owned()),
                Ok(count) => {
                    self.left = self.left.checked_sub(count).ok_or_else(too_large)?;
                    self.read.extend_from_slice(&piece[..count]);
                }
                Err(error) => return Err(format!("broke the connection: {error}")),
            }
        }
    }

    pub(super) async fn bind(&mut self, bind: Option<&BindConfig>) -> Result<(), String> {
        let (name, password) = match bind {
            Some(bind) => (bind.name.as_str(), password(&bind.password_file)?),
            None => ("", Zeroizing::new(Vec::new())),
        };
        self.say(|id| ldap::bind(id, name, &password)).await?;
        match self.answer().await? {
            Answer::Done { code: 0, .. } => Ok(()),
            Answer::Done { code, .. } => Err(format!("refuses the bind (result {code})")),
            _ => Err(ldap::Malformed.to_string()),
        }
    }

    pub(super) async fn search(
        &mut self,
        (base, scope): (&str, Scope),
        filter: &Filter<'_>,
        attributes: &[&str],
    ) -> Result<Vec<Entry>, String> {
        let entries = limits::LOCATION_ANSWERS;
        let limit = u32::try_from(entries).unwrap_or(u32::MAX);
        let (seconds, page) = (SEARCH_SECONDS, None);
        let wanted = Search { base, scope, filter, attributes, entries: limit, seconds, page, deleted: false };
        self.say(|id| ldap::search(id, &wanted)).await?;
        let mut found = Vec::new();
        loop {
            match self.answer().await? {
                Answer::Entry(entry) if found.len() < entries => found.push(texts(entry)),
                // References are not followed: they lead where somebody else wants.
                Answer::Entry(_) | Answer::Reference => {}
                // That there are more than are wanted (4), or none (32), is an answer.
                Answer::Done { code: 0 | 4 | 32, .. } => return Ok(found),
                Answer::Done { code, .. } => return Err(format!("refuses the search (result {code})")),
            }
        }
    }

    pub(super) async fn end(mut self) {
        // It is over whether or not the server hears of it.
        let _ = self.say(ldap::unbind).await;
        let _ = self.stream.shutdown().await;
    }
}

fn too_large() -> String {
    format!("sends more than {} bytes", limits::DIRECTORY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> DirectoryConfig {
        let text =
            r#"{"server": "ldaps://dc1.corp.example", "base": "DC=corp", "authorities": "/ca.pem", "configmgr": true}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_server_is_ldap_with_tls_at_once_or_later() {
        let shown = |text| server(text).map(|(address, at_once)| (address.to_string(), at_once));
        assert_eq!(shown("ldaps://dc1.corp.example"), Some(("dc1.corp.example:636".to_owned(), true)));
        assert_eq!(shown("ldap://dc1:3389"), Some(("dc1:3389".to_owned(), false)));
        assert_eq!(shown("ldaps://[::1]"), Some(("[::1]:636".to_owned(), true)));
        for odd in ["dc1", "ldapi:///x", "ldap://", "ldap://u@h", "ldap://h/dc=x", "https://h", r"ldap://\\h\x"] {
            assert_eq!(shown(odd), None, "{odd}");
        }
    }

    #[test]
    fn entries_name_addresses_and_odd_ones_are_passed_over() {
        // proves S12: what a directory says is an address or nothing.
        let (config, mut found) = (config(), Hints::default());
        let source = Source::Directory { class: "serviceConnectionPoint", server: config.server.clone() };
        let entry = vec![
            (
                "serviceBindingInformation".to_owned(),
                [
                    "https://mp1.corp.example:8440",
                    r"\\192.0.2.77\x",
                    "https://mp1.corp.example:8440/x",
                    "https://2130706433:8440",
                    "https://0x7f.1:8440",
                ]
                .map(str::to_owned)
                .to_vec(),
            ),
            (
                "dNSHostName".to_owned(),
                ["mp2.corp.example", "http://mp3", "192.0.2.1:1", "192.0.2.77", "2130706433", "0x7f000001"]
                    .map(str::to_owned)
                    .to_vec(),
            ),
            ("description".to_owned(), vec!["https://mp9.corp.example:1".to_owned()]),
        ];
        take(&entry, &config, &source, &mut found);
        let addresses: Vec<_> = found.hints.iter().map(|hint| hint.address.to_string()).collect();
        assert_eq!(addresses, ["mp1.corp.example:8440", "mp2.corp.example:443"]);
        assert_eq!(found.errors.len(), 9);
    }

    #[test]
    fn only_the_site_of_the_client_is_searched_for() {
        let (config, site) = (config(), "P01".parse().unwrap());
        let found = searches(&config, Some(&site), Some("site:P01"), Service::ManagementPoint);
        assert_eq!(found[0].equal[2..], [("serviceClassName", "muster-mp"), ("keywords", "site:P01")]);
        assert_eq!(found[1].equal[1], ("mSSMSSiteCode", "P01"));
        assert_eq!(searches(&config, Some(&site), Some("site:P01"), Service::Enrolment).len(), 1);
        assert_eq!(searches(&config, None, None, Service::ManagementPoint).len(), 1, "of any site, ours only");
    }

    #[tokio::test]
    async fn a_server_that_never_ends_is_left() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move { while theirs.write_all(&[0x30, 0x83, 3, 0xff, 0xff, 4, 4]).await.is_ok() {} });
        let mut connection = Connection { stream: ours, id: 1, left: limits::DIRECTORY_BYTES, read: Vec::new() };
        let error = connection.answer().await.unwrap_err();
        assert!(error.contains("more than"), "{error}");
    }
}
