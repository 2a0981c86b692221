//! A batch of reports, and each message in it, from the bytes that a device signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::report::{Batch, Message};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(batch) = serde_json::from_slice::<Batch>(bytes) {
        for message in &batch.messages {
            if let Ok(parsed) = serde_json::from_str::<Message>(message.get()) {
                let again = serde_json::to_string(&parsed).expect("what was read can be written");
                let back: Message = serde_json::from_str(&again).expect("what was written can be read");
                assert_eq!(parsed, back);
            }
        }
    }
});
