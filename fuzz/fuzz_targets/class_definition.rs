//! Definitions of inventory classes, JSON and MOF, as an administrator pastes them from somewhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::catalogue::{definitions, is_class_name};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(found) = definitions(text) else { return };
    for definition in found {
        let Ok(class) = definition.class() else { continue };
        assert!(is_class_name(&class.name), "what became a class has the name of one");
        let again = class.definition().class().expect("what a class says of itself makes a class");
        assert_eq!(again, class);
        assert_eq!(class.next(&again), Ok(None));
    }
});
