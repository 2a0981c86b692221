//! Approval of deployments by a second key: which need one, who gave it, and how far they reach with it.
//!
//! Keys decide, and not accounts: whoever signed anything of what is to run cannot approve it, however many accounts he has here.

use super::{application, control::acted};
use crate::{Ctx, Site, SiteError, audit, authz};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{DeploymentAct, DeploymentApprove, DeploymentApproved, DeploymentOrder},
    id::{DeploymentId, Hash},
    policy::{BodyKind, DeploymentPolicy},
    problem::Code,
    time::UnixMillis,
};
use muster_store::{
    Connection, Tx,
    db::{
        application as stored,
        assignment::{self, Wanted},
        deployment::{self, DeploymentRow},
        deployment_approval::{self, ApprovedRow, ReachRow},
        deployment_phase, policy_body,
    },
    transaction,
};
use muster_trust::{
    TrustBundle,
    deployment_approval::{ApprovalError, Order},
    envelope, sha256,
};
use std::collections::BTreeSet;

/// Bytes of a signed approval, at most.
const APPROVAL_BYTES: usize = 4_096;

/// Notes how far a new deployment may reach without an approval. Returns whether it waits for one.
pub(super) async fn begin(site: &Site, tx: &mut Tx, id: DeploymentId, devices: u64) -> Result<bool, SiteError> {
    let Some(rule) = site.trust.load().bundle().approval else { return Ok(false) };
    let held = devices > rule.above;
    let row = ReachRow { deployment: id, reach: rule.above, held, approved: None, withdrawn: None };
    deployment_approval::put(tx, &row).await?;
    Ok(held)
}

/// What a preview says of approval.
pub(super) fn foreseen(site: &Site, devices: u64) -> Option<String> {
    let above = site.trust.load().bundle().approval?.above;
    (devices > above).then(|| {
        format!("It waits until somebody whose key signed nothing of it approves it: it goes to more than {above} device(s).")
    })
}

/// Keys that signed anything that the deployment names.
async fn authors(conn: &mut Connection, body: &[u8]) -> Result<Vec<Hash>, SiteError> {
    let policy: DeploymentPolicy = serde_json::from_slice(body)
        .map_err(|error| SiteError::Fault(format!("a stored deployment does not parse: {error}")))?;
    let mut keys = BTreeSet::new();
    for hash in policy.related.iter().chain([&policy.application]) {
        if let Some(row) = stored::get(conn, *hash).await? {
            keys.extend(application::info(&row)?.authors);
            // Who signed besides, believed or not, is an author as well.
            keys.extend(envelope::unverified_signers(&row.object).unwrap_or_default());
        }
    }
    Ok(keys.into_iter().collect())
}

async fn row_of(conn: &mut Connection, id: DeploymentId) -> Result<DeploymentRow, SiteError> {
    Ok(deployment::get(conn, id).await?.ok_or_else(SiteError::not_found)?.row)
}

async fn body_of(conn: &mut Connection, row: &DeploymentRow) -> Result<Vec<u8>, SiteError> {
    let body = policy_body::get(conn, row.policy).await?;
    // Whoever writes into the database must not choose what somebody approves.
    body.filter(|body| sha256(body) == row.policy)
        .ok_or_else(|| SiteError::Fault(format!("the order of deployment {} is gone or altered", row.id)))
}

