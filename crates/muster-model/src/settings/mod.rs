//! Client settings: how often a client does what, and how far it may go.

mod hours;
mod scan;

pub use hours::DayHours;
pub use scan::{
    SCAN_DEPTH, SCAN_FILES, SCAN_READ_BYTES, SCAN_READ_FILE, SCAN_RULES, SCAN_SECONDS, SCAN_TEXT_BYTES, ScanPath,
    ScanRead, SoftwareScan,
};

use crate::time::{DAY, HOUR, MINUTE};
use serde::{Deserialize, Serialize};

/// The settings of a client, all of them. Lengths in milliseconds where the name says no other unit. What a policy body does not say
/// has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClientSettings {
    /// Client policy polling interval. Default 60 minutes, as in Configuration Manager.
    pub policy_poll: i64,
    /// Hardware inventory interval. Default 7 days.
    pub inventory: i64,
    /// Heartbeat discovery interval. Default 7 days.
    pub heartbeat: i64,
    /// Software inventory: which files are reported with each inventory. Absent, the default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<SoftwareScan>,
    /// Whether hardware inventory is taken at all. Default: yes.
    pub inventory_enabled: bool,
    /// A scheduled inventory is taken later by a random part of this. Default 4 hours.
    pub inventory_delay: i64,
    /// A required deployment begins after its deadline by a random part of this, the same for all of one device. Default: at once.
    pub deadline_spread: i64,
    /// Updates may be installed in general windows too where the client has windows for updates. Default: no.
    pub updates_in_general_windows: bool,
    /// Bytes that the content cache may take. Default 5 GiB.
    pub cache_bytes: u64,
    /// Hundredths of the disk that it may take, where that is less. Absent, the default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_percent: Option<u8>,
    /// Content that was used stays at least so long in the cache. Default 1 day.
    pub cache_min_age: i64,
    /// Bytes per second that fetching content may take. Absent, the default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_rate: Option<u64>,
    /// Hours of the device's day in which `content_rate` holds. Absent, the default: always.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub content_hours: Option<DayHours>,
    /// How often deployed applications are looked at again. Default 7 days.
    pub application_reevaluation: i64,
    /// How often configuration baselines are evaluated. Default 7 days.
    pub compliance_evaluation: i64,
    /// Seconds that a script of a configuration item may take. Default 60.
    pub compliance_script_seconds: u32,
    /// Which scripts run at all. Default: those that are signed.
    pub script_policy: ScriptPolicy,
    /// Whether the PIN of the disk's encryption is suspended for a restart. Default: never.
    pub suspend_pin: SuspendPin,
    /// Restarts.
    pub restart: RestartSettings,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            policy_poll: HOUR,
            inventory: 7 * DAY,
            heartbeat: 7 * DAY,
            software: None,
            inventory_enabled: true,
            inventory_delay: 4 * HOUR,
            deadline_spread: 0,
            updates_in_general_windows: false,
            cache_bytes: 5 << 30,
            cache_percent: None,
            cache_min_age: DAY,
            content_rate: None,
            content_hours: None,
            application_reevaluation: 7 * DAY,
            compliance_evaluation: 7 * DAY,
            compliance_script_seconds: 60,
            script_policy: ScriptPolicy::AllSigned,
            suspend_pin: SuspendPin::Never,
            restart: RestartSettings::default(),
        }
    }
}

impl ClientSettings {
    /// The same, inside of what a client accepts: a site that is taken over must not make its clients come every millisecond, or never again.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            policy_poll: self.policy_poll.clamp(MINUTE, DAY),
            inventory: self.inventory.clamp(HOUR, 90 * DAY),
            heartbeat: self.heartbeat.clamp(HOUR, 30 * DAY),
            // What is wrong or too much is not looked for.
            software: self.software.filter(|scan| scan.check().is_ok()),
            inventory_delay: self.inventory_delay.clamp(0, 8 * HOUR),
            deadline_spread: self.deadline_spread.clamp(0, 2 * HOUR),
            cache_bytes: self.cache_bytes.clamp(256 << 20, 1 << 42),
            cache_percent: self.cache_percent.map(|percent| percent.clamp(1, 90)),
            cache_min_age: self.cache_min_age.clamp(HOUR, 7 * DAY),
            content_rate: self.content_rate.map(|rate| rate.clamp(8 << 10, 1 << 34)),
            application_reevaluation: self.application_reevaluation.clamp(HOUR, 31 * DAY),
            compliance_evaluation: self.compliance_evaluation.clamp(HOUR, 31 * DAY),
            compliance_script_seconds: self.compliance_script_seconds.clamp(60, 600),
            ..self
        }
    }
}

/// Which scripts a client runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ScriptPolicy {
    /// None at all.
    Restricted,
    /// Those that authors of the trust bundle signed.
    #[default]
    AllSigned,
    /// Those that nobody signed too. A client takes it for `all_signed` unless its own configuration file allows it.
    Bypass,
}

impl ScriptPolicy {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::AllSigned => "all_signed",
            Self::Bypass => "bypass",
        }
    }
}

/// Whether the PIN of the disk's encryption is suspended for one restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SuspendPin {
    /// Somebody types it.
    #[default]
    Never,
    /// For each restart that Muster makes.
    Always,
}

/// What comes before a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RestartSettings {
    /// Whether the client may restart the machine. Default: yes, where a deployment wants it.
    pub allowed: bool,
    /// Minutes for which a notice that may be put away is shown. Default 90.
    pub notice_minutes: u32,
    /// Minutes of the last countdown, which may not. Default 15.
    pub countdown_minutes: u32,
    /// Minutes until it is said again to somebody who put it off. Default 240.
    pub snooze_minutes: u32,
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self { allowed: true, notice_minutes: 90, countdown_minutes: 15, snooze_minutes: 240 }
    }
}
