//! The signed attributes of SCEP.

use super::{Attribute, ScepError, SignedBy};
use muster_trust::cms::der;

/// What an attribute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message = 2,
    Status = 3,
    FailInfo = 4,
    SenderNonce = 5,
    RecipientNonce = 6,
    Transaction = 7,
}

impl Kind {
    /// 2.16.840.1.113733.1.9 and the number of this one.
    fn oid(self) -> Vec<u8> {
        [&[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x45, 0x01, 0x09][..], &[self as u8]].concat()
    }

    fn of<'a>(self, by: &'a SignedBy, tags: &[u8]) -> Result<&'a [u8], ScepError> {
        let value = by.attribute(&self.oid()).ok_or(ScepError::NotARequest)?;
        let value = der::Reader::new(value).value()?;
        if tags.contains(&value.tag) { Ok(value.content) } else { Err(ScepError::NotARequest) }
    }

    /// Its value, a text that can be printed.
    pub(super) fn text(self, by: &SignedBy) -> Result<&[u8], ScepError> {
        let text = self.of(by, &[der::PRINTABLE, der::UTF8, der::IA5])?;
        if text.iter().all(|byte| matches!(byte, 0x20..=0x7e)) { Ok(text) } else { Err(ScepError::NotARequest) }
    }

    /// Its value, bytes.
    pub(super) fn octets(self, by: &SignedBy) -> Result<&[u8], ScepError> {
        self.of(by, &[der::OCTETS])
    }

    pub(super) fn printable(self, text: &[u8]) -> Attribute {
        Attribute { kind: self.oid(), value: der::value(der::PRINTABLE, &[text]) }
    }

    pub(super) fn octet_string(self, bytes: &[u8]) -> Attribute {
        Attribute { kind: self.oid(), value: der::value(der::OCTETS, &[bytes]) }
    }
}
