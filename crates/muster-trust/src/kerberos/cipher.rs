//! AES with ciphertext stealing and HMAC-SHA-1 of 96 bits (RFC 3961, RFC 3962): what Active Directory makes tickets with.
//! RC4 and DES are not here, so that nothing can be talked down to them.

use super::KerberosError;
use aws_lc_rs::{
    cipher::{AES_128, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey},
    hmac,
    iv::FixedLength,
};
use zeroize::Zeroizing;

const BLOCK: usize = 16;
/// Bytes of a checksum.
pub(super) const MAC: usize = 12;

/// How a key is used: `aes128-cts-hmac-sha1-96` or `aes256-cts-hmac-sha1-96`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionType {
    /// 17.
    Aes128,
    /// 18.
    Aes256,
}

impl EncryptionType {
    /// Of its number.
    ///
    /// # Errors
    /// [`KerberosError::Encryption`] for every other one.
    pub fn new(number: i64) -> Result<Self, KerberosError> {
        match number {
            17 => Ok(Self::Aes128),
            18 => Ok(Self::Aes256),
            _ => Err(KerberosError::Encryption),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Aes128 => 17,
            Self::Aes256 => 18,
        }
    }

    /// The number of its checksum.
    pub(super) const fn checksum(self) -> i64 {
        match self {
            Self::Aes128 => 15,
            Self::Aes256 => 16,
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }
}

/// A key of a principal, or of a session.
#[derive(Clone)]
pub struct Key {
    kind: EncryptionType,
    bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The three keys that one use of a key has.
#[derive(Clone, Copy)]
enum Purpose {
    Checksum = 0x99,
    Encryption = 0xaa,
    Integrity = 0x55,
}

impl Key {
    /// From its bytes.
    ///
    /// # Errors
    /// [`KerberosError::Encryption`] when it has another type or length.
    pub fn new(kind: i64, bytes: &[u8]) -> Result<Self, KerberosError> {
        let kind = EncryptionType::new(kind)?;
        if bytes.len() != kind.bytes() {
            return Err(KerberosError::Encryption);
        }
        Ok(Self { kind, bytes: Zeroizing::new(bytes.to_vec()) })
    }

    /// How it is used.
    #[must_use]
    pub fn kind(&self) -> EncryptionType {
        self.kind
    }

    /// The bytes, for a ticket that a test makes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn cipher(&self) -> Result<UnboundCipherKey, KerberosError> {
        let algorithm = match self.kind {
            EncryptionType::Aes128 => &AES_128,
            EncryptionType::Aes256 => &AES_256,
        };
        UnboundCipherKey::new(algorithm, &self.bytes).map_err(|_| KerberosError::Encryption)
    }

    fn derive(&self, usage: u32, purpose: Purpose) -> Result<Self, KerberosError> {
        let constant = [&usage.to_be_bytes()[..], &[purpose as u8]].concat();
        let mut block: [u8; BLOCK] = fold(&constant);
        let cipher = EncryptingKey::ecb(self.cipher()?).map_err(|_| KerberosError::Encryption)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(32));
        while bytes.len() < self.kind.bytes() {
            cipher.encrypt(&mut block).map_err(|_| KerberosError::Encryption)?;
            bytes.extend(block);
        }
        Ok(Self { kind: self.kind, bytes })
    }

    fn mac(&self, bytes: &[u8]) -> [u8; MAC] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.bytes);
        let mut mac = [0; MAC];
        mac.copy_from_slice(&hmac::sign(&key, bytes).as_ref()[..MAC]);
        mac
    }

    /// The keyed checksum of bytes for a use.
    ///
    /// # Errors
    /// When the cipher does not work.
    pub(super) fn checksum(&self, usage: u32, bytes: &[u8]) -> Result<[u8; MAC], KerberosError> {
        Ok(self.derive(usage, Purpose::Checksum)?.mac(bytes))
    }

    /// Encrypts for a use; `confounder` is random and used once.
    ///
    /// # Errors
    /// When the cipher does not work.
    pub(super) fn encrypt(&self, usage: u32, confounder: [u8; BLOCK], plain: &[u8]) -> Result<Vec<u8>, KerberosError> {
        let mut bytes = Zeroizing::new([&confounder[..], plain].concat());
        let mac = self.derive(usage, Purpose::Integrity)?.mac(&bytes);
        let length = bytes.len();
        bytes.resize(length.next_multiple_of(BLOCK), 0);
        let cipher = EncryptingKey::cbc(self.derive(usage, Purpose::Encryption)?.cipher()?);
        cipher
            .and_then(|cipher| cipher.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(zero())))
            .map_err(|_| KerberosError::Encryption)?;
        // The last two blocks change places, and the one that was not full loses its end.
        if bytes.len() > BLOCK {
            swap_last(&mut bytes);
        }
        bytes.truncate(length);
        Ok([&bytes[..], &mac].concat())
    }

    /// Decrypts what was encrypted for a use.
    ///
    /// # Errors
    /// [`KerberosError::Key`] when it was not encrypted with this key, or was changed.
    pub(super) fn decrypt(&self, usage: u32, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, KerberosError> {
        let length = encrypted.len().checked_sub(MAC).filter(|length| *length >= BLOCK).ok_or(KerberosError::Key)?;
        let (bytes, mac) = encrypted.split_at(length);
        let key = self.derive(usage, Purpose::Encryption)?;
        let mut bytes = Zeroizing::new(bytes.to_vec());
        unsteal(&key, &mut bytes)?;
        let cipher = DecryptingKey::cbc(key.cipher()?);
        cipher
            .and_then(|cipher| cipher.decrypt(&mut bytes, DecryptionContext::Iv128(zero())).map(|_| ()))
            .map_err(|_| KerberosError::Key)?;
        bytes.truncate(length);
        if !crate::secret_eq(&self.derive(usage, Purpose::Integrity)?.mac(&bytes), mac) {
            return Err(KerberosError::Key);
        }
        bytes.drain(..BLOCK);
        Ok(bytes)
    }
}

