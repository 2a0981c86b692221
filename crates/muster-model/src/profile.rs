//! The profile of an administrator: which site `muster` speaks to, whom it believes, and with which key it signs in.
//!
//! A directory holds one profile: [`PROFILE_FILE`] (TOML of [`Profile`]), the administrator's key (encrypted PEM), and while a
//! session is open its token in [`SESSION_FILE`]. `musterd init` writes `<site directory>/admin/` so; `muster profile add` any other.

use crate::id::{Hash, SiteCode};
use serde::{Deserialize, Serialize};

/// File name of the profile inside its directory.
pub const PROFILE_FILE: &str = "profile.toml";
/// File name of the administrator's key, as `musterd init` and `muster key create` name it: PEM, `ENCRYPTED PRIVATE KEY`.
pub const KEY_FILE: &str = "admin.key.pem";
/// File name of the passphrase, where there is one on disk (mode 0600): the whole content without one final line feed.
pub const PASSPHRASE_FILE: &str = "admin.passphrase";
/// File name of the kept session (mode 0600), written by `muster` alone.
pub const SESSION_FILE: &str = "session.json";

/// One administrator at one site. Paths are relative to the profile's directory, or absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The site code; bound into every sign-in, so that a signature for one site means nothing at another.
    pub site: SiteCode,
    /// Address of the administrators' API, without path: `https://host:port`, or `http://` and a loopback address.
    pub address: String,
    /// Fingerprint of the trusted root key: the server's certificate must come from it.
    pub root: Hash,
    /// The administrator's private key, encrypted PEM.
    pub key: String,
    /// The key that signs applications; absent: [`Self::key`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_key: Option<String>,
    /// File (mode 0600) with the passphrase of the keys; absent: it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<String>,
}

/// What is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The address is not one that `muster` may use.
    #[error("the address must be https://host:port, or http:// with a loopback address, without a path: {0:?}")]
    Address(String),
}

impl Profile {
    /// Whether the address is one that a secret may be sent to.
    ///
    /// # Errors
    /// [`ProfileError::Address`].
    pub fn check(&self) -> Result<(), ProfileError> {
        let bad = || ProfileError::Address(self.address.clone());
        let (plain, authority) = match self.address.split_once("://") {
            Some(("https", authority)) => (false, authority),
            Some(("http", authority)) => (true, authority),
            _ => return Err(bad()),
        };
        let (host, port) = authority.rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-:".contains(&b);
        if host.is_empty() || !host.bytes().all(allowed) || port.parse::<u16>().is_err() {
            return Err(bad());
        }
        // A name may resolve to anything: only a literal loopback address goes without TLS.
        if plain && !host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
            return Err(bad());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(address: &str) -> Profile {
        Profile {
            site: "ABC".parse().unwrap(),
            address: address.to_owned(),
            root: Hash([0; 32]),
            key: KEY_FILE.to_owned(),
            author_key: None,
            passphrase_file: None,
        }
    }

    #[test]
    fn a_secret_goes_over_tls_or_stays_on_the_machine() {
        for good in
            ["https://mp.example.org:8443", "https://[2001:db8::1]:443", "http://127.0.0.1:9001", "http://[::1]:9"]
        {
            assert_eq!(profile(good).check(), Ok(()), "{good}");
        }
        for bad in [
            "http://mp.example.org:80",
            "http://localhost:80",
            "http://10.0.0.1:80",
            "https://host",
            "https://host:443/path",
            "https://user@host:443",
            "ftp://127.0.0.1:21",
            "127.0.0.1:80",
            "https://:443",
        ] {
            assert!(profile(bad).check().is_err(), "{bad}");
        }
    }
}
