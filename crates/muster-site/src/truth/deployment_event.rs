//! What happened to a deployment on a device, step by step.

use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{DeploymentEvent, Page, PageQuery},
    id::{DeploymentId, DeviceId},
    status::DeploymentState,
    time::{DAY, UnixMillis},
};
use muster_store::{
    db::{alert, deployment, deployment_event},
    transaction,
};

/// How long steps, and alerts that are over, are kept.
const KEPT: i64 = 90 * DAY;

/// One page of the steps of a deployment on a device, with what administrators and the site did to it there, the latest first.
///
/// # Errors
/// `unauthenticated`, `too_large`, `not_found`.
pub async fn deployment_history(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    device: DeviceId,
    query: PageQuery,
) -> Result<Page<DeploymentEvent>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let mut reader = site.store.reader().await?;
    deployment::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let (items, total) = deployment_event::list(&mut reader, id, device, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Where a deployment stands on a device; `None`: it is not for it.
///
/// # Errors
/// `unauthenticated`.
pub async fn deployment_state(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    device: DeviceId,
) -> Result<Option<DeploymentState>, SiteError> {
    authz::see(ctx)?;
    Ok(deployment::state_on(&mut *site.store.reader().await?, id, device).await?)
}

/// Removes steps and alerts that are too old, a piece at a time; whether there are more.
pub(crate) async fn event_purge(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    const PIECE: u32 = 5_000;
    let until = now.plus(-KEPT);
    let gone = transaction!(site.store, "event_purge", |tx| {
        let steps = deployment_event::purge(tx, until, PIECE).await?;
        Ok::<_, SiteError>(steps + alert::purge(tx, until, PIECE).await?)
    })?;
    Ok(gone > 0)
}
