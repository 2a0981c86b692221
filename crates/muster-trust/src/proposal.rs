//! What shall change in the trust bundle, as a file that travels: from the site to each holder of a root key, and back.
//!
//! The site writes what is in force and what shall change. The first signer makes the next bundle of it, with the certificates
//! that only the root can make, and signs; every further one adds a signature. Each reads the differences to what is in
//! force, computed from the bytes that are signed, and not what the site says of them. Where the root key lies on the site's
//! own machine, the same three steps follow each other at once.

use crate::{
    PrivateKey, PublicKey, TrustBundle,
    bundle::{ApprovalRule, BUNDLE_TYPE, BundleError, KeySet, NamedKey},
    certificate::{self, CertificateError, IssuingCa},
    crl::{self, List, Revoked},
    envelope::{self, EnvelopeError},
    key::KeyError,
    names_within,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::RevocationReason,
    id::{Hash, SiteCode},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Bytes of a proposal's file; far over what one has.
pub const PROPOSAL_BYTES: usize = 1 << 20;

/// One thing that shall change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// A further policy key; the site signs with it from then on, and the others are still believed.
    Policy(NamedKey),
    /// A further issuing CA; it issues from then on, and the others are still believed.
    Issuing {
        /// Its key.
        key: NamedKey,
        /// Domains and networks of the servers that it may name (see [`names_within`]).
        within: Vec<String>,
    },
    /// A further author key.
    Author(NamedKey),
    /// How many authors must sign.
    AuthorThreshold(u32),
    /// Which deployments a second key must approve: those for more devices than this. `None`: none.
    ApprovalAbove(Option<u64>),
    /// Other root keys. The first one certifies the issuing CAs, and is what new clients pin.
    Root(KeySet),
    /// A key that is believed for nothing any more.
    Revoke(Hash),
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The site.
    pub site: SiteCode,
    /// The signed bundle in force, base64.
    pub present: String,
    /// What shall change. Nothing: only the times.
    pub changes: Vec<Change>,
    /// When the next bundle is made.
    pub issued: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
    /// The signed next bundle, base64, once somebody has signed.
    pub signed: Option<String>,
    /// The root's revocation list in force, base64; the next one goes on from it.
    #[serde(default)]
    pub root_list: Option<String>,
    /// The root's next revocation list, base64, once the root key that certifies has signed. It says which issuing CAs are
    /// revoked, to those who do not read trust bundles.
    #[serde(default)]
    pub signed_root_list: Option<String>,
}

/// Why a proposal is not signed or taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// Not a proposal.
    #[error("this is not a proposal for a trust bundle")]
    Malformed,
    /// What it begins with is not a trust bundle of the site.
    #[error("what the proposal says is in force is not a trust bundle: {0}")]
    Present(BundleError),
    /// The next bundle would not be taken by a client.
    #[error("no client would take the next trust bundle: {0}")]
    Next(BundleError),
    /// The key is not one of those that must sign.
    #[error("key {0} is not a root key of this site, before or after the change")]
    NotARoot(Hash),
    /// The first signature must come with a certificate that only another key can make.
    #[error("the certificates of this change must be made by root key {0}; it signs first")]
    CertifierFirst(Hash),
    /// The key that shall be revoked is nowhere.
    #[error("key {0} is not in the trust bundle")]
    KeyUnknown(Hash),
    /// The key that shall be added is there, or was revoked.
    #[error("key {0} is in the trust bundle already, or was revoked; a new key is needed")]
    KeyKnown(Hash),
    /// Revoking it would leave nobody for its work.
    #[error(
        "key {0} is the last for its purpose, or its threshold could not be reached any more; add another one first"
    )]
    LastKey(Hash),
    /// There is no later version.
    #[error("there is no later version of the trust bundle")]
    NoVersion,
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An envelope could not be made.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Whose signatures are there, and how many are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Root keys in force that signed.
    pub present: usize,
    /// How many of them must.
    pub present_threshold: usize,
    /// Root keys of the next bundle that signed.
    pub next: usize,
    /// How many of them must.
    pub next_threshold: usize,
}

impl Standing {
    /// Whether nobody else needs to sign.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.present >= self.present_threshold && self.next >= self.next_threshold
    }
}

