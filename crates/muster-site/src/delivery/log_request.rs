//! What the site wants of clients' logs, in their assignments. A client says nothing of its log but where it stands, unless this is signed.

use crate::SiteError;
use muster_model::{
    id::{DeviceId, Hash},
    log::LogRequest,
    policy::{BodyKind, BodyRef},
};
use muster_store::{Connection, Tx, db::client_log};

/// The body of each device of which something is wanted.
pub(super) async fn bodies(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<(DeviceId, BodyRef)>, SiteError> {
    let mut bodies: Vec<(DeviceId, BodyRef)> = Vec::new();
    for (device, request) in client_log::wanted(tx, devices).await? {
        let bytes = body(&request)?;
        let (hash, size) = (muster_trust::sha256(&bytes), bytes.len() as u64);
        // A client takes one at most.
        if bodies.last().is_none_or(|(last, _)| *last != device) {
            bodies.push((device, BodyRef { kind: BodyKind::LogRequest, hash, size }));
        }
    }
    Ok(bodies)
}

/// The bytes of a body by its hash.
pub(super) async fn get(conn: &mut Connection, device: DeviceId, hash: Hash) -> Result<Option<Vec<u8>>, SiteError> {
    let Some(request) = client_log::awaited(conn, device).await? else { return Ok(None) };
    let bytes = body(&request)?;
    Ok((muster_trust::sha256(&bytes) == hash).then_some(bytes))
}

fn body(request: &LogRequest) -> Result<Vec<u8>, SiteError> {
    serde_json::to_vec(request).map_err(|error| SiteError::Fault(error.to_string()))
}
