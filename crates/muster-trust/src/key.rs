//! P-256 keys: generate, sign, verify, and keep encrypted at rest (PKCS#8 with PBES2, scrypt and AES-256, as OpenSSL reads it).

use crate::sha256;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        UnparsedPublicKey,
    },
};
use muster_model::id::Hash;
use pkcs8::{
    EncryptedPrivateKeyInfo, PrivateKeyInfo,
    der::{Decode, pem::LineEnding},
    pkcs5::{pbes2, scrypt},
};
use std::fmt;
use zeroize::Zeroizing;

/// The fixed beginning of a `SubjectPublicKeyInfo` of a P-256 key; the uncompressed point follows.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// scrypt's cost: 2^15 blocks of 8, about a tenth of a second and 32 MB.
const SCRYPT_LOG_N: u8 = 15;

/// What can go wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The system has no random source.
    #[error("the system's random source failed")]
    Random,
    /// Not a P-256 key in the expected encoding.
    #[error("not a P-256 key in the expected encoding")]
    Malformed,
    /// The passphrase or key file is not the one that the key was encrypted with.
    #[error("the passphrase or key file is not the right one for this key")]
    WrongPassphrase,
    /// The signature is not by this key over these bytes.
    #[error("the signature is not by this key over these bytes")]
    SignatureInvalid,
    /// The hardware that holds the key did not sign.
    #[error("the hardware that holds the key did not sign; the log says why")]
    Hardware,
}

/// Whoever can sign with a key, wherever the key is: in memory, or in hardware that never shows it.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The public half.
    fn public(&self) -> &PublicKey;

    /// Signs `message`; 64 bytes, `r || s`.
    ///
    /// # Errors
    /// [`KeyError::Random`] or [`KeyError::Hardware`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

impl Signer for PrivateKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Self::sign(self, message)
    }
}

/// What an ECDSA signature over `message` is made of, for hardware that signs digests only.
#[must_use]
pub fn p256_digest(message: &[u8]) -> Hash {
    sha256(message)
}

/// A signature as X.509 and TLS want it: the two integers in DER.
pub(crate) fn signature_der(signature: &[u8]) -> Result<Vec<u8>, KeyError> {
    let (r, s) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32).ok_or(KeyError::SignatureInvalid)?;
    let integers = [integer_der(r), integer_der(s)].concat();
    Ok([&[0x30, u8::try_from(integers.len()).map_err(|_| KeyError::SignatureInvalid)?], &integers[..]].concat())
}

fn integer_der(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let digits = &bytes[first..];
    let sign = usize::from(digits[0] & 0x80 != 0);
    let length = u8::try_from(digits.len() + sign).unwrap_or(u8::MAX);
    [&[0x02, length], &[0; 1][..sign], digits].concat()
}

/// A public key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    point: [u8; 65],
}

impl PublicKey {
    /// From `SubjectPublicKeyInfo`, DER. Only the one encoding of a P-256 key with an uncompressed point on the curve is taken.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let point = der.strip_prefix(&SPKI_PREFIX).ok_or(KeyError::Malformed)?;
        Self::from_point(point)
    }

    /// From the uncompressed point, 65 bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_point(point: &[u8]) -> Result<Self, KeyError> {
        let point: [u8; 65] = point.try_into().map_err(|_| KeyError::Malformed)?;
        aws_lc_rs::signature::ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| KeyError::Malformed)?;
        if point[0] != 4 {
            return Err(KeyError::Malformed);
        }
        Ok(Self { point })
    }

    /// The uncompressed point, 65 bytes.
    #[must_use]
    pub fn point(&self) -> &[u8; 65] {
        &self.point
    }

    /// From PEM, `BEGIN PUBLIC KEY`.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, document) = pkcs8::Document::from_pem(pem).map_err(|_| KeyError::Malformed)?;
        if label != "PUBLIC KEY" {
            return Err(KeyError::Malformed);
        }
        Self::from_spki(document.as_bytes())
    }

    /// `SubjectPublicKeyInfo`, DER, 91 bytes.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], &self.point[..]].concat()
    }

    /// PEM, `BEGIN PUBLIC KEY`.
    #[must_use]
    pub fn pem(&self) -> String {
        let encoded = pkcs8::Document::try_from(self.spki())
            .ok()
            .and_then(|document| document.to_pem("PUBLIC KEY", LineEnding::LF).ok());
        encoded.unwrap_or_default()
    }

    /// The key id: SHA-256 of the `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn id(&self) -> Hash {
        sha256(&self.spki())
    }

    /// Checks a signature (64 bytes, `r || s`) over `message`.
    ///
    /// # Errors
    /// [`KeyError::SignatureInvalid`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point)
            .verify(message, signature)
            .map_err(|_| KeyError::SignatureInvalid)
    }

    /// Checks a signature in the form of certificates (DER) over `message`.
    pub(crate) fn verify_der(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(message, signature)
            .map_err(|_| KeyError::SignatureInvalid)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// A private key. Never shown, wiped from memory when dropped.
pub struct PrivateKey {
    pair: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public.id())
    }
}

