//! Who may talk to the site: its own making, administrators and their sessions, enrolment, devices, the trust bundle.

pub mod admin;
pub mod admission;
pub mod approval;
pub mod attestation;
pub mod boundary;
pub mod certificate;
pub mod conflict;
pub mod connection;
pub mod database;
pub mod device;
pub mod domain;
pub mod enrolment;
pub mod enterprise;
pub mod hardware;
pub mod issuer;
pub mod keys;
pub mod limiter;
pub mod new_site;
pub mod revocation;
pub mod serial;
pub mod session;
pub mod sign;
pub mod token;
pub mod trust;

use crate::SiteError;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use muster_model::id::Hash;
use muster_trust::sha256;

/// A new secret: its text, which is shown once, and the hash of its bytes, which is kept.
pub(crate) fn new_secret() -> Result<(String, Hash), SiteError> {
    let mut bytes = [0; 32];
    muster_trust::random(&mut bytes).map_err(|error| SiteError::Fault(error.to_string()))?;
    Ok((BASE64URL.encode(bytes), sha256(&bytes)))
}

/// The bytes of a secret's text and their hash; `None` for what was never a secret of ours.
pub(crate) fn read_secret(text: &str) -> Option<([u8; 32], Hash)> {
    // 32 bytes have 43 characters; anything longer is not looked at.
    if text.len() != 43 {
        return None;
    }
    let bytes: [u8; 32] = BASE64URL.decode(text).ok()?.try_into().ok()?;
    Some((bytes, sha256(&bytes)))
}
