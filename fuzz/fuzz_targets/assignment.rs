//! An assignment and the policy bodies that are JSON, as a client reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::policy::{Assignment, ClientSettings, DeploymentPolicy};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(assignment) = serde_json::from_slice::<Assignment>(bytes) {
        let again = serde_json::to_vec(&assignment).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Assignment>(&again).expect("what was written can be read"), assignment);
    }
    let _ = ClientSettings::from_body(bytes);
    let _ = serde_json::from_slice::<DeploymentPolicy>(bytes);
});
