//! Many devices at once.

use muster_model::{
    api::DeviceState,
    enrol::DeviceClaims,
    id::{DeviceId, Hash, ResourceId},
    time::UnixMillis,
};
use muster_store::{
    Store, StoreError,
    db::device::{self, DeviceRow},
    transaction,
};

/// The id with this number.
pub(crate) fn device_id(number: u128) -> DeviceId {
    DeviceId(uuid::Uuid::from_u128(number))
}

/// Active devices with the numbers from 1 on.
pub(crate) async fn devices(store: &Store, count: u128) -> Vec<DeviceId> {
    let row = |number: u128| {
        let hash = Hash(std::array::from_fn(|at| number.to_be_bytes()[at % 16]));
        DeviceRow {
            id: device_id(number),
            resource_id: ResourceId(0),
            state: DeviceState::Active,
            claims: DeviceClaims {
                host_name: format!("device-{number}"),
                operating_system: format!("System {}", number % 3),
                agent_version: "0.1.0".to_owned(),
                hardware_id: hash,
            },
            key: hash,
            spki: vec![1],
            hardware: None,
            account: None,
            serial: format!("{number:x}"),
            previous_serial: None,
            certificate_expires: UnixMillis(1),
            certificate: vec![2],
            enrolled: UnixMillis(1),
            last_seen: None,
            last_inventory: None,
            block_reason: None,
            key_revoked: None,
            revision: 1,
        }
    };
    let done: Result<(), StoreError> = transaction!(store, "t", |tx| {
        for number in 1..=count {
            device::insert(tx, &row(number)).await?;
        }
        Ok(())
    });
    done.unwrap();
    (1..=count).map(device_id).collect()
}
