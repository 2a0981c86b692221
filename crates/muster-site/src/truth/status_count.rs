//! How parts of the agents do: counts by hour, and from how many on somebody is told.

use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{Page, StatusHour, StatusThreshold},
    problem::Code,
    status::Component,
    time::HOUR,
};
use muster_store::{
    db::{report_hour::hour_of, status_count},
    transaction,
};

/// Hours that are kept: 31 days.
pub(crate) const HOURS_KEPT: i64 = 31 * 24;
/// Hours that are shown.
const SHOWN: i64 = 24;

/// Status messages of the last day by hour and part.
///
/// # Errors
/// `unauthenticated`.
pub async fn status_hours(ctx: &Ctx, site: &Site) -> Result<Page<StatusHour>, SiteError> {
    authz::see(ctx)?;
    let from = hour_of(ctx.now).plus(-(SHOWN - 1) * HOUR);
    let items = status_count::since(&mut *site.store.reader().await?, from).await?;
    Ok(Page { total: items.len() as u64, items, offset: 0 })
}

/// From how many messages on each part does not do well.
///
/// # Errors
/// `unauthenticated`.
pub async fn status_threshold_list(ctx: &Ctx, site: &Site) -> Result<Page<StatusThreshold>, SiteError> {
    authz::see(ctx)?;
    let known = status_count::thresholds(&mut *site.store.reader().await?).await?;
    let of = |component: &Component| {
        let none = StatusThreshold { component: *component, warning: None, critical: None };
        known.iter().copied().find(|threshold| threshold.component == *component).unwrap_or(none)
    };
    let items: Vec<StatusThreshold> = Component::ALL.iter().map(of).collect();
    Ok(Page { total: items.len() as u64, items, offset: 0 })
}

/// Says from how many messages on a part does not do well.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`.
pub async fn status_threshold_set(
    ctx: &Ctx,
    site: &Site,
    threshold: StatusThreshold,
) -> Result<StatusThreshold, SiteError> {
    authz::change(ctx)?;
    if [threshold.warning, threshold.critical].iter().flatten().any(|most| *most == 0 || *most > 1_000_000_000) {
        return Err(SiteError::refused(Code::Malformed, "A threshold is a number from 1 to 1000000000."));
    }
    transaction!(site.store, "status_threshold_set", |tx| {
        status_count::set_threshold(tx, threshold).await?;
        let number = |most: Option<u64>| most.map_or_else(|| "never".to_owned(), |most| format!("{most} an hour"));
        let detail = format!("Warning: {}; critical: {}.", number(threshold.warning), number(threshold.critical));
        let object = format!("component {}", threshold.component.as_str());
        audit::append(tx, ctx, "status_threshold_set", object, detail).await?;
        Ok::<_, SiteError>(())
    })?;
    Ok(threshold)
}
