//! Policy: immutable bodies by hash, and one signed assignment per device that lists them.

use crate::{
    id::{DeploymentId, DeviceId, EnrolmentId, Hash, SiteCode},
    limits,
    program::DeploymentOptions,
    time::{DAY, MINUTE, UnixMillis},
    window::{MaintenanceWindow, WindowKind},
};
use serde::{Deserialize, Serialize};

pub use crate::settings::{
    ClientSettings, ContentPeers, SCAN_DEPTH, SCAN_FILES, SCAN_READ_BYTES, SCAN_READ_FILE, SCAN_RULES, SCAN_SECONDS,
    SCAN_TEXT_BYTES, ScanPath, ScanRead, SoftwareScan,
};

/// Content type of a signed assignment.
pub const ASSIGNMENT_TYPE: &str = "application/vnd.muster.assignment+json";

/// How long an assignment is believed after it was issued; the site signs a new one at half of that.
pub const ASSIGNMENT_LIFETIME: i64 = 7 * DAY;

/// Payload of the assignment, a `COSE_Sign1` by a policy key of the trust bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The site that speaks.
    pub site: SiteCode,
    /// The device that is meant, and no other.
    pub recipient: Recipient,
    /// Grows with every change of this device's assignment; a client never goes back.
    pub version: u64,
    /// When it was signed.
    pub issued: UnixMillis,
    /// When it stops being believed.
    pub expires: UnixMillis,
    /// The least version of the trust bundle that the client must have.
    pub trust_version: u64,
    /// What the device shall have. Empty for a device that is not approved.
    pub bodies: Vec<BodyRef>,
}

impl crate::Signed for Assignment {
    const TYPE: &'static str = ASSIGNMENT_TYPE;
}

/// Whom an assignment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// A device with a certificate.
    Device(DeviceId),
    /// A request that is not approved yet; its assignment is always empty.
    Enrolment(EnrolmentId),
}

/// One entry of an assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyRef {
    /// What kind of body it is.
    pub kind: BodyKind,
    /// SHA-256 of its bytes; the address to fetch it from.
    pub hash: Hash,
    /// Its length in bytes.
    pub size: u64,
}

/// Kinds of policy bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// JSON of [`ClientSettings`]. At most one.
    Settings,
    /// JSON of [`DeploymentPolicy`].
    Deployment,
    /// A signed application object (`COSE_Sign` by authors), exactly as the author made it.
    Application,
    /// A secret for one application on this device, sealed to the device and signed by authors
    /// ([`crate::secret::SealedSecret`]).
    Secret,
    /// JSON of [`LocationPolicy`]. At most one.
    Location,
    /// JSON of [`WindowPolicy`]. At most one; where there is none, no window holds.
    Windows,
    /// A signed configuration baseline (`COSE_Sign` by authors), exactly as the author made it.
    Baseline,
    /// JSON of [`crate::compliance::BaselinePolicy`].
    BaselineDeployment,
    /// A signed approval of a deployment in the same assignment ([`crate::deployment_approval::DeploymentApproval`]).
    DeploymentApproval,
    /// JSON of [`crate::log::LogRequest`]: the site wants a piece of the client's log. At most one.
    LogRequest,
}

impl BodyKind {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Deployment => "deployment",
            Self::Application => "application",
            Self::Secret => "secret",
            Self::Location => "location",
            Self::Windows => "windows",
            Self::Baseline => "baseline",
            Self::BaselineDeployment => "baseline_deployment",
            Self::DeploymentApproval => "deployment_approval",
            Self::LogRequest => "log_request",
        }
    }
}

/// A deployment as the client sees it: which signed application, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentPolicy {
    /// The deployment.
    pub deployment: DeploymentId,
    /// SHA-256 of the signed application object; it is in the same assignment.
    pub application: Hash,
    /// What is done with it.
    #[serde(default, skip_serializing_if = "Action::is_install")]
    pub action: Action,
    /// Whether it is done by itself.
    #[serde(default, skip_serializing_if = "Purpose::is_required")]
    pub purpose: Purpose,
    /// SHA-256 of signed applications that it takes along, which are in the same assignment: those that its application depends on, and
    /// those that it replaces. What is done with them, the application itself says; of others that are listed nothing is run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Hash>,
    /// Not before.
    pub available: UnixMillis,
    /// Required: the client starts by itself at this moment, or in the first maintenance window after it that is long enough.
    pub deadline: UnixMillis,
    /// It does not wait for a maintenance window.
    #[serde(default, skip_serializing_if = "is_false")]
    pub outside_windows: bool,
    /// Where a write filter protects the machine it is installed into the overlay, and is gone after the next restart. Absent: a required
    /// deployment is installed below the filter, by servicing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub volatile: bool,
    /// It is a software update: it keeps to the windows for updates, where the client has any.
    #[serde(default, skip_serializing_if = "is_false")]
    pub software_update: bool,
    /// Users may put it off, so often and so long. Absent: they may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferral: Option<Deferral>,
    /// How often an administrator asked that it be tried again. A client that failed with a lower one begins anew.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// Whether and when it runs again, values for its commands, and whether users are told.
    #[serde(default, skip_serializing_if = "DeploymentOptions::is_none")]
    pub options: DeploymentOptions,
    /// What a client must know to carry it out. One that does not know all of it begins nothing and says that it is too old: it would take
    /// the signed object for one of nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Feature>,
}

