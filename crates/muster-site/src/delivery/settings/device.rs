//! The settings of devices: as a policy body, which all devices with the same ones share, and as they are shown.

use super::Objects;
use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::DeviceSetting,
    id::{CollectionId, DeviceId, SettingsId},
    policy::{BodyKind, BodyRef},
    settings::{Decided, client_settings},
    time::UnixMillis,
};
use muster_store::{
    Connection, Tx,
    db::{assignment, client_settings as stored, policy_body},
};
use std::collections::{BTreeMap, HashMap};

/// The body of each of these devices.
pub(in crate::delivery) async fn bodies(
    tx: &mut Tx,
    now: UnixMillis,
    devices: &[DeviceId],
) -> Result<HashMap<DeviceId, BodyRef>, SiteError> {
    let objects = Objects::read(tx.conn()).await?;
    let mut sets: HashMap<DeviceId, Vec<CollectionId>> = HashMap::new();
    if !objects.targets.is_empty() {
        for (device, collection) in stored::of_devices(tx, devices).await? {
            sets.entry(device).or_default().push(collection);
        }
    }
    let mut made: HashMap<Vec<CollectionId>, BodyRef> = HashMap::new();
    let mut bodies = HashMap::new();
    for device in devices {
        let set = sets.remove(device).unwrap_or_default();
        let body = match made.get(&set) {
            Some(body) => body.clone(),
            None => {
                let bytes = client_settings(&objects.decide(&set)).to_body();
                let hash = muster_trust::sha256(&bytes);
                policy_body::insert(tx, hash, BodyKind::Settings, &bytes, now).await?;
                let body = BodyRef { kind: BodyKind::Settings, hash, size: bytes.len() as u64 };
                made.insert(set, body.clone());
                body
            }
        };
        bodies.insert(*device, body);
    }
    Ok(bodies)
}

/// The settings of a device: every one with its value and the object that says so.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn device_settings(ctx: &Ctx, site: &Site, device: DeviceId) -> Result<Vec<DeviceSetting>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    assignment::get(&mut reader, device).await?.ok_or_else(SiteError::not_found)?;
    let objects = Objects::read(&mut reader).await?;
    let collections = stored::of_device(&mut reader, device).await?;
    Ok(objects.decide(&collections).into_iter().map(|decided| shown(&objects, decided)).collect())
}

fn shown(objects: &Objects, decided: Decided<SettingsId>) -> DeviceSetting {
    let Decided { setting, value, source } = decided;
    let row = source.and_then(|id| objects.rows.iter().find(|row| row.id == id));
    DeviceSetting {
        name: setting.name.to_owned(),
        group: setting.group.to_owned(),
        label: setting.label.to_owned(),
        shown: setting.shown(&value),
        source: row.map_or_else(|| "default".to_owned(), |row| row.name.to_string()),
        source_id: source,
        priority: row.map_or(0, |row| row.place),
        privacy: setting.privacy.map(str::to_owned),
        in_force: setting.in_force,
        dangerous: setting.is_danger(&value),
        value,
    }
}

/// Which devices may install updates in general windows too, by number; and what holds for those that are not named.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Anywhere {
    of_device: HashMap<i64, bool>,
    others: bool,
}

impl Anywhere {
    pub(in crate::delivery) fn of(&self, resource: i64) -> bool {
        self.of_device.get(&resource).copied().unwrap_or(self.others)
    }
}

/// See [`Anywhere`].
pub(in crate::delivery) async fn updates_anywhere(conn: &mut Connection) -> Result<Anywhere, SiteError> {
    let objects = Objects::read(conn).await?;
    if !objects.says("updates_in_general_windows") {
        return Ok(Anywhere::default());
    }
    let mut known: HashMap<Vec<CollectionId>, bool> = HashMap::new();
    let mut decide = |set: Vec<CollectionId>| {
        let compute = |set: &Vec<CollectionId>| client_settings(&objects.decide(set)).updates_in_general_windows;
        *known.entry(set).or_insert_with_key(compute)
    };
    let mut anywhere = Anywhere { of_device: HashMap::new(), others: decide(Vec::new()) };
    for (resource, set) in sets(conn, &[]).await? {
        anywhere.of_device.insert(resource, decide(set));
    }
    Ok(anywhere)
}

/// Active devices in collections with settings, or in these; each with those collections in a fixed order.
pub(super) async fn sets(
    conn: &mut Connection,
    collections: &[CollectionId],
) -> Result<BTreeMap<i64, Vec<CollectionId>>, SiteError> {
    let mut sets: BTreeMap<i64, Vec<CollectionId>> = BTreeMap::new();
    for (resource, collection) in stored::memberships(conn).await? {
        sets.entry(resource).or_default().push(collection);
    }
    for collection in collections {
        for resource in stored::members(conn, *collection).await? {
            let set = sets.entry(resource).or_default();
            if let Err(place) = set.binary_search(collection) {
                set.insert(place, *collection);
            }
        }
    }
    Ok(sets)
}
