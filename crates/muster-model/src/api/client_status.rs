//! Client status: which clients are active, which are sound, and how that changed.

use crate::{
    health::HealthCheck,
    id::{CollectionId, DeviceId},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// Whether a client gave any sign of life lately.
    enum ClientActivity {
        /// It did.
        Active = "active",
        /// None of its signs is young enough.
        Inactive = "inactive",
    }
}
api! {
    /// What a client's own checks came to.
    enum ClientCheck {
        /// Nothing is wrong.
        Passed = "passed",
        /// Something is wrong and is not mended.
        Failed = "failed",
        /// It did not say lately.
        Unknown = "unknown",
    }
}
api! {
    /// When a client last gave which sign of life.
    #[derive(Copy, Eq, Default)]
    struct ClientSignals {
        /// It asked for its policy.
        policy_request: Option<UnixMillis>,
        /// Its heartbeat came.
        heartbeat: Option<UnixMillis>,
        /// Its inventory of hardware or software came.
        inventory: Option<UnixMillis>,
        /// A status message came.
        status_message: Option<UnixMillis>,
        /// Its live channel stood.
        live_channel: Option<UnixMillis>,
    }
}
api! {
    /// The status of a client.
    struct ClientStatus {
        /// The device.
        device: DeviceId,
        /// Its host name.
        name: String,
        /// Whether it gave a sign of life lately.
        activity: ClientActivity,
        /// Whether its live channel stands now.
        online: bool,
        /// What its checks came to.
        check: ClientCheck,
        /// When it last made them.
        checked: Option<UnixMillis>,
        /// How many of them failed.
        failed: u64,
        /// How many it mended.
        remedied: u64,
        /// Whether it mends what it finds.
        remediates: bool,
        /// Its signs of life.
        signals: ClientSignals,
    }
}
api! {
    /// The status of a client with each of its checks.
    struct ClientStatusDetail {
        /// The status.
        status: ClientStatus,
        /// The checks of the last time.
        checks: Vec<HealthCheck>,
    }
}
api! {
    /// Which clients.
    #[derive(Copy, Eq, Default)]
    struct ClientStatusQuery {
        /// Only these.
        #[serde(default, skip_serializing_if = "Option::is_none")] activity: Option<ClientActivity>,
        /// Only these.
        #[serde(default, skip_serializing_if = "Option::is_none")] check: Option<ClientCheck>,
        /// Only those that mended something at their last checks.
        #[serde(default)] remedied: bool,
        /// Only members of this collection.
        #[serde(default, skip_serializing_if = "Option::is_none")] collection: Option<CollectionId>,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "fifty")] limit: u32,
    }
}
const fn fifty() -> u32 {
    50
}
api! {
    /// How many clients there are of each kind.
    #[derive(Copy, Eq, Default)]
    struct ClientStatusCounts {
        /// All.
        devices: u64,
        /// Active ones.
        active: u64,
        /// Those whose checks passed.
        passed: u64,
        /// Those of which some failed.
        failed: u64,
        /// Those that mended something at their last checks.
        remedied: u64,
    }
}
impl ClientStatusCounts {
    /// Those that gave no sign of life.
    #[must_use]
    pub const fn inactive(&self) -> u64 {
        self.devices.saturating_sub(self.active)
    }

    /// Those that said nothing of their checks lately.
    #[must_use]
    pub const fn unknown(&self) -> u64 {
        self.devices.saturating_sub(self.passed).saturating_sub(self.failed)
    }
}
api! {
    /// The counts of a day, as they were last.
    #[derive(Copy, Eq)]
    struct ClientStatusDay {
        /// Its beginning, in UTC.
        day: UnixMillis,
        /// The counts.
        counts: ClientStatusCounts,
    }
}
api! {
    /// Client status of the site, or of a collection.
    struct ClientStatusSummary {
        /// Of which collection; none: of the site.
        collection: Option<CollectionId>,
        /// The counts now.
        counts: ClientStatusCounts,
        /// Clients of the site whose live channel stands now, at this server.
        online: u64,
        /// The last days, the oldest first. Of a collection those since it has a threshold.
        days: Vec<ClientStatusDay>,
    }
}
api! {
    /// How old which sign of life may be, in days.
    #[derive(Copy, Eq)]
    struct ClientStatusSettings {
        /// A policy request.
        policy_request_days: u32,
        /// A heartbeat.
        heartbeat_days: u32,
        /// An inventory.
        inventory_days: u32,
        /// A status message.
        status_message_days: u32,
        /// The live channel.
        live_channel_days: u32,
        /// The client's own checks: older ones count as unknown.
        check_days: u32,
    }
}
impl Default for ClientStatusSettings {
    fn default() -> Self {
        Self {
            policy_request_days: 7,
            heartbeat_days: 7,
            inventory_days: 7,
            status_message_days: 7,
            live_channel_days: 7,
            check_days: 3,
        }
    }
}
impl ClientStatusSettings {
    /// Whether each is between a day and a year.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let Self {
            policy_request_days,
            heartbeat_days,
            inventory_days,
            status_message_days,
            live_channel_days,
            check_days,
        } = *self;
        [policy_request_days, heartbeat_days, inventory_days, status_message_days, live_channel_days, check_days]
            .iter()
            .all(|days| (1..=366).contains(days))
    }
}
api! {
    /// Below which part of a collection there is an alert.
    struct ClientStatusThreshold {
        /// The collection.
        collection: CollectionId,
        /// Its name.
        name: String,
        /// Hundredths of its clients that must be active.
        active_percent: Option<u8>,
        /// Hundredths of its clients whose checks must have passed.
        healthy_percent: Option<u8>,
        /// When that was last changed.
        changed: UnixMillis,
        /// By whom.
        changed_by: String,
    }
}
api! {
    /// What a threshold of a collection is to be. None of both: it has none.
    #[derive(Copy, Eq, Default)]
    struct ClientStatusThresholdSet {
        /// Hundredths of its clients that must be active, 1 to 100.
        #[serde(default, skip_serializing_if = "Option::is_none")] active_percent: Option<u8>,
        /// Hundredths of its clients whose checks must have passed, 1 to 100.
        #[serde(default, skip_serializing_if = "Option::is_none")] healthy_percent: Option<u8>,
    }
}
api! {
    /// Of what the status is wanted.
    #[derive(Copy, Eq, Default)]
    struct ClientStatusScope {
        /// Of this collection; none: of the site.
        #[serde(default, skip_serializing_if = "Option::is_none")] collection: Option<CollectionId>,
    }
}
