//! From the pinned root key to the trust bundle in force: the bundles in between, each the word of the roots before it.
//!
//! A site keeps every bundle it ever had. A client keeps the few that it needs to verify the newest again from its pin: the
//! first, each that changed the roots, and the newest; all in one file, so that a kill leaves the old state or the new one.

use crate::{
    TrustBundle, Verified,
    bundle::BundleError,
    envelope::{self, EnvelopeError},
};
use muster_model::{
    id::{Hash, SiteCode},
    limits::TRUST_CHAIN_BYTES,
    time::UnixMillis,
};

/// A bundle with the bytes that were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    envelope: Vec<u8>,
    bundle: Verified<TrustBundle>,
}

/// A verified chain of trust bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustChain {
    before: Vec<Link>,
    newest: Link,
}

impl TrustChain {
    /// Begins with a first bundle, by the pinned fingerprint of the trusted root key.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn first(envelope: &[u8], pin: &Hash, site: SiteCode, now: UnixMillis) -> Result<Self, BundleError> {
        let bundle = TrustBundle::first(envelope, pin, site, now)?;
        Ok(Self { before: Vec::new(), newest: Link { envelope: envelope.to_vec(), bundle } })
    }

    /// Verifies a chain that was kept, again from the pin. Time is not looked at, so that an old chain can still verify its
    /// continuation; whether the newest bundle is in time is asked where it is used.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn kept(bytes: &[u8], pin: &Hash, site: SiteCode) -> Result<Self, BundleError> {
        let envelopes = envelope::items(bytes)?;
        let (first, rest) = envelopes.split_first().ok_or(EnvelopeError::Malformed)?;
        let mut chain = Self::first(first, pin, site, UnixMillis(i64::MIN))?;
        for envelope in rest {
            // Bundles that changed no root were left out when they were followed.
            let bundle = chain.bundle().succession(envelope)?;
            if bundle.value().version <= chain.bundle().version {
                return Err(BundleError::Older);
            }
            chain.push(Link { envelope: envelope.to_vec(), bundle });
        }
        Ok(chain)
    }

    /// The chain after these bundles, which follow on the newest one by one, in order. The last must be in time; those before
    /// it may have ended. The same bundle again changes nothing.
    ///
    /// # Errors
    /// See [`BundleError`]; nothing of the continuation is to be believed then.
    pub fn extended<B: AsRef<[u8]>>(&self, envelopes: &[B], now: UnixMillis) -> Result<Self, BundleError> {
        let mut chain = self.clone();
        for envelope in envelopes {
            let bundle = chain.bundle().step(envelope.as_ref())?;
            if bundle.value().version > chain.bundle().version {
                chain.push(Link { envelope: envelope.as_ref().to_vec(), bundle });
            }
        }
        chain.bundle().in_time(now)?;
        if chain.links().map(|link| link.envelope.len()).sum::<usize>() > TRUST_CHAIN_BYTES {
            return Err(BundleError::TooLarge);
        }
        Ok(chain)
    }

    fn push(&mut self, next: Link) {
        let last = std::mem::replace(&mut self.newest, next);
        // What has the same roots as the one before it is not needed to verify what comes after it.
        let needed = self.before.last().is_none_or(|before| roots(before) != roots(&last));
        if needed {
            self.before.push(last);
        }
    }

    /// The newest bundle.
    #[must_use]
    pub fn bundle(&self) -> &TrustBundle {
        self.newest.bundle.value()
    }

    /// The newest bundle with the proof that it was verified.
    #[must_use]
    pub fn verified(&self) -> &Verified<TrustBundle> {
        &self.newest.bundle
    }

    /// The newest bundle, exactly as it was signed.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.newest.envelope
    }

    /// What to keep: the envelopes one after the other, a CBOR sequence (RFC 8742).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.links().flat_map(|link| link.envelope.iter().copied()).collect()
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.before.iter().chain([&self.newest])
    }
}

/// Who signs the successor: how many, of which keys.
fn roots(link: &Link) -> (u32, Vec<Hash>) {
    let bundle = link.bundle.value();
    let mut usable: Vec<Hash> = bundle.root.ids().into_iter().filter(|id| !bundle.revoked.contains(id)).collect();
    usable.sort();
    (bundle.root.threshold, usable)
}
