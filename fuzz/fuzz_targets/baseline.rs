//! A configuration baseline and its rules: what passes the check reads and writes where it says and nowhere else, and judging it never fails.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::{
    baseline::{Baseline, Discovery},
    compliance::outline,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(baseline) = serde_json::from_slice::<Baseline>(bytes)
        && baseline.check().is_ok()
    {
        let found = ["1".to_owned(), String::from_utf8_lossy(bytes).into_owned()];
        for (_, setting) in baseline.settings() {
            match &setting.discovery {
                Discovery::File { path, .. } => {
                    assert!(path.starts_with('/') && !path.split('/').any(|part| part == ".." || part == "."));
                }
                Discovery::Sysctl { name } => assert!(!name.contains(['/', '\0']), "a parameter is never a path"),
                Discovery::Service { name, .. } => assert!(!name.starts_with('-'), "a name is never an option"),
                _ => {}
            }
            for values in [None, Some(&found[..]), Some(&found[..1]), Some(&[])] {
                let _ = setting.judge(values, "dpkg");
            }
        }
        assert_eq!(outline(&baseline).len(), baseline.settings().count());
        let again = serde_json::to_vec(&baseline).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Baseline>(&again).expect("what was written can be read"), baseline);
    }
});
