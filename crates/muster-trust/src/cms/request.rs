//! A certificate request (PKCS#10) with a key of any kind that foreign clients have. Two things are taken of it: the key, which signed it,
//! and the challenge. Every wish about names, uses or times stays unread.

use super::{
    CmsError, MAX_ATTRIBUTES,
    der::{self, Reader},
    oid,
    verify::{AnyKey, Digest},
};
use zeroize::Zeroizing;

/// Bytes of one request at most.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// A request whose signature is by its own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    /// `SubjectPublicKeyInfo` in the one encoding that its key has: RSA of 2,048 to 8,192 bits, P-256 or P-384.
    pub spki: Vec<u8>,
    /// Whether the key is RSA.
    pub is_rsa: bool,
    /// The challenge, where there is one.
    pub challenge: Option<Zeroizing<String>>,
}

impl SigningRequest {
    /// Reads a request, and checks that whoever made it has the key.
    ///
    /// # Errors
    /// [`CmsError::Malformed`], [`CmsError::NotVerified`].
    pub fn read(bytes: &[u8]) -> Result<Self, CmsError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(CmsError::Malformed);
        }
        let mut outer = Reader::new(der::only(bytes, der::SEQUENCE)?);
        let asked = outer.value()?;
        let algorithm = Reader::new(outer.expect(der::SEQUENCE)?).expect(der::OID)?;
        let signature = outer.expect(der::BIT_STRING)?.strip_prefix(&[0]).ok_or(CmsError::Malformed)?;
        outer.end()?;
        if asked.tag != der::SEQUENCE {
            return Err(CmsError::Malformed);
        }
        let mut inside = Reader::new(asked.content);
        inside.expect(der::INTEGER)?;
        inside.expect(der::SEQUENCE)?;
        let spki = inside.value()?.raw;
        let challenge = challenge(inside.optional(der::context(0))?.unwrap_or_default())?;
        inside.end()?;
        let key = AnyKey::from_spki(spki)?;
        let digest = Digest::of_signature(algorithm).filter(|digest| *digest != Digest::Sha1);
        key.verify(digest.ok_or(CmsError::NotVerified)?, asked.raw, signature)?;
        Ok(Self { spki: key.spki(), is_rsa: key.is_rsa(), challenge })
    }
}

fn challenge(attributes: &[u8]) -> Result<Option<Zeroizing<String>>, CmsError> {
    let (mut list, mut found, mut count) = (Reader::new(attributes), None, 0);
    while !list.is_empty() {
        count += 1;
        let mut attribute = Reader::new(list.expect(der::SEQUENCE)?);
        let kind = attribute.expect(der::OID)?;
        let mut values = Reader::new(attribute.expect(der::SET)?);
        attribute.end()?;
        if kind != oid::CHALLENGE_PASSWORD {
            continue;
        }
        let value = values.value()?;
        values.end()?;
        let is_text = matches!(value.tag, der::UTF8 | der::PRINTABLE | der::IA5);
        let text =
            std::str::from_utf8(value.content).ok().filter(|_| is_text && found.is_none() && count <= MAX_ATTRIBUTES);
        found = Some(Zeroizing::new(text.ok_or(CmsError::Malformed)?.to_owned()));
    }
    if count > MAX_ATTRIBUTES { Err(CmsError::Malformed) } else { Ok(found) }
}
