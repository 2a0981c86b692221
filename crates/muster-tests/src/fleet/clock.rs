//! The one clock of the simulator and the benchmarks.

use muster_model::time::UnixMillis;
use std::time::UNIX_EPOCH;

/// Now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the programs of this crate take their time from here")]
pub fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
