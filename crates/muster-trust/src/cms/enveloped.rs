//! `EnvelopedData`: opened with an RSA key, and sealed to one. The content is in AES-CBC; older ciphers are refused.
//!
//! The key transport of PKCS#1 v1.5 and the padding of CBC both tell secrets to whoever can see *why* an envelope does not open. So a key that
//! cannot be read is replaced by a random one, everything that follows is done all the same, and there is one error. A content that opened
//! is authentic to nobody: whoever uses it answers to a wrong one as to one that did not open.

use super::{
    CmsError, MAX_BYTES, MAX_RECIPIENTS, RsaKey, ber,
    certificate::parts,
    der::{self, Reader},
    oid,
    rsa::{seal_key, sealing_key},
};
use aws_lc_rs::{
    cipher::{
        AES_128, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
        PaddedBlockEncryptingKey, UnboundCipherKey,
    },
    iv::FixedLength,
};
use zeroize::Zeroizing;

/// The cipher of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128 in CBC mode.
    Aes128,
    /// AES-256 in CBC mode.
    Aes256,
}

impl Cipher {
    fn of(algorithm: &[u8]) -> Option<Self> {
        match algorithm {
            oid::AES128_CBC => Some(Self::Aes128),
            oid::AES256_CBC => Some(Self::Aes256),
            _ => None,
        }
    }

    fn oid(self) -> &'static [u8] {
        match self {
            Self::Aes128 => oid::AES128_CBC,
            Self::Aes256 => oid::AES256_CBC,
        }
    }

    fn key_length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }

    fn key(self, bytes: &[u8]) -> Result<UnboundCipherKey, CmsError> {
        let algorithm: &'static Algorithm = match self {
            Self::Aes128 => &AES_128,
            Self::Aes256 => &AES_256,
        };
        UnboundCipherKey::new(algorithm, bytes).map_err(|_| CmsError::Key)
    }
}

/// What was in an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The content.
    pub content: Zeroizing<Vec<u8>>,
    /// The cipher, for an answer in the same.
    pub cipher: Cipher,
}

/// An envelope that was read: of what is in the clear, nothing is secret.
struct Envelope {
    sealed_key: Vec<u8>,
    cipher: Cipher,
    iv: [u8; 16],
    content: Vec<u8>,
}

/// Whether a recipient is the one whose certificate has these parts; its sealed key.
fn sealed_key<'a>(recipient: &'a [u8], own: &super::certificate::Parts<'_>) -> Result<Option<&'a [u8]>, CmsError> {
    let mut inside = Reader::new(recipient);
    inside.expect(der::INTEGER)?;
    let who = inside.value()?;
    let is_own = match who.tag {
        der::SEQUENCE => [own.issuer, own.serial].concat() == who.content,
        0x80 => own.key_identifier == Some(who.content),
        _ => false,
    };
    let algorithm = Reader::new(inside.expect(der::SEQUENCE)?).expect(der::OID)?;
    let key = inside.expect(der::OCTETS)?;
    inside.end()?;
    Ok((is_own && algorithm == oid::RSA).then_some(key))
}

fn read(bytes: &[u8], certificate: &[u8]) -> Result<Envelope, CmsError> {
    let own = parts(certificate)?;
    let message = ber::to_der(bytes, MAX_BYTES)?;
    let mut outer = Reader::new(der::only(&message, der::SEQUENCE)?);
    if outer.expect(der::OID)? != oid::ENVELOPED_DATA {
        return Err(CmsError::Malformed);
    }
    let mut inside = Reader::new(der::only(outer.expect(der::context(0))?, der::SEQUENCE)?);
    outer.end()?;
    inside.expect(der::INTEGER)?;
    inside.optional(der::context(0))?;
    let (mut recipients, mut key, mut count) = (Reader::new(inside.expect(der::SET)?), None, 0);
    while !recipients.is_empty() {
        let recipient = recipients.value()?;
        count += 1;
        if count > MAX_RECIPIENTS {
            return Err(CmsError::Malformed);
        }
        if recipient.tag == der::SEQUENCE && key.is_none() {
            key = sealed_key(recipient.content, &own)?;
        }
    }
    let mut encrypted = Reader::new(inside.expect(der::SEQUENCE)?);
    inside.optional(der::context(1))?;
    inside.end()?;
    encrypted.expect(der::OID)?;
    let mut algorithm = Reader::new(encrypted.expect(der::SEQUENCE)?);
    let cipher = Cipher::of(algorithm.expect(der::OID)?).ok_or(CmsError::Malformed)?;
    let iv = algorithm.expect(der::OCTETS)?.try_into().map_err(|_| CmsError::Malformed)?;
    algorithm.end()?;
    let content = encrypted.value()?;
    encrypted.end()?;
    let content = match content.tag {
        0x80 => content.content.to_vec(),
        // In pieces: the tag hides that these are octet strings, so it was not seen before.
        0xa0 => {
            let (mut pieces, mut whole) = (Reader::new(content.content), Vec::new());
            while !pieces.is_empty() {
                whole.extend_from_slice(pieces.expect(der::OCTETS)?);
            }
            whole
        }
        _ => return Err(CmsError::Malformed),
    };
    Ok(Envelope { sealed_key: key.ok_or(CmsError::Malformed)?.to_vec(), cipher, iv, content })
}

