//! A test that cannot start its component says so loudly, and with `CI=true` fails.

use std::fs::OpenOptions;
use std::io::Write;

/// Says that a test was not run and why, where `./test` counts it: in the file that `MUSTER_SKIP_LOG` names.
///
/// Call it and return from the test.
///
/// # Panics
///
/// With `CI=true`, where nothing may be skipped.
pub fn loudly(what: &str, why: &str) {
    let strict = std::env::var("CI").is_ok_and(|v| v == "true" || v == "1");
    assert!(!strict, "{what} was not run, and CI=true allows no skip: {why}");
    let line = format!("SKIPPED {what}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("MUSTER_SKIP_LOG")
        && let Ok(mut log) = OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = log.write_all(line.as_bytes());
    }
}
