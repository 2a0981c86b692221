//! What strangers send to the enrolment door, and the token as a client reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::enrol::{EnrolAnswer, EnrolPoll, EnrolRequest, EnrolmentToken};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<EnrolRequest>(bytes) {
        let _ = request.claims.is_well_formed();
    }
    let _ = serde_json::from_slice::<EnrolPoll>(bytes);
    let _ = serde_json::from_slice::<EnrolAnswer>(bytes);
    let _ = serde_json::from_slice::<EnrolmentToken>(bytes);
});