/// Opens an envelope that is addressed to `certificate`, whose key is `key`.
///
/// # Errors
/// [`CmsError::NotOpened`], whatever is wrong.
pub fn open(bytes: &[u8], certificate: &[u8], key: &RsaKey) -> Result<Opened, CmsError> {
    let mut envelope = read(bytes, certificate).map_err(|_| CmsError::NotOpened)?;
    let length = envelope.cipher.key_length();
    let content_key = key.content_key(&envelope.sealed_key, length).map_err(|_| CmsError::NotOpened)?;
    let cipher = envelope.cipher.key(&content_key).map_err(|_| CmsError::NotOpened)?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(cipher).map_err(|_| CmsError::NotOpened)?;
    let context = DecryptionContext::Iv128(FixedLength::from(envelope.iv));
    let content = cipher.decrypt(&mut envelope.content, context).map_err(|_| CmsError::NotOpened)?;
    Ok(Opened { content: Zeroizing::new(content.to_vec()), cipher: envelope.cipher })
}

/// Whether [`seal`] can seal to the key of `certificate`.
#[must_use]
pub fn can_seal(certificate: &[u8]) -> bool {
    parts(certificate).is_ok_and(|to| sealing_key(to.spki).is_ok())
}

/// Seals a content to the RSA key of `certificate`.
///
/// # Errors
/// [`CmsError::Malformed`] when the certificate has no RSA key of 2,048 bits or more; [`CmsError::Key`].
pub fn seal(content: &[u8], certificate: &[u8], cipher: Cipher) -> Result<Vec<u8>, CmsError> {
    let to = parts(certificate)?;
    let mut key = Zeroizing::new(vec![0; cipher.key_length()]);
    let mut iv = [0; 16];
    crate::random(&mut key).map_err(|_| CmsError::Key)?;
    crate::random(&mut iv).map_err(|_| CmsError::Key)?;
    let sealed_key = seal_key(to.spki, &key)?;
    let mut encrypted = content.to_vec();
    PaddedBlockEncryptingKey::cbc_pkcs7(cipher.key(&key)?)
        .and_then(|cipher| cipher.less_safe_encrypt(&mut encrypted, EncryptionContext::Iv128(FixedLength::from(iv))))
        .map_err(|_| CmsError::Key)?;
    let named = der::sequence(&[to.issuer, to.serial]);
    let transport = der::sequence(&[&der::oid(oid::RSA), &[der::NULL, 0]]);
    let recipient = der::sequence(&[&der::small(0), &named, &transport, &der::value(der::OCTETS, &[&sealed_key])]);
    let algorithm = der::sequence(&[&der::oid(cipher.oid()), &der::value(der::OCTETS, &[&iv])]);
    let inside = der::sequence(&[&der::oid(oid::DATA), &algorithm, &der::value(0x80, &[&encrypted])]);
    let enveloped = der::sequence(&[&der::small(0), &der::value(der::SET, &[&recipient]), &inside]);
    Ok(der::sequence(&[&der::oid(oid::ENVELOPED_DATA), &der::value(der::context(0), &[&enveloped])]))
}
