//! Alerts: what needs somebody, for as long as it is so.

use crate::{
    id::{AlertId, DeviceId, Name, SubscriptionId},
    status::Severity,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// What an alert is about.
    enum AlertKind {
        /// A deployment fits no maintenance window of some devices.
        NeverFits = "never_fits",
        /// The site paused a deployment, because too much of it failed.
        PhaseStopped = "phase_stopped",
        /// Long after the deadline of a deployment many devices are not done with it.
        DeadlineMissed = "deadline_missed",
        /// The site blocked a mobile device that asked for certificates too often.
        MobileBlocked = "mobile_blocked",
        /// The log of a client was altered.
        LogAltered = "log_altered",
        /// The audit log is not the one that was exported.
        AuditAltered = "audit_altered",
        /// Fewer clients of a collection are active than its threshold wants.
        ClientsInactive = "clients_inactive",
        /// Of fewer clients of a collection the checks passed than its threshold wants.
        ClientsUnhealthy = "clients_unhealthy",
        /// A status filter rule says so.
        StatusRule = "status_rule",
        /// A part of the agents says more warnings or errors than it may.
        ComponentStatus = "component_status",
    }
}
impl AlertKind {
    /// Whether it tells what happened once: it is over when somebody has looked, and not by itself.
    #[must_use]
    pub const fn is_told(self) -> bool {
        matches!(self, Self::LogAltered | Self::AuditAltered)
    }
}
api! {
    /// Whether somebody has looked, and whether it is over.
    enum AlertState {
        /// Nobody has looked.
        Open = "open",
        /// Somebody has.
        Acknowledged = "acknowledged",
        /// Somebody wants to hear of it again later.
        Postponed = "postponed",
        /// It is so no longer.
        Closed = "closed",
    }
}
api! {
    /// An alert.
    struct Alert {
        /// The id.
        id: AlertId,
        /// What it is about.
        kind: AlertKind,
        /// The id of the thing: of a deployment, a device, a collection or a rule; `audit`; or the part of the agents.
        subject: String,
        /// Where it stands.
        state: AlertState,
        /// How serious it is.
        severity: Severity,
        /// A sentence.
        text: String,
        /// How many devices it concerns.
        devices: u64,
        /// Since when it is so.
        opened: UnixMillis,
        /// When it last changed.
        changed: UnixMillis,
        /// When somebody acknowledged it.
        acknowledged: Option<UnixMillis>,
        /// Who did.
        acknowledged_by: Option<String>,
        /// When it was over.
        closed: Option<UnixMillis>,
        /// Who said that it is over; nobody, where the site saw it.
        closed_by: Option<String>,
        /// Until when somebody wants to hear nothing of it.
        postponed: Option<UnixMillis>,
    }
}
api! {
    /// `POST /api/v1/alerts/{id}/postpone`.
    #[derive(Copy, Eq)]
    struct AlertPostpone {
        /// For how many hours.
        hours: u32,
    }
}
api! {
    /// Who is told of which alerts.
    struct Subscription {
        /// Its name.
        name: Name,
        /// Only alerts of these kinds; none: of all.
        #[serde(default)] kinds: Vec<AlertKind>,
        /// Only alerts that are at least so serious.
        #[serde(default)] severity: Option<Severity>,
        /// The target that is told, as the server's machine names it.
        target: Name,
    }
}
api! {
    /// A subscription as it is kept.
    struct SubscriptionInfo {
        /// The id.
        id: SubscriptionId,
        /// What was asked for.
        subscription: Subscription,
        /// When it was made.
        created: UnixMillis,
        /// Who made it.
        created_by: Name,
    }
}
api! {
    /// Which alerts.
    #[derive(Copy, Eq, Default)]
    struct AlertQuery {
        /// Those that are closed, too.
        #[serde(default)] all: bool,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "fifty")] limit: u32,
    }
}
impl AlertKind {
    /// Whether an administrator says that it is over, because the site cannot see it.
    #[must_use]
    pub const fn is_closed_by_hand(self) -> bool {
        matches!(self, Self::StatusRule)
    }

    /// Whether it is about a deployment.
    #[must_use]
    pub const fn is_of_deployment(self) -> bool {
        matches!(self, Self::NeverFits | Self::PhaseStopped | Self::DeadlineMissed)
    }
}
const fn fifty() -> u32 {
    50
}
api! {
    /// A device of an alert.
    struct AlertDevice {
        /// The device.
        device: DeviceId,
        /// Its host name.
        name: String,
    }
}
