//! Client settings: how often a client does what, and how far it may go.

mod business;
mod catalogue;
mod hours;
mod kind;
mod resultant;
mod scan;
#[cfg(test)]
mod tests;

pub use business::BusinessHours;
pub use catalogue::{CATALOGUE, setting};
pub use hours::DayHours;
pub use kind::{Danger, Kind, Reach, Setting};
pub use resultant::{Decided, Layer, SettingValues, client_settings, resultant};
pub use scan::{
    SCAN_DEPTH, SCAN_FILES, SCAN_READ_BYTES, SCAN_READ_FILE, SCAN_RULES, SCAN_SECONDS, SCAN_TEXT_BYTES, ScanPath,
    ScanRead, SoftwareScan,
};

use crate::{
    id::{DeploymentId, DeviceId},
    time::{DAY, HOUR},
};
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
    /// A required deployment begins after its deadline by a part of this, drawn once for each device and deployment. Default: at once.
    pub deadline_spread: i64,
    /// Required deployments begin before their deadline, outside of these hours, and restarts that have time are not made in them. Absent, the
    /// default: there are none, and required deployments begin at their deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub business_hours: Option<BusinessHours>,
    /// Updates may be installed in general windows too where the client has windows for updates. Default: no.
    pub updates_in_general_windows: bool,
    /// Bytes that the content cache may take. Default 5 GiB.
    pub cache_bytes: u64,
    /// Hundredths of the disk that it may take, where that is less. Absent, the default: ten.
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
    /// Whether content comes from clients of the same subnet, and is served to them. Default: neither.
    pub content_peers: ContentPeers,
    /// Connections of such clients that are served at once. Default 4.
    pub content_peer_connections: u32,
    /// Where they are served. Default 8003.
    pub content_peer_port: u16,
    /// How often deployed applications are looked at again. Default 7 days.
    pub application_reevaluation: i64,
    /// Whether clients look which software updates there are. Default: yes.
    pub update_scan_enabled: bool,
    /// How often they look. Default 7 days.
    pub update_scan: i64,
    /// How often configuration baselines are evaluated. Default 7 days.
    pub compliance_evaluation: i64,
    /// Seconds that a script of a configuration item may take. Default 60.
    pub compliance_script_seconds: u32,
    /// Which scripts run at all. Default: those that are signed.
    pub script_policy: ScriptPolicy,
    /// Restarts.
    pub restart: RestartSettings,
    /// Servicing of write filters.
    pub servicing: ServicingSettings,
    /// The client's checks of itself.
    pub health: HealthSettings,
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
            business_hours: None,
            updates_in_general_windows: false,
            cache_bytes: 5 << 30,
            cache_percent: None,
            cache_min_age: DAY,
            content_rate: None,
            content_hours: None,
            content_peers: ContentPeers::Off,
            content_peer_connections: 4,
            content_peer_port: 8_003,
            application_reevaluation: 7 * DAY,
            update_scan_enabled: true,
            update_scan: 7 * DAY,
            compliance_evaluation: 7 * DAY,
            compliance_script_seconds: 60,
            script_policy: ScriptPolicy::AllSigned,
            restart: RestartSettings::default(),
            servicing: ServicingSettings::default(),
            health: HealthSettings::default(),
        }
    }
}

/// What a client has to do with others of its subnet when it comes to content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ContentPeers {
    /// Nothing: it asks the site alone, and listens nowhere.
    #[default]
    Off,
    /// It asks those that the site names.
    Fetch,
    /// It serves those that the site sends, too.
    FetchAndServe,
}

impl ContentPeers {
    /// Whether it asks others.
    #[must_use]
    pub const fn fetches(self) -> bool {
        matches!(self, Self::Fetch | Self::FetchAndServe)
    }

    /// Whether it serves others.
    #[must_use]
    pub const fn serves(self) -> bool {
        matches!(self, Self::FetchAndServe)
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
    /// Those too that fewer authors signed than the trust bundle wants. A client takes it for `all_signed` unless its own configuration file
    /// allows it.
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

impl ScriptPolicy {
    /// What a client makes of it: a site has no say in `bypass` where the machine's own administrator does not allow it.
    #[must_use]
    pub const fn on_client(self, allows_bypass: bool) -> Self {
        match self {
            Self::Bypass if !allows_bypass => Self::AllSigned,
            policy => policy,
        }
    }
}

/// By how much a device begins a deployment later, of at most so many milliseconds: drawn once for each device and deployment.
#[must_use]
pub fn drawn(most: i64, device: DeviceId, deployment: DeploymentId) -> i64 {
    // FNV-1a: nothing depends on it but who comes after whom.
    let bytes = device.0.as_bytes().iter().chain(deployment.0.as_bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let part = (u128::from(most.max(0).unsigned_abs()) * u128::from(hash >> 32)) >> 32;
    i64::try_from(part).unwrap_or(0)
}

/// Servicing of a machine with a write filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServicingSettings {
    /// Whether the client may open the lower file system for what is deployed. Default: no.
    pub allowed: bool,
    /// Minutes that one servicing may last. Default 60.
    pub max_minutes: u32,
}

impl Default for ServicingSettings {
    fn default() -> Self {
        Self { allowed: false, max_minutes: 60 }
    }
}

/// The client's checks of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthSettings {
    /// Whether it checks itself, and mends what it finds. Default: both.
    pub mode: HealthMode,
    /// How often it checks itself. Default 1 day.
    pub interval: i64,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { mode: HealthMode::Remediate, interval: DAY }
    }
}

/// What a client does about its own health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum HealthMode {
    /// Nothing.
    Off,
    /// It checks itself and says what it found.
    Notify,
    /// It mends what it can, too.
    #[default]
    Remediate,
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
