//! Deployments are paused, resumed, cancelled, and tried again.

use super::deployment::changed;
use crate::{Ctx, Site, SiteError, audit, authz, identity::device::checked_reason};
use muster_model::{
    api::{DeploymentAct, DeploymentRetried, DeploymentRetry, DeploymentStanding, Reason},
    id::{DeploymentId, DeviceId},
    policy::{BodyKind, DeploymentPolicy},
    problem::Code,
};
use muster_store::{
    Tx,
    db::{
        assignment, deployment, deployment_control as stored, deployment_control::ControlRow, deployment_event,
        deployment_event::ActRow, deployment_phase, policy_body,
    },
    transaction,
};
use std::collections::BTreeSet;

fn over() -> SiteError {
    SiteError::refused(Code::Conflict, "This deployment is over: it was cancelled or deleted.")
}

async fn in_force(tx: &mut Tx, id: DeploymentId) -> Result<ControlRow, SiteError> {
    let row = stored::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
    if row.deleted.is_some() { Err(over()) } else { Ok(row) }
}

/// Notes what was done on all devices, for the history of each.
pub(super) async fn acted(
    ctx: &Ctx,
    tx: &mut Tx,
    id: DeploymentId,
    act: DeploymentAct,
    reason: &str,
) -> Result<(), SiteError> {
    let by = ctx.admin_name().map(ToString::to_string);
    let row = ActRow { deployment: id, device: None, phase: None, act, by: by.as_deref(), reason };
    Ok(deployment_event::acted(tx, &row, ctx.now).await?)
}

/// Pauses a deployment: on no device it begins any more; what has begun goes on.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `malformed` without a reason; `conflict` when it is paused already, or over.
pub async fn deployment_pause(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    reason: Reason,
) -> Result<DeploymentStanding, SiteError> {
    let by = authz::change(ctx)?.name.to_string();
    let reason = checked_reason(reason)?;
    transaction!(site.store, "deployment_pause", |tx| {
        let row = in_force(tx, id).await?;
        if !stored::pause(tx, id, ctx.now, Some(&by), &reason).await? {
            return Err(SiteError::refused(Code::Conflict, "This deployment is paused already."));
        }
        assignment::ask_targeted(tx, id, ctx.now).await?;
        let detail = format!("{} was paused: {reason}", row.name);
        acted(ctx, tx, id, DeploymentAct::Pause, &reason).await?;
        audit::append(tx, ctx, "deployment_pause", format!("deployment {id}"), detail).await
    })?;
    changed(site);
    super::phase::deployment_standing(ctx, site, id).await
}

/// Lets a paused deployment go on. Failures so far do not stop its phases once more.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict` when it is not paused, or over.
pub async fn deployment_resume(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<DeploymentStanding, SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "deployment_resume", |tx| {
        let row = in_force(tx, id).await?;
        if !stored::resume(tx, id).await? {
            return Err(SiteError::refused(Code::Conflict, "This deployment is not paused."));
        }
        deployment_phase::forgive(tx, id).await?;
        assignment::ask_targeted(tx, id, ctx.now).await?;
        let detail = format!("{} goes on.", row.name);
        acted(ctx, tx, id, DeploymentAct::Resume, "").await?;
        audit::append(tx, ctx, "deployment_resume", format!("deployment {id}"), detail).await
    })?;
    changed(site);
    super::phase::deployment_standing(ctx, site, id).await
}

/// Ends a deployment for good: clients no longer get it. What is installed stays, and so does its history.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `malformed` without a reason; `conflict` when it is over already.
pub async fn deployment_cancel(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    reason: Reason,
) -> Result<DeploymentStanding, SiteError> {
    authz::change(ctx)?;
    let reason = checked_reason(reason)?;
    transaction!(site.store, "deployment_cancel", |tx| {
        let row = in_force(tx, id).await?;
        if !stored::cancel(tx, id, ctx.now).await? {
            return Err(over());
        }
        assignment::ask_targeted(tx, id, ctx.now).await?;
        let detail = format!("{} was cancelled: {reason}", row.name);
        acted(ctx, tx, id, DeploymentAct::Cancel, &reason).await?;
        audit::append(tx, ctx, "deployment_cancel", format!("deployment {id}"), detail).await
    })?;
    changed(site);
    super::phase::deployment_standing(ctx, site, id).await
}

/// Has a deployment tried again where it failed. Whoever asks twice has it tried once: it is the failure that is taken back.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict` when it is over.
pub async fn deployment_retry(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    wanted: DeploymentRetry,
) -> Result<DeploymentRetried, SiteError> {
    authz::change(ctx)?;
    let devices = transaction!(site.store, "deployment_retry", |tx| { retry(ctx, tx, id, wanted).await })?;
    changed(site);
    Ok(DeploymentRetried { devices })
}

async fn retry(ctx: &Ctx, tx: &mut Tx, id: DeploymentId, wanted: DeploymentRetry) -> Result<u64, SiteError> {
    let row = in_force(tx, id).await?;
    let again = stored::retry(tx, id, wanted.device, wanted.phase, ctx.now).await?;
    if again.is_empty() {
        return Ok(0);
    }
    let attempts: BTreeSet<u32> = again.iter().map(|(_, attempt)| *attempt).collect();
    put_attempts(ctx, tx, id, &attempts).await?;
    deployment_phase::forgive_less(tx, id).await?;
    let devices: Vec<DeviceId> = again.iter().map(|(device, _)| *device).collect();
    let by = ctx.admin_name().map(ToString::to_string);
    let DeploymentRetry { device, phase } = wanted;
    let row_of_act = ActRow { deployment: id, device, phase, act: DeploymentAct::Retry, by: by.as_deref(), reason: "" };
    deployment_event::acted(tx, &row_of_act, ctx.now).await?;
    deployment_event::retried(tx, id, &devices, ctx.now).await?;
    assignment::ask(tx, &devices, ctx.now).await?;
    let of = match (wanted.device, wanted.phase) {
        (Some(device), _) => format!(", on device {device}"),
        (None, Some(phase)) => format!(", in phase {phase}"),
        (None, None) => String::new(),
    };
    let detail = format!("{} is tried again on {} device(s){of}.", row.name, devices.len());
    audit::append(tx, ctx, "deployment_retry", format!("deployment {id}"), detail).await?;
    Ok(devices.len() as u64)
}

/// The policy bodies of these attempts: that of the deployment, with the number.
async fn put_attempts(ctx: &Ctx, tx: &mut Tx, id: DeploymentId, attempts: &BTreeSet<u32>) -> Result<(), SiteError> {
    let fault = |what: String| SiteError::Fault(format!("the policy body of deployment {id}: {what}"));
    let shown = deployment::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
    let body = policy_body::get(tx.conn(), shown.row.policy).await?;
    let body = body.ok_or_else(|| fault("it is not there".to_owned()))?;
    let policy: DeploymentPolicy = serde_json::from_slice(&body).map_err(|error| fault(error.to_string()))?;
    for attempt in attempts {
        let policy = DeploymentPolicy { attempt: *attempt, ..policy.clone() };
        let body = serde_json::to_vec(&policy).map_err(|error| fault(error.to_string()))?;
        let hash = muster_trust::sha256(&body);
        policy_body::insert(tx, hash, BodyKind::Deployment, &body, ctx.now).await?;
        stored::put_attempt(tx, id, *attempt, hash, body.len() as u64).await?;
    }
    Ok(())
}
