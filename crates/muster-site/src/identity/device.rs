//! Devices: the list, one device, and the three decisions that end or resume what it may do.
//!
//! Block, unblock and retire are one transaction each (state, history, audit). After the commit this process forgets the
//! device's verdict at once, and a notice closes what the device has open anywhere.

use super::revocation::{self, Committed};
use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{
        DEVICES_BLOCKED, Device, DeviceCollection, DeviceDetail, DeviceQuery, DeviceRestart, DeviceState, DevicesBlock,
        DevicesBlocked, HardwareStanding, KeyProtection, Page, PageQuery, Reason, RevocationReason, Revoke,
    },
    catalogue::PENDING_RESTART,
    id::{ConflictId, DeviceId, EnrolmentId, Hash},
    inventory::{Row, Value},
    problem::Code,
    status::Severity,
    time::UnixMillis,
};
use muster_store::{
    Connection, Tx,
    bus::{Notice, Noun},
    db::{
        assignment, attestation, certificate, collection_member, compliance, deployment,
        device::{self, DeviceRow},
        device_list, domain_account, hardware, inventory,
        timeline::{self, TimelineRow},
    },
    transaction,
};

/// Characters of a search text.
const SEARCH_CHARS: usize = 200;
/// Collections of one device that are shown.
const COLLECTIONS_SHOWN: u32 = 500;

/// A device as a row of a list, with what this process knows more freshly than the database.
pub(super) fn shown(site: &Site, row: &DeviceRow) -> Device {
    fresh(
        site,
        Device {
            id: row.id,
            resource_id: row.resource_id,
            name: row.claims.host_name.clone(),
            state: row.state,
            key_protection: protection(row.hardware.as_ref()),
            operating_system: row.claims.operating_system.clone(),
            agent_version: row.claims.agent_version.clone(),
            online: false,
            last_seen: row.last_seen,
            last_inventory: row.last_inventory,
            enrolled: row.enrolled,
        },
    )
}

/// How a key is kept, as far as the site could prove it.
pub(super) fn protection(hardware: Option<&Hash>) -> KeyProtection {
    if hardware.is_some() { KeyProtection::Attested } else { KeyProtection::SoftwareKey }
}

fn fresh(site: &Site, device: Device) -> Device {
    let online = site.memory.online.contains(device.id);
    let last_seen = device.last_seen.max(site.memory.seen.of(device.id));
    Device { online, last_seen, ..device }
}

/// A page of devices, searched, sorted and counted by the database.
///
/// # Errors
/// `unauthenticated`; `too_large` for a page or search text over its limit.
pub async fn device_list(ctx: &Ctx, site: &Site, query: DeviceQuery) -> Result<Page<Device>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let search = query.search.trim().to_owned();
    if search.chars().count() > SEARCH_CHARS {
        let detail = format!("A search text has at most {SEARCH_CHARS} characters.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let query = DeviceQuery { search, ..query };
    let (devices, total) = device_list::list(&mut *site.store.reader().await?, &query).await?;
    let items = devices.into_iter().map(|device| fresh(site, device)).collect();
    Ok(Page { items, total, offset: page.offset })
}

/// Everything about a device but the rows of its inventory.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn device_show(ctx: &Ctx, site: &Site, id: DeviceId) -> Result<DeviceDetail, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let row = device::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let assignment = assignment::get(&mut reader, id).await?.and_then(|(_, assignment)| assignment);
    let deployments = deployment::of_device(&mut reader, id).await?;
    let collections = collection_member::collections_of(&mut reader, id, COLLECTIONS_SHOWN).await?;
    let collections = collections.into_iter().map(|(id, name)| DeviceCollection { id, name }).collect();
    Ok(DeviceDetail {
        device: shown(site, &row),
        key: row.key,
        hardware: row.hardware,
        attestation: attestation::get(&mut reader, EnrolmentId(id.0)).await?.map(super::attestation::shown),
        account: domain_account::get(&mut reader, EnrolmentId(id.0)).await?,
        hardware_id: row.claims.hardware_id,
        revocation: certificate::get(&mut reader, &row.serial).await?.and_then(|issued| issued.revocation),
        certificate_serial: row.serial,
        certificate_expires: row.certificate_expires,
        enterprise: super::enterprise::shown(&mut reader, EnrolmentId(id.0)).await?,
        policy_version: assignment.as_ref().map_or(0, |assignment| assignment.version),
        policy_expires: assignment.as_ref().map(|assignment| assignment.expires),
        policy_trust_version: assignment.as_ref().map_or(0, |assignment| assignment.trust_version),
        policy_confirmed: assignment.as_ref().and_then(|assignment| assignment.confirmed),
        block_reason: row.block_reason,
        key_revoked: row.key_revoked,
        classes: inventory::classes(&mut reader, id).await?,
        unread: inventory::unread(&mut reader, id).await?,
        location: super::boundary::location(&mut reader, id).await?,
        restart: restart(site, &mut reader, id).await?,
        collections,
        deployments,
        baselines: compliance::of_device(&mut reader, id).await?,
        revision: row.revision,
    })
}

