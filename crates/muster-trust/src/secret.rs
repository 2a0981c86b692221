//! Sealed secrets: HPKE to a device's sealing key, bound to one site, device, application and version. Who signs is another
//! question; an envelope by authors carries them.

use crate::{PublicKey, envelope::EnvelopeError, key::KeyError};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    id::Hash,
    secret::{SECRET_BYTES, SealedSecret, SealingKey, SecretBinding},
};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_P256_HKDF_SHA256_AES_256 as SUITE,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey},
};
use std::fmt;
use zeroize::Zeroizing;

/// What these ciphertexts are for, so that none is taken for one of another protocol.
pub const INFO: &[u8] = b"muster sealed secret 1";
/// Bytes of a private sealing key: the scalar, then the public point.
const KEPT_BYTES: usize = 32 + 65;
/// Bytes of a tag of AES-256-GCM.
const TAG_BYTES: usize = 16;

/// Why a secret cannot be sealed or opened. Says nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Empty, or too long.
    #[error("a secret has 1 to {SECRET_BYTES} bytes")]
    Length,
    /// Not in the expected encoding.
    #[error("this is not a sealed secret or a sealing key in the expected encoding")]
    Malformed,
    /// Sealed to another key.
    #[error("the secret is sealed to another key than this")]
    OtherKey,
    /// Altered, or bound to something else than it says.
    #[error("the sealed secret is altered")]
    Altered,
    /// The statement of a sealing key is not by the device's key.
    #[error("the sealing key is not signed by the device's key: {0}")]
    Statement(#[from] EnvelopeError),
    /// The system has no random source.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The private half of a sealing key. Wiped from memory when dropped; whoever keeps it destroys its file too.
pub struct SealingPrivateKey {
    kept: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl fmt::Debug for SealingPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPrivateKey(of {})", self.public.id())
    }
}

impl SealingPrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// [`SecretError::Key`].
    pub fn generate() -> Result<Self, SecretError> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| KeyError::Random)?;
        Self::from_kept(&Zeroizing::new([private.secret_bytes(), &public.0].concat()))
    }

    /// As [`Self::kept`] gave it.
    ///
    /// # Errors
    /// [`SecretError::Malformed`].
    pub fn from_kept(kept: &[u8]) -> Result<Self, SecretError> {
        if kept.len() != KEPT_BYTES {
            return Err(SecretError::Malformed);
        }
        let public = PublicKey::from_point(&kept[32..]).map_err(|_| SecretError::Malformed)?;
        Ok(Self { kept: Zeroizing::new(kept.to_vec()), public })
    }

    /// For a file that only the device can read.
    #[must_use]
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Opens a secret that was sealed to this key.
    ///
    /// # Errors
    /// [`SecretError::OtherKey`], [`SecretError::Malformed`], [`SecretError::Altered`].
    pub fn open(&self, sealed: &SealedSecret) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        if sealed.key != self.public.id() {
            return Err(SecretError::OtherKey);
        }
        let encapsulated = EncapsulatedSecret(decode(&sealed.encapsulated, 65)?);
        let ciphertext = decode(&sealed.ciphertext, SECRET_BYTES + TAG_BYTES)?;
        let data = sealed.binding.associated_data();
        let private = HpkePrivateKey::from(self.kept[..32].to_vec());
        let opened = SUITE.open(&encapsulated, INFO, data.as_bytes(), &ciphertext, &private);
        opened.map(Zeroizing::new).map_err(|_| SecretError::Altered)
    }
}

fn decode(text: &str, most: usize) -> Result<Vec<u8>, SecretError> {
    // Base64 of that many bytes, padded.
    if text.len() > most.div_ceil(3) * 4 {
        return Err(SecretError::Malformed);
    }
    BASE64.decode(text).map_err(|_| SecretError::Malformed)
}

/// Seals a secret to a sealing key.
///
/// # Errors
/// [`SecretError::Length`], [`SecretError::Key`].
pub fn seal(value: &[u8], to: &PublicKey, binding: SecretBinding) -> Result<SealedSecret, SecretError> {
    if value.is_empty() || value.len() > SECRET_BYTES {
        return Err(SecretError::Length);
    }
    let recipient = HpkePublicKey(to.point().to_vec());
    let data = binding.associated_data();
    let sealed = SUITE.seal(INFO, data.as_bytes(), value, &recipient);
    let (encapsulated, ciphertext) = sealed.map_err(|_| KeyError::Random)?;
    Ok(SealedSecret {
        binding,
        key: to.id(),
        encapsulated: BASE64.encode(encapsulated.0),
        ciphertext: BASE64.encode(ciphertext),
    })
}

/// A device's statement of its sealing key, for [`open_statement`].
#[must_use]
pub fn statement_key(key: &PublicKey) -> String {
    BASE64.encode(key.spki())
}

