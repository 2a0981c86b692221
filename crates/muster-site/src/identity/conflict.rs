//! Conflicts: two machines that look like one device. The device is quarantined in the transaction that notices it, and an
//! administrator decides what it was.

use super::{
    device::{self, Decision},
    enrolment,
};
use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{
        Conflict, ConflictDecide, ConflictDecision, ConflictKind, ConflictMachine, ConflictQuery, DeviceState, Page,
        PageQuery, Reason,
    },
    id::{ConflictId, DeviceId, EnrolmentId},
    problem::Code,
    status::Severity,
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        channel,
        conflict::{self, ConflictRow},
        device as rows,
        enrolment::EnrolmentRow,
        hardware, timeline,
    },
    transaction,
};
use muster_trust::sequence::Recent;

/// A page of conflicts, the newest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn conflict_list(ctx: &Ctx, site: &Site, query: ConflictQuery) -> Result<Page<Conflict>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let (items, total) = conflict::list(&mut *site.store.reader().await?, query).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// One conflict.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn conflict_show(ctx: &Ctx, site: &Site, id: ConflictId) -> Result<Conflict, SiteError> {
    authz::see(ctx)?;
    conflict::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found)
}

/// Decides what a conflict was, and with it every open conflict of the same device. One machine: the device goes on. Two
/// machines: it is retired, and its key is never accepted again. Blocked: it is locked out, and no machine with a hardware id that is known of
/// either can enrol.
///
/// Where one of the two only asks to be enrolled, the decision is about its request as well. One machine: it takes the place of
/// the device, which is retired. Two machines: it becomes a device of its own. Blocked: it is refused, and the device locked out. Refused:
/// that alone.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`; `conflict` when it was decided before.
pub async fn conflict_decide(
    ctx: &Ctx,
    site: &Site,
    id: ConflictId,
    decide: ConflictDecide,
) -> Result<Conflict, SiteError> {
    authz::change(ctx)?;
    let found = conflict::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found)?;
    if found.decision.is_some() {
        return Err(decided_before());
    }
    if let Some(enrolment) = found.enrolment {
        settle(ctx, site, &found, enrolment, decide).await?;
        return conflict::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found);
    }
    let decision = match decide.decision {
        ConflictDecision::SameMachine => Decision::Release,
        ConflictDecision::TwoMachines => Decision::Retire,
        ConflictDecision::Block => Decision::Block,
        ConflictDecision::Refused => {
            return Err(SiteError::refused(
                Code::Malformed,
                "`refused` is for a machine that asks to be enrolled; here both spoke as the device.",
            ));
        }
    };
    device::decide(ctx, site, found.device, Reason { reason: decide.reason }, None, decision, Some(id)).await?;
    conflict::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found)
}