/// What is to be approved, and who did.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn deployment_order(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<DeploymentOrder, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let row = row_of(&mut reader, id).await?;
    let body = body_of(&mut reader, &row).await?;
    let authors = authors(&mut reader, &body).await?;
    let reach = deployment_approval::get(&mut reader, id).await?;
    let devices = deployment_approval::reached(&mut reader, id).await?;
    let left_out = match site.memory.left_out.get(id, ctx.now) {
        Some(kept) => kept,
        None => {
            let left_out = deployment_approval::left_out(&mut reader, id).await?;
            site.memory.left_out.put(id, ctx.now, devices.max(left_out), &left_out);
            left_out
        }
    };
    let trust = site.trust.load();
    let bundle = trust.bundle();
    let order = Order { site: site.code, deployment: id, hash: row.policy, authors: &authors };
    let mut approval = None;
    if let Some(approved) = reach.as_ref().and_then(|reach| reach.approved.as_ref()) {
        let signed = policy_body::get(&mut reader, approved.body).await?.unwrap_or_default();
        let allowed = reach.as_ref().map_or(0, |reach| reach.reach);
        approval = Some(shown(bundle, &order, (&row, approved), allowed, &signed, ctx.now));
    }
    let dead = approval.as_ref().map(|approval| approval.dead.is_some());
    let over = bundle.approval.is_some_and(|rule| devices > rule.above);
    let waits = dead.unwrap_or(over) || reach.as_ref().is_some_and(|reach| reach.held);
    Ok(DeploymentOrder {
        deployment: id,
        above: bundle.approval.map(|rule| rule.above),
        order: row.policy,
        body: BASE64.encode(&body),
        devices,
        left_out,
        waits_for_approval: row.deleted.is_none() && waits,
        reach: reach.map(|reach| reach.reach),
        authors,
        approval,
    })
}

fn shown(
    bundle: &TrustBundle,
    order: &Order<'_>,
    (row, approved): (&DeploymentRow, &ApprovedRow),
    reach: u64,
    signed: &[u8],
    now: UnixMillis,
) -> DeploymentApproved {
    let name = bundle.keys().find(|(_, id, _)| *id == approved.signer).map(|(_, _, name)| name);
    // What the rows say is held against what was signed.
    let opened = muster_trust::deployment_approval::open(signed, bundle, order);
    let dead = match opened {
        Err(error) => Some(format!("{error}.")),
        Ok(opened) if !opened.value().is_in_time(now) => Some("The approval has ended.".to_owned()),
        Ok(opened) if opened.value().devices != reach || opened.value().expires != approved.expires => {
            Some("The database says another reach or another end than what was signed.".to_owned())
        }
        Ok(opened) if opened.value().target != row.target => {
            Some("The database says another target than what was signed.".to_owned())
        }
        Ok(_) => None,
    };
    DeploymentApproved {
        key: approved.signer,
        name,
        sent_by: approved.sent_by.clone(),
        devices: reach,
        issued: approved.issued,
        expires: approved.expires,
        dead,
    }
}

/// Deployments whose stored approval is not what somebody signed, or whose key is believed no longer, and those that go to more devices
/// than the trust bundle allows and have none: no device is told of them. Rows are held against signatures and against the bundle
/// whenever they are used, so that whoever writes into the database alone approves nothing.
pub(super) async fn forged(
    site: &Site,
    tx: &mut Tx,
    now: UnixMillis,
    wanted: &[Wanted],
) -> Result<BTreeSet<DeploymentId>, SiteError> {
    let approved: BTreeSet<_> = wanted.iter().filter(|of| of.approval.is_some()).map(|of| of.deployment).collect();
    let mut forged = BTreeSet::new();
    if let Some(rule) = site.trust.load().bundle().approval {
        let without: BTreeSet<_> = wanted.iter().map(|of| of.deployment).filter(|id| !approved.contains(id)).collect();
        for id in without {
            // Made before the rule, or without the rows that a rule makes.
            if deployment_approval::reached_over(tx.conn(), id, rule.above).await? {
                tracing::warn!(deployment = %id, above = rule.above, "a deployment waits for the approval of a second key");
                forged.insert(id);
            }
        }
    }
    for id in approved {
        let told = wanted.iter().filter(|of| of.deployment == id).map(|of| (of.policy, of.application)).collect();
        let dead = match dead(site, tx, now, id, told).await {
            // What cannot be read stops this deployment, and no other one's devices.
            Err(SiteError::Fault(reason)) => Some(reason),
            Err(SiteError::Refused(problem)) => Some(problem.detail),
            other => other?,
        };
        if let Some(reason) = dead {
            tracing::error!(deployment = %id, reason, "an approval in the database does not count; its deployment waits");
            forged.insert(id);
        }
    }
    Ok(forged)
}

