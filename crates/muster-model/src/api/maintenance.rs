//! Site maintenance tasks: what is removed when it has been kept for long enough.

use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

api! {
    /// A maintenance task, by what it removes.
    enum TaskName {
        /// Status messages of clients.
        StatusMessages = "status_messages",
        /// What happened to devices: enrolment, administration, deployments and the like.
        DeviceHistory = "device_history",
        /// Steps of deployments on devices, and what administrators did to deployments.
        DeploymentHistory = "deployment_history",
        /// Changes of the inventory.
        InventoryHistory = "inventory_history",
        /// What clients reported and the site did not take.
        Quarantine = "quarantine",
        /// Alerts that are over.
        ClosedAlerts = "closed_alerts",
        /// Entries of the audit log. What was removed is noted with the head of the chain, so that the rest can be verified.
        AuditLog = "audit_log",
        /// Records of discovery that were not found again.
        DiscoveryData = "discovery_data",
        /// Earlier runs of these tasks.
        MaintenanceHistory = "maintenance_history",
    }
}

impl TaskName {
    /// Days for which it keeps what it removes, unless somebody says otherwise. Those of Configuration Manager, where it has the task.
    #[must_use]
    pub const fn default_days(self) -> u32 {
        match self {
            Self::StatusMessages | Self::Quarantine => 30,
            Self::DeviceHistory
            | Self::DeploymentHistory
            | Self::InventoryHistory
            | Self::ClosedAlerts
            | Self::DiscoveryData => 90,
            Self::AuditLog => 180,
            Self::MaintenanceHistory => 365,
        }
    }

    /// Days for which it keeps them at least.
    #[must_use]
    pub const fn least_days(self) -> u32 {
        match self {
            Self::StatusMessages | Self::Quarantine | Self::InventoryHistory => 1,
            Self::DeviceHistory | Self::DeploymentHistory | Self::ClosedAlerts => 7,
            // A record must outlive two full runs, or what is there would come and go.
            Self::DiscoveryData => 14,
            Self::AuditLog | Self::MaintenanceHistory => 30,
        }
    }

    /// Whether it goes on all the time, a little at once, and has neither hours nor runs.
    #[must_use]
    pub const fn is_continuous(self) -> bool {
        matches!(self, Self::DiscoveryData)
    }

    /// What it removes, as a sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::StatusMessages => "Removes status messages of clients.",
            Self::DeviceHistory => "Removes lines of the histories of devices.",
            Self::DeploymentHistory => {
                "Removes steps of deployments on devices, and what administrators did to deployments."
            }
            Self::InventoryHistory => "Removes changes of the inventory; what is on a device now stays.",
            Self::Quarantine => "Removes what clients reported and the site did not take.",
            Self::ClosedAlerts => "Removes alerts that are over.",
            Self::AuditLog => "Removes entries of the audit log, and notes the head of the chain after them.",
            Self::DiscoveryData => {
                "Removes records of discovery that were not found again, all the time. Clients stay."
            }
            Self::MaintenanceHistory => "Removes earlier runs of these tasks.",
        }
    }
}

api! {
    /// A maintenance task as it is set.
    struct MaintenanceTask {
        /// Which.
        name: TaskName,
        /// What it removes, as a sentence.
        about: String,
        /// Whether it runs by itself.
        enabled: bool,
        /// Days for which it keeps what it removes. Time in which the site did not run does not count.
        keep_days: u32,
        /// The same, unless somebody says otherwise.
        default_days: u32,
        /// Days between two runs.
        every_days: u32,
        /// When it may run: days and hours in UTC, `mon-sun 00:00-05:00`. What is not done when they end goes on the next time.
        hours: String,
        /// Whether it goes on all the time, and has neither hours nor runs.
        continuous: bool,
        /// When that was changed last.
        changed: Option<UnixMillis>,
        /// Who changed it.
        changed_by: Option<String>,
        /// When it runs next.
        next: Option<UnixMillis>,
        /// Its latest run.
        last: Option<MaintenanceRun>,
    }
}
impl MaintenanceTask {
    /// Where it stands, in a word: `always`, `running`, `on` or `off`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        let running = self.last.as_ref().is_some_and(|run| run.ended.is_none());
        match (self.continuous, running, self.enabled) {
            (true, ..) => "always",
            (_, true, _) => "running",
            (_, _, true) => "on",
            _ => "off",
        }
    }
}
api! {
    /// What is to be set; what is not said stays as it is.
    #[derive(Eq, Default)]
    struct MaintenanceSettings {
        /// Whether it runs by itself.
        #[serde(default)] enabled: Option<bool>,
        /// Days for which it keeps what it removes.
        #[serde(default)] keep_days: Option<u32>,
        /// Days between two runs: 1 to 30.
        #[serde(default)] every_days: Option<u32>,
        /// When it may run, in UTC: `mon-sun 00:00-05:00`.
        #[serde(default)] hours: Option<String>,
    }
}
api! {
    /// A run of a task.
    #[derive(Eq)]
    struct MaintenanceRun {
        /// Its number.
        id: u64,
        /// The task.
        task: TaskName,
        /// When it began.
        began: UnixMillis,
        /// When it came to its end; none: it goes on, or waits for its hours.
        ended: Option<UnixMillis>,
        /// What is from before this moment is removed.
        before: UnixMillis,
        /// Rows that were removed.
        removed: u64,
        /// In so many transactions.
        pieces: u64,
        /// The longest of them, in microseconds: for so long others waited.
        longest: u64,
        /// The administrator who asked for it; none: it was its time.
        asked_by: Option<String>,
    }
}
api! {
    /// What a run would remove now.
    #[derive(Eq)]
    struct MaintenancePreview {
        /// The task.
        task: TaskName,
        /// What is from before this moment would go.
        before: UnixMillis,
        /// Rows that would go.
        rows: u64,
        /// Rows that there are.
        total: u64,
        /// The oldest of them.
        oldest: Option<UnixMillis>,
    }
}
api! {
    /// What a preview is asked for.
    #[derive(Copy, Eq, Default)]
    struct MaintenanceWanted {
        /// As if it were kept for so many days.
        #[serde(default)] keep_days: Option<u32>,
    }
}
