//! What is revoked: known to this process without a query, signed into lists, and answered by OCSP.
//!
//! The table changes in the transaction of a decision. This process knows at once, others when their worker looks; the lists
//! follow within seconds, and are signed again long before they end.

mod list;
mod ocsp;

pub use list::{LIST_LIFETIME, Lists, Published, revocation_list_show, revocation_show, revocation_warnings};
pub(super) use list::{put_root_list, root_list, root_list_in, sign_first_list, sign_first_root_list};
pub(crate) use list::{revocation_hear, revocation_work};
pub use ocsp::{OcspAnswer, STATUS_LIFETIME, ocsp_answer, server_certificate_is_revoked, server_status};

use crate::{Ctx, SiteError, site::Site};
use muster_model::{
    api::RevocationReason,
    id::{DeviceId, MobileId},
    time::{DAY, UnixMillis},
};
use muster_store::{
    Tx,
    bus::Notice,
    db::{
        certificate,
        revocation::{self, Cause, RevokedRow},
    },
    transaction,
};
use muster_trust::{ocsp::Status, tls::Revocations};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// How long a certificate stays known after its end: one more list names it.
const KNOWN_AFTER_END: i64 = 4 * DAY;

fn fault(error: impl std::fmt::Display) -> SiteError {
    SiteError::Fault(error.to_string())
}

/// A serial number as certificates of this site have it.
pub(crate) fn number(serial: &str) -> Option<u128> {
    u128::from_str_radix(serial, 16).ok()
}

/// Everything that is revoked, in the memory of this process.
#[derive(Debug, Default)]
pub struct Revoked {
    serials: RwLock<HashMap<u128, (UnixMillis, RevocationReason)>>,
    generation: AtomicU64,
    change: AtomicU64,
}