/// Why an approved deployment is told to nobody. `told`: bodies and applications that devices would get.
async fn dead(
    site: &Site,
    tx: &mut Tx,
    now: UnixMillis,
    id: DeploymentId,
    told: BTreeSet<(Hash, Hash)>,
) -> Result<Option<String>, SiteError> {
    let row = row_of(tx.conn(), id).await?;
    let Some(reach) = deployment_approval::get(tx.conn(), id).await? else { return Ok(None) };
    let Some(approved) = &reach.approved else { return Ok(None) };
    let body = body_of(tx.conn(), &row).await?;
    let authors = authors(tx.conn(), &body).await?;
    let signed = policy_body::get(tx.conn(), approved.body).await?.unwrap_or_default();
    let order = Order { site: site.code, deployment: id, hash: row.policy, authors: &authors };
    let seen = shown(site.trust.load().bundle(), &order, (&row, approved), reach.reach, &signed, now);
    if seen.dead.is_some() {
        return Ok(seen.dead);
    }
    if deployment_approval::reached_over(tx.conn(), id, reach.reach).await? {
        return Ok(Some("The database has more devices of it than the approval is for.".to_owned()));
    }
    for (policy, application) in told {
        if !is_attempt_of(tx.conn(), policy, &row).await? || application != row.application {
            return Ok(Some("The database has another order than the one that was approved.".to_owned()));
        }
    }
    Ok(None)
}

/// Whether a body is the deployment's own, but for how often it is tried again.
async fn is_attempt_of(conn: &mut Connection, body: Hash, row: &DeploymentRow) -> Result<bool, SiteError> {
    if body == row.policy {
        return Ok(true);
    }
    let bytes = policy_body::get(conn, body).await?.filter(|bytes| sha256(bytes) == body);
    let policy = bytes.and_then(|bytes| serde_json::from_slice::<DeploymentPolicy>(&bytes).ok());
    let first = policy.and_then(|policy| serde_json::to_vec(&DeploymentPolicy { attempt: 0, ..policy }).ok());
    Ok(first.is_some_and(|first| sha256(&first) == row.policy))
}

