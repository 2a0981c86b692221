//! The registration authority of SCEP in a site's directory: its RSA key, encrypted like the other keys, and its certificate.

use crate::{
    config::Config,
    layout::{Layout, private_file, replace_file},
    serve::{StartError, private},
};
use muster_site::{MobileAuthority, Site, SiteError};
use muster_trust::cms::RsaKey;
use std::fs;

/// Reads the authority, or makes it where there is none. The certificate is issued anew when its last third has begun.
pub(crate) async fn authority(layout: &Layout, config: &Config, site: &Site) -> Result<MobileAuthority, StartError> {
    let fault = |error: &dyn std::fmt::Display| SiteError::Fault(format!("scep-authority.rsa.pem: {error}"));
    // Not `.key.pem`: those are the keys of the site, all of one kind.
    let (path, shown) = (layout.keys().join("scep-authority.rsa.pem"), layout.keys().join("scep-authority.crt"));
    let secret = private(&layout.resolve(&config.site.key_file))?;
    let key = if path.exists() {
        RsaKey::from_encrypted_pem(&private(&path)?, secret.as_bytes()).map_err(|error| fault(&error))?
    } else {
        let key = RsaKey::generate().map_err(|error| fault(&error))?;
        let pem = key.to_encrypted_pem(secret.as_bytes()).map_err(|error| fault(&error))?;
        private_file(&path, pem.as_bytes()).map_err(|error| StartError::File { path, error })?;
        key
    };
    let present = fs::read(&shown).ok();
    let authority = muster_site::mobile_authority_issue(site, key, present.clone(), site.sources.now()).await?;
    if present.as_deref() != Some(&authority.certificate[..]) {
        replace_file(&shown, &authority.certificate).map_err(|error| StartError::File { path: shown, error })?;
    }
    Ok(authority)
}
