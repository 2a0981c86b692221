//! Quarantine: what devices sent and the site did not take.

use crate::{Ctx, Site, SiteError, authz};
use muster_model::api::{Page, PageQuery, QuarantineItem};
use muster_store::db::quarantine;

/// One page of everything that is in quarantine, the latest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn quarantine_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<QuarantineItem>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = quarantine::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}
