//! Hardware identity: proof that a key lives in a particular TPM 2.0, as the site verifies it.
//!
//! A client *offers* its endorsement key and an attestation key. The site answers with a *challenge*: a nonce, and a secret that
//! only the TPM with this endorsement key gives out, and only while it holds this attestation key. The client's *proof* is the
//! secret, and a statement by the attestation key that the same TPM holds the device's key, for a nonce that also covers the
//! TLS connection, the device's key, and what the client says about itself. So none of the parts can come from another TPM,
//! another time or another connection. Bytes in, [`Attested`] out; what a site believes of vendors is its rule.

mod credential;
mod endorsement;
pub mod public;
mod statement;
pub mod wire;

pub use endorsement::is_root;
pub use statement::read_signature;

use crate::{PublicKey, Sha256};
use muster_model::{enrol::DeviceClaims, id::Hash, time::UnixMillis};
use public::{EndorsementKey, SigningArea};
use zeroize::Zeroizing;

/// The label of the TLS exporter (RFC 8446, section 7.5) that ties a statement to its connection; without context, 32 bytes.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-muster-attestation";
/// Begins what the nonce of a statement is the hash of.
const NONCE_CONTEXT: &[u8] = b"muster/v1/attestation\0";

/// Why an attestation is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// A part is not a TPM structure of the expected kind.
    #[error("a part is not a TPM structure of the expected form")]
    Malformed,
    /// The endorsement key is not of the standard template.
    #[error("the endorsement key is not of the standard template")]
    EndorsementKey,
    /// The certificate is for another endorsement key.
    #[error("the certificate is for another endorsement key")]
    EndorsementMismatch,
    /// No pinned root vouches for the endorsement key.
    #[error("no vendor root that this site knows vouches for the endorsement key")]
    EndorsementUnknown,
    /// A vendor vouches for it, and it is the one of two in each TPM that is no hardware identity by a vendor's word.
    #[error("a vendor vouches for a TPM by its RSA endorsement key alone; an administrator may name this one")]
    EndorsementKind,
    /// The attestation key could sign what did not come from its TPM, or could have come from elsewhere.
    #[error("the attestation key is not restricted, not for signing, or not bound to its TPM")]
    AttestationKey,
    /// The secret was not what the TPM gives out.
    #[error("the challenge was not solved: the endorsement key and the attestation key are not in one TPM")]
    Credential,
    /// The device's key is not one that is bound to its TPM.
    #[error("the device's key is not for signing, or not bound to its TPM")]
    DeviceKey,
    /// The statement is not signed by the attestation key.
    #[error("the statement is not signed by the attestation key")]
    Signature,
    /// The statement is about another key, or not one of a TPM.
    #[error("the statement is not one of a TPM about the device's key")]
    Statement,
    /// The statement was made at another time, on another connection, or for other claims.
    #[error("the statement was made for another connection, another time, or other claims")]
    Nonce,
    /// The random source failed.
    #[error("the system's random source failed")]
    Random,
}

impl AttestationError {
    /// A stable word, for metrics and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::EndorsementKey => "endorsement_key",
            Self::EndorsementMismatch => "endorsement_mismatch",
            Self::EndorsementUnknown => "endorsement_unknown",
            Self::EndorsementKind => "endorsement_kind",
            Self::AttestationKey => "attestation_key",
            Self::Credential => "credential",
            Self::DeviceKey => "device_key",
            Self::Signature => "signature",
            Self::Statement => "statement",
            Self::Nonce => "nonce",
            Self::Random => "random",
        }
    }
}

/// What a client offers: its endorsement key, and an attestation key that is said to be in the same TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    endorsement: EndorsementKey,
    hardware: Hash,
    attestation: SigningArea,
}

impl Offer {
    /// Reads the two public areas (`TPMT_PUBLIC`).
    ///
    /// # Errors
    /// [`AttestationError::EndorsementKey`], [`AttestationError::AttestationKey`] or [`AttestationError::Malformed`].
    pub fn read(endorsement_key: &[u8], attestation_key: &[u8]) -> Result<Self, AttestationError> {
        let endorsement = EndorsementKey::read(endorsement_key)?;
        let attestation = SigningArea::read(attestation_key)?;
        if !attestation.is_attestation_key() {
            return Err(AttestationError::AttestationKey);
        }
        let hardware = crate::sha256(&endorsement.spki());
        Ok(Self { endorsement, hardware, attestation })
    }

