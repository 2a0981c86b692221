//! Signatures, which bound what is signed or verified one by one: on one thread, without a server.

use super::{cpu, report::Figure};
use crate::fleet::{FleetError, clock};
use muster_model::{
    id::{DeviceId, Hash},
    policy::{ASSIGNMENT_LIFETIME, Assignment, BodyKind, BodyRef, Recipient},
    report::REPORT_TYPE,
};
use muster_trust::{PrivateKey, envelope};
use std::{
    fs,
    time::{Duration, Instant},
};

/// How long each is done.
const LENGTH: Duration = Duration::from_secs(1);

/// CPU time of this thread.
fn own() -> Duration {
    fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| cpu::parse_schedstat(&text))
        .unwrap_or_default()
}

fn rate(mut act: impl FnMut() -> Result<(), FleetError>) -> Result<f64, FleetError> {
    let (end, before) = (Instant::now() + LENGTH, own());
    let mut count = 0_u32;
    while Instant::now() < end {
        for _ in 0..100 {
            act()?;
        }
        count += 100;
    }
    Ok(f64::from(count) / own().saturating_sub(before).as_secs_f64().max(1e-9))
}

/// Assignments signed, and report envelopes opened, per second of one core.
///
/// # Errors
/// When a signature fails.
pub fn measure() -> Result<Vec<Figure>, FleetError> {
    let key = PrivateKey::generate()?;
    let now = clock::now();
    let body = |kind| BodyRef { kind, hash: Hash([7; 32]), size: 1_000 };
    let assignment = Assignment {
        site: "BEN".parse().map_err(|error: muster_model::id::IdError| FleetError::Unusable(error.to_string()))?,
        recipient: Recipient::Device(DeviceId(uuid::Uuid::from_u128(1))),
        version: 1,
        issued: now,
        expires: now.plus(ASSIGNMENT_LIFETIME),
        trust_version: 1,
        bodies: vec![body(BodyKind::Settings), body(BodyKind::Deployment), body(BodyKind::Application)],
    };
    let signed = rate(|| {
        std::hint::black_box(envelope::sign1_json(&key, &assignment)?);
        Ok(())
    })?;
    let report = envelope::sign1(&key, REPORT_TYPE, vec![0; 400])?;
    let id = key.public().id();
    let opened = rate(|| {
        let opened = envelope::open1(&report, REPORT_TYPE, |of| (*of == id).then(|| key.public().clone()))?;
        std::hint::black_box(opened);
        Ok(())
    })?;
    Ok(vec![
        Figure::new(None, "policy assignment of 3 bodies written and signed", "per CPU-second", None).ours(signed),
        Figure::new(None, "report envelope of 400 B opened: one ES256 verification", "per CPU-second", None)
            .ours(opened)
            .note("no report costs less than this: it bounds line 6 with one message in a report, and lines 4 and 5"),
    ])
}
