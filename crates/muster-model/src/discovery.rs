//! What discovery finds: a record of one method about one resource. Everything in it is display data that came from outside;
//! nobody is ever contacted because a record names them.

use crate::{
    api::{DiscoveryMethod, ResourceKind},
    limits::{DISCOVERY_ATTRIBUTES, DISCOVERY_RECORD_BYTES, DISCOVERY_VALUE_BYTES, DISCOVERY_VALUES},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a value of an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactType {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// A moment, in milliseconds.
    Moment,
    /// Several texts.
    List,
}

/// An attribute that discovery may say, under Configuration Manager's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactKind {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: FactType,
    /// Whether a system may have it.
    system: bool,
    /// Whether a user may have it.
    user: bool,
    /// Whether a group may have it.
    group: bool,
}

const fn fact(name: &'static str, kind: FactType, of: &str) -> FactKind {
    let of = of.as_bytes();
    let (mut at, mut system, mut user, mut group) = (0, false, false, false);
    while at < of.len() {
        match of[at] {
            b's' => system = true,
            b'u' => user = true,
            _ => group = true,
        }
        at += 1;
    }
    FactKind { name, kind, system, user, group }
}

/// Every attribute that discovery may say. Those with one value are columns of the table `resource`, under the same names.
pub const FACTS: &[FactKind] = &[
    fact("NetbiosName", FactType::Text, "s"),
    fact("ResourceDomainORWorkgroup", FactType::Text, "s"),
    fact("FullDomainName", FactType::Text, "sug"),
    fact("DistinguishedName", FactType::Text, "sug"),
    fact("SID", FactType::Text, "sug"),
    fact("OperatingSystemNameandVersion", FactType::Text, "s"),
    fact("Build", FactType::Text, "s"),
    fact("CPUType", FactType::Text, "s"),
    fact("SMBIOSGUID", FactType::Text, "s"),
    fact("ADSiteName", FactType::Text, "s"),
    fact("LastLogonUserName", FactType::Text, "s"),
    fact("LastLogonUserDomain", FactType::Text, "s"),
    fact("LastLogonTimestamp", FactType::Moment, "s"),
    fact("IsVirtualMachine", FactType::Number, "s"),
    fact("UserAccountControl", FactType::Number, "su"),
    fact("PrimaryGroupID", FactType::Number, "su"),
    fact("Description", FactType::Text, "u"),
    fact("UserName", FactType::Text, "u"),
    fact("UniqueUserName", FactType::Text, "u"),
    fact("WindowsNTDomain", FactType::Text, "ug"),
    fact("NetworkOperatingSystem", FactType::Text, "ug"),
    fact("FullUserName", FactType::Text, "u"),
    fact("DisplayName", FactType::Text, "u"),
    fact("GivenName", FactType::Text, "u"),
    fact("Mail", FactType::Text, "u"),
    fact("Department", FactType::Text, "u"),
    fact("Title", FactType::Text, "u"),
    fact("Company", FactType::Text, "u"),
    fact("Division", FactType::Text, "u"),
    fact("Manager", FactType::Text, "u"),
    fact("City", FactType::Text, "u"),
    fact("State", FactType::Text, "u"),
    fact("Country", FactType::Text, "u"),
    fact("PhysicalDeliveryOfficeName", FactType::Text, "u"),
    fact("TelephoneNumber", FactType::Text, "u"),
    fact("MobileNumber", FactType::Text, "u"),
    fact("EmployeeID", FactType::Text, "u"),
    fact("EmployeeType", FactType::Text, "u"),
    fact("UserPrincipalName", FactType::Text, "u"),
    fact("SAMAccountName", FactType::Text, "u"),
    fact("UsergroupName", FactType::Text, "g"),
    fact("UniqueUsergroupName", FactType::Text, "g"),
    fact("ActiveDirectoryDomain", FactType::Text, "g"),
    fact("ActiveDirectoryOrganizationalUnit", FactType::Text, "g"),
    fact("IPAddresses", FactType::List, "s"),
    fact("IPSubnets", FactType::List, "s"),
    fact("IPv6Addresses", FactType::List, "s"),
    fact("IPv6Prefixes", FactType::List, "s"),
    fact("MACAddresses", FactType::List, "s"),
    fact("ResourceNames", FactType::List, "s"),
    fact("SystemRoles", FactType::List, "s"),
    fact("SystemOUName", FactType::List, "s"),
    fact("SystemContainerName", FactType::List, "s"),
    fact("UserOUName", FactType::List, "u"),
    fact("UserContainerName", FactType::List, "u"),
];