/// Takes the approval of a deployment, signed by a key that signed nothing of what it runs.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`, `malformed`, `too_large`, `author_unknown`, `foreign_site`; `conflict`: it is for something
/// else than the deployment is now, by one of its authors, over, or for fewer devices than the deployment has.
pub async fn deployment_approve(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    approve: &DeploymentApprove,
) -> Result<DeploymentOrder, SiteError> {
    authz::change(ctx)?;
    if approve.approval.len() > APPROVAL_BYTES * 2 {
        let detail = format!("An approval has at most {APPROVAL_BYTES} bytes.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let signed = BASE64
        .decode(&approve.approval)
        .map_err(|_| SiteError::refused(Code::Malformed, "The approval is not base64."))?;
    transaction!(site.store, "deployment_approve", |tx| { take(ctx, site, tx, id, &signed).await })?;
    super::deployment::changed(site);
    deployment_order(ctx, site, id).await
}

fn refusal(error: ApprovalError) -> SiteError {
    use envelope::EnvelopeError;
    let code = match error {
        ApprovalError::Envelope(EnvelopeError::Malformed | EnvelopeError::Key(_)) => Code::Malformed,
        ApprovalError::Envelope(_) => Code::AuthorUnknown,
        ApprovalError::ForeignSite => Code::ForeignSite,
        ApprovalError::OtherOrder | ApprovalError::OwnWork => Code::Conflict,
    };
    let text = error.to_string();
    let capital = text.chars().take(1).flat_map(char::to_uppercase).chain(text.chars().skip(1)).collect::<String>();
    SiteError::refused(code, format!("{capital}."))
}

async fn take(ctx: &Ctx, site: &Site, tx: &mut Tx, id: DeploymentId, signed: &[u8]) -> Result<(), SiteError> {
    let admin = authz::change(ctx)?;
    // All in the transaction that keeps it: what is read is what is approved.
    let row = row_of(tx.conn(), id).await?;
    let conflict = |detail: String| SiteError::refused(Code::Conflict, detail);
    if row.deleted.is_some() {
        return Err(conflict("This deployment was deleted.".to_owned()));
    }
    let body = body_of(tx.conn(), &row).await?;
    let authors = authors(tx.conn(), &body).await?;
    let order = Order { site: site.code, deployment: id, hash: row.policy, authors: &authors };
    let opened =
        muster_trust::deployment_approval::open(signed, site.trust.load().bundle(), &order).map_err(refusal)?;
    let value = opened.value();
    if value.target != row.target {
        return Err(conflict("The approval is for another target than the deployment has.".to_owned()));
    }
    if !value.is_in_time(ctx.now) {
        return Err(conflict(
            "The approval is over, good for too long, or from the future; sign a new one.".to_owned(),
        ));
    }
    let before = deployment_approval::get(tx.conn(), id).await?;
    let held = before.as_ref().is_some_and(|before| before.held);
    let withdrawn = before.as_ref().and_then(|before| before.withdrawn);
    let replaced = before.and_then(|before| before.approved).is_some_and(|known| value.issued < known.issued);
    if replaced || withdrawn.is_some_and(|withdrawn| value.issued <= withdrawn) {
        return Err(conflict("The approval was withdrawn or replaced since it was signed; sign a new one.".to_owned()));
    }
    let reached = deployment_approval::reached(tx.conn(), id).await?;
    if value.devices < reached {
        let detail = format!(
            "The approval is for {} device(s), and the deployment has {reached}; look at it again, and sign for as many.",
            value.devices
        );
        return Err(conflict(detail));
    }
    let signer = opened.signers().first().copied().unwrap_or(Hash([0; 32]));
    let hash = sha256(signed);
    policy_body::insert(tx, hash, BodyKind::DeploymentApproval, signed, ctx.now).await?;
    let approved = ApprovedRow {
        body: hash,
        size: signed.len() as u64,
        signer,
        sent_by: admin.name.to_string(),
        issued: value.issued,
        expires: value.expires,
    };
    let reach = ReachRow { deployment: id, reach: value.devices, held: false, approved: Some(approved), withdrawn };
    deployment_approval::put(tx, &reach).await?;
    if held {
        deployment_phase::begin_anew(tx, id, ctx.now).await?;
    }
    deployment_approval::target(tx, id, ctx.now).await?;
    assignment::ask_targeted(tx, id, ctx.now).await?;
    let detail = format!(
        "{} was approved by key {signer} for up to {} device(s), order {}.",
        row.name, value.devices, row.policy
    );
    acted(ctx, tx, id, DeploymentAct::Approve, "").await?;
    audit::append(tx, ctx, "deployment_approve", format!("deployment {id}"), detail).await
}

/// Takes the approval of a deployment back. Without it, one that reaches further than the trust bundle allows waits.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict`: it has none.
pub async fn deployment_approval_withdraw(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<(), SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "deployment_approval_withdraw", |tx| { withdraw(ctx, site, tx, id).await })?;
    super::deployment::changed(site);
    Ok(())
}

async fn withdraw(ctx: &Ctx, site: &Site, tx: &mut Tx, id: DeploymentId) -> Result<(), SiteError> {
    let row = row_of(tx.conn(), id).await?;
    let reach = deployment_approval::get(tx.conn(), id).await?;
    let Some((earlier, approved)) = reach.and_then(|reach| reach.approved.map(|approved| (reach.withdrawn, approved)))
    else {
        return Err(SiteError::refused(Code::Conflict, "This deployment has no approval."));
    };
    // The approver's clock may be ahead: what is withdrawn is over, whenever it says that it was signed.
    let withdrawn = earlier.into_iter().fold(ctx.now.max(approved.issued), UnixMillis::max);
    let reached = deployment_approval::reached(tx.conn(), id).await?;
    // Where the bundle demands none any more, it stays with those that have it.
    let above = site.trust.load().bundle().approval.map_or(reached, |rule| rule.above);
    let row_of_reach =
        ReachRow { deployment: id, reach: above, held: reached > above, approved: None, withdrawn: Some(withdrawn) };
    deployment_approval::put(tx, &row_of_reach).await?;
    assignment::ask_targeted(tx, id, ctx.now).await?;
    let detail = format!("The approval of {} was withdrawn.", row.name);
    acted(ctx, tx, id, DeploymentAct::Withdraw, "").await?;
    audit::append(tx, ctx, "deployment_approval_withdraw", format!("deployment {id}"), detail).await
}
