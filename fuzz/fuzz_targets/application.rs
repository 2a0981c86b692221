//! An application and its rules: what passes the check names no path outside of its content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::application::Application;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(application) = serde_json::from_slice::<Application>(bytes)
        && application.check().is_ok()
    {
        for file in &application.content {
            assert!(!file.name.as_str().contains(['/', '\\', '\0']), "a file name is never a path");
        }
        let again = serde_json::to_vec(&application).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Application>(&again).expect("what was written can be read"), application);
    }
});
