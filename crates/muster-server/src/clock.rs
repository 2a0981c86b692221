//! The one place of this program that asks the system for the time and for new ids.

use muster_model::time::UnixMillis;
use muster_site::site::Sources;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The system's clock and random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Sources for System {
    #[expect(clippy::disallowed_methods, reason = "this is the program's one clock")]
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the program's one source of ids")]
    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
