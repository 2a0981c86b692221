//! What a root key has signed, remembered beside it: so that nobody talks its holder into a second trust bundle of a version, which
//! would divide the clients, or into taking a revocation list back. Without I/O; whoever has the key keeps it.

use crate::{TrustBundle, sha256};
use muster_model::{
    id::{Hash, SiteCode},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The last that a root key signed for each site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBefore(BTreeMap<String, Last>);

/// The last trust bundle that a key signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    /// Its version.
    pub version: u64,
    /// What it says.
    pub digest: Hash,
    /// When it was signed.
    pub at: UnixMillis,
    /// The number of the last revocation list; 0: none.
    #[serde(default)]
    pub list: u64,
}

impl SignedBefore {
    /// What it signed last for this site.
    #[must_use]
    pub fn last(&self, site: SiteCode) -> Option<&Last> {
        self.0.get(site.as_str())
    }

    /// Whether it may sign this bundle, and the revocation list of this number with it: both later than everything before, or the
    /// same again.
    #[must_use]
    pub fn admits(&self, next: &TrustBundle, list: Option<u64>) -> bool {
        self.last(next.site).is_none_or(|last| {
            let same = next.version == last.version && digest(next) == last.digest;
            same && list.is_none_or(|number| number >= last.list)
                || next.version > last.version && list.is_none_or(|number| number > last.list)
        })
    }

    /// It signs this. To be kept before the signature is given away.
    pub fn note(&mut self, next: &TrustBundle, list: Option<u64>, at: UnixMillis) {
        let before = self.last(next.site).map_or(0, |last| last.list);
        if self.last(next.site).is_some_and(|last| last.version > next.version) {
            return;
        }
        let list = list.unwrap_or(0).max(before);
        self.0.insert(next.site.as_str().to_owned(), Last { version: next.version, digest: digest(next), at, list });
    }
}

fn digest(bundle: &TrustBundle) -> Hash {
    // A bundle is plain data: it always has a JSON text.
    sha256(&serde_json::to_vec(bundle).unwrap_or_default())
}