/// The attribute of that name.
#[must_use]
pub fn fact_kind(name: &str) -> Option<&'static FactKind> {
    FACTS.iter().find(|fact| fact.name == name)
}

impl FactKind {
    /// Whether a resource of this kind may have it.
    #[must_use]
    pub const fn is_of(&self, kind: ResourceKind) -> bool {
        match kind {
            ResourceKind::System => self.system,
            ResourceKind::User => self.user,
            ResourceKind::Group => self.group,
        }
    }
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Fact {
    /// A number, or a moment.
    Number(i64),
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

/// Attributes and their values.
pub type Facts = BTreeMap<String, Fact>;

/// What one method says of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryRecord {
    /// The method.
    pub method: DiscoveryMethod,
    /// What the resource is.
    pub kind: ResourceKind,
    /// By what the method knows the resource again, whatever it is called: `ad:<objectGUID>`, `mac:<address>`, `device:<id>`.
    pub identity: String,
    /// Which of the sources of that method said it; empty where there is only one.
    pub source: String,
    /// What people call it.
    pub name: String,
    /// When it was found.
    pub found: UnixMillis,
    /// The rest.
    pub facts: Facts,
}

/// Why a record is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It has no name, or nothing by which it is known again.
    #[error("a record has a name and an identity of 1 to 255 bytes without control characters")]
    Unnamed,
    /// An attribute that no resource of its kind has, or of another type.
    #[error("the record says {0:?}, which a resource of its kind does not have so")]
    Attribute(String),
    /// It is larger than a record may be.
    #[error("the record is larger than a record may be ({0})")]
    TooLarge(&'static str),
}

/// A text without control characters, at most so many bytes of it.
#[must_use]
pub fn plain(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    for c in text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if out.len() + c.len_utf8() > most {
            break;
        }
        out.push(c);
    }
    out.truncate(out.trim_end().len());
    out
}

impl DiscoveryRecord {
    /// Whether it is one that may be stored.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn check(&self) -> Result<(), RecordError> {
        let named = |text: &str| (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
        if !named(&self.name) || !named(&self.identity) {
            return Err(RecordError::Unnamed);
        }
        check_facts(&self.facts, self.kind)
    }

    /// The security identifier, where it says one.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        match self.facts.get("SID") {
            Some(Fact::Text(sid)) => Some(sid),
            _ => None,
        }
    }
}

/// Whether attributes are such as a resource of this kind has, within the limits.
///
/// # Errors
/// [`RecordError`].
pub fn check_facts(facts: &Facts, kind: ResourceKind) -> Result<(), RecordError> {
    if facts.len() > DISCOVERY_ATTRIBUTES {
        return Err(RecordError::TooLarge("attributes"));
    }
    let mut bytes = 0;
    for (name, value) in facts {
        let odd = || RecordError::Attribute(plain(name, 60));
        let known = fact_kind(name).filter(|known| known.is_of(kind)).ok_or_else(odd)?;
        let text = |text: &String| !text.chars().any(char::is_control) && !text.is_empty();
        match (known.kind, value) {
            (FactType::Text, Fact::Text(value)) if text(value) => bytes += size(value)?,
            (FactType::Number | FactType::Moment, Fact::Number(_)) => bytes += 8,
            (FactType::List, Fact::List(values)) if values.iter().all(text) => {
                if values.len() > DISCOVERY_VALUES {
                    return Err(RecordError::TooLarge("values of one attribute"));
                }
                for value in values {
                    bytes += size(value)?;
                }
            }
            _ => return Err(odd()),
        }
    }
    if bytes > DISCOVERY_RECORD_BYTES { Err(RecordError::TooLarge("bytes")) } else { Ok(()) }
}

