//! The registration authority of SCEP: an RSA key that opens requests and signs answers. The key of the issuing CA does neither.

use crate::{SiteError, site::Site};
use muster_model::time::UnixMillis;
use muster_store::{db::certificate, transaction};
use muster_trust::{cms::RsaKey, mobile::is_good_authority};

/// The registration authority at work.
#[derive(Debug)]
pub struct MobileAuthority {
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    pub(super) key: RsaKey,
}

/// The authority with this key. `present`: the certificate that it has; a new one is issued where that has not long to live.
///
/// # Errors
/// When the CA's key or the store fails.
pub async fn mobile_authority_issue(
    site: &Site,
    key: RsaKey,
    present: Option<Vec<u8>>,
    now: UnixMillis,
) -> Result<MobileAuthority, SiteError> {
    let fault = |error: &dyn std::fmt::Display| SiteError::Fault(format!("The registration authority: {error}."));
    let trust = site.trust.load_full();
    let ca = &trust.keys.issuing;
    if let Some(certificate) = present.filter(|der| is_good_authority(der, ca.certificate(), key.spki(), now)) {
        return Ok(MobileAuthority { certificate, key });
    }
    let issued = ca.authority(site.code, key.spki(), now).map_err(|error| fault(&error))?;
    transaction!(site.store, "mobile_authority_issue", |tx| {
        certificate::insert(tx, &ca.key_id(), &issued.serial, None, now, issued.expires).await
    })?;
    Ok(MobileAuthority { certificate: issued.der, key })
}