/// What a machine that is a device already has to do with that device, and what becomes of both: one transaction.
async fn settle(
    ctx: &Ctx,
    site: &Site,
    found: &Conflict,
    enrolment: EnrolmentId,
    decide: ConflictDecide,
) -> Result<(), SiteError> {
    let reason = device::checked_reason(Reason { reason: decide.reason })?;
    let row = enrolment::pending(site, enrolment).await?;
    let new = enrolment::new_device(ctx, site, &row)?;
    let enacted = transaction!(site.store, "conflict_settle", |tx| {
        hardware::lock(tx).await?;
        // A block is not undone by a decision of somebody who may not have seen it.
        if decide.decision == ConflictDecision::SameMachine
            && rows::get(tx, found.device).await?.is_some_and(|row| row.state == DeviceState::Blocked)
        {
            let detail = format!("Device {} is blocked; unblock it first, or refuse the request.", found.device);
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        if !conflict::decide_one(tx, found.id, decide.decision, &ctx.actor(), &reason, ctx.now).await? {
            return Err(decided_before());
        }
        let enacted = match decide.decision {
            ConflictDecision::SameMachine => device::enact_on(ctx, tx, found.device, &reason, Decision::Retire).await?,
            ConflictDecision::Block => device::enact_on(ctx, tx, found.device, &reason, Decision::Block).await?,
            ConflictDecision::TwoMachines | ConflictDecision::Refused => None,
        };
        match decide.decision {
            ConflictDecision::SameMachine | ConflictDecision::TwoMachines => {
                enrolment::approve(tx, ctx, &row, &new, &ctx.actor()).await?;
            }
            ConflictDecision::Block | ConflictDecision::Refused => {
                enrolment::refuse(tx, ctx, enrolment, &ctx.actor(), &reason).await?;
            }
        }
        Ok::<_, SiteError>(enacted)
    })?;
    if let Some((row, revoked)) = &enacted {
        device::enacted(site, row, revoked);
    }
    site.memory.work.notify_one();
    site.bus.publish(Notice::Changed(Noun::Enrolment));
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(())
}

/// Hardware that is a device already asks to be enrolled with another key: an administrator says what it is. The device is not
/// quarantined: whoever has a token may say any hardware id.
pub(super) async fn enrolled_again(
    tx: &mut Tx,
    ctx: &Ctx,
    site: &Site,
    request: &EnrolmentRow,
    twin: DeviceId,
) -> Result<(), SiteError> {
    let Some(device) = rows::get(tx, twin).await? else { return Ok(()) };
    let spoke = channel::last_address(tx, twin).await?;
    let first = ConflictMachine {
        address: spoke.unwrap_or_default(),
        name: device.claims.host_name,
        hardware_id: Some(device.claims.hardware_id),
    };
    let second = ConflictMachine {
        address: ctx.address.clone(),
        name: request.claims.host_name.clone(),
        hardware_id: Some(request.claims.hardware_id),
    };
    let row = ConflictRow {
        id: ConflictId(site.sources.id()),
        device: twin,
        kind: ConflictKind::EnrolledAgain,
        found: ctx.now,
        enrolment: Some(request.id),
        first,
        second,
    };
    conflict::insert(tx, &row).await?;
    metrics::counter!("muster_conflicts_total", "kind" => row.kind.as_str()).increment(1);
    Ok(())
}

/// A request was decided about by itself; what it had to do with a device is decided then too.
pub(super) async fn enrolment_decided(
    tx: &mut Tx,
    ctx: &Ctx,
    enrolment: EnrolmentId,
    decision: ConflictDecision,
) -> Result<(), SiteError> {
    let reason = match decision {
        ConflictDecision::Refused => "The request was refused.",
        _ => "The request was approved.",
    };
    conflict::decide_enrolment(tx, enrolment, decision, &ctx.actor(), reason, ctx.now).await?;
    Ok(())
}

/// Two machines look like this device: quarantines it and says so. `false`: it was not active, and nothing is new. Call it last: it
/// holds the audit log.
pub(crate) async fn found(tx: &mut Tx, row: &ConflictRow) -> Result<bool, SiteError> {
    if !rows::suspect(tx, row.device).await? {
        return Ok(false);
    }
    conflict::insert(tx, row).await?;
    let seen = match row.kind {
        ConflictKind::SequenceFork => "continues another history than the one that is stored",
        ConflictKind::HardwareId => "has the key of this device and other hardware",
        ConflictKind::EnrolledAgain => "asks to be enrolled with the hardware of this device and another key",
        ConflictKind::EnterpriseKey => "has the key of this device's certificate and another device key",
    };
    let text = format!("Quarantined: {} {seen}; before it was {}.", shown(&row.second), shown(&row.first));
    let line = device::line(row.device, row.found, "administration", Severity::Error, text.clone());
    timeline::insert(tx, &line).await?;
    audit::append(tx, &Ctx::site(row.found), "conflict_found", format!("device {}", row.device), text).await?;
    Ok(true)
}

fn decided_before() -> SiteError {
    SiteError::refused(Code::Conflict, "This conflict was decided before; the list shows how.")
}

fn shown(machine: &ConflictMachine) -> String {
    let address = if machine.address.is_empty() { "an unknown address" } else { &machine.address };
    if machine.name.is_empty() { format!("a machine at {address}") } else { format!("{} at {address}", machine.name) }
}

/// What follows a commit in which devices were quarantined: they are forgotten here, and closed everywhere.
pub(crate) fn close(verdicts: &super::connection::Verdicts, bus: &muster_store::bus::Bus, found: &[ConflictRow]) {
    for row in found {
        metrics::counter!("muster_conflicts_total", "kind" => row.kind.as_str()).increment(1);
        tracing::warn!(device = %row.device, kind = row.kind.as_str(), first = row.first.address, second = row.second.address,
            "Two machines look like one device; it is quarantined until an administrator decides.");
        verdicts.forget(row.device);
        bus.publish(Notice::DeviceClosed(row.device));
    }
    if !found.is_empty() {
        bus.publish(Notice::Changed(Noun::Device));
    }
}

/// The open conflicts of a device come to their end with the decision about it.
pub(super) async fn decided(
    tx: &mut Tx,
    ctx: &Ctx,
    device: DeviceId,
    decision: Decision,
    reason: &str,
    of: Option<ConflictId>,
) -> Result<(), SiteError> {
    // Whoever decides has seen this conflict; a newer one of the same device waits for its own decision.
    if let Some(id) = of
        && conflict::get(tx.conn(), id).await?.is_none_or(|conflict| conflict.decision.is_some())
    {
        return Err(decided_before());
    }
    let decision = match decision {
        Decision::Release => ConflictDecision::SameMachine,
        Decision::Retire => ConflictDecision::TwoMachines,
        Decision::Block => ConflictDecision::Block,
        Decision::Unblock => return Ok(()),
    };
    if decision == ConflictDecision::SameMachine {
        if let Some(hardware) = conflict::open_hardware(tx, device).await? {
            rows::set_hardware(tx, device, &hardware).await?;
        }
        // Whichever history the machine has, on whichever channel: it is told once where to go on.
        channel::remember(tx, device, &Recent::reanchored().to_bytes()).await?;
    }
    conflict::decide(tx, device, decision, &ctx.actor(), reason, ctx.now).await?;
    Ok(())
}
