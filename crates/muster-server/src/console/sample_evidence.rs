//! Sample evidence of a hardware identity; only who vouched for it and when is shown.

use super::sample::{ago, hash};
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
