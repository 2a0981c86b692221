//! Inventory: what devices report of themselves, and how it is shown.

pub(crate) mod apply;
mod difference;
pub mod history;
pub(crate) mod interner;
pub(crate) mod section;
pub mod sweep;

use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{ClassRows, ClassSummary, PageQuery},
    id::DeviceId,
    inventory::Unread,
};
use muster_store::db::inventory;

/// A page of the rows of one class of one device, in the order of their key.
///
/// # Errors
/// `unauthenticated`, `too_large`; `not_found`: no such class, or the device never reported it.
pub async fn inventory_show(
    ctx: &Ctx,
    site: &Site,
    device: DeviceId,
    class: &str,
    query: PageQuery,
) -> Result<ClassRows, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let catalogue = site.catalogue.load_full();
    let class = catalogue.class(class).ok_or_else(SiteError::not_found)?;
    let mut reader = site.store.reader().await?;
    let found = inventory::rows(&mut reader, site.store.dialect(), device, class, page.offset, page.limit).await?;
    let (rows, total) = found.ok_or_else(SiteError::not_found)?;
    let there = class.attributes.iter().filter(|a| rows.iter().any(|row| row.contains_key(&a.name)));
    let (attributes, types) = there.map(|a| (a.name.clone(), a.cim.to_owned())).unzip();
    Ok(ClassRows { class: class.name.clone(), attributes, types, rows, total })
}

/// The classes of a device and what its agent could not read: parts of `device_show`.
///
/// # Errors
/// `unauthenticated`.
pub async fn inventory_summary(
    ctx: &Ctx,
    site: &Site,
    device: DeviceId,
) -> Result<(Vec<ClassSummary>, Vec<Unread>), SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    Ok((inventory::classes(&mut reader, device).await?, inventory::unread(&mut reader, device).await?))
}