/// PKCS#8 of PEM, encrypted or not.
pub(crate) fn pem_to_pkcs8(pem: &str, passphrase: Option<&[u8]>) -> Result<pkcs8::SecretDocument, KeyError> {
    let (label, document) = pkcs8::SecretDocument::from_pem(pem).map_err(|_| KeyError::Malformed)?;
    match (label, passphrase) {
        ("PRIVATE KEY", None) => Ok(document),
        ("ENCRYPTED PRIVATE KEY", Some(passphrase)) => {
            let info = EncryptedPrivateKeyInfo::from_der(document.as_bytes()).map_err(|_| KeyError::Malformed)?;
            info.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase)
        }
        ("ENCRYPTED PRIVATE KEY", None) => Err(KeyError::WrongPassphrase),
        _ => Err(KeyError::Malformed),
    }
}

/// Encrypted PEM of PKCS#8.
pub(crate) fn pkcs8_to_encrypted_pem(pkcs8: &[u8], passphrase: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    crate::random(&mut salt)?;
    crate::random(&mut iv)?;
    let cost = scrypt::Params::new(SCRYPT_LOG_N, 8, 1, 32).map_err(|_| KeyError::Malformed)?;
    let parameters = pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &iv).map_err(|_| KeyError::Malformed)?;
    let info = PrivateKeyInfo::from_der(pkcs8).map_err(|_| KeyError::Malformed)?;
    let encrypted = info.encrypt_with_params(parameters, passphrase).map_err(|_| KeyError::Malformed)?;
    encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(|_| KeyError::Malformed)
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| KeyError::Random)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// From PKCS#8, DER.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(|_| KeyError::Malformed)?;
        let public = PublicKey::from_point(pair.public_key().as_ref())?;
        Ok(Self { pair, pkcs8: Zeroizing::new(der.to_vec()), public })
    }

    /// From PEM, encrypted (`BEGIN ENCRYPTED PRIVATE KEY`) or not (`BEGIN PRIVATE KEY`, only where `passphrase` is `None`).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::WrongPassphrase`].
    pub fn from_pem(pem: &str, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        Self::from_pkcs8(pem_to_pkcs8(pem, passphrase)?.as_bytes())
    }

    /// PEM, encrypted with `passphrase` (or the content of a key file).
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn to_encrypted_pem(&self, passphrase: &[u8]) -> Result<Zeroizing<String>, KeyError> {
        pkcs8_to_encrypted_pem(&self.pkcs8, passphrase)
    }

    /// PEM, not encrypted: for a device's key in a file of mode 0600.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pkcs8::SecretDocument::try_from(&self.pkcs8[..])
            .and_then(|document| document.to_pem("PRIVATE KEY", LineEnding::LF))
            .unwrap_or_default()
    }

    /// PKCS#8, DER, for the TLS library.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`; 64 bytes, `r || s`.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| KeyError::Random)
    }

    pub(crate) fn issuer_key(&self) -> Result<rcgen::KeyPair, KeyError> {
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from(&self.pkcs8[..]);
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|_| KeyError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_its_passphrase_is_needed() {
        let key = PrivateKey::generate().unwrap();
        let pem = key.to_encrypted_pem(b"correct horse").unwrap();
        assert_eq!(PrivateKey::from_pem(&pem, Some(b"correct horse")).unwrap().public(), key.public());
        assert_eq!(PrivateKey::from_pem(&pem, Some(b"wrong")).unwrap_err(), KeyError::WrongPassphrase);
        assert_eq!(PrivateKey::from_pem(&pem, None).unwrap_err(), KeyError::WrongPassphrase);
        assert_eq!(PrivateKey::from_pem(&key.to_pem(), None).unwrap().public(), key.public());
        assert!(!format!("{key:?}").contains(&hex_of(key.pkcs8())));
    }

    fn hex_of(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn only_one_encoding_of_a_public_key_is_taken() {
        let key = PrivateKey::generate().unwrap();
        let spki = key.public().spki();
        assert_eq!(PublicKey::from_spki(&spki).unwrap(), *key.public());
        assert_eq!(PublicKey::from_pem(&key.public().pem()).unwrap(), *key.public());
        let mut off_curve = spki.clone();
        off_curve[60] ^= 1;
        let mut trailing = spki.clone();
        trailing.push(0);
        for bad in [&spki[..90], &off_curve, &trailing, &[]] {
            assert_eq!(PublicKey::from_spki(bad).unwrap_err(), KeyError::Malformed);
        }
    }

    #[test]
    fn a_signature_is_over_these_bytes_by_this_key() {
        let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let signature = key.sign(b"message").unwrap();
        assert_eq!(signature.len(), 64);
        assert!(key.public().verify(b"message", &signature).is_ok());
        assert!(key.public().verify(b"massage", &signature).is_err());
        assert!(other.public().verify(b"message", &signature).is_err());
        assert!(key.public().verify(b"message", &signature[..63]).is_err());
    }

    #[test]
    fn a_signature_in_der_is_what_others_read() {
        let key = PrivateKey::generate().unwrap();
        // Often enough to meet integers with their highest bit set, and with leading zeros.
        for round in 0..600_u32 {
            let message = round.to_be_bytes();
            let der = signature_der(&key.sign(&message).unwrap()).unwrap();
            let algorithm = &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1;
            UnparsedPublicKey::new(algorithm, key.public().point()).verify(&message, &der).unwrap();
        }
        assert!(signature_der(&[1; 63]).is_err());
        assert_eq!(integer_der(&[0; 32]), [2, 1, 0]);
    }
}
