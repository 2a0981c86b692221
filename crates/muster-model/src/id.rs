//! Identifiers. Each has its own type and a tight grammar, checked where it enters; none is ever part of a path or a statement.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a UUID in the hyphenated lower-case form.
    #[error("{0} must be a UUID, like 0192f0c1-7a3b-7c4d-8e5f-0123456789ab")]
    NotUuid(&'static str),
    /// Not 64 lower-case hexadecimal digits.
    #[error("a hash must be 64 lower-case hexadecimal digits")]
    NotHash,
    /// Not three letters or digits.
    #[error("a site code must be three characters from A-Z and 0-9")]
    NotSiteCode,
    /// Not three characters of a site and five digits, nor a built-in id.
    #[error("a collection id must be eight characters from A-Z and 0-9, like P0100001 or SMS00001")]
    NotCollection,
    /// Not a name: 1 to 100 characters, none of them a control character, not blank at either end.
    #[error("a name must have 1 to 100 characters, no control characters, and no blank at either end")]
    NotName,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.hyphenated().fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.hyphenated().fmt(f) }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                // Only one spelling of an id is taken, so that two texts never name one thing.
                match Uuid::try_parse(text) {
                    Ok(id) if id.hyphenated().to_string() == text => Ok(Self(id)),
                    _ => Err(IdError::NotUuid($what)),
                }
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.collect_str(self) }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id!(
    /// A device that this site knows. Given by the site at enrolment, never reused, never chosen by the device.
    DeviceId, "a device id"
);
uuid_id!(
    /// A request of a device to be enrolled. Becomes the device's id when it is approved.
    EnrolmentId, "an enrolment id"
);
uuid_id!(
    /// An enrolment token (its public part).
    TokenId, "a token id"
);
uuid_id!(
    /// A device that is managed by a foreign protocol. Given by the site with its first certificate, never chosen by the device.
    MobileId, "a mobile device id"
);
uuid_id!(
    /// An administrator.
    AdminId, "an administrator id"
);
uuid_id!(
    /// An application, over all of its versions.
    ApplicationId, "an application id"
);
uuid_id!(
    /// A deployment.
    DeploymentId, "a deployment id"
);
uuid_id!(
    /// A configuration baseline, over all of its versions.
    BaselineId, "a baseline id"
);
uuid_id!(
    /// A maintenance window of a collection.
    WindowId, "a window id"
);
uuid_id!(
    /// An object of client settings.
    SettingsId, "an id of client settings"
);

impl SettingsId {
    /// The default for all clients.
    pub const DEFAULT: Self = Self(Uuid::nil());
}

uuid_id!(
    /// Two machines that look like one device.
    ConflictId, "a conflict id"
);
uuid_id!(
    /// A boundary.
    BoundaryId, "a boundary id"
);
uuid_id!(
    /// An alert.
    AlertId, "an alert id"
);
uuid_id!(
    /// A wish for a piece of a client's log.
    LogRequestId, "a log request id"
);
uuid_id!(
    /// A query that is kept.
    SavedQueryId, "a query id"
);
uuid_id!(
    /// A rule that proposes updates.
    UpdateRuleId, "an update rule id"
);
uuid_id!(
    /// A status filter rule.
    StatusRuleId, "a status rule id"
);
uuid_id!(
    /// Something that is sent to a target.
    StatusActionId, "a status action id"
);
uuid_id!(
    /// A subscription to alerts.
    SubscriptionId, "a subscription id"
);
uuid_id!(
    /// A boundary group.
    BoundaryGroupId, "a boundary group id"
);

/// A device by the number under which Configuration Manager's queries and reports know it (`ResourceID`). Given by the site at
/// enrolment, never to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = u32))]
pub struct ResourceId(pub u32);

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256 digest; names content, policy bodies, keys and inventory sections. 64 lower-case hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// 32 zero bytes: the head of a message chain before its first message.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 64];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Hash {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 32];
        if text.bytes().any(|b| b.is_ascii_uppercase()) || hex::decode_to_slice(text, &mut bytes).is_err() {
            return Err(IdError::NotHash);
        }
        Ok(Self(bytes))
    }
}
impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The site's three-character code, as Configuration Manager has it: `A-Z` and `0-9`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct SiteCode([u8; 3]);