/// Whether a machine needs a restart, as its inventory says.
async fn restart(site: &Site, reader: &mut Connection, id: DeviceId) -> Result<Option<DeviceRestart>, SiteError> {
    let catalogue = site.catalogue.load_full();
    let Some(class) = catalogue.class(PENDING_RESTART) else { return Ok(None) };
    let found = inventory::rows(reader, site.store.dialect(), id, class, 0, 1).await?;
    let row = found.and_then(|(rows, _)| rows.into_iter().next());
    let text = |row: &Row, name: &str| match row.get(name) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    Ok(row.map(|row| DeviceRestart {
        pending: row.get("Pending") == Some(&Value::Bool(true)),
        reasons: text(&row, "Reasons"),
        programs: match row.get("Programs") {
            Some(Value::Int(programs)) => u64::try_from(*programs).ok(),
            _ => None,
        },
        program_names: text(&row, "ProgramNames"),
    }))
}

/// A reason that somebody gave, for the record.
///
/// # Errors
/// `malformed`.
pub(crate) fn checked_reason(reason: Reason) -> Result<String, SiteError> {
    let text = reason.reason.trim().to_owned();
    if text.is_empty() || text.chars().count() > 500 || text.chars().any(char::is_control) {
        return Err(SiteError::refused(
            Code::Malformed,
            "A reason has 1 to 500 characters and no control characters; it is kept in the audit log.",
        ));
    }
    Ok(text)
}

/// A line of a device's history.
pub(crate) fn line(
    device: DeviceId,
    happened: UnixMillis,
    kind: &'static str,
    severity: Severity,
    text: String,
) -> [TimelineRow; 1] {
    [TimelineRow { device, happened, kind, severity, text }]
}

/// What is decided about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Block,
    Unblock,
    Retire,
    /// Out of quarantine: it is one machine after all.
    Release,
}

impl Decision {
    const fn action(self) -> &'static str {
        match self {
            Self::Block => "device_block",
            Self::Unblock => "device_unblock",
            Self::Retire => "device_retire",
            Self::Release => "conflict_decide",
        }
    }

    /// The state that it leads to from `state`, where it leads anywhere.
    const fn from(self, state: DeviceState) -> Option<DeviceState> {
        match (self, state) {
            (Self::Block, DeviceState::Active | DeviceState::Quarantined) => Some(DeviceState::Blocked),
            (Self::Unblock, DeviceState::Blocked) => Some(DeviceState::Active),
            (Self::Retire, DeviceState::Active | DeviceState::Quarantined | DeviceState::Blocked) => {
                Some(DeviceState::Retired)
            }
            (Self::Release, DeviceState::Quarantined) => Some(DeviceState::Active),
            _ => None,
        }
    }

    /// What it does to the device's certificates.
    async fn certificates(self, tx: &mut Tx, ctx: &Ctx, device: DeviceId) -> Result<Committed, SiteError> {
        match self {
            Self::Block => revocation::revoke_device(tx, ctx, device, RevocationReason::CertificateHold).await,
            Self::Retire => revocation::revoke_device(tx, ctx, device, RevocationReason::CessationOfOperation).await,
            Self::Unblock | Self::Release => revocation::lift_device(tx, device).await,
        }
    }
}

