//! What every page has around its content: who is signed in, where in the menu it stands, the site, the theme, the time.

use super::{assets::Assets, format};
use askama::filters::Safe;
use muster_model::{
    api::{Admin, ApprovalMode, Role},
    id::{Name, SiteCode},
    time::UnixMillis,
};

/// Which colours a page has. `Auto` follows the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Theme {
    /// As the browser says.
    #[default]
    Auto,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// The value of the cookie and of the attribute `data-theme`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme of that name; everything else is `Auto`.
    pub(crate) fn parse(text: &str) -> Self {
        [Self::Light, Self::Dark].into_iter().find(|t| t.as_str() == text).unwrap_or_default()
    }
}

/// What was done before this page was shown. The address carries only its code, so that no link can put words on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Approved,
    Refused,
    Blocked,
    Unblocked,
    Retired,
    Deployed,
    DeploymentDeleted,
    BaselineDeleted,
    DeploymentPaused,
    DeploymentResumed,
    DeploymentCancelled,
    DeploymentRetried,
    PhaseBegun,
    AlertAcknowledged,
    ClientStatusSaved,
    TokenRevoked,
    SettingsSaved,
    ApprovalSaved,
    ConflictDecided,
    IssuerAdded,
    IssuerRemoved,
    BoundarySaved,
    BoundaryRemoved,
    QueryKept,
    QueryDeleted,
    CollectionSaved,
    CollectionAsked,
    CollectionDeleted,
    WindowSaved,
    WindowDeleted,
    ClassAdded,
    ClassRetired,
    ResourceRemoved,
    DiscoverySaved,
    /// A maintenance task was set.
    MaintenanceSaved,
    /// A maintenance task was asked for.
    MaintenanceAsked,
    DiscoveryAsked,
    UpdateRuleSaved,
    UpdateRuleLooked,
    LogCollected,
    UpdateRuleRemoved,
    StatusRuleSaved,
    StatusRuleRemoved,
    AlertPostponed,
    AlertClosed,
}

impl Done {
    const ALL: [(Self, &str, &str); 45] = [
        (Self::ClientStatusSaved, "client-status-saved", "It is saved. Clients are counted by it from now on."),
        (Self::StatusRuleSaved, "status-rule-saved", "The rule is kept."),
        (Self::StatusRuleRemoved, "status-rule-removed", "The rule was removed."),
        (Self::AlertPostponed, "alert-postponed", "You hear of it again in 24 hours."),
        (Self::AlertClosed, "alert-closed", "The alert is closed."),
        (Self::UpdateRuleSaved, "update-rule-saved", "The rule is kept, and has looked."),
        (Self::UpdateRuleLooked, "update-rule-looked", "The rule has looked."),
        (Self::LogCollected, "log-collected", "The log was asked for. It comes with the device's next report."),
        (Self::UpdateRuleRemoved, "update-rule-removed", "The rule was removed. What was signed and deployed stays."),
        (Self::Approved, "approved", "The request was approved. The device gets its certificate with its next poll."),
        (Self::Refused, "refused", "The request was refused. The device needs a new token to ask again."),
        (
            Self::Blocked,
            "blocked",
            "The device is blocked. Its connections are closed and it gets nothing from this site.",
        ),
        (Self::Unblocked, "unblocked", "The device is active again."),
        (Self::Retired, "retired", "The device is retired. To come back it must enrol again."),
        (Self::Deployed, "deployed", "The deployment was created. Connected devices hear of it at once."),
        (
            Self::DeploymentDeleted,
            "deployment-deleted",
            "The deployment was deleted. Devices that did not start will not start.",
        ),
        (Self::BaselineDeleted, "baseline-deleted", "The baseline was deleted. Its signed file can be added again."),
        (
            Self::DeploymentPaused,
            "deployment-paused",
            "The deployment is paused. It begins on no further device; what has begun goes on.",
        ),
        (
            Self::DeploymentResumed,
            "deployment-resumed",
            "The deployment goes on. Connected devices hear of it at once.",
        ),
        (
            Self::DeploymentCancelled,
            "deployment-cancelled",
            "The deployment is cancelled. Devices that did not start will not start.",
        ),
        (Self::DeploymentRetried, "deployment-retried", "Where it failed it is tried again."),
        (Self::PhaseBegun, "phase-begun", "The phase began. Connected devices hear of it at once."),
        (
            Self::AlertAcknowledged,
            "alert-acknowledged",
            "The alert is acknowledged. It stays until it is so no longer.",
        ),
        (Self::TokenRevoked, "token-revoked", "The token was revoked. Nobody can enrol with it."),
        (
            Self::IssuerAdded,
            "issuer-added",
            "The issuer was added. Its certificates count when its revocation list was fetched.",
        ),
        (
            Self::IssuerRemoved,
            "issuer-removed",
            "The issuer was removed. Devices that talk with its certificates are shut out.",
        ),
        (Self::ConflictDecided, "conflict-decided", "The conflict was decided. The device's page shows its state now."),
        (
            Self::ApprovalSaved,
            "approval-saved",
            "The approval mode was saved. Requests that wait already go on waiting.",
        ),
        (Self::BoundarySaved, "boundary-saved", "It was saved. Devices whose order changes hear of it at once."),
        (Self::BoundaryRemoved, "boundary-removed", "It was removed. Devices whose order changes hear of it at once."),
        (Self::CollectionSaved, "collection-saved", "It was saved. Members come and go within a second or two."),
        (Self::CollectionAsked, "collection-asked", "The collection is being evaluated."),
        (Self::CollectionDeleted, "collection-deleted", "The collection was deleted. Its devices stay as they are."),
        (
            Self::WindowSaved,
            "window-saved",
            "The window was saved. The members of the collection hear of it within seconds.",
        ),
        (
            Self::WindowDeleted,
            "window-deleted",
            "The window was deleted. The members of the collection hear of it within seconds.",
        ),
        (Self::ClassAdded, "class-added", "The class was added. What waited for it is taken in by the minute."),
        (Self::ClassRetired, "class-retired", "The class was retired. Devices' reports of it are refused."),
        (Self::DiscoverySaved, "discovery-saved", "It was saved. The next run reads everything."),
        (Self::MaintenanceSaved, "maintenance-saved", "It was saved, and holds for the next run."),
        (Self::MaintenanceAsked, "maintenance-asked", "The task runs. This page says what it removed."),
        (Self::DiscoveryAsked, "discovery-asked", "The directory is read within seconds."),
        (Self::ResourceRemoved, "resource-removed", "The resource was removed, with what discovery said of it."),
        (Self::QueryKept, "query-kept", "The query is kept. Everybody who signs in can run it."),
        (Self::QueryDeleted, "query-deleted", "The query is kept no more."),
        (Self::SettingsSaved, "settings-saved", "The client settings were saved and go out with the next policy."),
    ];

