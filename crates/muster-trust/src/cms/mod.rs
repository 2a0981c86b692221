//! CMS (RFC 5652) as foreign device management needs it: signed data and enveloped data, read, verified, opened and built.
//!
//! What is read may be BER with indefinite lengths, as Apple's devices and older Java clients write it: [`ber`] makes DER of it first, and
//! nothing after it sees BER. What is refused is refused with one error for each question, so that an answer tells a stranger nothing:
//! [`CmsError::NotVerified`] for a signature, [`CmsError::NotOpened`] for an envelope, whatever was wrong with it.

pub mod ber;
pub mod certificate;
pub mod der;
pub mod enveloped;
pub mod request;
pub mod rsa;
pub mod signed;
pub(crate) mod verify;

pub use rsa::RsaKey;

/// Bytes of one message at most. A certificate request in its two covers has some 4,000.
pub const MAX_BYTES: usize = 64 * 1024;
/// Values inside each other at most. A message with a certificate in it has 12.
pub const MAX_DEPTH: usize = 32;
/// Values of one message at most. A message with three certificates has 600.
pub const MAX_VALUES: usize = 8_192;
/// Certificates in one message at most: a signer's and its chain.
pub const MAX_CERTIFICATES: usize = 8;
/// Signers of one message at most; a signature is believed only where there is exactly one.
pub const MAX_SIGNERS: usize = 4;
/// Recipients of one message at most.
pub const MAX_RECIPIENTS: usize = 8;
/// Signed attributes at most. SCEP has nine.
pub const MAX_ATTRIBUTES: usize = 32;

/// Object identifiers, as the bytes of their DER content.
pub mod oid {
    /// `id-data`.
    pub const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
    /// `id-signedData`.
    pub const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
    /// `id-envelopedData`.
    pub const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
    /// The attribute `contentType`.
    pub const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
    /// The attribute `messageDigest`.
    pub const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
    /// The attribute `challengePassword` of a certificate request.
    pub const CHALLENGE_PASSWORD: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07];
    /// `rsaEncryption`.
    pub const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    /// `sha1WithRSAEncryption`.
    pub const RSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05];
    /// `sha256WithRSAEncryption`.
    pub const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    /// `sha384WithRSAEncryption`.
    pub const RSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];
    /// `sha512WithRSAEncryption`.
    pub const RSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d];
    /// `id-ecPublicKey`.
    pub const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    /// The curve P-256.
    pub const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    /// The curve P-384.
    pub const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
    /// `ecdsa-with-SHA256`.
    pub const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    /// `ecdsa-with-SHA384`.
    pub const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
    /// `ecdsa-with-SHA512`.
    pub const ECDSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
    /// SHA-1.
    pub const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
    /// SHA-256.
    pub const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    /// SHA-384.
    pub const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
    /// SHA-512.
    pub const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];
    /// AES-128 in CBC mode.
    pub const AES128_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02];
    /// AES-256 in CBC mode.
    pub const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    /// Not a message of the expected form, or beyond a limit.
    #[error("not a message of the expected form, or larger than messages may be")]
    Malformed,
    /// The signature is not believed, whatever was wrong with it.
    #[error("the signature of the message does not verify")]
    NotVerified,
    /// The envelope does not open, whatever was wrong with it.
    #[error("the message cannot be decrypted")]
    NotOpened,
    /// A key of our own, or the random source, failed.
    #[error("a key or the random source failed")]
    Key,
}