/// Locks a device out, until it is unblocked. Its certificates are put on hold, its connections closed at once, and neither its
/// key nor its hardware id comes in by another enrolment.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`; `changed` when its revision is not `revision`; `conflict`.
pub async fn device_block(
    ctx: &Ctx,
    site: &Site,
    id: DeviceId,
    reason: Reason,
    revision: Option<u64>,
) -> Result<Device, SiteError> {
    decide(ctx, site, id, reason, revision, Decision::Block, None).await
}

/// Locks many devices out in one transaction: all of them, or none. Those that are blocked or retired already stay as they are.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `too_large`, `not_found`.
pub async fn device_block_many(ctx: &Ctx, site: &Site, request: DevicesBlock) -> Result<DevicesBlocked, SiteError> {
    authz::change(ctx)?;
    if request.devices.is_empty() || request.devices.len() > DEVICES_BLOCKED {
        let detail = format!("One request locks out 1 to {DEVICES_BLOCKED} devices.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let reason = checked_reason(Reason { reason: request.reason })?;
    let (decided, before) = transaction!(site.store, "device_block_many", |tx| {
        hardware::lock(tx).await?;
        let (mut decided, mut before) = (Vec::new(), Vec::new());
        for id in &request.devices {
            let row = device::get(tx, *id).await?;
            let row = row.ok_or_else(|| SiteError::refused(Code::NotFound, format!("There is no device {id}.")))?;
            match Decision::Block.from(row.state) {
                Some(state) => decided.push(enact(ctx, tx, row, state, &reason, Decision::Block, None).await?),
                None => before.push(*id),
            }
        }
        Ok::<_, SiteError>((decided, before))
    })?;
    decided.iter().for_each(|(row, revoked)| enacted(site, row, revoked));
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(DevicesBlocked { blocked: decided.len() as u64, before })
}

/// Lets a blocked device in again: its certificates that were on hold leave the revocation list.
///
/// # Errors
/// As [`device_block`].
pub async fn device_unblock(
    ctx: &Ctx,
    site: &Site,
    id: DeviceId,
    reason: Reason,
    revision: Option<u64>,
) -> Result<Device, SiteError> {
    decide(ctx, site, id, reason, revision, Decision::Unblock, None).await
}

/// Ends a device for good. Its certificates are revoked, and its key is never accepted again; the machine may enrol anew with a new one.
///
/// # Errors
/// As [`device_block`].
pub async fn device_retire(
    ctx: &Ctx,
    site: &Site,
    id: DeviceId,
    reason: Reason,
    revision: Option<u64>,
) -> Result<Device, SiteError> {
    decide(ctx, site, id, reason, revision, Decision::Retire, None).await
}

/// Revokes the key of a device for good, and every certificate of it; a device that was away for so long that it has none left,
/// too. The device stays in its state, and comes back only by enrolling with a new key. For a key that somebody else may have, where
/// the machine itself is still trusted.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`; `conflict` when its key was revoked before, or it is retired.
pub async fn device_revoke(ctx: &Ctx, site: &Site, id: DeviceId, request: Revoke) -> Result<Device, SiteError> {
    authz::change(ctx)?;
    let (reason, code) = super::certificate::checked_revoke(request)?;
    let (row, revoked) = transaction!(site.store, "device_revoke", |tx| {
        let row = device::get(tx, id).await?.ok_or_else(SiteError::not_found)?;
        // First, so that a renewal at the same time comes wholly before or wholly after. The mark stands at the device and not
        // at its certificates: those end, and are forgotten.
        if row.state == DeviceState::Retired || !device::revoke_key(tx, id, ctx.now).await? {
            return Err(SiteError::refused(
                Code::Conflict,
                "The key of the device was revoked before, or it is retired.",
            ));
        }
        let revoked = revocation::revoke_device(tx, ctx, id, code).await?;
        let count = revoked.revoked();
        let text = format!("{} revoked its key and {count} certificate(s), {code}: {reason}", ctx.actor());
        timeline::insert(tx, &line(id, ctx.now, "administration", Severity::Warning, text)).await?;
        let detail =
            format!("The key of {} and {count} certificate(s) were revoked, {code}: {reason}", row.claims.host_name);
        audit::append(tx, ctx, "device_revoke", format!("device {id}"), detail).await?;
        Ok((row, revoked))
    })?;
    revocation::committed(site, &revoked);
    site.memory.verdicts.forget(id);
    site.bus.publish(Notice::DeviceClosed(id));
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(shown(site, &row))
}

pub(super) async fn decide(
    ctx: &Ctx,
    site: &Site,
    id: DeviceId,
    reason: Reason,
    revision: Option<u64>,
    decision: Decision,
    of: Option<ConflictId>,
) -> Result<Device, SiteError> {
    authz::change(ctx)?;
    let reason = checked_reason(reason)?;
    let (row, revoked) = transaction!(site.store, "device_decide", |tx| {
        hardware::lock(tx).await?;
        let row = device::get(tx, id).await?.ok_or_else(SiteError::not_found)?;
        if revision.is_some_and(|revision| revision != row.revision) {
            return Err(changed());
        }
        let Some(state) = decision.from(row.state) else {
            return Err(SiteError::refused(
                Code::Conflict,
                format!("The device is {}; this does not apply.", row.state),
            ));
        };
        enact(ctx, tx, row, state, &reason, decision, of).await
    })?;
    enacted(site, &row, &revoked);
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(shown(site, &row))
}

fn changed() -> SiteError {
    SiteError::refused(Code::Changed, "The device changed since you read it; read it again.")
}

/// As [`enact`], where the decision applies to the device as it is; `None`: it does not.
pub(super) async fn enact_on(
    ctx: &Ctx,
    tx: &mut Tx,
    id: DeviceId,
    reason: &str,
    decision: Decision,
) -> Result<Option<(DeviceRow, Committed)>, SiteError> {
    let row = device::get(tx, id).await?.ok_or_else(SiteError::not_found)?;
    match decision.from(row.state) {
        Some(state) => enact(ctx, tx, row, state, reason, decision, None).await.map(Some),
        None => Ok(None),
    }
}

/// A decision in its transaction: state, certificates, history, audit.
async fn enact(
    ctx: &Ctx,
    tx: &mut Tx,
    mut row: DeviceRow,
    state: DeviceState,
    reason: &str,
    decision: Decision,
    of: Option<ConflictId>,
) -> Result<(DeviceRow, Committed), SiteError> {
    let id = row.id;
    if state == DeviceState::Active {
        check_hardware(tx, &row).await?;
    }
    let block_reason = (state == DeviceState::Blocked).then_some(reason);
    if !device::set_state(tx, &row, state, block_reason).await? {
        return Err(changed());
    }
    if row.state == DeviceState::Quarantined {
        super::conflict::decided(tx, ctx, id, decision, reason, of).await?;
    }
    let revoked = decision.certificates(tx, ctx, id).await?;
    let text = format!("{} made the device {state}: {reason}", ctx.actor());
    let severity = if state == DeviceState::Active { Severity::Information } else { Severity::Warning };
    timeline::insert(tx, &line(id, ctx.now, "administration", severity, text)).await?;
    if state == DeviceState::Active {
        assignment::ask(tx, &[id], ctx.now).await?;
    }
    let detail = format!("{} is {state} now: {reason}", row.claims.host_name);
    audit::append(tx, ctx, decision.action(), format!("device {id}"), detail).await?;
    row.block_reason = block_reason.map(str::to_owned);
    (row.state, row.revision) = (state, row.revision + 1);
    Ok((row, revoked))
}

/// After the commit: this process knows, and what the device has open ends.
pub(super) fn enacted(site: &Site, row: &DeviceRow, revoked: &Committed) {
    let id = row.id;
    revocation::committed(site, revoked);
    site.memory.verdicts.forget(id);
    match row.state {
        DeviceState::Active => site.memory.work.notify_one(),
        DeviceState::Quarantined | DeviceState::Blocked | DeviceState::Retired => {
            site.bus.publish(Notice::DeviceClosed(id))
        }
    }
}

/// A device does not come back while its hardware identity is blocked.
async fn check_hardware(tx: &mut Tx, row: &DeviceRow) -> Result<(), SiteError> {
    let Some(id) = &row.hardware else { return Ok(()) };
    match hardware::get(tx, id).await? {
        Some(decided) if decided.standing == HardwareStanding::Blocked => {
            let detail =
                format!("Its hardware identity {id} is blocked; let that go first (`muster hardware remove`).");
            Err(SiteError::refused(Code::Conflict, detail))
        }
        _ => Ok(()),
    }
}
