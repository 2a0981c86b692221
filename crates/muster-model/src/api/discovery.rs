//! How resources are found: directories, what is looked for in each, and how far that is.

use super::ResourceKind;
use crate::time::{DAY, MINUTE, UnixMillis};
use serde::{Deserialize, Serialize};

api! {
    /// What an administrator wants of a directory. Where it is, and with what the site binds there, stands in a file of the server.
    struct DirectorySettings {
        /// Whether anything is looked for; off by default.
        #[serde(default)] enabled: bool,
        /// Distinguished names below which is looked, and nowhere else.
        containers: Vec<String>,
        /// What is looked for.
        #[serde(default = "every_kind")] kinds: Vec<ResourceKind>,
        /// Time between two full runs, in milliseconds. Default 7 days.
        #[serde(default = "weekly")] full: i64,
        /// Time between two looks at what changed, in milliseconds; 0: never. Default 5 minutes.
        #[serde(default = "often")] delta: i64,
        /// Systems that have not logged on to the domain for so many days are left out; 0: none are.
        #[serde(default)] logon_days: u32,
        /// Systems whose account's password is older than so many days are left out; 0: none are.
        #[serde(default)] password_days: u32,
    }
}
fn every_kind() -> Vec<ResourceKind> {
    ResourceKind::ALL.to_vec()
}
const fn weekly() -> i64 {
    7 * DAY
}
const fn often() -> i64 {
    5 * MINUTE
}
impl Default for DirectorySettings {
    fn default() -> Self {
        Self {
            enabled: false,
            containers: Vec::new(),
            kinds: every_kind(),
            full: weekly(),
            delta: often(),
            logon_days: 0,
            password_days: 0,
        }
    }
}
api! {
    /// A directory in which is looked.
    struct DiscoverySource {
        /// Its name: that of the server's file about it.
        name: String,
        /// What is wanted of it.
        settings: DirectorySettings,
        /// When that was changed last.
        changed: UnixMillis,
        /// Who changed it.
        changed_by: String,
        /// The run that somebody asked for and that has not begun: `full` or `delta`.
        asked: Option<String>,
        /// Whether a run is under way.
        running: bool,
        /// When the last full run ended.
        full_ended: Option<UnixMillis>,
        /// When the last run of any kind ended.
        delta_ended: Option<UnixMillis>,
        /// When a run failed last.
        failed: Option<UnixMillis>,
        /// Why the last run failed, where it did.
        error: Option<String>,
        /// Objects that the last run saw.
        seen: u64,
        /// Objects of them that were new or otherwise than before.
        altered: u64,
        /// Objects of them that could not be taken.
        refused: u64,
    }
}
api! {
    /// Every directory in which is looked.
    struct DiscoverySources {
        /// They, by name.
        items: Vec<DiscoverySource>,
    }
}
api! {
    /// `POST /api/v1/discovery/sources/{name}/run`.
    #[derive(Copy, Eq, Default)]
    struct DiscoveryRun {
        /// Everything, and not only what changed.
        #[serde(default)] full: bool,
    }
}
api! {
    /// Network discovery, as an administrator wants it.
    struct NetworkSettings {
        /// Whether it is looked at all; off by default.
        #[serde(default)] enabled: bool,
        /// The ranges, and nothing outside of them: `10.1.2.0/24`, `10.1.2.10-10.1.2.99`, `2001:db8:1::/48`.
        #[serde(default)] ranges: Vec<String>,
        /// Time between two looks, in milliseconds. Default an hour.
        #[serde(default = "hourly")] every: i64,
    }
}
const fn hourly() -> i64 {
    60 * MINUTE
}
impl Default for NetworkSettings {
    fn default() -> Self {
        Self { enabled: false, ranges: Vec::new(), every: hourly() }
    }
}
api! {
    /// Network discovery, and what its last look came to.
    #[derive(Default)]
    struct NetworkDiscovery {
        /// What is wanted.
        settings: NetworkSettings,
        /// When was looked last.
        looked: Option<UnixMillis>,
        /// How many there were in the ranges.
        seen: u64,
        /// What could not be read.
        error: Option<String>,
    }
}
