//! Deployments that contradict each other, of those that are and of one that is not made yet: by one rule.

use super::related::Related;
use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{DeploymentCreate, DeploymentRival, Relation, RivalKind},
    application::Application,
    id::{ApplicationId, DeploymentId, Hash},
};
use muster_store::{
    Connection,
    db::{
        deployment,
        deployment_related::{self, Rival},
    },
};

/// How another deployment contradicts one of this application and object that installs or uninstalls.
fn kind(application: ApplicationId, object: Hash, installs: bool, other: &Rival) -> Option<RivalKind> {
    match (other.application == application, installs, other.installs) {
        (true, true, true) if other.object != object => Some(RivalKind::Version),
        (true, one, two) if one != two => Some(RivalKind::Opposed),
        (false, true, true) => Some(RivalKind::Superseded),
        _ => None,
    }
}

fn shown(application: ApplicationId, object: Hash, installs: bool, others: Vec<Rival>) -> Vec<DeploymentRival> {
    let rival = |other: Rival| {
        let kind = kind(application, object, installs, &other)?;
        let Rival { deployment, name, devices, example, .. } = other;
        Some(DeploymentRival { deployment, name, kind, devices, example })
    };
    others.into_iter().filter_map(rival).collect()
}

/// Other deployments in force that contradict one, on devices that have both, as it is now.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn deployment_rivals(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<Vec<DeploymentRival>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let own = deployment::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    if own.row.deleted.is_some() {
        return Ok(Vec::new());
    }
    if let Some(kept) = site.memory.rivals.get(id, ctx.now) {
        return Ok(kept);
    }
    let rivals = deployment_related::rivals(&mut reader, id).await?;
    let rivals = shown(own.application_id, own.row.application, own.row.action.is_install(), rivals);
    let devices = rivals.iter().map(|rival| rival.devices).max().unwrap_or(0);
    let reached = muster_store::db::deployment_approval::reached(&mut reader, id).await?;
    site.memory.rivals.put(id, ctx.now, devices.max(reached), &rivals);
    Ok(rivals)
}

/// Deployments in force that one contradicts that is not made yet, on devices that are in its target now.
pub(super) async fn foreseen(
    site: &Site,
    conn: &mut Connection,
    create: &DeploymentCreate,
    application: &Application,
    related: &Related,
) -> Result<Vec<DeploymentRival>, SiteError> {
    let replaced = related.entries.iter().filter(|entry| entry.shown.relation == Relation::Superseded);
    let replaced: Vec<ApplicationId> = replaced.map(|entry| entry.application.id).collect();
    let dialect = site.store.dialect();
    let others = deployment_related::rivals_of(conn, dialect, application.id, &replaced, create.target).await?;
    Ok(shown(application.id, create.application, create.action.is_install(), others))
}
