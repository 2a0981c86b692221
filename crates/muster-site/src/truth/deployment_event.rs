//! What happened to a deployment on a device, step by step.

use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{DeploymentEvent, Page, PageQuery},
    id::{DeploymentId, DeviceId},
    status::DeploymentState,
};
use muster_store::db::{deployment, deployment_event};

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
