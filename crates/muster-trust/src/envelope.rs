//! Signed envelopes: COSE (RFC 9052), one signer (`COSE_Sign1`) or several (`COSE_Sign`), ES256 only.
//!
//! A verifier names the content type it expects and the keys it believes; nothing in the envelope chooses either.

use crate::{
    PrivateKey, PublicKey,
    key::{KeyError, Signer},
};
use coset::{
    CoseSign, CoseSign1, CoseSign1Builder, CoseSignBuilder, CoseSignature, CoseSignatureBuilder, Header, HeaderBuilder,
    TaggedCborSerializable, iana,
};
use muster_model::{Signed, id::Hash};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;

/// Bound to every signature, so that a Muster signature means nothing elsewhere, and another version's nothing here.
pub const CONTEXT: &[u8] = b"muster/v1";
/// Signers of one envelope; more is not an envelope.
const MAX_SIGNERS: usize = 16;

/// Why an envelope is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not an envelope of the expected form, or the payload does not parse.
    #[error("not a well-formed envelope of the expected type")]
    Malformed,
    /// Signed by a key that is not believed for this purpose.
    #[error("signed by a key that is not trusted for this purpose")]
    KeyUnknown,
    /// A signature does not match.
    #[error("a signature does not match")]
    SignatureInvalid,
    /// Fewer valid signatures of different trusted keys than the threshold.
    #[error("fewer trusted signatures than the threshold")]
    BelowThreshold,
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A value whose envelope was verified. Only this module makes one, so to hold it is the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    signers: Vec<Hash>,
}

impl<T> Verified<T> {
    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The value, without its proof.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Key ids of the trusted keys whose signatures are valid, without repetition.
    pub fn signers(&self) -> &[Hash] {
        &self.signers
    }
}

fn header(key: &PublicKey, content_type: &str) -> Header {
    HeaderBuilder::new()
        .algorithm(iana::Algorithm::ES256)
        .content_type(content_type.to_owned())
        .key_id(key.id().0.to_vec())
        .build()
}

/// Whether a header says exactly what this suite says: ES256, the content type, a key id, and nothing else.
fn signer_of(protected: &Header, unprotected: &Header, content_type: &str) -> Result<Hash, EnvelopeError> {
    let key: [u8; 32] = protected.key_id.as_slice().try_into().map_err(|_| EnvelopeError::Malformed)?;
    let expected = HeaderBuilder::new()
        .algorithm(iana::Algorithm::ES256)
        .content_type(content_type.to_owned())
        .key_id(key.to_vec())
        .build();
    if *protected != expected || !unprotected.is_empty() {
        return Err(EnvelopeError::Malformed);
    }
    Ok(Hash(key))
}

/// Signs `payload` as `content_type` with one key.
///
/// # Errors
/// Only when the random source or the key's hardware fails.
pub fn sign1(key: &dyn Signer, content_type: &str, payload: Vec<u8>) -> Result<Vec<u8>, EnvelopeError> {
    CoseSign1Builder::new()
        .protected(header(key.public(), content_type))
        .payload(payload)
        .try_create_signature(CONTEXT, |bytes| key.sign(bytes))?
        .build()
        .to_tagged_vec()
        .map_err(|_| EnvelopeError::Malformed)
}

/// Verifies an envelope of one signer; returns the payload's bytes.
///
/// # Errors
/// See [`EnvelopeError`]. `trusted` is asked for the key of a key id, and answers only for keys that it believes for this purpose.
pub fn open1(
    envelope: &[u8],
    content_type: &str,
    trusted: impl FnOnce(&Hash) -> Option<PublicKey>,
) -> Result<Verified<Vec<u8>>, EnvelopeError> {
    let message = CoseSign1::from_tagged_slice(envelope).map_err(|_| EnvelopeError::Malformed)?;
    let id = signer_of(&message.protected.header, &message.unprotected, content_type)?;
    let key = trusted(&id).filter(|key| key.id() == id).ok_or(EnvelopeError::KeyUnknown)?;
    message
        .verify_signature(CONTEXT, |signature, bytes| key.verify(bytes, signature))
        .map_err(|_| EnvelopeError::SignatureInvalid)?;
    let payload = message.payload.ok_or(EnvelopeError::Malformed)?;
    Ok(Verified { value: payload, signers: vec![id] })
}

/// Signs `payload` as `content_type` with several keys.
///
/// # Errors
/// Only when the random source fails.
pub fn sign(keys: &[&PrivateKey], content_type: &str, payload: Vec<u8>) -> Result<Vec<u8>, EnvelopeError> {
    let mut builder = CoseSignBuilder::new().payload(payload);
    for key in keys {
        let signature = CoseSignatureBuilder::new().protected(header(key.public(), content_type)).build();
        builder = builder.try_add_created_signature(signature, CONTEXT, |bytes| key.sign(bytes))?;
    }
    builder.build().to_tagged_vec().map_err(|_| EnvelopeError::Malformed)
}

