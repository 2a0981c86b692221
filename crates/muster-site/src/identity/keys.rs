//! The private keys that a site server holds, chosen by what the trust bundle names: the newest of each purpose that is here.

use crate::SiteError;
use muster_model::id::Hash;
use muster_trust::{
    PrivateKey, PublicKey, Signer, TrustBundle,
    certificate::{self, IssuingCa},
};
use std::sync::{Arc, Mutex, PoisonError};

/// What a key of the server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRole {
    /// Certifies clients and servers.
    Issuing,
    /// Signs assignments.
    Policy,
}

impl KeyRole {
    /// The word, as in file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuing => "issuing",
            Self::Policy => "policy",
        }
    }
}

/// Where a server's private keys lie.
pub trait KeyRing: Send + Sync {
    /// The key of that id; `None`: it is not here.
    ///
    /// # Errors
    /// A sentence for whoever runs the server: the passphrase is wrong, or a file is damaged.
    fn find(&self, role: KeyRole, id: &Hash) -> Result<Option<Arc<dyn Signer>>, SiteError>;

    /// Where the status of client certificates is published, to be written into them; `None`: nowhere.
    fn published_at(&self) -> Option<&str> {
        None
    }
}

/// The keys at work. None of them can make a client run anything.
#[derive(Debug)]
pub struct SiteKeys {
    /// Issues client and server certificates.
    pub issuing: IssuingCa,
    /// Issuing CAs of before that are still believed.
    pub earlier: Vec<IssuingCa>,
    /// Signs policy assignments.
    pub policy: Arc<dyn Signer>,
}

impl SiteKeys {
    /// The newest key of each purpose that the bundle names and that is here.
    ///
    /// # Errors
    /// When there is none, so that no client would believe this server.
    pub fn of(bundle: &TrustBundle, ring: &dyn KeyRing) -> Result<Self, SiteError> {
        let mut policy = None;
        for id in bundle.policy.iter().rev().filter_map(|named| named.public().ok()).map(|key| key.id()) {
            if bundle.policy_key(&id).is_some() {
                policy = ring.find(KeyRole::Policy, &id)?;
            }
            if policy.is_some() {
                break;
            }
        }
        let absent = |what| SiteError::Fault(format!("{what} is not in the trust bundle; no client would believe it."));
        let policy = policy.ok_or_else(|| absent("The policy key of this server"))?;
        let fault = |error: &dyn std::fmt::Display| SiteError::Fault(error.to_string());
        let mut issuing = Vec::new();
        for der in bundle.issuing_certificates().map_err(|error| fault(&error))?.into_iter().rev() {
            let id = certificate::public_key(&der).as_ref().map(PublicKey::id).map_err(|error| fault(error))?;
            if let Some(key) = ring.find(KeyRole::Issuing, &id)? {
                issuing.push(
                    IssuingCa::signing(der, key).map_err(|error| fault(&error))?.published_at(ring.published_at()),
                );
            }
        }
        if issuing.is_empty() {
            return Err(absent("The issuing CA of this server"));
        }
        let earlier = issuing.split_off(1);
        let issuing = issuing.pop().ok_or_else(|| absent("The issuing CA of this server"))?;
        Ok(Self { issuing, earlier, policy })
    }

    /// Every issuing CA whose certificates are believed, the newest first: each says itself what of its own is revoked.
    pub fn issuing_all(&self) -> impl Iterator<Item = &IssuingCa> {
        std::iter::once(&self.issuing).chain(&self.earlier)
    }
}

/// Keys in memory: of a site that was just made, and of tests.
#[derive(Debug, Default)]
pub struct HeldKeys(Mutex<Vec<PrivateKey>>);

impl HeldKeys {
    /// One more.
    pub fn add(&self, key: PrivateKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(key);
    }
}

impl KeyRing for HeldKeys {
    fn find(&self, _: KeyRole, id: &Hash) -> Result<Option<Arc<dyn Signer>>, SiteError> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.iter().find(|key| key.public().id() == *id);
        let copy = found.map(|key| PrivateKey::from_pkcs8(key.pkcs8())).transpose();
        let copy = copy.map_err(|error| SiteError::Fault(error.to_string()))?;
        Ok(copy.map(|key| Arc::new(key) as Arc<dyn Signer>))
    }
}
