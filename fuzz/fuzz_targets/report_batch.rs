//! A batch of reports, and each message in it, from the bytes that a device signed; inventory rows against their class.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::{
    catalogue::Catalogue,
    id::Hash,
    inventory::Change,
    limits::Limits,
    report::{Batch, Body, Message},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(batch) = serde_json::from_slice::<Batch>(bytes) else { return };
    let recent = muster_trust::sequence::Recent::from_bytes(bytes.get(..72).unwrap_or_default());
    let _ = muster_trust::sequence::accept(9, Hash::ZERO, &recent, &batch);
    for message in &batch.messages {
        let Ok(message) = serde_json::from_str::<Message>(message.get()) else { continue };
        let again = serde_json::to_string(&message).expect("what was read can be written");
        serde_json::from_str::<Message>(&again).expect("what was written can be read");
        let Body::Inventory(report) = message.body else { continue };
        for section in &report.sections {
            let Some(class) = Catalogue::built_in().class(&section.class) else { continue };
            let rows = match &section.change {
                Change::Full { rows } | Change::Delta { upsert: rows, .. } => rows,
            };
            for row in rows {
                let _ = class.check(row, &Limits::default());
                let _ = class.check_key(row);
            }
        }
    }
});
