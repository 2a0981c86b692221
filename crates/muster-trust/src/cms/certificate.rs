//! What CMS needs of a certificate: who signed it, its number, its key.

use super::{CmsError, der};

/// The named parts of a certificate, as they stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The serial number, a whole `INTEGER`.
    pub serial: &'a [u8],
    /// The issuer's name, a whole `SEQUENCE`.
    pub issuer: &'a [u8],
    /// The subject's name, a whole `SEQUENCE`.
    pub subject: &'a [u8],
    /// `SubjectPublicKeyInfo`.
    pub spki: &'a [u8],
    /// The subject key identifier, where it has one.
    pub key_identifier: Option<&'a [u8]>,
}

/// Reads a certificate's parts. Nothing of it is believed by that.
///
/// # Errors
/// [`CmsError::Malformed`].
pub fn parts(certificate: &[u8]) -> Result<Parts<'_>, CmsError> {
    let mut outer = der::Reader::new(der::only(certificate, der::SEQUENCE)?);
    let mut inside = der::Reader::new(outer.expect(der::SEQUENCE)?);
    inside.optional(der::context(0))?;
    let mut whole = |tag: u8| {
        inside.value().and_then(|value| if value.tag == tag { Ok(value.raw) } else { Err(CmsError::Malformed) })
    };
    let serial = whole(der::INTEGER)?;
    whole(der::SEQUENCE)?;
    let issuer = whole(der::SEQUENCE)?;
    whole(der::SEQUENCE)?;
    let subject = whole(der::SEQUENCE)?;
    let spki = whole(der::SEQUENCE)?;
    let mut key_identifier = None;
    while !inside.is_empty() {
        let value = inside.value()?;
        if value.tag == der::context(3) {
            key_identifier = key_identifier_of(value.content)?;
        }
    }
    Ok(Parts { serial, issuer, subject, spki, key_identifier })
}

fn key_identifier_of(extensions: &[u8]) -> Result<Option<&[u8]>, CmsError> {
    const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
    let mut list = der::Reader::new(der::only(extensions, der::SEQUENCE)?);
    while !list.is_empty() {
        let mut extension = der::Reader::new(list.expect(der::SEQUENCE)?);
        if extension.expect(der::OID)? == SUBJECT_KEY_IDENTIFIER {
            return der::only(extension.expect(der::OCTETS)?, der::OCTETS).map(Some);
        }
    }
    Ok(None)
}
