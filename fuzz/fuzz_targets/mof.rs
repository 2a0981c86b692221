//! Collections as a MOF file: what is read can be written, and is read again to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::mof::{collection, instance, text};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = text::text(bytes) else { return };
    let _ = instance::instances(&text);
    let Ok((found, _)) = collection::collections(&text) else { return };
    let plain = |mut found: Vec<collection::MofCollection>| {
        for one in &mut found {
            (one.line, one.column) = (0, 0);
            one.left.clear();
            one.rules.iter_mut().for_each(|rule| (rule.1, rule.2) = (0, 0));
        }
        found
    };
    let (again, left) = collection::collections(&collection::written(&found)).expect("what is written can be read");
    assert!(left.is_empty(), "{left:?}");
    let once = plain(again);
    let (twice, _) = collection::collections(&collection::written(&once)).expect("and once more");
    assert_eq!(plain(twice), once);
});
