//! DER, one value after the other: a reader that never goes deeper by itself, and what is needed to write.

use super::CmsError;

/// `SEQUENCE`.
pub const SEQUENCE: u8 = 0x30;
/// `SET`.
pub const SET: u8 = 0x31;
/// `INTEGER`.
pub const INTEGER: u8 = 0x02;
/// `BIT STRING`.
pub const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`.
pub const OCTETS: u8 = 0x04;
/// `NULL`.
pub const NULL: u8 = 0x05;
/// `OBJECT IDENTIFIER`.
pub const OID: u8 = 0x06;
/// `UTF8String`.
pub const UTF8: u8 = 0x0c;
/// `PrintableString`.
pub const PRINTABLE: u8 = 0x13;
/// `IA5String`.
pub const IA5: u8 = 0x16;

/// The tag `[number]`, constructed.
#[must_use]
pub const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// The tag.
    pub tag: u8,
    /// What is in it.
    pub content: &'a [u8],
    /// All of it.
    pub raw: &'a [u8],
}

/// Reads values that stand one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value.
    ///
    /// # Errors
    /// [`CmsError::Malformed`] when there is none, or a tag of several bytes, or a length that is indefinite, longer than what is there, or
    /// not in its shortest form.
    pub fn value(&mut self) -> Result<Value<'a>, CmsError> {
        let (header, length) = header(self.rest)?;
        let end = header.checked_add(length).ok_or(CmsError::Malformed)?;
        let (raw, rest) = self.rest.split_at_checked(end).ok_or(CmsError::Malformed)?;
        self.rest = rest;
        Ok(Value { tag: raw[0], content: &raw[header..], raw })
    }

    /// The next value, which has this tag; its content.
    ///
    /// # Errors
    /// [`CmsError::Malformed`].
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], CmsError> {
        let value = self.value()?;
        if value.tag == tag { Ok(value.content) } else { Err(CmsError::Malformed) }
    }

    /// The next value where it has this tag.
    ///
    /// # Errors
    /// [`CmsError::Malformed`].
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, CmsError> {
        if self.rest.first() == Some(&tag) { self.expect(tag).map(Some) } else { Ok(None) }
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// [`CmsError::Malformed`].
    pub fn end(&self) -> Result<(), CmsError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CmsError::Malformed) }
    }
}

/// The one value that these bytes are; its content.
///
/// # Errors
/// [`CmsError::Malformed`].
pub fn only(bytes: &[u8], tag: u8) -> Result<&[u8], CmsError> {
    let mut reader = Reader::new(bytes);
    let content = reader.expect(tag)?;
    reader.end()?;
    Ok(content)
}

/// How long tag and length are, and what the length says.
fn header(bytes: &[u8]) -> Result<(usize, usize), CmsError> {
    let [tag, first, rest @ ..] = bytes else { return Err(CmsError::Malformed) };
    if tag & 0x1f == 0x1f {
        return Err(CmsError::Malformed);
    }
    if *first < 0x80 {
        return Ok((2, usize::from(*first)));
    }
    let digits = usize::from(first & 0x7f);
    if digits == 0 || digits > 4 {
        return Err(CmsError::Malformed);
    }
    let digits_of = rest.get(..digits).ok_or(CmsError::Malformed)?;
    let length = digits_of.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
    // Two ways to write one value would be two hashes of it.
    if length < 0x80 || digits_of[0] == 0 {
        return Err(CmsError::Malformed);
    }
    Ok((2 + digits, length))
}

/// Tag and length before a content of this many bytes.
pub(crate) fn begin(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    let bytes = length.to_be_bytes();
    let used = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1)..];
    if length >= 0x80 {
        out.push(0x80 | u8::try_from(used.len()).unwrap_or(0x7f));
    }
    out.extend_from_slice(used);
}

/// How many bytes [`begin`] writes.
pub(crate) fn begin_length(length: usize) -> usize {
    if length < 0x80 { 2 } else { 2 + (usize::BITS as usize - length.leading_zeros() as usize).div_ceil(8) }
}

/// A value of these parts.
#[must_use]
pub fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    begin(&mut out, tag, length);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// A sequence of these parts.
#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, parts)
}

/// A set of these values, in the order of DER.
#[must_use]
pub fn set(mut values: Vec<Vec<u8>>) -> Vec<u8> {
    values.sort();
    value(SET, &values.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// An object identifier.
#[must_use]
pub fn oid(content: &[u8]) -> Vec<u8> {
    value(OID, &[content])
}

/// A small number.
#[must_use]
pub fn small(number: u8) -> Vec<u8> {
    vec![INTEGER, 1, number & 0x7f]
}