/// What applications may have that earlier clients do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Several deployment types.
    Types,
    /// Programs without a detection rule.
    Programs,
    /// Parameters.
    Parameters,
}

/// How often, and until when, users of a machine may put a required deployment off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deferral {
    /// How often.
    pub times: u32,
    /// For how many minutes at a time.
    pub minutes: u32,
    /// How many minutes after the deadline it begins at the latest, whatever users say.
    pub grace_minutes: u32,
}

impl Deferral {
    /// Whether its numbers are ones that a site signs.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        1 <= self.times
            && self.times <= limits::DEFERRAL_TIMES
            && 1 <= self.minutes
            && self.minutes <= limits::DEFERRAL_MINUTES
            && 1 <= self.grace_minutes
            && self.grace_minutes <= limits::DEFERRAL_GRACE_MINUTES
    }

    /// As a client takes it: nobody lets an installation be put off for ever.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            times: self.times.min(limits::DEFERRAL_TIMES),
            minutes: self.minutes.min(limits::DEFERRAL_MINUTES),
            grace_minutes: self.grace_minutes.min(limits::DEFERRAL_GRACE_MINUTES),
        }
    }

    /// When it begins at the latest, where it would begin at `starts`.
    #[must_use]
    pub fn last(self, starts: UnixMillis) -> UnixMillis {
        starts.plus(i64::from(self.grace_minutes) * MINUTE)
    }

    /// For people.
    #[must_use]
    pub fn sentence(self) -> String {
        format!(
            "users may put it off {} time(s), {} minute(s) each, until {} minute(s) after the deadline",
            self.times, self.minutes, self.grace_minutes
        )
    }
}

/// What a deployment does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Action {
    /// The application is to be there.
    #[default]
    Install,
    /// The application is not to be there.
    Uninstall,
}

impl Action {
    /// Both.
    pub const ALL: &[Self] = &[Self::Install, Self::Uninstall];

    /// Whether it is to be there.
    #[must_use]
    pub const fn is_install(&self) -> bool {
        matches!(self, Self::Install)
    }

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
        }
    }
}

/// Who begins a deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Purpose {
    /// The client, at the deadline. A user may begin before.
    #[default]
    Required,
    /// A user of the machine, or nobody.
    Available,
}

impl Purpose {
    /// Both.
    pub const ALL: &[Self] = &[Self::Required, Self::Available];

    /// Whether the client begins by itself.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        matches!(self, Self::Required)
    }

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Available => "available",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// When a client may be worked on: the windows of all collections that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowPolicy {
    /// The windows, at least one; of each kind at most [`crate::limits::DEVICE_WINDOWS`].
    pub windows: Vec<MaintenanceWindow>,
}

impl WindowPolicy {
    /// Whether it is one that a client keeps to. One that it cannot keep to is no reason to go without.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let most = limits::DEVICE_WINDOWS * WindowKind::ALL.len();
        (1..=most).contains(&self.windows.len()) && self.windows.iter().all(|window| window.check().is_ok())
    }
}

/// In which order a client uses the site's management points. Who answers there proves itself as everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationPolicy {
    /// Addresses, `https://host:port`, by rank: the nearest first. Those of one rank are alike.
    pub management_points: Vec<Vec<String>>,
}

/// Why a client refused a policy. Reported in `policy_refused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyRefusal {
    /// Not an envelope of the expected form, or its payload does not parse.
    Malformed,
    /// Over its limit.
    TooLarge,
    /// The signature is wrong, or by a key that the trust bundle does not name for policy.
    SignatureInvalid,
    /// For another site.
    ForeignSite,
    /// For another device.
    ForeignDevice,
    /// Older than the one in force.
    Older,
    /// The same version as the one in force, with other bytes: two histories.
    Fork,
    /// Past its expiry, or issued in the future, by the client's clock.
    Expired,
    /// A body's bytes are not those that its hash names.
    BodyAltered,
    /// A body could not be fetched.
    BodyMissing,
    /// The client's trust bundle is older than the assignment wants, and a newer one could not be had.
    TrustTooOld,
}

impl PolicyRefusal {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::Malformed,
        Self::TooLarge,
        Self::SignatureInvalid,
        Self::ForeignSite,
        Self::ForeignDevice,
        Self::Older,
        Self::Fork,
        Self::Expired,
        Self::BodyAltered,
        Self::BodyMissing,
        Self::TrustTooOld,
    ];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::SignatureInvalid => "signature_invalid",
            Self::ForeignSite => "foreign_site",
            Self::ForeignDevice => "foreign_device",
            Self::Older => "older",
            Self::Fork => "fork",
            Self::Expired => "expired",
            Self::BodyAltered => "body_altered",
            Self::BodyMissing => "body_missing",
            Self::TrustTooOld => "trust_too_old",
        }
    }
}
