//! The order of management points for a device: a policy body like any other, so that it is signed, and shared by all who are at
//! the same place.

use crate::{SiteError, identity::boundary::Map, site::Site};
use muster_model::{
    api::BoundaryGroup,
    id::DeviceId,
    limits,
    policy::{BodyKind, BodyRef, LocationPolicy},
    time::UnixMillis,
};
use muster_store::{
    Tx,
    db::{network, policy_body},
};
use std::collections::HashMap;

/// The body of each of these devices for which something follows from where it is.
pub(super) async fn bodies(
    site: &Site,
    tx: &mut Tx,
    now: UnixMillis,
    devices: &[DeviceId],
) -> Result<HashMap<DeviceId, BodyRef>, SiteError> {
    let map = Map::read(tx.conn()).await?;
    let mut bodies = HashMap::new();
    if map.is_empty() {
        return Ok(bodies);
    }
    let mut made: HashMap<Vec<u8>, BodyRef> = HashMap::new();
    for device in network::of_devices(tx, devices).await? {
        let Some(bytes) = policy(&map.groups(&device), &site.addresses.management_points)? else { continue };
        let body = match made.get(&bytes) {
            Some(body) => body.clone(),
            None => {
                let hash = muster_trust::sha256(&bytes);
                policy_body::insert(tx, hash, BodyKind::Location, &bytes, now).await?;
                let body = BodyRef { kind: BodyKind::Location, hash, size: bytes.len() as u64 };
                made.insert(bytes, body.clone());
                body
            }
        };
        bodies.insert(device.device, body);
    }
    Ok(bodies)
}

/// Near are the points of the groups that a device is in; behind them come the site's others.
fn policy(groups: &[&BoundaryGroup], all: &[String]) -> Result<Option<Vec<u8>>, SiteError> {
    let mut near: Vec<String> = groups.iter().flat_map(|group| group.management_points.clone()).collect();
    near.sort_unstable();
    near.dedup();
    near.truncate(limits::LOCATION_POINTS);
    if near.is_empty() {
        return Ok(None);
    }
    let mut far: Vec<String> = all.iter().filter(|address| !near.contains(address)).cloned().collect();
    far.sort_unstable();
    far.dedup();
    far.truncate(limits::LOCATION_POINTS);
    let management_points = [near, far].into_iter().filter(|rank| !rank.is_empty()).collect();
    let bytes = serde_json::to_vec(&LocationPolicy { management_points });
    bytes.map(Some).map_err(|error| SiteError::Fault(error.to_string()))
}