impl SiteCode {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}
impl fmt::Display for SiteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl fmt::Debug for SiteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for SiteCode {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) => Ok(Self(code)),
            _ => Err(IdError::NotSiteCode),
        }
    }
}
impl Serialize for SiteCode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for SiteCode {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A collection, as Configuration Manager names them: the site code and five hexadecimal digits, or a built-in id (`SMS00001`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct CollectionId([u8; 8]);

impl CollectionId {
    /// All Systems: what every collection of devices is limited by in the end.
    pub const ALL_SYSTEMS: Self = Self(*b"SMS00001");
    /// All Users and User Groups: what every collection of users is limited by in the end.
    pub const ALL_USERS: Self = Self(*b"SMS00004");

    /// The id with this number at this site; `None`: there is no such high one.
    #[must_use]
    pub fn of_site(site: SiteCode, number: u32) -> Option<Self> {
        format!("{site}{number:05X}").parse().ok()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("????????")
    }
}
impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl fmt::Debug for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for CollectionId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        match <[u8; 8]>::try_from(text.as_bytes()) {
            Ok(id) if id.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) => Ok(Self(id)),
            _ => Err(IdError::NotCollection),
        }
    }
}
impl Serialize for CollectionId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for CollectionId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A name that people give to a thing: shown, searched, never interpreted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct Name(String);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl FromStr for Name {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let length = text.chars().count();
        if length == 0 || length > 100 || text.trim() != text || text.chars().any(char::is_control) {
            return Err(IdError::NotName);
        }
        Ok(Self(text.to_owned()))
    }
}
impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_of_an_id_is_taken() {
        let id = "0192f0c1-7a3b-7c4d-8e5f-0123456789ab";
        assert_eq!(id.parse::<DeviceId>().map(|d| d.to_string()), Ok(id.to_owned()));
        for other in
            [id.to_uppercase(), format!("{{{id}}}"), id.replace('-', ""), format!("urn:uuid:{id}"), String::new()]
        {
            assert!(other.parse::<DeviceId>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_hash_is_64_lower_case_digits() {
        let text = "0f".repeat(32);
        assert_eq!(text.parse::<Hash>().map(|h| h.to_string()), Ok(text.clone()));
        for other in [text.to_uppercase(), text[1..].to_owned(), format!("{text}0"), "g".repeat(64), "../".repeat(21)] {
            assert!(other.parse::<Hash>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_site_code_has_three_characters() {
        assert!("ABC".parse::<SiteCode>().is_ok() && "P01".parse::<SiteCode>().is_ok());
        for other in ["", "AB", "ABCD", "abc", "A/B", "A\u{e9}"] {
            assert!(other.parse::<SiteCode>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_collection_id_has_eight_characters() {
        let site: SiteCode = "P01".parse().unwrap();
        assert_eq!(CollectionId::of_site(site, 0x2c).map(|id| id.to_string()), Some("P010002C".to_owned()));
        assert_eq!(CollectionId::of_site(site, 0x10_0000), None, "five digits");
        assert!("SMSDM003".parse::<CollectionId>().is_ok() && "SMS000US".parse::<CollectionId>().is_ok());
        for other in ["", "SMS0001", "sms00001", "SMS 0001", "P01/0001", "SMS000011"] {
            assert!(other.parse::<CollectionId>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_name_is_shown_and_never_hides_anything() {
        assert!("Büro 4, Köln".parse::<Name>().is_ok());
        for other in ["", " a", "a ", "a\nb", "a\u{0}", &"x".repeat(101)] {
            assert!(other.parse::<Name>().is_err(), "{other:?}");
        }
    }
}
