//! Sample evidence of a hardware identity; only who vouched for it and when is shown.

use super::sample::{Flavour, NOW, ago, hash};
use muster_model::{api::Attestation, time::DAY};

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

impl Flavour {
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
