//! The header `Mdm-Signature`: a device's signature over the body of its request, where TLS ends before the site.

use super::AppleError;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_trust::cms::signed::{Sha1, SignedData};

/// Bytes of the header at most. One with a certificate has some 3,000.
pub const SIGNATURE_BYTES: usize = 32 << 10;

/// The certificate (DER) whose key signed `body`. Whether *it* is to be believed, and is the one of the device that the body names, is the
/// caller's question; and a signature says nothing about when it was made.
///
/// # Errors
/// [`AppleError::Signature`], whatever is wrong.
pub fn signed_by(header: &str, body: &[u8]) -> Result<Vec<u8>, AppleError> {
    if header.len() > SIGNATURE_BYTES {
        return Err(AppleError::Signature);
    }
    let message = BASE64.decode(header.trim()).map_err(|_| AppleError::Signature)?;
    // Devices know SHA-1 alone; nothing else of theirs is signed with it.
    let read = SignedData::read(&message).map_err(|_| AppleError::Signature)?;
    let by = read.verify(Some(body), &[], Sha1::TakenForMdmSignature).map_err(|_| AppleError::Signature)?;
    Ok(by.certificate)
}
