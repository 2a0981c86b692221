//! The trust bundle as it is handed out, and what the site says of itself.

use crate::{Ctx, SiteError, authz, site::Site};
use muster_model::api::SiteInfo;

/// The signed trust bundle, exactly as the root key signed it. Anyone may have it: it proves itself.
///
/// # Errors
/// None at present.
pub async fn trust_show(_: &Ctx, site: &Site) -> Result<Vec<u8>, SiteError> {
    Ok(site.trust.load().envelope.clone())
}

/// What the site says of itself. `version` is that of the server program.
///
/// # Errors
/// `unauthenticated`.
pub async fn site_show(ctx: &Ctx, site: &Site) -> Result<SiteInfo, SiteError> {
    authz::see(ctx)?;
    let trust = site.trust.load();
    let bundle = trust.bundle.value();
    Ok(SiteInfo {
        code: site.code,
        name: site.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: site.root,
        trust_version: bundle.version,
        trust_expires: bundle.expires,
        management_points: site.addresses.management_points.clone(),
        database: site.store.dialect().name().to_owned(),
    })
}