impl Proposal {
    /// What shall change in the bundle in force. Makes sure that it can work, as far as that is known before it is signed.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn new(
        present: &[u8],
        changes: Vec<Change>,
        issued: UnixMillis,
        expires: UnixMillis,
    ) -> Result<Self, ProposalError> {
        let bundle = opened(present)?;
        let proposal = Self {
            site: bundle.site,
            present: BASE64.encode(present),
            changes,
            issued,
            expires,
            signed: None,
            root_list: None,
            signed_root_list: None,
        };
        proposal.changed(&bundle)?;
        Ok(proposal)
    }

    /// The same, with the root's revocation list in force.
    #[must_use]
    pub fn after_list(mut self, list: Option<&[u8]>) -> Self {
        self.root_list = list.map(|list| BASE64.encode(list));
        self
    }

    /// The root's next revocation list, DER, and what it says; `None` when the key that certifies has not signed.
    ///
    /// # Errors
    /// When it is not one of the root key of `next`.
    pub fn next_root_list(&self, next: &TrustBundle) -> Result<Option<(Vec<u8>, List)>, ProposalError> {
        let Some(text) = &self.signed_root_list else { return Ok(None) };
        let der = BASE64.decode(text).map_err(|_| ProposalError::Malformed)?;
        let list = crl::read(&der, &next.root_certificate_key()?)?;
        Ok(Some((der, list)))
    }

    /// Signs the root's next revocation list, where the key that certifies is among these.
    fn sign_root_list(&mut self, next: &TrustBundle, keys: &[&PrivateKey]) -> Result<(), ProposalError> {
        let certifier = next.root_certificate_key()?;
        let Some(key) = keys.iter().find(|key| *key.public() == certifier) else { return Ok(()) };
        let (number, revoked) = self.coming_root_list(next)?;
        let root = IssuingCa::new(next.root_certificate()?, key)?;
        let list = root.revocation_list(number, &revoked, next.issued, next.expires)?;
        self.signed_root_list = Some(BASE64.encode(list));
        Ok(())
    }

    /// Number and content of the root's next revocation list, as the key that certifies will sign it: what the one before named,
    /// and the issuing CAs that `next` revokes.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn coming_root_list(&self, next: &TrustBundle) -> Result<(u64, Vec<Revoked>), ProposalError> {
        let certifier = next.root_certificate_key()?;
        let before = self.root_list.as_ref().and_then(|text| BASE64.decode(text).ok());
        // One of another key is not this root's; its numbers begin anew.
        let before = before.and_then(|der| crl::read(&der, &certifier).ok());
        let number = before.as_ref().map_or(0, |list| list.number).checked_add(1);
        let number = number.ok_or(ProposalError::NoVersion)?;
        let mut revoked = before.map(|list| list.revoked).unwrap_or_default();
        for serial in revoked_issuing(&self.present()?, next)? {
            if revoked.iter().all(|known| known.serial != serial) {
                revoked.push(Revoked { serial, at: next.issued, reason: RevocationReason::Unspecified });
            }
        }
        Ok((number, revoked))
    }

    /// The bundle that it says is in force. It proves itself only to who knows one of its root keys.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn present(&self) -> Result<TrustBundle, ProposalError> {
        let present = opened(&BASE64.decode(&self.present).map_err(|_| ProposalError::Malformed)?)?;
        if present.site == self.site { Ok(present) } else { Err(ProposalError::Malformed) }
    }

    /// The bundle that it says is in force, where one of these keys signed that. Without it, whoever holds the keys cannot know
    /// what is in force, and everything in the next bundle is to be looked at.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn vouched(&self, keys: &[&PrivateKey]) -> Result<Option<TrustBundle>, ProposalError> {
        let present = self.present()?;
        let envelope = BASE64.decode(&self.present).map_err(|_| ProposalError::Malformed)?;
        let own = |id: &Hash| keys.iter().map(|key| key.public()).find(|key| key.id() == *id).cloned();
        Ok(envelope::open(&envelope, BUNDLE_TYPE, 1, own).is_ok().then_some(present))
    }

    /// The signed next bundle, where somebody has signed.
    ///
    /// # Errors
    /// [`ProposalError::Malformed`].
    pub fn signed(&self) -> Result<Option<Vec<u8>>, ProposalError> {
        self.signed.as_ref().map(|text| BASE64.decode(text).map_err(|_| ProposalError::Malformed)).transpose()
    }

    /// The next bundle as it was signed, where somebody has signed; for showing it.
    ///
    /// # Errors
    /// [`ProposalError::Malformed`].
    pub fn next(&self) -> Result<Option<TrustBundle>, ProposalError> {
        let Some(signed) = self.signed()? else { return Ok(None) };
        let payload = envelope::unverified_payload(&signed)?;
        serde_json::from_slice(&payload).map(Some).map_err(|_| ProposalError::Malformed)
    }

    /// Makes the next bundle, where nobody has signed yet. `keys` are those that will sign; one of them must be the first
    /// root key where certificates are to be made. Nothing is signed but these.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn prepare(&self, keys: &[&PrivateKey]) -> Result<TrustBundle, ProposalError> {
        let present = self.present()?;
        if let Some(next) = self.next()? {
            return Ok(next);
        }
        let mut next = self.changed(&present)?;
        let certifier = next.root.ids().into_iter().find(|id| !next.revoked.contains(id));
        let certifier = certifier.ok_or(ProposalError::Next(BundleError::Unsatisfiable))?;
        let made_anew = present.root_certificate_key()?.id() != certifier;
        let new_issuing: Vec<(&NamedKey, &[String])> = self
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Issuing { key, within } => Some((key, within.as_slice())),
                _ => None,
            })
            .collect();
        if made_anew || !new_issuing.is_empty() {
            let key = keys.iter().find(|key| key.public().id() == certifier);
            let key = key.ok_or(ProposalError::CertifierFirst(certifier))?;
            let root =
                if made_anew { certificate::root(self.site, key, self.issued)? } else { present.root_certificate()? };
            let issue = |public: &PublicKey, within: &[String]| {
                certificate::issuing(self.site, &root, key, public, within, self.issued).map(|der| BASE64.encode(der))
            };
            if made_anew {
                let before = next.issuing_certificates()?;
                let again =
                    before.iter().map(|der| issue(&certificate::public_key(der)?, &names_within::of_certificate(der)?));
                next.issuing = again.collect::<Result<_, _>>()?;
                next.root_certificate = BASE64.encode(&root);
            }
            for (named, within) in new_issuing {
                next.issuing.push(issue(&named.public()?, within)?);
            }
        }
        next.sound(self.site).map_err(ProposalError::Next)?;
        Ok(next)
    }

    /// Signs `next`, which [`Proposal::prepare`] made and somebody has looked at, with these keys.
    ///
    /// # Errors
    /// See [`ProposalError`]; nothing is signed then.
    pub fn sign(&mut self, next: &TrustBundle, keys: &[&PrivateKey]) -> Result<Standing, ProposalError> {
        let present = self.present()?;
        for key in keys.iter().map(|key| key.public().id()) {
            if present.root_key(&key).is_none() && next.root_key(&key).is_none() {
                return Err(ProposalError::NotARoot(key));
            }
        }
        self.sign_root_list(next, keys)?;
        let mut signed = match self.signed()? {
            Some(signed) if self.next()?.as_ref() == Some(next) => signed,
            Some(_) => return Err(ProposalError::Malformed),
            None => {
                let (first, rest) = keys.split_first().ok_or(ProposalError::Malformed)?;
                let signed = envelope::sign_json(&[first], next)?;
                self.signed = Some(BASE64.encode(&signed));
                return if rest.is_empty() { self.standing() } else { self.sign(next, rest) };
            }
        };
        for key in keys {
            let id = key.public().id();
            let own = |asked: &Hash| (*asked == id).then(|| key.public().clone());
            if envelope::open(&signed, BUNDLE_TYPE, 1, own).is_err() {
                signed = envelope::add_signature(&signed, key, BUNDLE_TYPE)?;
            }
        }
        self.signed = Some(BASE64.encode(&signed));
        self.standing()
    }

    /// Whose signatures are there.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn standing(&self) -> Result<Standing, ProposalError> {
        let present = self.present()?;
        let next = self.next()?.unwrap_or_else(|| present.clone());
        let signed = self.signed()?;
        let count = |bundle: &TrustBundle| {
            let signed = signed.as_deref()?;
            let opened = envelope::open(signed, BUNDLE_TYPE, 1, |id| bundle.root_key(id)).ok()?;
            Some(opened.signers().len())
        };
        Ok(Standing {
            present: count(&present).unwrap_or(0),
            present_threshold: present.root.threshold as usize,
            next: count(&next).unwrap_or(0),
            next_threshold: next.root.threshold as usize,
        })
    }

    /// The bundle in force with the changes, but for the certificates that the root makes.
    fn changed(&self, present: &TrustBundle) -> Result<TrustBundle, ProposalError> {
        let mut next = present.clone();
        next.version = present.version.checked_add(1).ok_or(ProposalError::NoVersion)?;
        (next.issued, next.expires) = (self.issued, self.expires);
        for change in &self.changes {
            apply(&mut next, change)?;
        }
        Ok(next)
    }
}

