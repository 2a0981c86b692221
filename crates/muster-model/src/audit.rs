//! The audit log outside of the site: files that are written once, each with a signed head.
//!
//! An export is a directory. `audit-<first>-<last>-<head>.jsonl` has entries, one JSON array a line, in the exact bytes that the chain is
//! over; the file of the same name that ends in `.head` says so, signed by a policy key of the site. No file is ever written again.

use crate::{
    id::{Hash, SiteCode},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Content type of the signed head of a file.
pub const AUDIT_HEAD_TYPE: &str = "application/vnd.muster.audit-head+json";
/// What the name of a file with entries ends in.
pub const ENTRIES: &str = "jsonl";
/// What the name of a file with a head ends in. It is made last: entries without one were not written whole.
pub const HEAD: &str = "head";

/// What the site says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditHead {
    /// The site.
    pub site: SiteCode,
    /// Number of the first entry.
    pub first: u64,
    /// Number of the last entry.
    pub last: u64,
    /// Chain head before the first entry.
    pub previous: Hash,
    /// Chain head after the last entry.
    pub head: Hash,
    /// SHA-256 of the file.
    pub digest: Hash,
    /// When it was signed: until then the audit log was as the file says.
    pub time: UnixMillis,
}

impl crate::Signed for AuditHead {
    const TYPE: &'static str = AUDIT_HEAD_TYPE;
}

/// A file with a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// What is signed, for whoever does not read the envelope.
    pub about: AuditHead,
    /// `COSE_Sign1` over it, in base64.
    pub signed: String,
    /// The public key (SubjectPublicKeyInfo, in base64): the reader knows by its SHA-256 whether it is one of the site's.
    pub key: String,
}

/// Up to where an export goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Number of the first entry of a file.
    pub first: u64,
    /// Number of its last entry.
    pub last: u64,
    /// Chain head after that.
    pub head: Hash,
}

impl Exported {
    /// Before the first file.
    pub const NOTHING: Self = Self { first: 0, last: 0, head: Hash::ZERO };

    /// The name of its files, without what they end in.
    #[must_use]
    pub fn stem(&self) -> String {
        format!("audit-{:020}-{:020}-{}", self.first, self.last, self.head)
    }

    /// What a name says; `None`: it is not one of an export's files with a head.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(HEAD)?.strip_suffix('.')?;
        let mut parts = stem.strip_prefix("audit-")?.split('-');
        let (first, last, head) =
            (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let exported = Self { first, last, head };
        (exported.stem() == stem && first >= 1 && first <= last).then_some(exported)
    }

    /// Every file with a head, in order.
    #[must_use]
    pub fn all<T: AsRef<str>>(names: &[T]) -> Vec<Self> {
        let mut all: Vec<Self> = names.iter().filter_map(|name| Self::parse(name.as_ref())).collect();
        all.sort_by_key(|exported| (exported.first, exported.last));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_in_a_file_and_others_say_nothing() {
        let exported = Exported { first: 3, last: 11, head: Hash([7; 32]) };
        let name = format!("{}.head", exported.stem());
        assert_eq!(Exported::parse(&name), Some(exported));
        assert_eq!(Exported::all(&["x".to_owned(), name.clone(), name.replace(".head", ".jsonl")]), [exported]);
        for odd in [
            name.replace("audit-", ""),
            name.replace(".head", ".head2"),
            name.replace("-00", "-0"),
            "audit-1-2-.head".to_owned(),
        ] {
            assert_eq!(Exported::parse(&odd), None, "{odd}");
        }
    }
}
