//! The configuration of a site server: `musterd.toml` in the site's directory, overridden by `MUSTERD_*` variables.
//!
//! Typed, complete with defaults, and strict: a key that does not exist is an error. [`check`] says each problem as a sentence.

mod check;
mod load;
pub mod reference;

pub use check::problems;
pub use load::{ConfigError, FILE, load};

use muster_model::{
    id::{Name, SiteCode},
    limits::Limits,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Everything that can be set. Relative paths start at the site's directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the site is.
    pub site: SiteSection,
    /// Where it listens.
    #[serde(default)]
    pub listen: Listen,
    /// What it is called by others.
    #[serde(default)]
    pub names: Names,
    /// How long it waits, and how many it serves at once.
    #[serde(default)]
    pub http: Http,
    /// Whether and how it gives certificates to mobile devices.
    #[serde(default)]
    pub mobile: Mobile,
    /// Whom it believes about TPMs.
    #[serde(default)]
    pub attestation: Attestation,
    /// Which domains it has keys of.
    #[serde(default)]
    pub approval: Approval,
    /// Which directories it knows.
    #[serde(default)]
    pub discovery: Discovery,
    /// Where messages may be sent.
    #[serde(default)]
    pub status: Status,
    /// Where its keys are, when they are not files.
    #[serde(default)]
    pub pkcs11: Pkcs11,
    /// What it takes from outside.
    #[serde(default)]
    pub limits: Limits,
    /// Where its audit log is kept a second time.
    #[serde(default)]
    pub audit: Audit,
    /// What it writes to its log.
    #[serde(default)]
    pub log: Log,
}

/// `[site]`: what the site is. Set by `musterd init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSection {
    /// The site code.
    pub code: SiteCode,
    /// The site's name.
    pub name: Name,
    /// The database.
    #[serde(default = "sqlite")]
    pub database: String,
    /// Directory of content files.
    #[serde(default = "content")]
    pub content: String,
    /// File with which the keys in `keys/` are encrypted.
    #[serde(default = "key_file")]
    pub key_file: String,
}

fn sqlite() -> String {
    "sqlite:site.db".to_owned()
}
fn content() -> String {
    "content".to_owned()
}
fn key_file() -> String {
    "keys/site.key".to_owned()
}

/// `[listen]`: addresses. Port 0 takes a free port; `run/addresses.json` says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Devices with a certificate.
    pub management_point: SocketAddr,
    /// Devices without one.
    pub enrolment: SocketAddr,
    /// Administrators: API and console.
    pub admin: SocketAddr,
    /// Whether administrators are served over TLS. Without it, `admin` must be a loopback address.
    pub admin_tls: bool,
    /// Whoever checks a certificate: revocation lists and OCSP, over plain HTTP.
    pub revocation: SocketAddr,
    /// Whether they are served here at all.
    pub revocation_served: bool,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            management_point: SocketAddr::from(([0, 0, 0, 0], 8440)),
            enrolment: SocketAddr::from(([0, 0, 0, 0], 8441)),
            admin: SocketAddr::from(([127, 0, 0, 1], 8442)),
            admin_tls: true,
            revocation: SocketAddr::from(([0, 0, 0, 0], 8480)),
            revocation_served: true,
        }
    }
}

/// `[names]`: what others call this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// DNS names and IP addresses in the server's certificate. The first one is told to clients.
    pub server: Vec<String>,
    /// Domains and networks of all servers of the site, to which a new issuing CA is bounded; empty: the domains of `server`, and what
    /// has none, itself.
    pub within: Vec<String>,
    /// Addresses of management points that clients are told, where they are not `https://<first name>:<port>`.
    pub management_points: Vec<String>,
    /// Address of the enrolment door that tokens carry, where it is not `https://<first name>:<port>`.
    pub enrolment: Option<String>,
    /// Address of the console, where it is not that of the listener.
    pub console: Option<String>,
    /// Address below which client certificates say that their revocation is published: `http://host[:port]`.
    pub revocation: Option<String>,
}

impl Names {
    /// What a new issuing CA is bounded to.
    #[must_use]
    pub fn bounds(&self) -> Vec<String> {
        if self.within.is_empty() { muster_trust::names_within::around(&self.server) } else { self.within.clone() }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self {
            server: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            within: Vec::new(),
            management_points: Vec::new(),
            enrolment: None,
            console: None,
            revocation: None,
        }
    }
}

/// `[http]`: times and numbers of connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Seconds that a TLS handshake may take.
    pub handshake_seconds: u64,
    /// Seconds until a request's header must be there; also how long a kept connection may be idle.
    pub header_seconds: u64,
    /// Seconds in which the next piece of a body must come, or go.
    pub body_seconds: u64,
    /// Seconds that running requests have to end when the server stops.
    pub shutdown_seconds: u64,
    /// Seconds between two signs of life on an idle live channel.
    pub ping_seconds: u64,
    /// Connections of devices at once.
    pub management_point_connections: usize,
    /// Connections to the enrolment door at once.
    pub enrolment_connections: usize,
    /// Connections of administrators at once.
    pub admin_connections: usize,
    /// Connections to the revocation door at once.
    pub revocation_connections: usize,
    /// Connections of one address at once to the enrolment, the revocation and the administrators' door.
    pub connections_per_address: usize,
    /// Requests of one address in a minute to the enrolment door, to the revocation door, and tries to sign in.
    pub requests_per_minute: u32,
    /// Connections of one address in a minute to each door; more wait their turn.
    pub handshakes_per_minute: u32,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            handshake_seconds: 10,
            header_seconds: 30,
            body_seconds: 30,
            shutdown_seconds: 10,
            ping_seconds: 60,
            management_point_connections: 150_000,
            enrolment_connections: 1_000,
            admin_connections: 1_000,
            revocation_connections: 1_000,
            connections_per_address: 64,
            requests_per_minute: 600,
            handshakes_per_minute: 6_000,
        }
    }
}

