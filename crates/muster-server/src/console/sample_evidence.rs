//! Sample evidence of hardware identities, keys and conflicts.

use super::sample::{Flavour, NOW, ago, hash, uuid};
use muster_model::{
    api::{
        Approval, ApprovalMode, Attestation, ClientLog, Conflict, ConflictDecision, ConflictKind, ConflictMachine,
        DeviceState, DomainAccount, LogAlteration, LogCollected, LogStanding, LogState, Serial, TrustedDomain,
    },
    id::{ConflictId, DeviceId, EnrolmentId, LogRequestId},
    log::LogFault,
    time::{DAY, MINUTE},
};

/// Evidence that `vouched_by` vouched for.
pub(super) fn attestation(vouched_by: &str) -> Attestation {
    Attestation {
        hardware: hash(3),
        vouched_by: vouched_by.to_owned(),
        verified: ago(20 * DAY),
        endorsement_certificate: None,
        endorsement_key: String::new(),
        attestation_key: String::new(),
        device_key: String::new(),
        statement: String::new(),
        signature: String::new(),
        nonce: hash(4),
        exporter: hash(5),
    }
}

/// The log of a device, and pieces of it.
pub(super) fn client_log(f: Flavour) -> ClientLog {
    if f == Flavour::Empty {
        return ClientLog { standing: None, pieces: vec![] };
    }
    let (from, until) = (ago(3 * DAY), ago(2 * DAY));
    let altered = Some(LogAlteration { fault: LogFault::Replaced, sequence: 812, from, until });
    let piece = |number, received, state, altered| LogCollected {
        id: LogRequestId(uuid(number)),
        since: None,
        limit: 20_000,
        asked: ago(2 * DAY),
        asked_by: f.text("Ada"),
        received,
        first: received.map(|_| 1),
        last: received.map(|_| 4_711),
        state,
        altered,
        anchors: 12,
        bytes: 81_000,
        expires: NOW.plus(28 * DAY),
    };
    let standing = LogStanding { sequence: 4_711, head: hash(21), first: 1, received: ago(MINUTE), altered };
    let pieces = vec![
        piece(401, None, LogState::Awaited, None),
        piece(402, Some(ago(DAY)), LogState::Altered, altered),
        piece(403, Some(ago(DAY)), LogState::Intact, None),
    ];
    ClientLog { standing: Some(standing), pieces }
}

impl Flavour {
    pub(super) fn conflicts(self) -> Vec<Conflict> {
        let machine = |address: &str, name: &str, hardware_id| ConflictMachine {
            address: self.text(address),
            name: self.text(name),
            hardware_id,
        };
        let open = Conflict {
            id: ConflictId(uuid(301)),
            device: DeviceId(uuid(1)),
            device_state: DeviceState::Quarantined,
            kind: ConflictKind::HardwareId,
            enrolment: None,
            found: ago(4 * MINUTE),
            first: machine("10.20.0.7", "kiosk-lobby", Some(hash(11))),
            second: machine("10.20.4.19", "kiosk-lobby", Some(hash(12))),
            decision: None,
            decided: None,
            decided_by: None,
            reason: None,
        };
        let fork = Conflict {
            id: ConflictId(uuid(302)),
            kind: ConflictKind::SequenceFork,
            first: machine("", "kiosk-lobby", None),
            second: ConflictMachine { name: String::new(), ..machine("10.20.4.19", "", None) },
            ..open.clone()
        };
        let decided = Conflict {
            id: ConflictId(uuid(303)),
            device_state: DeviceState::Active,
            decision: Some(ConflictDecision::SameMachine),
            decided: Some(ago(MINUTE)),
            decided_by: Some(self.text("Ada")),
            reason: Some(self.text("The mainboard was exchanged")),
            ..open.clone()
        };
        let again = Conflict {
            id: ConflictId(uuid(304)),
            kind: ConflictKind::EnrolledAgain,
            enrolment: Some(EnrolmentId(uuid(305))),
            device_state: DeviceState::Active,
            ..open.clone()
        };
        vec![open, fork, again, decided]
    }

    /// The approval mode.
    pub(super) fn approval(self) -> Approval {
        let mode = ApprovalMode::TrustedDomain;
        let domain = TrustedDomain {
            realm: self.text("LAB.EXAMPLE"),
            service: "muster/site.example".to_owned(),
            groups: vec!["S-1-5-21-1-2-3-1105".to_owned()],
        };
        let without_key = if self == Self::Empty { Vec::new() } else { vec![self.text("LAB.EXAMPLE")] };
        Approval { mode, domains: vec![domain], warning: mode.warning().to_owned(), without_key }
    }

    /// Serial numbers that are expected.
    pub(super) fn serials(self) -> Vec<Serial> {
        let serial = |number: &str, note: &str| Serial {
            serial: self.text(number),
            note: self.text(note),
            changed: ago(3 * DAY),
            changed_by: self.text("amelia"),
        };
        vec![serial("5CD1234XYZ", "desk 9, room 4"), serial("5CD1234XZA", "reception")]
    }

    /// Whose keys are believed.
    pub(super) fn trust(self) -> muster_model::api::TrustView {
        let key = |purpose: &str, name: &str, byte, in_use| muster_model::api::TrustKey {
            purpose: purpose.to_owned(),
            key: hash(byte),
            name: self.text(name),
            in_use,
        };
        muster_model::api::TrustView {
            version: 2,
            issued: NOW.plus(-353 * DAY),
            expires: NOW.plus(12 * DAY),
            root_threshold: 1,
            author_threshold: 1,
            keys: vec![
                key("root", "trusted root", 33, true),
                key("issuing", "issuing CA", 34, true),
                key("policy", "policy", 35, false),
                key("policy", "policy", 36, true),
                key("author", "Ada Lovelace", 37, true),
            ],
            revoked: vec![hash(38)],
            devices: vec![muster_model::api::TrustDevices { version: 2, count: 1_204 }],
            unconfirmed: 3,
            unconfirmed_until: Some(NOW.plus(5 * DAY)),
        }
    }
}

/// The account of a computer that proved its domain.
pub(super) fn account(name: &str) -> DomainAccount {
    DomainAccount {
        realm: "LAB.EXAMPLE".to_owned(),
        account: name.to_owned(),
        sid: "S-1-5-21-1004336348-1177238915-682003330-1104".to_owned(),
        group: None,
        verified: ago(2 * DAY),
    }
}
