//! Policy: immutable bodies by hash, and one signed assignment per device that lists them.

use crate::{
    id::{DeploymentId, DeviceId, EnrolmentId, Hash, SiteCode},
    limits,
    time::{DAY, HOUR, UnixMillis},
    window::{MaintenanceWindow, WindowKind},
};
use serde::{Deserialize, Serialize};

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
        }
    }
}

/// Client settings: how often the client does what. Lengths in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClientSettings {
    /// Client policy polling interval. Default 60 minutes, as in Configuration Manager.
    pub policy_poll: i64,
    /// Hardware inventory interval. Default 7 days.
    pub inventory: i64,
    /// Heartbeat discovery interval. Default 7 days.
    pub heartbeat: i64,
    /// Software inventory: which files are reported with each inventory. Absent, the default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<SoftwareScan>,
}

/// Directories below a configured one that a scan goes down.
pub const SCAN_DEPTH: usize = 32;
/// Directories, patterns of a directory, and exclusions of a scan.
pub const SCAN_RULES: usize = 32;
/// Bytes of one of them.
pub const SCAN_TEXT_BYTES: usize = 512;
/// Files that a scan may report at most: rows of one inventory section.
pub const SCAN_FILES: u32 = 20_000;
/// Seconds that a scan may take at most.
pub const SCAN_SECONDS: u32 = 600;

/// Bytes of one file that a scan may be told to read at most.
pub const SCAN_READ_FILE: u64 = 1 << 30;
/// Bytes that one scan may be told to read at most.
pub const SCAN_READ_BYTES: u64 = 64 << 30;

/// Which files a client reports: names, sizes and times, and what is in them only where `read` says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SoftwareScan {
    /// Where is looked.
    pub paths: Vec<ScanPath>,
    /// What is passed over: patterns of names or, with a slash, of whole paths.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Files that are reported at most. Default 5,000.
    #[serde(default = "scan_files")]
    pub files: u32,
    /// Seconds that the scan may take. Default 60.
    #[serde(default = "scan_seconds")]
    pub seconds: u32,
    /// What is read of the files. Absent, the default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ScanRead>,
}

/// What a scan reads of the files that it found. A file that did not change since it was read is not read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScanRead {
    /// All of it, for its SHA-256. Default: not.
    #[serde(default)]
    pub hash: bool,
    /// What a program or library for Windows says of itself: version, description, product, company. Default: not.
    #[serde(default)]
    pub versions: bool,
    /// A file of more bytes gets no hash. Default 64 MiB.
    #[serde(default = "scan_read_file")]
    pub file_bytes: u64,
    /// Bytes that one scan reads at most; the next one goes on. Default 1 GiB.
    #[serde(default = "scan_read_bytes")]
    pub total_bytes: u64,
}

impl ScanRead {
    fn check(&self) -> Result<(), String> {
        if !self.hash && !self.versions {
            return Err("`read` names `hash`, `versions`, or both.".to_owned());
        }
        if !(1..=SCAN_READ_FILE).contains(&self.file_bytes)
            || !(self.file_bytes..=SCAN_READ_BYTES).contains(&self.total_bytes)
        {
            return Err(format!(
                "A scan reads files of 1 to {SCAN_READ_FILE} bytes, and at least one such file and at most {SCAN_READ_BYTES} bytes in all."
            ));
        }
        Ok(())
    }
}

/// One directory of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScanPath {
    /// The directory, from the root on; no part of it may be a symbolic link.
    pub path: String,
    /// Patterns of names: `*` stands for any text, `?` for one character.
    pub names: Vec<String>,
    /// Directories below it too, as far as they are on the same file system.
    #[serde(default)]
    pub recursive: bool,
}

const fn scan_files() -> u32 {
    5_000
}

const fn scan_seconds() -> u32 {
    60
}

const fn scan_read_file() -> u64 {
    64 << 20
}

const fn scan_read_bytes() -> u64 {
    1 << 30
}

impl SoftwareScan {
    /// What is wrong with it, as one sentence.
    ///
    /// # Errors
    /// The first thing.
    pub fn check(&self) -> Result<(), String> {
        let names = |path: &ScanPath| path.names.len() > SCAN_RULES || path.names.is_empty();
        if self.paths.is_empty() || self.paths.len() > SCAN_RULES || self.exclude.len() > SCAN_RULES {
            return Err(format!("A scan has 1 to {SCAN_RULES} directories, and at most {SCAN_RULES} exclusions."));
        }
        if self.paths.iter().any(names) {
            return Err(format!("A directory has 1 to {SCAN_RULES} patterns of names."));
        }
        let texts = self.paths.iter().flat_map(|path| path.names.iter().chain([&path.path])).chain(&self.exclude);
        let odd = |text: &&String| {
            text.is_empty() || text.len() > SCAN_TEXT_BYTES || text.chars().any(|c| c.is_control() || c == '\u{feff}')
        };
        if let Some(odd) = texts.into_iter().find(odd) {
            let shown: String = odd.chars().take(100).collect();
            return Err(format!("{shown:?} is empty, too long, or has characters that are not seen."));
        }
        let wrong = |path: &&ScanPath| {
            !path.path.starts_with('/') || path.path.split('/').any(|part| part == ".." || part == ".")
        };
        if let Some(wrong) = self.paths.iter().find(wrong) {
            return Err(format!("{:?} is no path from the root on.", wrong.path));
        }
        if !(1..=SCAN_FILES).contains(&self.files) || !(1..=SCAN_SECONDS).contains(&self.seconds) {
            return Err(format!("A scan reports 1 to {SCAN_FILES} files and takes 1 to {SCAN_SECONDS} seconds."));
        }
        self.read.as_ref().map_or(Ok(()), ScanRead::check)
    }
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { policy_poll: HOUR, inventory: 7 * DAY, heartbeat: 7 * DAY, software: None }
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
    /// Not before.
    pub available: UnixMillis,
    /// Required: the client starts by itself at this moment, or in the first maintenance window after it that is long enough.
    pub deadline: UnixMillis,
    /// It does not wait for a maintenance window.
    #[serde(default, skip_serializing_if = "is_false")]
    pub outside_windows: bool,
    /// It is a software update: it keeps to the windows for updates, where the client has any.
    #[serde(default, skip_serializing_if = "is_false")]
    pub software_update: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
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