    /// The hardware identity: SHA-256 of the endorsement key's `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn hardware(&self) -> Hash {
        self.hardware
    }

    /// Whether the certificate is for this endorsement key, and one of the pinned `roots` (DER) vouches for it.
    ///
    /// # Errors
    /// [`AttestationError::EndorsementMismatch`], [`AttestationError::EndorsementUnknown`], [`AttestationError::EndorsementKind`]
    /// or [`AttestationError::Malformed`].
    pub fn vouched(&self, certificate: &[u8], roots: &[Vec<u8>], now: UnixMillis) -> Result<(), AttestationError> {
        endorsement::verify(certificate, &self.endorsement.spki(), roots, now)?;
        // A TPM has an RSA and a P-256 key, and many vendors certify both. Were both believed, it would have two hardware
        // identities, and who is blocked by one would come back by the other.
        match self.endorsement {
            EndorsementKey::Rsa(_) => Ok(()),
            EndorsementKey::P256(_) => Err(AttestationError::EndorsementKind),
        }
    }

    /// A new challenge for it.
    ///
    /// # Errors
    /// When the random source fails, or the key cannot be used.
    pub fn challenge(self) -> Result<Challenge, AttestationError> {
        let (mut nonce, mut secret) = (Hash([0; 32]), Zeroizing::new([0; 32]));
        crate::random(&mut nonce.0).map_err(|_| AttestationError::Random)?;
        crate::random(&mut secret[..]).map_err(|_| AttestationError::Random)?;
        let credential = credential::make(&self.endorsement, &self.attestation.name, &secret)?;
        Ok(Challenge { offer: self, nonce, secret, credential })
    }
}

/// What the site asks of an offer; good for one proof.
pub struct Challenge {
    offer: Offer,
    nonce: Hash,
    secret: Zeroizing<[u8; 32]>,
    credential: credential::Credential,
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenge").field("hardware", &self.offer.hardware).finish_non_exhaustive()
    }
}

/// A client's proof.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// The secret that the TPM gave out.
    pub secret: &'a [u8],
    /// Public area of the device's key, `TPMT_PUBLIC`.
    pub device_key: &'a [u8],
    /// What the TPM said of the device's key, `TPMS_ATTEST`.
    pub statement: &'a [u8],
    /// The attestation key's signature over it, `TPMT_SIGNATURE`.
    pub signature: &'a [u8],
}

/// A device's key lives in the TPM of this hardware identity. Only [`Challenge::verify`] makes one, so to hold it is the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    hardware: Hash,
    key: PublicKey,
}

impl Attested {
    /// The hardware identity.
    #[must_use]
    pub fn hardware(&self) -> Hash {
        self.hardware
    }

    /// The device's key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

impl Challenge {
    /// The nonce.
    #[must_use]
    pub fn nonce(&self) -> Hash {
        self.nonce
    }

    /// The wrapped secret: content of `TPM2B_ID_OBJECT`, and of `TPM2B_ENCRYPTED_SECRET`.
    #[must_use]
    pub fn credential(&self) -> (&[u8], &[u8]) {
        (&self.credential.blob, &self.credential.seed)
    }

    /// The hardware identity that it was made for.
    #[must_use]
    pub fn hardware(&self) -> Hash {
        self.offer.hardware
    }

    /// Checks a proof that came over the connection with this `exporter`, with these claims. The challenge is gone afterwards.
    ///
    /// # Errors
    /// See [`AttestationError`].
    pub fn verify(
        self,
        proof: &Proof<'_>,
        exporter: &Hash,
        claims: &DeviceClaims,
    ) -> Result<Attested, AttestationError> {
        if !crate::secret_eq(proof.secret, &self.secret[..]) {
            return Err(AttestationError::Credential);
        }
        let device = SigningArea::read(proof.device_key)?;
        if !device.is_device_key() {
            return Err(AttestationError::DeviceKey);
        }
        let nonce = bound_nonce(&self.nonce, exporter, &device.key, claims);
        statement::verify(proof.statement, proof.signature, &self.offer.attestation, &device, &nonce)?;
        Ok(Attested { hardware: self.offer.hardware, key: device.key })
    }
}

/// What the TPM is made to sign with its statement: SHA-256 over the site's nonce, the TLS exporter, the device's key and its claims.
#[must_use]
pub fn bound_nonce(nonce: &Hash, exporter: &Hash, key: &PublicKey, claims: &DeviceClaims) -> Hash {
    // No text of the claims holds a control character, so the zero bytes between them are unambiguous.
    let texts = [&claims.host_name, &claims.operating_system, &claims.agent_version].map(|text| text.as_bytes());
    let mut said = Sha256::default();
    for text in texts {
        said.update(text);
        said.update(&[0]);
    }
    said.update(&claims.hardware_id.0);
    let mut all = Sha256::default();
    for part in [NONCE_CONTEXT, &nonce.0, &exporter.0, &key.spki(), &said.finish().0] {
        all.update(part);
    }
    all.finish()
}

#[cfg(test)]
mod tests;
