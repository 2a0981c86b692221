//! RSA keys: for the registration authority of SCEP, and nowhere else. Everything that Muster decides by itself is signed with P-256.

use super::{CmsError, der, oid};
use crate::key::{pem_to_pkcs8, pkcs8_to_encrypted_pem};
use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{
        KeyPair, KeySize, Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey,
        PublicEncryptingKey,
    },
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use std::fmt;
use zeroize::Zeroizing;

/// An RSA key of 2,048 bits or more. Never shown, wiped from memory when dropped.
pub struct RsaKey {
    pair: KeyPair,
    decrypting: Pkcs1PrivateDecryptingKey,
    pkcs8: Zeroizing<Vec<u8>>,
    spki: Vec<u8>,
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaKey(of {})", crate::sha256(&self.spki))
    }
}

impl RsaKey {
    /// A new key of 2,048 bits, which every client of SCEP can use.
    ///
    /// # Errors
    /// [`CmsError::Key`] when the random source fails.
    pub fn generate() -> Result<Self, CmsError> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| CmsError::Key)?;
        let pkcs8 = pair.as_der().map_err(|_| CmsError::Key)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// From PKCS#8, DER.
    ///
    /// # Errors
    /// [`CmsError::Malformed`].
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, CmsError> {
        let pair = KeyPair::from_pkcs8(pkcs8).map_err(|_| CmsError::Malformed)?;
        let private = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| CmsError::Malformed)?;
        let decrypting = Pkcs1PrivateDecryptingKey::new(private).map_err(|_| CmsError::Malformed)?;
        let spki = spki_of(pair.public_key().as_ref());
        Ok(Self { pair, decrypting, pkcs8: Zeroizing::new(pkcs8.to_vec()), spki })
    }

    /// From encrypted PEM.
    ///
    /// # Errors
    /// [`CmsError::Malformed`], also when the passphrase is not the right one.
    pub fn from_encrypted_pem(pem: &str, passphrase: &[u8]) -> Result<Self, CmsError> {
        let document = pem_to_pkcs8(pem, Some(passphrase)).map_err(|_| CmsError::Malformed)?;
        Self::from_pkcs8(document.as_bytes())
    }

    /// PEM, encrypted with the content of a key file.
    ///
    /// # Errors
    /// [`CmsError::Key`].
    pub fn to_encrypted_pem(&self, passphrase: &[u8]) -> Result<Zeroizing<String>, CmsError> {
        pkcs8_to_encrypted_pem(&self.pkcs8, passphrase).map_err(|_| CmsError::Key)
    }

    /// PKCS#8, DER.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// `SubjectPublicKeyInfo`, DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Signs with SHA-256.
    ///
    /// # Errors
    /// [`CmsError::Key`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CmsError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(|_| CmsError::Key)?;
        Ok(signature)
    }

    /// The key inside. Where there is none of `length` bytes, a random one takes its place: whoever asks learns nothing from how.
    pub(super) fn content_key(&self, sealed: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, CmsError> {
        let mut key = Zeroizing::new(vec![0; length]);
        crate::random(&mut key).map_err(|_| CmsError::Key)?;
        let mut room = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        if sealed.len() == self.decrypting.key_size_bytes()
            && let Ok(plain) = self.decrypting.decrypt(sealed, &mut room)
            && plain.len() == length
        {
            key.copy_from_slice(plain);
        }
        Ok(key)
    }
}

/// `SubjectPublicKeyInfo` around an `RSAPublicKey`.
fn spki_of(public: &[u8]) -> Vec<u8> {
    let algorithm = der::sequence(&[&der::oid(oid::RSA), &[der::NULL, 0]]);
    der::sequence(&[&algorithm, &der::value(der::BIT_STRING, &[&[0], public])])
}

/// What seals for whoever has the private half of this `SubjectPublicKeyInfo`: an RSA key of 2,048 to 8,192 bits.
pub(super) fn sealing_key(spki: &[u8]) -> Result<Pkcs1PublicEncryptingKey, CmsError> {
    let public = PublicEncryptingKey::from_der(spki).map_err(|_| CmsError::Malformed)?;
    if !(2_048..=8_192).contains(&public.key_size_bits()) {
        return Err(CmsError::Malformed);
    }
    Pkcs1PublicEncryptingKey::new(public).map_err(|_| CmsError::Malformed)
}

/// Seals a content key for whoever has the private half of this `SubjectPublicKeyInfo`.
pub(super) fn seal_key(spki: &[u8], key: &[u8]) -> Result<Vec<u8>, CmsError> {
    let public = sealing_key(spki)?;
    let mut sealed = vec![0; public.ciphertext_size()];
    let length = public.encrypt(key, &mut sealed).map_err(|_| CmsError::Key)?.len();
    sealed.truncate(length);
    Ok(sealed)
}