/// The sealing key that a device signed, and what it said of it.
///
/// # Errors
/// [`SecretError::Statement`] when another key signed, [`SecretError::Malformed`] for another kind of key.
pub fn open_statement(envelope: &[u8], device_key: &PublicKey) -> Result<(PublicKey, SealingKey), SecretError> {
    let by = |id: &Hash| (*id == device_key.id()).then(|| device_key.clone());
    let statement = crate::envelope::open1_json::<SealingKey>(envelope, by)?.into_value();
    let spki = decode(&statement.key, 91)?;
    let key = PublicKey::from_spki(&spki).map_err(|_| SecretError::Malformed)?;
    Ok((key, statement))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrivateKey, envelope::sign1_json};
    use muster_model::{
        id::{ApplicationId, DeviceId},
        time::UnixMillis,
    };

    fn id(last: u8) -> DeviceId {
        format!("0192f0c1-7a3b-7c4d-8e5f-0123456789{last:02}").parse().unwrap()
    }

    fn application(last: u8) -> ApplicationId {
        format!("0192f0c1-7a3b-7c4d-8e5f-9876543210{last:02}").parse().unwrap()
    }

    fn binding() -> SecretBinding {
        SecretBinding {
            site: "ABC".parse().unwrap(),
            device: id(1),
            application: application(2),
            name: "wifi-key".parse().unwrap(),
            version: UnixMillis(1_764_000_000_000),
        }
    }

    // proves S10
    #[test]
    fn only_the_key_it_was_sealed_to_opens_a_secret_and_only_as_what_it_is_bound_to() {
        let key = SealingPrivateKey::generate().unwrap();
        let sealed = seal(b"correct horse", key.public(), binding()).unwrap();
        assert_eq!(key.open(&sealed).unwrap().as_slice(), b"correct horse");
        let kept = SealingPrivateKey::from_kept(key.kept()).unwrap();
        assert_eq!(kept.open(&sealed).unwrap().as_slice(), b"correct horse");
        let other = SealingPrivateKey::generate().unwrap();
        assert_eq!(other.open(&sealed), Err(SecretError::OtherKey));
        assert_eq!(other.open(&SealedSecret { key: other.public().id(), ..sealed.clone() }), Err(SecretError::Altered));
        for change in [
            |b: &mut SecretBinding| b.site = "XYZ".parse().unwrap(),
            |b: &mut SecretBinding| b.device = id(9),
            |b: &mut SecretBinding| b.application = application(9),
            |b: &mut SecretBinding| b.name = "wifi-kez".parse().unwrap(),
            |b: &mut SecretBinding| b.version = b.version.plus(1),
        ] {
            let mut altered = sealed.clone();
            change(&mut altered.binding);
            assert_eq!(key.open(&altered), Err(SecretError::Altered), "{altered:?}");
        }
        for (encapsulated, ciphertext) in [
            ("", sealed.ciphertext.as_str()),
            ("AAAA", sealed.ciphertext.as_str()),
            ("?", sealed.ciphertext.as_str()),
            (sealed.encapsulated.as_str(), ""),
            (sealed.encapsulated.as_str(), "AAAA"),
            (sealed.encapsulated.as_str(), &"A".repeat(30_000)),
        ] {
            let altered =
                SealedSecret { encapsulated: encapsulated.into(), ciphertext: ciphertext.into(), ..sealed.clone() };
            assert!(key.open(&altered).is_err(), "{altered:?}");
        }
        assert!(!format!("{key:?} {sealed:?}").contains("correct"));
        assert_eq!(seal(b"", key.public(), binding()), Err(SecretError::Length));
        assert_eq!(seal(&vec![1; SECRET_BYTES + 1], key.public(), binding()), Err(SecretError::Length));
        assert!(key.open(&seal(&vec![1; SECRET_BYTES], key.public(), binding()).unwrap()).is_ok());
    }

    #[test]
    fn a_sealing_key_is_the_devices_only_when_the_device_signed_it() {
        let (device, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let sealing = SealingPrivateKey::generate().unwrap();
        let binding = binding();
        let key = statement_key(sealing.public());
        let said = SealingKey { site: binding.site, device: binding.device, key, made: binding.version };
        let envelope = sign1_json(&device, &said).unwrap();
        assert_eq!(open_statement(&envelope, device.public()).unwrap(), (sealing.public().clone(), said.clone()));
        assert!(matches!(open_statement(&envelope, other.public()), Err(SecretError::Statement(_))));
        let odd = sign1_json(&device, &SealingKey { key: "AAAA".into(), ..said }).unwrap();
        assert_eq!(open_statement(&odd, device.public()), Err(SecretError::Malformed));
    }
}
