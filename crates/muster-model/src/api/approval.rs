//! Who is approved without being asked about: the approval mode of the site, its trusted domains, and the serial numbers that it
//! expects.

use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

api! {
    /// Which requests to enrol are approved without an administrator.
    #[derive(Default)]
    enum ApprovalMode {
        /// None; but hardware that an administrator awaits.
        #[default]
        Manual = "manual",
        /// Also computers of a trusted domain that are in a group which the site approves.
        TrustedDomain = "trusted domain",
        /// Every device that proves something of its own: its domain, its TPM, or a token that was made for its serial number.
        All = "all",
    }
}

impl ApprovalMode {
    /// What an administrator should know who uses it.
    #[must_use]
    pub const fn warning(self) -> &'static str {
        match self {
            Self::Manual => {
                "Nobody is approved but by an administrator, or because a TPM came that an administrator awaits. Compare \
                 the key of each request with what the device shows."
            }
            Self::TrustedDomain => {
                "Whoever can put a computer into one of the groups of a trusted domain brings it into this site. Let only \
                 administrators of the domain change these groups, and put no computer into them that an ordinary user has made."
            }
            Self::All => {
                "Every device with a token is approved if it proves a trusted domain's group or a TPM that this site believes, or \
                 if its token was made for a serial number of the list. A serial number is only what the device says: whoever has \
                 such a token is that device. Use this for a time, not for good."
            }
        }
    }
}

api! {
    /// A domain whose computers may be approved by themselves.
    struct TrustedDomain {
        /// The Kerberos realm: `EXAMPLE.COM`.
        realm: String,
        /// The service that computers ask for a ticket: `muster/site.example.com`. Its keytab lies on the server.
        service: String,
        /// Security identifiers of the groups whose computers are approved: `S-1-5-21-...`, none of the domain's built-in ones.
        groups: Vec<String>,
    }
}
api! {
    /// `PUT /api/v1/approval`.
    struct ApprovalSet {
        /// The mode.
        mode: ApprovalMode,
        /// The trusted domains, all of them.
        #[serde(default)] domains: Vec<TrustedDomain>,
        /// That the warning of the mode `all` was read; without it that mode is refused.
        #[serde(default)] confirmed: bool,
    }
}
api! {
    /// Which requests are approved without an administrator.
    struct Approval {
        /// The mode.
        mode: ApprovalMode,
        /// The trusted domains.
        domains: Vec<TrustedDomain>,
        /// What to know about this mode.
        warning: String,
        /// Realms whose service has no key on this server: nobody of them is approved by itself.
        without_key: Vec<String>,
    }
}
api! {
    /// The computer's account that a device proved when it asked to be enrolled.
    struct DomainAccount {
        /// The Kerberos realm.
        realm: String,
        /// The account: `PC1$`.
        account: String,
        /// Its security identifier.
        sid: String,
        /// The group for which it was let in; absent: it was in none that the site approves.
        group: Option<String>,
        /// When the site took the proof.
        verified: UnixMillis,
    }
}
api! {
    /// A serial number that the site expects.
    struct Serial {
        /// The serial number.
        serial: String,
        /// Which machine it is.
        note: String,
        /// Since when.
        changed: UnixMillis,
        /// Who put it on the list.
        changed_by: String,
    }
}
api! {
    /// A serial number to expect.
    struct SerialEntry {
        /// The serial number: 1 to 64 characters of ASCII that can be seen.
        serial: String,
        /// Which machine it is; 1 to 500 characters.
        note: String,
    }
}
api! {
    /// `POST /api/v1/serials`.
    struct SerialImport {
        /// What to expect; the whole list or nothing.
        entries: Vec<SerialEntry>,
    }
}
api! {
    /// What was put on the list.
    struct SerialImported {
        /// How many.
        imported: u64,
    }
}

impl std::fmt::Display for TrustedDomain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.realm, self.service, self.groups.join(" "))
    }
}

impl std::str::FromStr for TrustedDomain {
    type Err = String;
    /// `REALM SERVICE GROUP...`, with blanks or commas between.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split([' ', ',', '\t']).filter(|word| !word.is_empty()).map(str::to_owned);
        let (Some(realm), Some(service)) = (words.next(), words.next()) else {
            return Err(format!(
                "{text:?} is not REALM SERVICE GROUP..., as in EXAMPLE.COM muster/site.example.com S-1-5-21-..."
            ));
        };
        Ok(Self { realm, service, groups: words.collect() })
    }
}

/// Whether a text can be a serial number: 1 to 64 characters of ASCII that can be seen, no blank at either end.
#[must_use]
pub fn is_serial(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.trim() == text && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

/// Whether a text is the security identifier of a group that somebody made in a domain. The built-in ones have numbers under 1,000:
/// every computer that any user makes is in one of those.
#[must_use]
pub fn is_made_group(sid: &str) -> bool {
    let Some(numbers) = sid.strip_prefix("S-1-5-21-") else { return false };
    let numbers: Option<Vec<u32>> =
        numbers.split('-').map(|part| part.parse().ok().filter(|number: &u32| number.to_string() == part)).collect();
    numbers.is_some_and(|numbers| matches!(numbers[..], [_, _, _, relative] if relative >= 1_000))
}

/// Whether a text is a Kerberos realm as Active Directory has them: a DNS name in capitals.
#[must_use]
pub fn is_realm(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    (1..=255).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.') && !text.ends_with('.')
}

/// Whether a text is `service/host`.
#[must_use]
pub fn is_service(text: &str) -> bool {
    let part = |part: &str| {
        (1..=253).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
    };
    text.split_once('/').is_some_and(|(service, host)| part(service) && part(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_that_somebody_made_are_groups() {
        assert!(is_made_group("S-1-5-21-1-2-3-1000"));
        for bad in [
            "",
            "S-1-5-21-1-2-3-515",
            "S-1-5-11",
            "S-1-5-21-1-2-1105",
            "S-1-5-21-1-2-3-01105",
            "S-1-5-21-1-2-3-+1105",
            "S-1-5-21-1-2-3-4-1105",
            "S-1-5-21-1-2-3-99999999999",
            "s-1-5-21-1-2-3-1105",
            "S-1-18-1",
        ] {
            assert!(!is_made_group(bad), "{bad}");
        }
    }

    #[test]
    fn names_are_names() {
        assert!(is_realm("LAB.EXAMPLE") && is_service("muster/site.example") && is_serial("ABC 123"));
        for bad in ["", "lab.example", ".A", "A.", "A B", "A/B"] {
            assert!(!is_realm(bad), "{bad}");
        }
        for bad in ["", "muster", "/x", "x/", "a/b/c", "a/b@c", "a b/c"] {
            assert!(!is_service(bad), "{bad}");
        }
        for bad in ["", " a", "a ", "a\n", "\u{e4}"] {
            assert!(!is_serial(bad), "{bad}");
        }
        assert!(!is_serial(&"x".repeat(65)));
    }
}
