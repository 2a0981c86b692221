//! The trust bundle: what the root key says about every other key. Versioned, expiring, replaced only by the rules below.
//!
//! Rules as The Update Framework has them for its root: a new bundle is signed by a threshold of the roots of the bundle in
//! force *and* by a threshold of its own; its version is the next one; it is not expired; and it is kept only after all of that.
//! Who slept over several versions goes through them one by one: see [`crate::trust_chain`].

use crate::{
    PublicKey, Verified, certificate,
    envelope::{self, EnvelopeError},
    key::KeyError,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    Signed,
    id::{Hash, SiteCode},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Content type of a signed trust bundle.
pub const BUNDLE_TYPE: &str = "application/vnd.muster.trust-bundle+json";

/// A public key in a bundle, with the name that its holder is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// Who holds it.
    pub name: String,
    /// `SubjectPublicKeyInfo`, DER, base64.
    pub key: String,
}

impl NamedKey {
    /// A named key.
    #[must_use]
    pub fn new(name: &str, key: &PublicKey) -> Self {
        Self { name: name.to_owned(), key: BASE64.encode(key.spki()) }
    }

    /// The key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki(&BASE64.decode(&self.key).map_err(|_| KeyError::Malformed)?)
    }
}

/// Keys for one purpose, and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    /// How many different keys must sign; at least 1.
    pub threshold: u32,
    /// The keys.
    pub keys: Vec<NamedKey>,
}

impl KeySet {
    /// Key ids, in the order of the keys. A key that does not parse has none.
    #[must_use]
    pub fn ids(&self) -> Vec<Hash> {
        ids(&self.keys)
    }

    pub(crate) fn find(&self, id: &Hash) -> Option<PublicKey> {
        self.keys.iter().filter_map(|k| k.public().ok()).find(|k| k.id() == *id)
    }
}

fn ids(keys: &[NamedKey]) -> Vec<Hash> {
    keys.iter().filter_map(|k| k.public().ok()).map(|k| k.id()).collect()
}

/// Payload of the trust bundle, a `COSE_Sign` by root keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustBundle {
    /// The site.
    pub site: SiteCode,
    /// Grows by at least one with each bundle.
    pub version: u64,
    /// When it was signed.
    pub issued: UnixMillis,
    /// When it stops being believed.
    pub expires: UnixMillis,
    /// The trusted root keys.
    pub root: KeySet,
    /// X.509 certificate of the root key, DER, base64.
    pub root_certificate: String,
    /// Certificates of the issuing CAs, DER, base64.
    pub issuing: Vec<String>,
    /// Keys that sign policy assignments; any one of them is enough.
    pub policy: Vec<NamedKey>,
    /// Keys that sign what runs on clients.
    pub authors: KeySet,
    /// Key ids that are believed for nothing, whatever else names them.
    pub revoked: Vec<Hash>,
    /// Which deployments need a second key's approval. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRule>,
}

/// Which deployments a second person must approve. It stands in the bundle, so that only root keys change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// Those for more devices than this. With 0 clients themselves refuse everything that is not approved; how many other devices get
    /// something no client can know, so that with more the site alone counts.
    pub above: u64,
}

impl Signed for TrustBundle {
    const TYPE: &'static str = BUNDLE_TYPE;
}

/// Why a bundle is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The signatures do not hold.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// None of its root keys is the pinned one.
    #[error("the trust bundle is not signed by the pinned root key")]
    NotPinned,
    /// For another site.
    #[error("the trust bundle is for another site")]
    ForeignSite,
    /// Older than the one in force.
    #[error("the trust bundle is older than the one in force")]
    Older,
    /// The same version as the one in force with other content.
    #[error("two trust bundles have the same version and different content")]
    Fork,
    /// Its version is not the one after that of the bundle in force: the ones between must come first.
    #[error("the trust bundle skips versions; those between must come first")]
    Skipped,
    /// With it, the bundles that have to be kept would have more bytes than are read again.
    #[error(
        "the trust bundles since the pinned root key have too many bytes together; enrol clients anew under a new root"
    )]
    TooLarge,
    /// Past its expiry.
    #[error("the trust bundle is expired; the root key must sign a new one")]
    Expired,
    /// It cannot work: a threshold of 0 or over the number of usable keys, a key twice or for two purposes, no usable key for
    /// a purpose, a certificate that does not parse, or a root certificate of another key.
    #[error("the trust bundle contradicts itself")]
    Unsatisfiable,
}

