//! Hardware identities: which TPMs are believed without their vendor, which are awaited, and which never come in.

use super::{
    device::{Decision, checked_reason},
    revocation::{self, Committed},
};
use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{DeviceState, Hardware, HardwareSet, HardwareStanding, Page, PageQuery, Reason, RevocationReason},
    id::{DeviceId, Hash},
    status::Severity,
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        device::{self, DeviceRow},
        hardware, timeline,
    },
    transaction,
};

/// How often a device that is to be blocked is read again because it has changed.
const ATTEMPTS: u32 = 10;

/// A page of hardware identities that somebody decided about, the latest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn hardware_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<Hardware>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = hardware::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Decides about a hardware identity. A block locks out the devices that proved it, in the same transaction, and no enrolment
/// with this TPM comes in again, under whatever name and key.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`.
pub async fn hardware_set(ctx: &Ctx, site: &Site, id: Hash, set: HardwareSet) -> Result<Hardware, SiteError> {
    let admin = authz::change(ctx)?;
    let note = checked_reason(Reason { reason: set.note })?;
    let row = Hardware { id, standing: set.standing, note, changed: ctx.now, changed_by: admin.name.to_string() };
    let blocked = transaction!(site.store, "hardware_set", |tx| {
        hardware::lock(tx).await?;
        hardware::set(tx, &row).await?;
        let blocked = match row.standing {
            HardwareStanding::Blocked => block_devices(tx, ctx, &row).await?,
            HardwareStanding::Allowed | HardwareStanding::Awaited => Vec::new(),
        };
        let detail = format!("The hardware identity is {} now: {}", row.standing, row.note);
        audit::append(tx, ctx, "hardware_set", format!("hardware {id}"), detail).await?;
        Ok::<_, SiteError>(blocked)
    })?;
    for (device, revoked) in blocked {
        revocation::committed(site, &revoked);
        site.memory.verdicts.forget(device);
        site.bus.publish(Notice::DeviceClosed(device));
        site.bus.publish(Notice::Changed(Noun::Device));
    }
    Ok(row)
}

async fn block_devices(tx: &mut Tx, ctx: &Ctx, decided: &Hardware) -> Result<Vec<(DeviceId, Committed)>, SiteError> {
    let mut blocked = Vec::new();
    for (id, _) in hardware::devices(tx, &decided.id).await? {
        let Some(row) = block(tx, id, &decided.note).await? else { continue };
        if row.state == DeviceState::Quarantined {
            super::conflict::decided(tx, ctx, id, Decision::Block, &decided.note, None).await?;
        }
        let text = format!("{} blocked its hardware identity: {}", ctx.actor(), decided.note);
        let line = super::device::line(id, ctx.now, "administration", Severity::Warning, text);
        timeline::insert(tx, &line).await?;
        let hold = RevocationReason::CertificateHold;
        blocked.push((id, revocation::revoke_device(tx, ctx, id, hold).await?));
    }
    Ok(blocked)
}

/// Blocks a device in whichever revision it is; the row as it was before. `None`: it is blocked, or retired, by now.
async fn block(tx: &mut Tx, id: DeviceId, note: &str) -> Result<Option<DeviceRow>, SiteError> {
    for _ in 0..ATTEMPTS {
        let Some(row) = device::get(tx, id).await? else { return Ok(None) };
        if !matches!(row.state, DeviceState::Active | DeviceState::Quarantined) {
            return Ok(None);
        }
        if device::set_state(tx, &row, DeviceState::Blocked, Some(note)).await? {
            return Ok(Some(row));
        }
        // Somebody else changed it in between: a revocation, a quarantine. It is to be blocked all the same.
    }
    Err(SiteError::Fault(format!("device {id} changes too fast to be blocked")))
}

/// Forgets what was decided about a hardware identity: only its vendor's word counts then. Devices that a block locked out stay
/// locked out until they are unblocked.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`.
pub async fn hardware_remove(ctx: &Ctx, site: &Site, id: Hash, reason: Reason) -> Result<Hardware, SiteError> {
    authz::change(ctx)?;
    let reason = checked_reason(reason)?;
    transaction!(site.store, "hardware_remove", |tx| {
        hardware::lock(tx).await?;
        let row = hardware::get(tx, &id).await?.ok_or_else(SiteError::not_found)?;
        hardware::remove(tx, &id).await?;
        let detail = format!("The hardware identity, which was {}, is forgotten: {reason}", row.standing);
        audit::append(tx, ctx, "hardware_remove", format!("hardware {id}"), detail).await?;
        Ok(row)
    })
}
