//! A deployment of a group of updates gets the next revision of that group, which authors signed.

use super::control::acted;
use crate::{Ctx, Site, SiteError, audit};
use muster_model::{
    api::{DeploymentAct, UpdateRuleInfo},
    application::Application,
    id::DeploymentId,
    policy::{BodyKind, DeploymentPolicy},
    problem::Code,
};
use muster_store::{
    Tx,
    db::{
        application::ApplicationRow,
        assignment, deployment,
        deployment_approval::{self, ReachRow},
        deployment_revision as stored, policy_body,
    },
};

/// Puts the revision into the deployment. All of its devices begin anew; those that were approved for another one wait for another approval.
pub(super) async fn revise(
    ctx: &Ctx,
    site: &Site,
    tx: &mut Tx,
    id: DeploymentId,
    row: &ApplicationRow,
    application: &Application,
    rule: &UpdateRuleInfo,
) -> Result<(), SiteError> {
    let refused = |detail: String| SiteError::refused(Code::Conflict, detail);
    let shown = deployment::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
    let name = &shown.row.name;
    if shown.row.deleted.is_some() {
        return Err(refused(format!("The deployment {name} is over; give the rule another one.")));
    }
    if shown.application_id != row.id || !shown.row.action.is_install() {
        return Err(refused(format!("The deployment {name} does not install this group of updates.")));
    }
    if !application.dependencies.is_empty() || !application.supersedes.is_empty() {
        return Err(refused("A group that takes other applications along is deployed anew.".to_owned()));
    }
    if shown.row.application == row.hash {
        return Ok(());
    }
    let fault = |what: String| SiteError::Fault(format!("the policy body of deployment {id}: {what}"));
    let body = policy_body::get(tx.conn(), shown.row.policy).await?;
    // Whoever writes into the database must not choose what the next revision takes over.
    let body = body.filter(|body| muster_trust::sha256(body) == shown.row.policy);
    let body = body.ok_or_else(|| fault("it is gone or altered".to_owned()))?;
    let policy: DeploymentPolicy = serde_json::from_slice(&body).map_err(|error| fault(error.to_string()))?;
    let policy = DeploymentPolicy { application: row.hash, related: Vec::new(), attempt: 0, ..policy };
    let own = put(ctx, tx, &policy).await?;
    for attempt in stored::attempts(tx, id).await? {
        let body = put(ctx, tx, &DeploymentPolicy { attempt, ..policy.clone() }).await?;
        stored::put_attempt(tx, id, attempt, body).await?;
    }
    let devices = stored::replace(tx, id, (row.hash, row.object.len() as u64), own, ctx.now).await?;
    let waits = hold(site, tx, id).await?;
    assignment::ask_targeted(tx, id, ctx.now).await?;
    let waits = if waits { " It waits for the approval of a second key." } else { "" };
    let detail = format!(
        "{name} deploys version {} of {} to {devices} device(s), in the place of {}, as the rule {} says.{waits}",
        application.version, application.name, shown.application_version, rule.rule.name
    );
    let reason = format!("version {} in the place of {}", application.version, shown.application_version);
    acted(ctx, tx, id, DeploymentAct::Revise, &reason).await?;
    audit::append(tx, ctx, "deployment_revise", format!("deployment {id}"), detail).await
}

/// An approval was for the revision before, and dies with it. Returns whether the deployment waits for another one.
async fn hold(site: &Site, tx: &mut Tx, id: DeploymentId) -> Result<bool, SiteError> {
    let Some(reach) = deployment_approval::get(tx.conn(), id).await? else { return Ok(false) };
    let reached = deployment_approval::reached(tx.conn(), id).await?;
    let above = site.trust.load().bundle().approval.map_or(reached, |rule| rule.above);
    let held = reached > above;
    let row = ReachRow { reach: above, held, approved: None, ..reach };
    deployment_approval::put(tx, &row).await?;
    Ok(held)
}

async fn put(ctx: &Ctx, tx: &mut Tx, policy: &DeploymentPolicy) -> Result<stored::Object, SiteError> {
    let body = serde_json::to_vec(policy).map_err(|error| SiteError::Fault(error.to_string()))?;
    let hash = muster_trust::sha256(&body);
    policy_body::insert(tx, hash, BodyKind::Deployment, &body, ctx.now).await?;
    Ok((hash, body.len() as u64))
}
