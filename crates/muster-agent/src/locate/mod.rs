//! Where management points may be: a list, a directory, DNS, in this order. Whatever they say is a *hint*: it names an address
//! to ask, and nothing that is believed. Who answers there proves itself by the site's own certificates, before it hears anything
//! of this client; whoever does not is reported to the site.
//!
//! Only the sources that the machine's administrator configured are asked, and only those that the site's signed policy names are
//! added. No message, and no field of one, leads the client anywhere.

pub mod assign;
mod dns;
mod ldap;
mod order;
mod proof;
mod subnet;

pub use dns::DnsConfig;
pub use ldap::{BindConfig, DirectoryConfig};
pub use order::{Record, ordered};
pub use proof::{Refusal, refusal};
pub use subnet::directory_site;

use crate::{clock::Clock, http::Address};
use muster_model::{id::SiteCode, limits};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where management points are looked for. Nothing is, where nothing is said: everything that the site itself named is
/// enough for a client that reaches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocationConfig {
    /// Addresses, `https://host:port`, asked before what a directory or DNS says.
    pub management_points: Vec<String>,
    /// A directory.
    pub directory: Option<DirectoryConfig>,
    /// DNS.
    pub dns: Option<DnsConfig>,
    /// The directory's site that this machine is in, for boundaries of that kind, where an administrator says it. Else
    /// [`DirectoryConfig::sites`] may find it.
    pub directory_site: Option<String>,
}

impl LocationConfig {
    /// Whether a source is configured that could name a site by itself.
    #[must_use]
    pub const fn has_source(&self) -> bool {
        self.directory.is_some() || self.dns.is_some()
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Management points.
    ManagementPoint,
    /// Enrolment doors.
    Enrolment,
}

/// Who said that there is something at an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The machine's administrator, in the configuration.
    Configured,
    /// An object of this class, in the directory at this server.
    Directory {
        /// The object class.
        class: &'static str,
        /// The server.
        server: String,
    },
    /// A record of this name.
    Dns(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("the configuration"),
            Self::Directory { class, server } => write!(f, "{class} in the directory {server}"),
            Self::Dns(name) => write!(f, "DNS SRV {name}"),
        }
    }
}

/// An address that a source named. Nothing is believed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The address.
    pub address: Address,
    /// Who named it.
    pub source: Source,
}

/// Why a source said nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// A part of the configuration is not well-formed.
    #[error("location in agent.json: {0}")]
    Config(String),
    /// DNS.
    #[error("DNS does not answer for {name}: {reason}")]
    Dns {
        /// The name.
        name: String,
        /// The resolver's reason.
        reason: String,
    },
    /// The directory.
    #[error("the directory {server} {reason}")]
    Directory {
        /// The server.
        server: String,
        /// What went wrong.
        reason: String,
    },
    /// An entry names something that is no address.
    #[error("{source_name} names {named:?}, which is not the address of a server; it is passed over")]
    Odd {
        /// Who named it.
        source_name: String,
        /// What, cut.
        named: String,
    },
}

impl LocateError {
    /// Whether this source did not answer. What it named before is not taken back by that.
    #[must_use]
    pub fn is_of(&self, source: &Source) -> bool {
        match (self, source) {
            (Self::Dns { name, .. }, Source::Dns(_)) => *name == source.to_string(),
            (Self::Directory { server, .. }, Source::Directory { server: asked, .. }) => server == asked,
            _ => false,
        }
    }
}

/// What the sources said, best first.
#[derive(Debug, Default)]
pub struct Hints {
    /// Addresses, each once.
    pub hints: Vec<Hint>,
    /// What could not be used, and why.
    pub errors: Vec<LocateError>,
}

impl Hints {
    fn odd(&mut self, source: &Source, named: &str) {
        let named = named.chars().take(100).collect();
        self.errors.push(LocateError::Odd { source_name: source.to_string(), named });
    }

    fn push(&mut self, address: Address, source: &Source) {
        let known = self.hints.iter().any(|hint| hint.address == address);
        let of_source = self.hints.iter().filter(|hint| hint.source == *source).count();
        let share = if *source == Source::Configured { limits::LOCATION_POINTS } else { limits::LOCATION_SHARE };
        if !known && of_source < share {
            self.hints.push(Hint { address, source: source.clone() });
        }
    }
}

/// Asks every configured source for what is there of this site, or of any. What one of them cannot say, the next one may.
pub async fn hints(config: &LocationConfig, site: Option<SiteCode>, service: Service, clock: &Clock) -> Hints {
    let mut found = Hints::default();
    if service == Service::ManagementPoint {
        for text in config.management_points.iter().take(limits::LOCATION_ANSWERS) {
            match text.parse() {
                Ok(address) => found.push(address, &Source::Configured),
                Err(_) => found.odd(&Source::Configured, text),
            }
        }
    }
    if let Some(directory) = &config.directory {
        ldap::ask(directory, site, service, clock, &mut found).await;
    }
    if let Some(dns) = &config.dns {
        dns::ask(dns, site, service, &mut found).await;
    }
    found
}
