//! The history of one device.

use super::message::sentence;
use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{Page, PageQuery, TimelineEntry},
    id::DeviceId,
};
use muster_store::db::{
    assignment,
    timeline::{self, Text},
};

/// One page of the history of a device, the latest first. Times are the site's.
///
/// # Errors
/// `unauthenticated`, `too_large`, `not_found`.
pub async fn device_timeline(
    ctx: &Ctx,
    site: &Site,
    device: DeviceId,
    query: PageQuery,
) -> Result<Page<TimelineEntry>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let mut reader = site.store.reader().await?;
    assignment::get(&mut reader, device).await?.ok_or_else(SiteError::not_found)?;
    let (lines, total) = timeline::list(&mut reader, device, page).await?;
    let entry = |line: timeline::Stored| TimelineEntry {
        time: line.happened,
        kind: line.kind,
        severity: line.severity,
        text: match line.text {
            Text::Plain(text) => text,
            Text::Message(id, values) => sentence(id, &values),
        },
    };
    Ok(Page { items: lines.into_iter().map(entry).collect(), total, offset: page.offset })
}
