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

/// Says that a test was not run and why, where `./test` counts it. With `CI=true` nothing may be skipped.
pub(crate) fn skip(what: &str, why: &str) {
    use std::io::Write;
    let strict = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!strict, "{what} was not run, and CI=true allows no skip: {why}");
    let line = format!("SKIPPED {what}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("MUSTER_SKIP_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = log.write_all(line.as_bytes());
    }
}