    /// The code for an address: `?done=<code>`.
    pub(crate) fn code(self) -> &'static str {
        Self::ALL.iter().find(|(done, ..)| *done == self).map_or("", |(_, code, _)| code)
    }

    /// The sentence.
    pub(crate) fn sentence(self) -> &'static str {
        Self::ALL.iter().find(|(done, ..)| *done == self).map_or("", |(.., sentence)| sentence)
    }

    /// What a code stands for.
    pub(crate) fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == code).map(|(done, ..)| *done)
    }
}

/// What surrounds the content of a page for somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    /// The site code.
    pub(crate) site: SiteCode,
    /// The site's name.
    pub(crate) site_name: Name,
    /// Version of the server.
    pub(crate) version: String,
    /// Who is signed in.
    pub(crate) admin: Admin,
    /// The session's token for forms.
    pub(crate) csrf: String,
    /// The colours.
    pub(crate) theme: Theme,
    /// The moment that relative times are counted from.
    pub(crate) now: UnixMillis,
    /// Requests that wait for approval; the menu shows it.
    pub(crate) pending: u64,
    /// The approval mode in force; the widest one stands on every page.
    pub(crate) approval: ApprovalMode,
    /// The menu item of this page.
    pub(crate) section: &'static str,
    /// What was done before.
    pub(crate) done: Option<Done>,
}

impl Shell {
    /// Whether the person may change something; otherwise buttons that change are not shown (the rules refuse them anyway).
    pub(crate) fn may_change(&self) -> bool {
        self.admin.role == Role::FullAdministrator
    }

    /// A moment in a list.
    pub(crate) fn when(&self, moment: &UnixMillis) -> Safe<String> {
        format::when(*moment, self.now)
    }

    /// A moment with both readings.
    pub(crate) fn stamp(&self, moment: &UnixMillis) -> Safe<String> {
        format::stamp(*moment, self.now)
    }

    /// The attribute of the menu item that is this page.
    pub(crate) fn current(&self, section: &str) -> Safe<&'static str> {
        Safe(if self.section == section { r#" aria-current="page""# } else { "" })
    }

    /// Addresses of style and script.
    #[expect(clippy::unused_self, reason = "templates reach it through the shell")]
    pub(crate) fn assets(&self) -> &'static Assets {
        Assets::get()
    }
}