/// Serial numbers of the issuing CAs in `present` that `next` revokes, and that its root certified.
///
/// # Errors
/// When a certificate does not parse.
pub fn revoked_issuing(present: &TrustBundle, next: &TrustBundle) -> Result<Vec<u128>, ProposalError> {
    let certifier = next.root_certificate_key()?;
    let is_revoked = |der: &[u8]| {
        certificate::public_key(der).is_ok_and(|key| next.revoked.contains(&key.id()))
            && certificate::is_signed_by(der, &certifier)
    };
    let issuing = present.issuing_certificates()?;
    Ok(issuing.iter().filter(|der| is_revoked(der)).filter_map(|der| certificate::serial_number(der)).collect())
}

fn opened(envelope: &[u8]) -> Result<TrustBundle, ProposalError> {
    let payload = envelope::unverified_payload(envelope)?;
    let claimed: TrustBundle = serde_json::from_slice(&payload).map_err(|_| ProposalError::Malformed)?;
    let bundle = claimed.opened_by_own_root(envelope).map_err(ProposalError::Present)?;
    bundle.value().sound(claimed.site).map_err(ProposalError::Present)?;
    Ok(bundle.into_value())
}

fn apply(next: &mut TrustBundle, change: &Change) -> Result<(), ProposalError> {
    match change {
        Change::Policy(key) => next.policy.push(new_key(next, key)?),
        Change::Author(key) => next.authors.keys.push(new_key(next, key)?),
        Change::Issuing { key, .. } => drop(new_key(next, key)?),
        Change::AuthorThreshold(threshold) => next.authors.threshold = *threshold,
        Change::ApprovalAbove(above) => next.approval = above.map(|above| ApprovalRule { above }),
        Change::Root(set) => {
            let present = next.root.ids();
            for key in &set.keys {
                let id = key.public()?.id();
                if !present.contains(&id) {
                    new_key(next, key)?;
                }
            }
            next.root = set.clone();
        }
        Change::Revoke(key) => revoke(next, key)?,
    }
    Ok(())
}

