//! Two machines that look like one device: what was seen, and what was decided.

use super::DeviceState;
use crate::{
    id::{ConflictId, DeviceId, EnrolmentId, Hash},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// What only one machine can have, and two have.
    enum ConflictKind {
        /// Two histories of messages under one key: a copy of the client's state is in use, or an old image was restored.
        SequenceFork = "sequence_fork",
        /// Two hardware ids under one key: the key was copied to another machine, or the hardware was exchanged.
        HardwareId = "hardware_id",
        /// Two keys on one machine: hardware that is a device already asks to be enrolled with another key. The device goes on, and
        /// the request waits.
        EnrolledAgain = "enrolled_again",
        /// One certificate of the enterprise under two device keys: its private key was copied to another machine, or the
        /// client was installed anew.
        EnterpriseKey = "enterprise_key",
    }
}
api! {
    /// What an administrator found out.
    enum ConflictDecision {
        /// It is one machine: it goes on, with the hardware that it has now.
        SameMachine = "same_machine",
        /// They are two: the key is given up, and each enrols anew with a key of its own.
        TwoMachines = "two_machines",
        /// Nobody is to use this identity: locked out, and so is its hardware.
        Block = "block",
        /// Of a request alone: it was refused, and the device goes on as it is.
        Refused = "refused",
    }
}
api! {
    /// One of the two machines, as far as it is known.
    struct ConflictMachine {
        /// Address that it came from; empty when it is not known.
        address: String,
        /// Host name that it says it has.
        name: String,
        /// Hardware id that it says it has; not every message carries it.
        hardware_id: Option<Hash>,
    }
}
api! {
    /// Two machines that look like one device.
    struct Conflict {
        /// The id.
        id: ConflictId,
        /// The device.
        device: DeviceId,
        /// State of the device now.
        device_state: DeviceState,
        /// What was seen.
        kind: ConflictKind,
        /// When.
        found: UnixMillis,
        /// The request, where one of the two only asks to be enrolled.
        #[serde(default)] enrolment: Option<EnrolmentId>,
        /// Who had spoken before.
        first: ConflictMachine,
        /// Who came then.
        second: ConflictMachine,
        /// What was decided; none: it is open.
        decision: Option<ConflictDecision>,
        /// When it was decided.
        decided: Option<UnixMillis>,
        /// Who decided.
        decided_by: Option<String>,
        /// Why.
        reason: Option<String>,
    }
}
api! {
    /// `GET /api/v1/conflicts`.
    #[derive(Default)]
    struct ConflictQuery {
        /// Only those that nobody has decided yet.
        #[serde(default)] open: bool,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
api! {
    /// `POST /api/v1/conflicts/{id}/decide`.
    struct ConflictDecide {
        /// What was found out.
        decision: ConflictDecision,
        /// Why; 1 to 500 characters, for the audit log.
        reason: String,
    }
}
