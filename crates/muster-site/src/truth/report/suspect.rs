//! Reports that show that a second machine has the key of a device: by another history, or by other hardware.

use super::read::{Item, Report};
use crate::{SiteError, identity::conflict, site::Sources};
use muster_model::{
    api::{ConflictKind, ConflictMachine},
    enrol::DeviceClaims,
    id::{ConflictId, DeviceId},
};
use muster_store::{
    Tx,
    db::{channel::Standing, conflict::ConflictRow},
};
use muster_trust::sequence::Accepted;

/// Two machines that look like one device.
#[derive(Debug)]
pub(super) struct Suspect<'a> {
    report: &'a Report,
    kind: ConflictKind,
    first: ConflictMachine,
    second: ConflictMachine,
}

impl<'a> Suspect<'a> {
    /// A report of another history than the one that is stored.
    pub(super) fn fork(report: &'a Report, standing: &Standing) -> Self {
        // A client says what it is at every start: where it does here, the second machine has a name.
        let claims = report.items.iter().find_map(claims);
        Self::new(report, standing, ConflictKind::SequenceFork, claims)
    }

    /// A heartbeat with another hardware id than the device enrolled with.
    pub(super) fn hardware(report: &'a Report, accepted: &Accepted, standing: &Standing) -> Option<Self> {
        let new = report.items.iter().skip(accepted.skip).filter_map(claims);
        let other = new.into_iter().find(|claims| claims.hardware_id != standing.hardware)?;
        Some(Self::new(report, standing, ConflictKind::HardwareId, Some(other)))
    }

    fn new(report: &'a Report, standing: &Standing, kind: ConflictKind, claims: Option<&DeviceClaims>) -> Self {
        let before = standing.channels.get(&report.batch.channel);
        let first = ConflictMachine {
            address: before.map(|channel| channel.address.clone()).unwrap_or_default(),
            name: standing.name.clone(),
            hardware_id: Some(standing.hardware),
        };
        let second = ConflictMachine {
            address: report.address.clone(),
            name: claims.map(|claims| claims.host_name.clone()).unwrap_or_default(),
            hardware_id: claims.map(|claims| claims.hardware_id),
        };
        Self { report, kind, first, second }
    }

    /// The device.
    pub(super) fn device(&self) -> DeviceId {
        self.report.device
    }
}

fn claims(item: &Item) -> Option<&DeviceClaims> {
    match item {
        Item::Heartbeat(claims) => Some(claims),
        _ => None,
    }
}

/// Quarantines the devices; returns those that were active until now. Call it last: it holds the audit log.
pub(super) async fn quarantine(
    tx: &mut Tx,
    sources: &dyn Sources,
    suspects: Vec<Suspect<'_>>,
) -> Result<Vec<ConflictRow>, SiteError> {
    let mut found = Vec::new();
    for Suspect { report, kind, first, second } in suspects {
        let id = ConflictId(sources.id());
        let (device, found_at) = (report.device, report.received);
        let row = ConflictRow { id, device, kind, found: found_at, enrolment: None, first, second };
        if conflict::found(tx, &row).await? {
            found.push(row);
        }
    }
    Ok(found)
}