fn zero() -> FixedLength<BLOCK> {
    FixedLength::from([0; BLOCK])
}

/// Changes places of the last two whole blocks.
fn swap_last(bytes: &mut [u8]) {
    let (front, last) = bytes.split_at_mut(bytes.len() - BLOCK);
    let before = front.len() - BLOCK;
    front[before..].swap_with_slice(last);
}

/// Undoes the ciphertext stealing: whole blocks, in the order of CBC.
fn unsteal(key: &Key, bytes: &mut Vec<u8>) -> Result<(), KerberosError> {
    let length = bytes.len();
    if length == BLOCK {
        return Ok(());
    }
    let whole = length.next_multiple_of(BLOCK);
    // The next to last block, alone, gives out the bytes that the last one lost.
    let from = whole - 2 * BLOCK;
    let mut block = [0; BLOCK];
    block.copy_from_slice(&bytes[from..from + BLOCK]);
    let cipher = DecryptingKey::ecb(key.cipher()?).map_err(|_| KerberosError::Key)?;
    cipher.decrypt(&mut block, DecryptionContext::None).map_err(|_| KerberosError::Key)?;
    bytes.extend_from_slice(&block[BLOCK - (whole - length)..]);
    swap_last(bytes);
    Ok(())
}

/// The n-fold of RFC 3961, section 5.1: the input again and again, each time turned by 13 bits, added up in ones' complement.
fn fold<const N: usize>(input: &[u8]) -> [u8; N] {
    let mut sum = [0_u8; N];
    let bits = input.len() * 8;
    let mut total = input.len();
    while !total.is_multiple_of(N) {
        total += input.len();
    }
    let byte_at = |position: usize| {
        let (copy, within) = (position / input.len(), position % input.len());
        // Turned to the right by 13 bits for each copy before.
        let start = (within * 8 + bits * 13 - (13 * copy) % bits) % bits;
        let (index, shift) = (start / 8, start % 8);
        let pair = u16::from_be_bytes([input[index], input[(index + 1) % input.len()]]);
        (pair << shift).to_be_bytes()[0]
    };
    let mut carry = 0_u16;
    for position in (0..total).rev() {
        let place = position % N;
        let added = u16::from(sum[place]) + u16::from(byte_at(position)) + carry;
        sum[place] = added.to_le_bytes()[0];
        carry = added >> 8;
    }
    while carry > 0 {
        for place in sum.iter_mut().rev() {
            let added = u16::from(*place) + carry;
            *place = added.to_le_bytes()[0];
            carry = added >> 8;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn folds_as_rfc_3961_appendix_a1() {
        assert_eq!(fold::<8>(b"012345").to_vec(), hex("be072631276b1955"));
        assert_eq!(fold::<7>(b"password").to_vec(), hex("78a07b6caf85fa"));
        assert_eq!(fold::<8>(b"Rough Consensus, and Running Code").to_vec(), hex("bb6ed30870b7f0e0"));
        assert_eq!(fold::<21>(b"password").to_vec(), hex("59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e"));
        assert_eq!(fold::<16>(b"kerberos").to_vec(), hex("6b65726265726f737b9b5b2b93132b93"));
    }

    /// RFC 3962, appendix B: the ciphertext stealing alone, with the zero vector.
    #[test]
    fn steals_as_rfc_3962() {
        let key = Key::new(17, &hex("63686963 6b656e20 74657269 79616b69")).unwrap();
        let plain = b"I would like the General Gau's Chicken, please, and wonton soup.";
        for (length, expected) in [
            (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
            (31, "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"),
            (32, "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584"),
        ] {
            let mut bytes = hex(expected);
            unsteal(&key, &mut bytes).unwrap();
            let cipher = DecryptingKey::cbc(key.cipher().unwrap()).unwrap();
            cipher.decrypt(&mut bytes, DecryptionContext::Iv128(zero())).map(drop).unwrap();
            assert_eq!(&bytes[..length], &plain[..length]);
        }
    }

    #[test]
    fn what_was_encrypted_is_decrypted_for_its_use_only() {
        for (kind, size) in [(17, 16), (18, 32)] {
            let key = Key::new(kind, &vec![7; size]).unwrap();
            for length in [0, 1, 15, 16, 17, 31, 32, 33, 100] {
                let plain = vec![9; length];
                let mut encrypted = key.encrypt(2, [1; 16], &plain).unwrap();
                assert_eq!(encrypted.len(), 16 + length + MAC);
                assert_eq!(*key.decrypt(2, &encrypted).unwrap(), plain);
                assert!(key.decrypt(3, &encrypted).is_err());
                for at in [0, encrypted.len() / 2, encrypted.len() - 1] {
                    encrypted[at] ^= 1;
                    assert!(key.decrypt(2, &encrypted).is_err());
                    encrypted[at] ^= 1;
                }
            }
            for short in 0..28 {
                assert!(key.decrypt(2, &vec![0; short]).is_err());
            }
        }
        for (kind, size) in [(23, 16), (3, 8), (16, 24), (18, 16), (17, 32)] {
            assert!(matches!(Key::new(kind, &vec![0; size]), Err(KerberosError::Encryption)), "{kind}");
        }
    }
}
