//! Keys, certificates, signed envelopes and the trust bundle. Bytes in, [`Verified`] out; no I/O, and time is an argument.
//!
//! One suite: ECDSA P-256 with SHA-256. What a message says of its algorithm is compared with that and otherwise ignored.

pub mod attestation;
pub mod bundle;
pub mod certificate;
pub mod cms;
pub mod crl;
pub mod deployment_approval;
mod differences;
pub mod enterprise;
pub mod envelope;
pub mod kerberos;
pub mod key;
pub mod log;
pub mod mobile;
pub mod names_within;
pub mod ocsp;
pub mod proposal;
pub mod secret;
pub mod sequence;
pub mod server_status;
pub mod signed_before;
pub mod tls;
pub mod trust_chain;

pub use bundle::TrustBundle;
pub use envelope::Verified;
pub use key::{PrivateKey, PublicKey, Signer};
pub use trust_chain::TrustChain;

use muster_model::id::Hash;

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    Hash(hash)
}

/// SHA-256 over pieces, for what is read as a stream.
#[derive(Clone)]
pub struct Sha256(aws_lc_rs::digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256))
    }
}

impl Sha256 {
    /// Take in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything that was taken in.
    #[must_use]
    pub fn finish(self) -> Hash {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        Hash(hash)
    }
}

/// Fills `bytes` from the system's random source.
///
/// # Errors
/// When the system has none; nothing can go on then.
pub fn random(bytes: &mut [u8]) -> Result<(), key::KeyError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| key::KeyError::Random)
}

/// Whether two secrets are equal, in a time that does not depend on where they differ.
#[must_use]
pub fn secret_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// HMAC-SHA-256 (RFC 2104) in lower-case hexadecimal digits.
#[must_use]
pub fn hmac_sha256_hex(secret: &[u8], message: &[u8]) -> String {
    use aws_lc_rs::hmac;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Next head of a message chain: SHA-256 over the head before and the SHA-256 of the message.
#[must_use]
pub fn chain(head: Hash, message: &[u8]) -> Hash {
    let mut context = Sha256::default();
    context.update(&head.0);
    context.update(&sha256(message).0);
    context.finish()
}