impl TrustBundle {
    /// Takes a first bundle, by the pinned fingerprint of the trusted root key.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn first(envelope: &[u8], pin: &Hash, site: SiteCode, now: UnixMillis) -> Result<Verified<Self>, BundleError> {
        // The pinned key must be one of the bundle's own roots; its signature is what everything else rests on.
        let claimed: Self =
            serde_json::from_slice(&envelope::unverified_payload(envelope)?).map_err(|_| EnvelopeError::Malformed)?;
        let pinned = claimed.root_key(pin).ok_or(BundleError::NotPinned)?;
        envelope::open(envelope, BUNDLE_TYPE, 1, |id| (id == pin).then(|| pinned.clone()))?;
        let bundle = claimed.opened_by_own_root(envelope)?;
        bundle.value().check(site, now)?;
        Ok(bundle)
    }

    /// Takes the successor of this bundle; or the same bundle again, which changes nothing.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn next(&self, envelope: &[u8], now: UnixMillis) -> Result<Verified<Self>, BundleError> {
        let next = self.step(envelope)?;
        next.value().in_time(now)?;
        Ok(next)
    }

    /// As [`TrustBundle::next`], without looking at the time: for the bundles that lie between one that a client has and the
    /// newest. They may have ended meanwhile, and still say who signs their successors.
    pub(crate) fn step(&self, envelope: &[u8]) -> Result<Verified<Self>, BundleError> {
        let next = self.succession(envelope)?;
        let version = next.value().version;
        if version < self.version {
            return Err(BundleError::Older);
        }
        if version == self.version {
            return if next.value() == self { Ok(next) } else { Err(BundleError::Fork) };
        }
        if self.version.checked_add(1) != Some(version) {
            return Err(BundleError::Skipped);
        }
        Ok(next)
    }

    /// Whether the roots of this bundle and its own roots signed it, and it is sound. Says nothing of its version and time.
    pub(crate) fn succession(&self, envelope: &[u8]) -> Result<Verified<Self>, BundleError> {
        let claimed = envelope::open_json::<Self>(envelope, self.root.threshold as usize, |id| self.root_key(id))?;
        let bundle = claimed.value().opened_by_own_root(envelope)?;
        bundle.value().sound(self.site)?;
        Ok(bundle)
    }

    pub(crate) fn opened_by_own_root(&self, envelope: &[u8]) -> Result<Verified<Self>, BundleError> {
        Ok(envelope::open_json::<Self>(envelope, self.root.threshold as usize, |id| self.root_key(id))?)
    }

    /// Whether the bundle makes sense, is for this site, and is in time.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn check(&self, site: SiteCode, now: UnixMillis) -> Result<(), BundleError> {
        self.sound(site)?;
        self.in_time(now)
    }

    /// Whether it is still to be believed.
    ///
    /// # Errors
    /// [`BundleError::Expired`].
    pub fn in_time(&self, now: UnixMillis) -> Result<(), BundleError> {
        if now >= self.expires { Err(BundleError::Expired) } else { Ok(()) }
    }

    /// Whether the bundle makes sense and is for this site.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn sound(&self, site: SiteCode) -> Result<(), BundleError> {
        if self.site != site {
            return Err(BundleError::ForeignSite);
        }
        let unsatisfiable = |_| BundleError::Unsatisfiable;
        let mut seen = BTreeSet::new();
        let mut usable = |keys: &mut dyn Iterator<Item = Result<PublicKey, KeyError>>| {
            let mut count = 0;
            for key in keys {
                let id = key.map_err(unsatisfiable)?.id();
                // Different keys are counted, and each has one purpose: what is stolen is good for one thing.
                if !seen.insert(id) {
                    return Err(BundleError::Unsatisfiable);
                }
                count += usize::from(!self.revoked.contains(&id));
            }
            Ok(count)
        };
        let roots = usable(&mut self.root.keys.iter().map(NamedKey::public))?;
        let authors = usable(&mut self.authors.keys.iter().map(NamedKey::public))?;
        let policies = usable(&mut self.policy.iter().map(NamedKey::public))?;
        let issuing = self.all_issuing().map_err(unsatisfiable)?;
        let malformed = |_| KeyError::Malformed;
        let issuing = usable(&mut issuing.iter().map(|der| certificate::public_key(der).map_err(malformed)))?;
        let reached = |set: &KeySet, usable| set.threshold > 0 && set.threshold as usize <= usable;
        if !reached(&self.root, roots) || !reached(&self.authors, authors) || policies == 0 || issuing == 0 {
            return Err(BundleError::Unsatisfiable);
        }
        // Nobody could approve: whoever approves did not sign.
        if self.approval.is_some() && authors <= self.authors.threshold as usize {
            return Err(BundleError::Unsatisfiable);
        }
        let certified = self.root_certificate_key().map_err(unsatisfiable)?;
        self.root_key(&certified.id()).map(drop).ok_or(BundleError::Unsatisfiable)
    }

    /// The root key of that id, unless it is revoked.
    #[must_use]
    pub fn root_key(&self, id: &Hash) -> Option<PublicKey> {
        self.root.find(id).filter(|_| !self.revoked.contains(id))
    }

    /// The key of the root certificate: the root key that certifies the issuing CAs, and that clients pin.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn root_certificate_key(&self) -> Result<PublicKey, KeyError> {
        certificate::public_key(&self.root_certificate()?).map_err(|_| KeyError::Malformed)
    }

    /// The policy key of that id, unless it is revoked.
    #[must_use]
    pub fn policy_key(&self, id: &Hash) -> Option<PublicKey> {
        if self.revoked.contains(id) {
            return None;
        }
        self.policy.iter().filter_map(|k| k.public().ok()).find(|k| k.id() == *id)
    }

    /// The author key of that id, unless it is revoked.
    #[must_use]
    pub fn author_key(&self, id: &Hash) -> Option<PublicKey> {
        self.authors.find(id).filter(|_| !self.revoked.contains(id))
    }

    /// How many authors must sign.
    #[must_use]
    pub fn author_threshold(&self) -> usize {
        self.authors.threshold as usize
    }

    /// How many authors must sign what runs scripts: two, where the bundle names two, also where one of them is revoked, so that nobody approves what is his own. Keys are
    /// counted, and not the accounts of a server.
    #[must_use]
    pub fn script_threshold(&self) -> usize {
        self.author_threshold().max(self.authors.ids().len().min(2))
    }

    /// Whether a client runs only what was approved.
    #[must_use]
    pub const fn approves_everything(&self) -> bool {
        matches!(self.approval, Some(ApprovalRule { above: 0 }))
    }

    /// The root's certificate, DER.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn root_certificate(&self) -> Result<Vec<u8>, KeyError> {
        BASE64.decode(&self.root_certificate).map_err(|_| KeyError::Malformed)
    }

    /// The issuing CAs' certificates, DER, but for those whose keys are revoked. The newest stands last.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn issuing_certificates(&self) -> Result<Vec<Vec<u8>>, KeyError> {
        let mut believed = Vec::new();
        for der in self.all_issuing()? {
            let key = certificate::public_key(&der).map_err(|_| KeyError::Malformed)?;
            if !self.revoked.contains(&key.id()) {
                believed.push(der);
            }
        }
        Ok(believed)
    }

    fn all_issuing(&self) -> Result<Vec<Vec<u8>>, KeyError> {
        self.issuing.iter().map(|c| BASE64.decode(c).map_err(|_| KeyError::Malformed)).collect()
    }
}