/// Adds a signature to an envelope of [`sign`], after checking that its signatures are well-formed.
///
/// # Errors
/// [`EnvelopeError::Malformed`].
pub fn add_signature(envelope: &[u8], key: &PrivateKey, content_type: &str) -> Result<Vec<u8>, EnvelopeError> {
    let mut message = CoseSign::from_tagged_slice(envelope).map_err(|_| EnvelopeError::Malformed)?;
    check_signatures(&message, content_type)?;
    let mut signature: CoseSignature =
        CoseSignatureBuilder::new().protected(header(key.public(), content_type)).build();
    signature.signature = key.sign(&message.tbs_data(CONTEXT, &signature))?;
    message.signatures.push(signature);
    message.to_tagged_vec().map_err(|_| EnvelopeError::Malformed)
}

fn check_signatures(message: &CoseSign, content_type: &str) -> Result<Vec<Hash>, EnvelopeError> {
    if !message.protected.header.is_empty() || !message.unprotected.is_empty() {
        return Err(EnvelopeError::Malformed);
    }
    if message.signatures.is_empty() || message.signatures.len() > MAX_SIGNERS {
        return Err(EnvelopeError::Malformed);
    }
    message.signatures.iter().map(|s| signer_of(&s.protected.header, &s.unprotected, content_type)).collect()
}

/// Verifies an envelope of several signers: at least `threshold` valid signatures of *different* trusted keys.
///
/// A signature of a key that is not trusted is ignored; a wrong signature of a trusted key refuses the whole.
///
/// # Errors
/// See [`EnvelopeError`].
pub fn open(
    envelope: &[u8],
    content_type: &str,
    threshold: usize,
    trusted: impl Fn(&Hash) -> Option<PublicKey>,
) -> Result<Verified<Vec<u8>>, EnvelopeError> {
    let message = CoseSign::from_tagged_slice(envelope).map_err(|_| EnvelopeError::Malformed)?;
    let ids = check_signatures(&message, content_type)?;
    let mut signers = BTreeSet::new();
    for (at, id) in ids.iter().enumerate() {
        let Some(key) = trusted(id).filter(|key| key.id() == *id) else { continue };
        message
            .verify_signature(at, CONTEXT, |signature, bytes| key.verify(bytes, signature))
            .map_err(|_| EnvelopeError::SignatureInvalid)?;
        signers.insert(*id);
    }
    if threshold == 0 || signers.len() < threshold {
        return Err(if signers.is_empty() { EnvelopeError::KeyUnknown } else { EnvelopeError::BelowThreshold });
    }
    let payload = message.payload.ok_or(EnvelopeError::Malformed)?;
    Ok(Verified { value: payload, signers: signers.into_iter().collect() })
}

/// The payload of an envelope of several signers, believed by nobody: for showing it, or for finding who should verify it.
///
/// # Errors
/// [`EnvelopeError::Malformed`].
pub fn unverified_payload(envelope: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    CoseSign::from_tagged_slice(envelope).ok().and_then(|message| message.payload).ok_or(EnvelopeError::Malformed)
}

/// Key ids that an envelope of several signers names, believed or not: for finding who had a hand in it.
///
/// # Errors
/// [`EnvelopeError::Malformed`].
pub fn unverified_signers(envelope: &[u8]) -> Result<Vec<Hash>, EnvelopeError> {
    let message = CoseSign::from_tagged_slice(envelope).map_err(|_| EnvelopeError::Malformed)?;
    let ids = message.signatures.iter().map(|signature| signature.protected.header.key_id.as_slice().try_into());
    ids.map(|id| id.map(Hash).map_err(|_| EnvelopeError::Malformed)).collect()
}

/// The envelopes of a CBOR sequence (RFC 8742), each with the bytes that it has there.
///
/// # Errors
/// [`EnvelopeError::Malformed`].
pub fn items(mut bytes: &[u8]) -> Result<Vec<&[u8]>, EnvelopeError> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let mut rest = bytes;
        let _: coset::cbor::Value = coset::cbor::de::from_reader(&mut rest).map_err(|_| EnvelopeError::Malformed)?;
        let (item, after) = bytes.split_at(bytes.len() - rest.len());
        items.push(item);
        bytes = after;
    }
    Ok(items)
}

fn parse<T: DeserializeOwned>(bytes: Verified<Vec<u8>>) -> Result<Verified<T>, EnvelopeError> {
    let value = serde_json::from_slice(&bytes.value).map_err(|_| EnvelopeError::Malformed)?;
    Ok(Verified { value, signers: bytes.signers })
}

/// [`sign1`] of a value's JSON.
///
/// # Errors
/// As [`sign1`].
pub fn sign1_json<T: Signed + Serialize>(key: &dyn Signer, value: &T) -> Result<Vec<u8>, EnvelopeError> {
    sign1(key, T::TYPE, serde_json::to_vec(value).map_err(|_| EnvelopeError::Malformed)?)
}

