//! Devices and what is known about them.

use super::{DeviceDeployment, DomainAccount, EnterpriseCertificate, KeyProtection, Revocation};
use crate::{
    id::{DeviceId, Hash, ResourceId},
    inventory::Unread,
    status::Severity,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// Where a device is in its life.
    enum DeviceState {
        /// It is managed.
        Active = "active",
        /// Two machines look like it: it gets nothing until an administrator decides the conflict.
        Quarantined = "quarantined",
        /// It is locked out, until it is unblocked.
        Blocked = "blocked",
        /// It left for good.
        Retired = "retired",
    }
}
api! {
    /// A device, as a row of a list.
    struct Device {
        /// The id.
        id: DeviceId,
        /// Its number in queries and reports, as Configuration Manager counts them.
        resource_id: ResourceId,
        /// Host name, as the device last said.
        name: String,
        /// Its state.
        state: DeviceState,
        /// How its key is kept, as far as the site could prove it.
        key_protection: KeyProtection,
        /// Operating system, as the device last said.
        operating_system: String,
        /// Version of its agent.
        agent_version: String,
        /// Whether it has a live channel at this moment.
        online: bool,
        /// Last contact.
        last_seen: Option<UnixMillis>,
        /// Last accepted inventory.
        last_inventory: Option<UnixMillis>,
        /// When it was approved.
        enrolled: UnixMillis,
    }
}
api! {
    /// Columns that a list of devices can be sorted by.
    #[derive(Default)]
    enum DeviceSort {
        /// Host name.
        #[default]
        Name = "name",
        /// State.
        State = "state",
        /// Operating system.
        OperatingSystem = "operating_system",
        /// Last contact.
        LastSeen = "last_seen",
        /// When it was approved.
        Enrolled = "enrolled",
    }
}
api! {
    /// `GET /api/v1/devices`.
    #[derive(Default)]
    struct DeviceQuery {
        /// Part of the host name or operating system, or a whole id.
        #[serde(default)] search: String,
        /// Only devices of this state.
        #[serde(default)] state: Option<DeviceState>,
        /// The column to sort by.
        #[serde(default)] sort: DeviceSort,
        /// From high to low.
        #[serde(default)] descending: bool,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
api! {
    /// Whether a machine needs a restart.
    struct DeviceRestart {
        /// Whether it does.
        pending: bool,
        /// For what; empty: for nothing.
        reasons: String,
        /// Programs that still run what an update replaced. Absent: that is not known.
        programs: Option<u64>,
        /// Some of their names.
        program_names: String,
    }
}
api! {
    /// `GET /api/v1/devices/{id}`.
    struct DeviceDetail {
        /// The row.
        device: Device,
        /// Key id of the device's key.
        key: Hash,
        /// The hardware identity that it proved when it enrolled.
        hardware: Option<Hash>,
        /// The evidence for it.
        attestation: Option<Attestation>,
        /// The computer's account of a trusted domain that it proved when it enrolled.
        account: Option<DomainAccount>,
        /// Its hardware id, as it says.
        hardware_id: Hash,
        /// Serial number of its certificate, hexadecimal.
        certificate_serial: String,
        /// When its certificate ends.
        certificate_expires: UnixMillis,
        /// How its certificate was revoked, where it was.
        revocation: Option<Revocation>,
        /// The certificate of the enterprise that it talks with, and with no other.
        enterprise: Option<EnterpriseCertificate>,
        /// Version of its assignment.
        policy_version: u64,
        /// When its assignment ends unless it is signed again.
        policy_expires: Option<UnixMillis>,
        /// Version of the trust bundle under which its assignment was signed.
        policy_trust_version: u64,
        /// When the device last said that it has this assignment. Absent: not yet, and until `policy_expires` it may go by an
        /// earlier one.
        policy_confirmed: Option<UnixMillis>,
        /// The reason of a block.
        block_reason: Option<String>,
        /// When its key was revoked for good: the machine comes back by enrolling with a new one.
        key_revoked: Option<UnixMillis>,
        /// Inventory classes with the number of rows and the time of their last change.
        classes: Vec<ClassSummary>,
        /// Where it is, as it said last.
        location: Option<super::DeviceLocation>,
        /// What its agent could not read.
        unread: Vec<Unread>,
        /// Whether its machine needs a restart, as its agent said last. Absent: it did not say.
        restart: Option<DeviceRestart>,
        /// Collections that it is in, by name; at most 500.
        collections: Vec<super::DeviceCollection>,
        /// Its deployments.
        deployments: Vec<DeviceDeployment>,
        /// How it stands to the baselines that are deployed to it.
        baselines: Vec<super::DeviceCompliance>,
        /// Changes with the row; for If-Match.
        revision: u64,
    }
}
api! {
    /// What a device proved when it enrolled, with the raw evidence, so that it can be judged again elsewhere.
    struct Attestation {
        /// SHA-256 of the endorsement key's `SubjectPublicKeyInfo`.
        hardware: Hash,
        /// Who vouched for the endorsement key: `vendor` or `administrator`.
        vouched_by: String,
        /// When the site verified it.
        verified: UnixMillis,
        /// The endorsement key's certificate: DER, base64.
        endorsement_certificate: Option<String>,
        /// The endorsement key: `TPMT_PUBLIC`, base64.
        endorsement_key: String,
        /// The attestation key: `TPMT_PUBLIC`, base64.
        attestation_key: String,
        /// The device's key: `TPMT_PUBLIC`, base64.
        device_key: String,
        /// `TPMS_ATTEST`, base64.
        statement: String,
        /// `TPMT_SIGNATURE`, base64.
        signature: String,
        /// The site's nonce.
        nonce: Hash,
        /// The TLS exporter of the connection.
        exporter: Hash,
    }
}
api! {
    /// One inventory class of one device.
    struct ClassSummary {
        /// The class.
        class: String,
        /// How many rows.
        rows: u64,
        /// When they last changed.
        changed: UnixMillis,
    }
}
api! {
    /// `GET /api/v1/devices/{id}/inventory/{class}`.
    struct ClassRows {
        /// The class.
        class: String,
        /// Attribute names, in catalogue order, only those that any row has.
        attributes: Vec<String>,
        /// Their types, in the same order, as Configuration Manager writes them.
        #[serde(default)] types: Vec<String>,
        /// The rows.
        rows: Vec<crate::inventory::Row>,
        /// How many rows there are on all pages.
        total: u64,
    }
}
api! {
    /// Why a device is blocked, unblocked or retired.
    struct Reason {
        /// One sentence for the audit log; 1 to 500 characters.
        reason: String,
    }
}
api! {
    /// One line of a device's history.
    struct TimelineEntry {
        /// When.
        time: UnixMillis,
        /// `enrolment`, `deployment`, `message`, `inventory`, `administration`.
        kind: String,
        /// How serious it is.
        severity: Severity,
        /// One sentence.
        text: String,
    }
}

/// Devices that one request may lock out.
pub const DEVICES_BLOCKED: usize = 1_000;

api! {
    /// `POST /api/v1/devices/block`: many at once, all of them or none.
    struct DevicesBlock {
        /// Which; at most 1,000.
        devices: Vec<DeviceId>,
        /// One sentence for the audit log; 1 to 500 characters.
        reason: String,
    }
}
api! {
    /// What became of them.
    struct DevicesBlocked {
        /// How many are locked out since.
        blocked: u64,
        /// Those that were blocked or retired before.
        before: Vec<DeviceId>,
    }
}