/// `[mobile]`: certificates for devices that foreign protocols manage. Off unless it is said here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mobile {
    /// Whether EST is served.
    pub est_served: bool,
    /// Where: over TLS.
    pub est: SocketAddr,
    /// Whether SCEP is served, for devices that know nothing better.
    pub legacy_scep: bool,
    /// Where: over plain HTTP.
    pub scep: SocketAddr,
    /// Connections to each of the two at once.
    pub connections: usize,
}

impl Default for Mobile {
    fn default() -> Self {
        Self {
            est_served: false,
            est: SocketAddr::from(([0, 0, 0, 0], 8443)),
            legacy_scep: false,
            scep: SocketAddr::from(([0, 0, 0, 0], 8481)),
            connections: 1_000,
        }
    }
}

/// `[approval]`: which domains it has keys of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Approval {
    /// Directory of the keytabs of the site's service, one for each trusted domain.
    pub keytabs: String,
}

impl Default for Approval {
    fn default() -> Self {
        Self { keytabs: "keytabs".to_owned() }
    }
}

/// `[discovery]`: which directories it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// Directory of the files about directories of users and computers, one for each.
    pub directories: String,
    /// Lease files of DHCP servers on this machine.
    pub lease_files: Vec<String>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { directories: "directories".to_owned(), lease_files: Vec::new() }
    }
}

/// `[status]`: where messages may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Status {
    /// Directory of the files about targets, one for each.
    pub targets: String,
}

impl Default for Status {
    fn default() -> Self {
        Self { targets: "targets".to_owned() }
    }
}

/// `[pkcs11]`: a token that holds the issuing keys and the policy keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pkcs11 {
    /// The token's PKCS#11 module; none: keys are encrypted files.
    pub module: Option<String>,
    /// The token's label.
    pub token: String,
    /// File with the user PIN.
    pub pin_file: String,
}

impl Default for Pkcs11 {
    fn default() -> Self {
        Self { module: None, token: "muster".to_owned(), pin_file: "keys/token.pin".to_owned() }
    }
}

/// `[attestation]`: whom it believes about TPMs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attestation {
    /// Directory of the pinned certificates of TPM vendors, PEM or DER.
    pub roots: String,
}

impl Default for Attestation {
    fn default() -> Self {
        Self { roots: "tpm-roots".to_owned() }
    }
}

/// `[audit]`: where the audit log is kept a second time, in files that are written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// The directory; it must be there. Empty: nowhere.
    pub export: String,
    /// How often what is new is written.
    pub export_seconds: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { export: String::new(), export_seconds: 300 }
    }
}

/// `[log]`: what is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Lines for people, or one JSON object a line.
    pub format: LogFormat,
    /// How much: `error`, `warn`, `info`, `debug`, `trace`, or per part (`info,muster_site=debug`).
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: "info".to_owned() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Human,
    /// For machines.
    Json,
}

impl Config {
    /// A configuration with all defaults.
    #[must_use]
    pub fn new(code: SiteCode, name: Name) -> Self {
        Self {
            site: SiteSection { code, name, database: sqlite(), content: content(), key_file: key_file() },
            listen: Listen::default(),
            names: Names::default(),
            http: Http::default(),
            mobile: Mobile::default(),
            attestation: Attestation::default(),
            approval: Approval::default(),
            discovery: Discovery::default(),
            status: Status::default(),
            pkcs11: Pkcs11::default(),
            limits: Limits::default(),
            audit: Audit::default(),
            log: Log::default(),
        }
    }

    /// The configuration as it may be shown: without the password of a database.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        shown.site.database = without_password(&shown.site.database);
        shown
    }
}

/// A URL whose password is replaced by `***`.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (base, query) = rest.split_once('?').map_or((rest, None), |(base, query)| (base, Some(query)));
    let base = match base.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => base.to_owned(),
        },
        None => base.to_owned(),
    };
    let shown = |pair: &str| match pair.split_once('=') {
        Some((key, _)) if key.to_ascii_lowercase().contains("password") => format!("{key}=***"),
        _ => pair.to_owned(),
    };
    match query {
        Some(query) => {
            format!("{scheme}://{base}?{}", query.split('&').map(shown).collect::<Vec<_>>().join("&"))
        }
        None => format!("{scheme}://{base}"),
    }
}

/// Whether a database URL carries a password.
#[must_use]
pub fn has_password(url: &str) -> bool {
    without_password(url) != url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("sqlite:site.db", "sqlite:site.db"),
            ("postgres://u:p@ss@h/db", "postgres://u:***@h/db"),
            ("postgres://u@h/db?password=x&sslmode=require", "postgres://u@h/db?password=***&sslmode=require"),
            ("postgres://u:p@h/db?sslPassword=x", "postgres://u:***@h/db?sslPassword=***"),
            ("postgres://h/db", "postgres://h/db"),
        ] {
            assert_eq!(without_password(url), shown);
            assert_eq!(has_password(url), url != shown);
        }
    }
}