impl Revocations for Revoked {
    fn is_revoked(&self, serial: u128) -> bool {
        self.serials.read().unwrap_or_else(PoisonError::into_inner).contains_key(&serial)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

impl Revoked {
    /// Another number, although nothing of the site's own was revoked.
    fn turn(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// How many certificates are revoked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.serials.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn status(&self, serial: u128) -> Option<Status> {
        let serials = self.serials.read().unwrap_or_else(PoisonError::into_inner);
        serials.get(&serial).map(|&(at, reason)| Status::Revoked { at, reason })
    }

    /// Takes over a change that this process has committed.
    fn apply(&self, committed: &Committed) {
        let mut serials = self.serials.write().unwrap_or_else(PoisonError::into_inner);
        serials.extend(committed.added.iter().filter_map(entry));
        for serial in committed.lifted.iter().filter_map(|serial| number(serial)) {
            serials.remove(&serial);
        }
        if !committed.added.is_empty() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        // Was there a change of another process in between, the worker sees that the numbers differ and reads everything.
        let _ =
            self.change.compare_exchange(committed.change - 1, committed.change, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Takes over what was read when the generation was `seen`; the devices of what is new. What this process revoked meanwhile
    /// stays, and is read again: then [`Replaced::is_whole`] is not so.
    fn replace(&self, rows: &[RevokedRow], seen: u64) -> Replaced {
        let mut serials = self.serials.write().unwrap_or_else(PoisonError::into_inner);
        let next: HashMap<_, _> = rows.iter().filter_map(entry).collect();
        let meanwhile = self.generation() != seen;
        let is_new = |row: &&RevokedRow| number(&row.serial).is_some_and(|serial| !serials.contains_key(&serial));
        let new: Vec<_> = rows.iter().filter(is_new).collect();
        let devices = new.iter().filter_map(|row| row.device).collect();
        if !new.is_empty() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        if meanwhile {
            serials.extend(next);
        } else {
            *serials = next;
        }
        Replaced { devices, is_whole: !meanwhile }
    }

    /// Everything up to this change is known now. What one load missed, the next one finds.
    fn know(&self, change: u64) {
        self.change.store(change, Ordering::Release);
    }
}

/// What reading everything anew brought.
struct Replaced {
    /// Devices whose certificates were not known to be revoked.
    devices: BTreeSet<DeviceId>,
    /// Whether this process revoked nothing meanwhile.
    is_whole: bool,
}

fn entry(row: &RevokedRow) -> Option<(u128, (UnixMillis, RevocationReason))> {
    Some((number(&row.serial)?, (row.revoked, row.reason)))
}

/// What a transaction changed, for the memory of this process after its commit.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    added: Vec<RevokedRow>,
    lifted: Vec<String>,
    change: u64,
}

impl Committed {
    /// Whether anything changed.
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.lifted.is_empty()
    }

    /// How many certificates were revoked.
    pub(super) fn revoked(&self) -> usize {
        self.added.len()
    }
}

/// Revokes every certificate of a device, in the transaction of a decision.
pub(super) async fn revoke_device(
    tx: &mut Tx,
    ctx: &Ctx,
    device: DeviceId,
    reason: RevocationReason,
) -> Result<Committed, SiteError> {
    let by = ctx.actor();
    let added = revocation::insert_device(tx, device, Cause { reason, at: ctx.now, by: &by }).await?;
    counted(tx, added, Vec::new()).await
}

/// Revokes every certificate of a mobile device, in the transaction of a decision.
pub(crate) async fn revoke_mobile(
    tx: &mut Tx,
    ctx: &Ctx,
    device: MobileId,
    reason: RevocationReason,
) -> Result<Committed, SiteError> {
    let by = ctx.actor();
    let added = revocation::insert_mobile(tx, device, Cause { reason, at: ctx.now, by: &by }).await?;
    counted(tx, added, Vec::new()).await
}

/// Revokes one certificate.
pub(super) async fn revoke_one(
    tx: &mut Tx,
    ctx: &Ctx,
    serial: &str,
    reason: RevocationReason,
) -> Result<Committed, SiteError> {
    let by = ctx.actor();
    let added = revocation::insert_one(tx, serial, Cause { reason, at: ctx.now, by: &by }).await?;
    counted(tx, added.into_iter().collect(), Vec::new()).await
}

/// Takes the certificates of a device that are on hold from the list.
pub(super) async fn lift_device(tx: &mut Tx, device: DeviceId) -> Result<Committed, SiteError> {
    let lifted = revocation::lift(tx, device).await?;
    counted(tx, Vec::new(), lifted).await
}

async fn counted(tx: &mut Tx, added: Vec<RevokedRow>, lifted: Vec<String>) -> Result<Committed, SiteError> {
    let change = if added.is_empty() && lifted.is_empty() { 0 } else { revocation::bump(tx).await? };
    Ok(Committed { added, lifted, change })
}

/// This process knows from now on, and its worker signs a new list.
pub(crate) fn committed(site: &Site, committed: &Committed) {
    if !committed.is_empty() {
        site.memory.revoked.apply(committed);
        site.memory.work.notify_one();
    }
}

/// Session tickets from before are worth nothing.
pub(super) fn turn(site: &Site) {
    site.memory.revoked.turn();
}

/// Reads everything anew. At the start, and when another process changed something.
pub(crate) async fn revocation_load(site: &Site) -> Result<(), SiteError> {
    let seen = site.memory.revoked.generation();
    let mut reader = site.store.reader().await?;
    // The number first: what is added in between is read twice, and nothing is missed.
    let change = revocation::change(&mut reader).await?;
    let rows = revocation::all(&mut reader).await?;
    let replaced = site.memory.revoked.replace(&rows, seen);
    for device in replaced.devices {
        // Another process decided; what the device has open here ends too.
        site.bus.publish(Notice::DeviceClosed(device));
    }
    site.memory.lists.replace(revocation::lists(&mut reader).await?);
    drop(reader);
    super::issuer::issuer_load(site).await?;
    // Last: whatever failed above is read again when the worker looks next.
    if replaced.is_whole {
        site.memory.revoked.know(change);
    }
    Ok(())
}

/// Forgets certificates that ended long ago; they leave the list too.
pub(crate) async fn certificate_purge(site: &Site, now: UnixMillis) -> Result<(), SiteError> {
    transaction!(site.store, "certificate_purge", |tx| {
        if certificate::purge(tx, now.plus(-KNOWN_AFTER_END)).await? > 0 {
            revocation::bump(tx).await?;
        }
        Ok(())
    })
}
