//! The maintenance windows of a device as a policy body: signed like everything that decides what runs, and shared by all devices that
//! have the same ones.

use crate::SiteError;
use muster_model::{
    id::{CollectionId, DeviceId},
    limits,
    policy::{BodyKind, BodyRef, WindowPolicy},
    time::{SECOND, UnixMillis},
    window::{MaintenanceWindow, WindowKind},
};
use muster_store::{
    Tx,
    db::{
        assignment, client_settings, device_change, policy_body,
        window::{self, WindowRow},
    },
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The body of each of these devices that has a window. Devices in the same collections share one, which is put together once.
pub(super) async fn bodies(
    tx: &mut Tx,
    now: UnixMillis,
    devices: &[DeviceId],
) -> Result<HashMap<DeviceId, BodyRef>, SiteError> {
    let mut of_device: BTreeMap<DeviceId, Vec<CollectionId>> = BTreeMap::new();
    for (device, collection) in window::collections(tx, devices).await? {
        of_device.entry(device).or_default().push(collection);
    }
    if of_device.is_empty() {
        return Ok(HashMap::new());
    }
    let mut of_collection: HashMap<CollectionId, Vec<WindowRow>> = HashMap::new();
    for row in window::all(tx.conn()).await? {
        of_collection.entry(row.collection).or_default().push(row);
    }
    let mut made: HashMap<Vec<CollectionId>, BodyRef> = HashMap::new();
    let mut bodies = HashMap::new();
    for (device, set) in of_device {
        let body = match made.get(&set) {
            Some(body) => body.clone(),
            None => {
                let body = body(tx, now, &set, &of_collection).await?;
                made.insert(set, body.clone());
                body
            }
        };
        bodies.insert(device, body);
    }
    Ok(bodies)
}

/// The body with the windows of these collections, in a fixed order.
async fn body(
    tx: &mut Tx,
    now: UnixMillis,
    set: &[CollectionId],
    of_collection: &HashMap<CollectionId, Vec<WindowRow>>,
) -> Result<BodyRef, SiteError> {
    let mut rows: Vec<&WindowRow> =
        set.iter().filter_map(|collection| of_collection.get(collection)).flatten().collect();
    rows.sort_by_key(|row| row.id);
    let policy = WindowPolicy { windows: bounded(rows.into_iter().map(|row| row.window.clone()).collect()) };
    let bytes = serde_json::to_vec(&policy).map_err(|error| SiteError::Fault(error.to_string()))?;
    let hash = muster_trust::sha256(&bytes);
    policy_body::insert(tx, hash, BodyKind::Windows, &bytes, now).await?;
    Ok(BodyRef { kind: BodyKind::Windows, hash, size: bytes.len() as u64 })
}

/// As many of each kind as a policy has. Of none that is there nothing is left: fewer windows mean less time and never more.
pub(super) fn bounded(windows: Vec<MaintenanceWindow>) -> Vec<MaintenanceWindow> {
    let of_kind = |kind: WindowKind| {
        windows.iter().filter(move |window| window.kind == kind).take(limits::DEVICE_WINDOWS).cloned()
    };
    WindowKind::ALL.iter().copied().flat_map(of_kind).collect()
}

/// Those of these devices, which have no policy yet, that collections have not looked at: which windows and which settings hold for
/// them is not known. They get their deployments a moment later, so that nothing begins before these are there.
pub(super) async fn unknown(
    tx: &mut Tx,
    now: UnixMillis,
    devices: &[DeviceId],
) -> Result<HashSet<DeviceId>, SiteError> {
    if devices.is_empty() || !(window::any(tx.conn()).await? || client_settings::any(tx.conn()).await?) {
        return Ok(HashSet::new());
    }
    let waiting = device_change::waiting(tx, devices).await?;
    assignment::ask(tx, &waiting, now.plus(SECOND)).await?;
    Ok(waiting.into_iter().collect())
}
