//! Rows that differ by a number and are otherwise alike.

use muster_model::{
    api::{Admin, DeviceState, EnrolmentState, Role},
    enrol::DeviceClaims,
    id::{AdminId, DeviceId, EnrolmentId, Hash, ResourceId, TokenId},
    time::UnixMillis,
};
use muster_store::db::{device::DeviceRow, enrolment::EnrolmentRow, token::TokenRow};
use uuid::Uuid;

/// The moment at which everything here happens.
pub(crate) const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

pub(crate) fn hash(n: u8) -> Hash {
    Hash([n; 32])
}

fn uuid(n: u8) -> Uuid {
    Uuid::from_u128(u128::from(n))
}

pub(crate) fn claims(name: &str) -> DeviceClaims {
    DeviceClaims {
        host_name: name.to_owned(),
        operating_system: "Debian".to_owned(),
        agent_version: "0.1.0".to_owned(),
        hardware_id: hash(200),
    }
}

pub(crate) fn admin(n: u8, name: &str) -> Admin {
    let role = if n == 1 { Role::FullAdministrator } else { Role::ReadOnlyAnalyst };
    Admin { id: AdminId(uuid(n)), name: name.parse().unwrap(), role, key: hash(n), created: NOW }
}

pub(crate) fn token(n: u8) -> TokenRow {
    TokenRow {
        id: TokenId(uuid(n)),
        name: "laptops".parse().unwrap(),
        created: NOW.plus(i64::from(n)),
        expires: NOW.plus(1_000),
        created_by: "Ada".parse().unwrap(),
        used_by: None,
        revoked: None,
        serial: None,
    }
}

pub(crate) fn enrolment_id(n: u8) -> EnrolmentId {
    EnrolmentId(uuid(n))
}

/// A request by token `n` with key `n`.
pub(crate) fn enrolment(n: u8) -> EnrolmentRow {
    EnrolmentRow {
        id: enrolment_id(n),
        state: EnrolmentState::Pending,
        token: TokenId(uuid(n)),
        key: hash(n),
        spki: vec![n; 91],
        claims: claims(&format!("pc{n}")),
        hardware: None,
        account: None,
        serial: None,
        verdict: None,
        address: "192.0.2.1".to_owned(),
        assignment: vec![0, n, 255],
        created: NOW.plus(i64::from(n)),
        device: None,
    }
}

pub(crate) fn device(n: u8) -> DeviceRow {
    DeviceRow {
        id: DeviceId(uuid(n)),
        resource_id: ResourceId(16_777_216 + u32::from(n)),
        state: DeviceState::Active,
        claims: DeviceClaims { hardware_id: hash(100 + n), ..claims(&format!("pc{n}")) },
        key: hash(n),
        spki: vec![n; 91],
        hardware: None,
        account: None,
        serial: format!("40{n:02x}"),
        previous_serial: None,
        certificate_expires: NOW,
        certificate: vec![0, n, 255],
        enrolled: NOW,
        last_seen: None,
        last_inventory: None,
        block_reason: None,
        key_revoked: None,
        revision: 1,
    }
}