fn new_key(bundle: &TrustBundle, key: &NamedKey) -> Result<NamedKey, ProposalError> {
    let id = key.public()?.id();
    let known = bundle.keys().any(|known| known.1 == id) || bundle.revoked.contains(&id);
    if known { Err(ProposalError::KeyKnown(id)) } else { Ok(key.clone()) }
}

fn revoke(bundle: &mut TrustBundle, id: &Hash) -> Result<(), ProposalError> {
    if !bundle.keys().any(|known| known.1 == *id) {
        return Err(ProposalError::KeyUnknown(*id));
    }
    let others = |key: &NamedKey| key.public().is_ok_and(|public| public.id() != *id);
    bundle.root.keys.retain(others);
    bundle.authors.keys.retain(others);
    bundle.policy.retain(others);
    bundle.issuing.retain(|text| {
        let der = BASE64.decode(text).unwrap_or_default();
        certificate::public_key(&der).is_ok_and(|public| public.id() != *id)
    });
    bundle.revoked.push(*id);
    let reached = |set: &KeySet| set.threshold as usize <= set.keys.len();
    // Where things are approved, somebody must be left who did not sign.
    let approves = bundle.approval.is_none() || bundle.authors.keys.len() > bundle.authors.threshold as usize;
    let left = reached(&bundle.root) && reached(&bundle.authors) && approves;
    if left && !bundle.policy.is_empty() && !bundle.issuing.is_empty() {
        Ok(())
    } else {
        Err(ProposalError::LastKey(*id))
    }
}
