//! What several tests of this crate need.

use std::path::PathBuf;

/// Checks that a committed file is what the program generates; `MUSTER_BLESS=1` writes it instead.
pub(crate) fn committed(path: &str, generated: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("MUSTER_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, generated).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == generated, "{path} is not what the program generates: run the test again with MUSTER_BLESS=1");
}
