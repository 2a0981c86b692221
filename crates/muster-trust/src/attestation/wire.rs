//! The TPM's wire form: big-endian integers, and byte strings with a length of two bytes before them.

use super::AttestationError;

/// Reads from the front of bytes; a structure that ends early or late is none.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// From these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], AttestationError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(AttestationError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AttestationError> {
        self.take(N)?.try_into().map_err(|_| AttestationError::Malformed)
    }

    /// An integer of one byte.
    ///
    /// # Errors
    /// At the end of the bytes.
    pub fn u8(&mut self) -> Result<u8, AttestationError> {
        Ok(self.array::<1>()?[0])
    }

    /// An integer of two bytes.
    ///
    /// # Errors
    /// At the end of the bytes.
    pub fn u16(&mut self) -> Result<u16, AttestationError> {
        self.array().map(u16::from_be_bytes)
    }

    /// An integer of four bytes.
    ///
    /// # Errors
    /// At the end of the bytes.
    pub fn u32(&mut self) -> Result<u32, AttestationError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A byte string with its length before it.
    ///
    /// # Errors
    /// When it is longer than what is there.
    pub fn sized(&mut self) -> Result<&'a [u8], AttestationError> {
        let size = self.u16()?;
        self.take(usize::from(size))
    }

    /// What is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub fn end(self) -> Result<(), AttestationError> {
        if self.0.is_empty() { Ok(()) } else { Err(AttestationError::Malformed) }
    }
}

/// Bytes with their length before them.
///
/// # Panics
/// Never: what is over 65,535 bytes is cut, and nothing that Muster writes comes near.
#[must_use]
pub fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], &bytes[..usize::from(length)]].concat()
}