fn size(value: &str) -> Result<usize, RecordError> {
    if value.len() > DISCOVERY_VALUE_BYTES { Err(RecordError::TooLarge("bytes of a value")) } else { Ok(value.len()) }
}

/// How far a whole run came: what changed after that in the same copy of the directory is the next delta.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// Which copy of the directory was read: the controller's `invocationId`.
    pub copy: String,
    /// Its highest number of a change when the run began.
    pub change: u64,
}

/// Where a full run goes on that was cut off: at the beginning of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// When it began.
    pub began: UnixMillis,
    /// How far the copy of the directory was then.
    pub reached: Reached,
    /// Parts that are done.
    pub parts: u64,
}

/// An object of a directory: the record, and the groups that it says it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryObject {
    /// The record.
    pub record: DiscoveryRecord,
    /// Distinguished names of the groups that it is in directly.
    pub groups: Vec<String>,
    /// Security identifier of its primary group.
    pub primary_group: Option<String>,
}

/// Whether a text may be the name of a source: it names a file of the server too.
#[must_use]
pub fn is_source_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
}

/// Something that the server knows to be on the network, without having asked anybody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    /// Its address.
    pub address: std::net::IpAddr,
    /// Its hardware address: `52:54:00:12:34:56`, in upper case.
    pub hardware: String,
    /// What it calls itself.
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(facts: &[(&str, Fact)]) -> DiscoveryRecord {
        DiscoveryRecord {
            method: DiscoveryMethod::Network,
            kind: ResourceKind::System,
            identity: "mac:02:00:00:00:00:01".to_owned(),
            source: String::new(),
            name: "printer".to_owned(),
            found: UnixMillis(1),
            facts: facts.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone())).collect(),
        }
    }

    #[test]
    fn a_record_says_what_its_kind_has_and_no_more_than_it_may() {
        let list = |count: usize| Fact::List(vec!["10.1.2.3".to_owned(); count]);
        let good = record(&[("IPAddresses", list(DISCOVERY_VALUES)), ("LastLogonTimestamp", Fact::Number(1))]);
        assert_eq!(good.check(), Ok(()));
        let of = |name: &str, fact| record(&[(name, fact)]).check();
        for (name, fact) in [
            ("Mail", Fact::Text("a".to_owned())),
            ("Unheard", Fact::Text("a".to_owned())),
            ("IPAddresses", Fact::Text("a".to_owned())),
            ("Build", Fact::Number(1)),
            ("Build", Fact::Text("a\nb".to_owned())),
            ("Build", Fact::Text(String::new())),
        ] {
            assert!(matches!(of(name, fact), Err(RecordError::Attribute(_))), "{name}");
        }
        let large = Fact::Text("x".repeat(DISCOVERY_VALUE_BYTES + 1));
        assert_eq!(of("Build", large), Err(RecordError::TooLarge("bytes of a value")));
        assert!(matches!(of("IPAddresses", list(DISCOVERY_VALUES + 1)), Err(RecordError::TooLarge(_))));
        let wide =
            Fact::List(vec!["x".repeat(DISCOVERY_VALUE_BYTES); DISCOVERY_RECORD_BYTES / DISCOVERY_VALUE_BYTES + 1]);
        assert_eq!(of("ResourceNames", wide), Err(RecordError::TooLarge("bytes")));
        for name in ["", "a\u{0}b", &"x".repeat(256)] {
            let odd = DiscoveryRecord { name: name.to_owned(), ..good.clone() };
            assert_eq!(odd.check(), Err(RecordError::Unnamed));
        }
    }

    #[test]
    fn the_name_of_a_source_leads_nowhere() {
        assert!(is_source_name("corp-2"));
        for odd in ["", "-a", "a/b", "..", "A", "a.b", &"a".repeat(33)] {
            assert!(!is_source_name(odd), "{odd}");
        }
    }

    #[test]
    fn a_text_is_made_plain_at_a_character() {
        assert_eq!(plain(" a\nb\u{7f} ", 10), "a b");
        assert_eq!(plain("ééé", 3), "é");
    }
}