/// [`open1`], then the payload's JSON.
///
/// # Errors
/// As [`open1`].
pub fn open1_json<T: Signed + DeserializeOwned>(
    envelope: &[u8],
    trusted: impl FnOnce(&Hash) -> Option<PublicKey>,
) -> Result<Verified<T>, EnvelopeError> {
    open1(envelope, T::TYPE, trusted).and_then(parse)
}

/// [`sign`] of a value's JSON.
///
/// # Errors
/// As [`sign`].
pub fn sign_json<T: Signed + Serialize>(keys: &[&PrivateKey], value: &T) -> Result<Vec<u8>, EnvelopeError> {
    sign(keys, T::TYPE, serde_json::to_vec(value).map_err(|_| EnvelopeError::Malformed)?)
}

/// [`open`], then the payload's JSON.
///
/// # Errors
/// As [`open`].
pub fn open_json<T: Signed + DeserializeOwned>(
    envelope: &[u8],
    threshold: usize,
    trusted: impl Fn(&Hash) -> Option<PublicKey>,
) -> Result<Verified<T>, EnvelopeError> {
    open(envelope, T::TYPE, threshold, trusted).and_then(parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "application/vnd.muster.test";

    fn key() -> PrivateKey {
        PrivateKey::generate().unwrap()
    }

    fn only<'a>(keys: &'a [&PrivateKey]) -> impl Fn(&Hash) -> Option<PublicKey> + 'a {
        move |id| keys.iter().map(|k| k.public().clone()).find(|k| k.id() == *id)
    }

    #[test]
    fn one_signer_is_believed_for_this_type_and_these_bytes_only() {
        let (signer, stranger) = (key(), key());
        let envelope = sign1(&signer, TYPE, b"payload".to_vec()).unwrap();
        assert_eq!(open1(&envelope, TYPE, only(&[&signer])).unwrap().value(), b"payload");
        assert_eq!(open1(&envelope, "other", only(&[&signer])).unwrap_err(), EnvelopeError::Malformed);
        assert_eq!(open1(&envelope, TYPE, only(&[&stranger])).unwrap_err(), EnvelopeError::KeyUnknown);
        // A resolver that answers with another key than the one that was asked for gains nothing.
        assert_eq!(open1(&envelope, TYPE, |_| Some(stranger.public().clone())).unwrap_err(), EnvelopeError::KeyUnknown);
        for at in 0..envelope.len() {
            let mut altered = envelope.clone();
            altered[at] ^= 1;
            assert!(open1(&altered, TYPE, only(&[&signer])).is_err(), "byte {at}");
            assert!(open1(&envelope[..at], TYPE, only(&[&signer])).is_err(), "cut at {at}");
        }
        let mut trailing = envelope.clone();
        trailing.push(0);
        assert_eq!(open1(&trailing, TYPE, only(&[&signer])).unwrap_err(), EnvelopeError::Malformed);
    }

    #[test]
    fn the_algorithm_on_the_wire_chooses_nothing() {
        let signer = key();
        for algorithm in [iana::Algorithm::ES384, iana::Algorithm::HMAC_256_256, iana::Algorithm::EdDSA] {
            let mut wrong = header(signer.public(), TYPE);
            wrong.alg = Some(coset::RegisteredLabelWithPrivate::Assigned(algorithm));
            let envelope = CoseSign1Builder::new()
                .protected(wrong)
                .payload(b"x".to_vec())
                .try_create_signature(CONTEXT, |bytes| signer.sign(bytes))
                .unwrap()
                .build()
                .to_tagged_vec()
                .unwrap();
            assert_eq!(open1(&envelope, TYPE, only(&[&signer])).unwrap_err(), EnvelopeError::Malformed);
        }
    }

    #[test]
    fn a_threshold_counts_keys_and_not_signatures() {
        let (a, b, stranger) = (key(), key(), key());
        let trusted = [&a, &b];
        let twice = sign(&[&a, &a], TYPE, b"x".to_vec()).unwrap();
        assert_eq!(open(&twice, TYPE, 2, only(&trusted)).unwrap_err(), EnvelopeError::BelowThreshold);
        let with_stranger = sign(&[&a, &stranger], TYPE, b"x".to_vec()).unwrap();
        assert_eq!(open(&with_stranger, TYPE, 2, only(&trusted)).unwrap_err(), EnvelopeError::BelowThreshold);
        assert_eq!(open(&with_stranger, TYPE, 1, only(&trusted)).unwrap().signers(), [a.public().id()]);
        let both = add_signature(&sign(&[&a], TYPE, b"x".to_vec()).unwrap(), &b, TYPE).unwrap();
        assert_eq!(open(&both, TYPE, 2, only(&trusted)).unwrap().signers().len(), 2);
        assert_eq!(open(&both, TYPE, 0, only(&trusted)).unwrap_err(), EnvelopeError::BelowThreshold);
        let by_stranger = sign(&[&stranger], TYPE, b"x".to_vec()).unwrap();
        assert_eq!(open(&by_stranger, TYPE, 1, only(&trusted)).unwrap_err(), EnvelopeError::KeyUnknown);
    }
}
