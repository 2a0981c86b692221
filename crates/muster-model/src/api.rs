//! Types of the administrators' API, the same for server, CLI and console. One section per noun.

use crate::{
    application::Application,
    enrol::DeviceClaims,
    id::{AdminId, ApplicationId, DeploymentId, DeviceId, EnrolmentId, Hash, Name, SiteCode, TokenId},
    inventory::Unread,
    status::{DeploymentState, FailureReason, Severity},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! api {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$fmeta:meta])* $field:ident : $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name { $($(#[$fmeta])* pub $field: $type,)* }
    };
    ($(#[$meta:meta])* enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant,)* }
        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    format!("{text:?} is not one of {}", known.join(", "))
                })
            }
        }
    };
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// How many rows there are on all pages.
    pub total: u64,
    /// Rows before this page.
    pub offset: u64,
}

api! {
    /// Which page of a list is wanted.
    #[derive(Copy, Eq)]
    struct PageQuery {
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted; at most `Limits::page_rows`.
        #[serde(default = "fifty")] limit: u32,
    }
}
const fn fifty() -> u32 {
    50
}
impl Default for PageQuery {
    fn default() -> Self {
        Self { offset: 0, limit: fifty() }
    }
}

// --- session ---------------------------------------------------------------------------------------------------------

api! {
    /// `POST /api/v1/session/challenge`: the first step of signing in with an administrator's key.
    struct ChallengeRequest {
        /// Key id of the administrator's key.
        key: Hash,
    }
}
api! {
    /// What to sign: `muster/v1/sign-in` NUL, the site code, NUL, and the challenge's bytes.
    struct Challenge {
        /// 32 random bytes, base64url. Valid once, for 60 seconds.
        challenge: String,
    }
}
api! {
    /// `POST /api/v1/session`: the signed challenge.
    struct SessionRequest {
        /// Key id.
        key: Hash,
        /// The challenge, as it was given.
        challenge: String,
        /// ECDSA P-256 SHA-256 signature, 64 bytes `r || s`, base64url.
        signature: String,
    }
}
/// A session of an administrator. The token is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// Bearer token, for the `Authorization` header.
    pub token: String,
    /// When it ends.
    pub expires: UnixMillis,
    /// Who is signed in.
    pub admin: Admin,
}
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("expires", &self.expires).field("admin", &self.admin).finish_non_exhaustive()
    }
}
/// `POST /api/v1/session/code`: a one-time code that signs a browser in as the caller.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignInCode {
    /// The code. Valid once, for 5 minutes.
    pub code: String,
    /// Address to open in a browser; `<console>/sign-in?code=...`.
    pub url: String,
    /// When it ends.
    pub expires: UnixMillis,
}
impl std::fmt::Debug for SignInCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignInCode").field("expires", &self.expires).finish_non_exhaustive()
    }
}

// --- admin -----------------------------------------------------------------------------------------------------------

api! {
    /// What an administrator may do. Values are only ever added.
    #[derive(Default)]
    enum Role {
        /// Everything.
        FullAdministrator = "full_administrator",
        /// See everything, change nothing.
        #[default]
        ReadOnlyAnalyst = "read_only_analyst",
    }
}
api! {
    /// An administrator.
    #[derive(Eq)]
    struct Admin {
        /// The id.
        id: AdminId,
        /// The name.
        name: Name,
        /// The role.
        role: Role,
        /// Key id of the key that signs in.
        key: Hash,
        /// When the administrator was created.
        created: UnixMillis,
    }
}
api! {
    /// `POST /api/v1/admins`.
    struct AdminCreate {
        /// The name.
        name: Name,
        /// The role.
        role: Role,
        /// The public key, PEM (`SubjectPublicKeyInfo`, P-256).
        public_key: String,
    }
}

// --- site ------------------------------------------------------------------------------------------------------------

api! {
    /// `GET /api/v1/site`.
    struct SiteInfo {
        /// The site code.
        code: SiteCode,
        /// The site's name.
        name: Name,
        /// Version of the server.
        version: String,
        /// Fingerprint of the trusted root key.
        root: Hash,
        /// Version of the trust bundle in force.
        trust_version: u64,
        /// When the trust bundle ends.
        trust_expires: UnixMillis,
        /// Addresses of management points.
        management_points: Vec<String>,
        /// `sqlite` or `postgresql`.
        database: String,
    }
}
api! {
    /// `GET /api/v1/dashboard`: what an administrator wants to see first.
    struct Dashboard {
        /// Devices by state.
        devices: BTreeMap<String, u64>,
        /// Devices with a live channel at this moment.
        online: u64,
        /// Requests that wait for approval.
        pending: u64,
        /// Devices by operating system, the most frequent first, at most 12.
        operating_systems: Vec<Count>,
        /// Devices seen per hour of the last 24 hours: the oldest first.
        seen: Vec<SeenHour>,
        /// The latest deployments with their totals, at most 5.
        deployments: Vec<Deployment>,
        /// The latest status messages, at most 10.
        messages: Vec<Message>,
        /// Things that need somebody: sentences.
        warnings: Vec<String>,
    }
}
api! {
    /// A label with a number.
    struct Count {
        /// The label.
        label: String,
        /// The number.
        count: u64,
    }
}
api! {
    /// How many devices were last seen in one hour.
    struct SeenHour {
        /// Start of the hour.
        hour: UnixMillis,
        /// Devices whose last contact is in this hour.
        devices: u64,
        /// Reports accepted in this hour.
        reports: u64,
    }
}

// --- token -----------------------------------------------------------------------------------------------------------

api! {
    /// Where a token is in its life.
    enum TokenState {
        /// It can be used.
        Open = "open",
        /// It was used.
        Used = "used",
        /// It is past its end.
        Expired = "expired",
        /// An administrator took it back.
        Revoked = "revoked",
    }
}
api! {
    /// An enrolment token, without its secret.
    struct Token {
        /// The id.
        id: TokenId,
        /// What it is for, in the administrator's words.
        name: Name,
        /// Its state.
        state: TokenState,
        /// When it was made.
        created: UnixMillis,
        /// When it ends.
        expires: UnixMillis,
        /// Who made it.
        created_by: Name,
        /// The request that used it.
        used_by: Option<EnrolmentId>,
    }
}
api! {
    /// `POST /api/v1/tokens`.
    struct TokenCreate {
        /// What it is for.
        name: Name,
        /// Seconds that it can be used: 60 to 2,592,000 (30 days). Default: 1 day.
        #[serde(default = "one_day")] valid_seconds: u32,
    }
}
const fn one_day() -> u32 {
    86_400
}
/// A new token. The text is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenCreated {
    /// The id.
    pub id: TokenId,
    /// The text that a client is started with: `muster1....`
    pub token: String,
    /// When it ends.
    pub expires: UnixMillis,
}
impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreated").field("id", &self.id).field("expires", &self.expires).finish_non_exhaustive()
    }
}

// --- enrolment -------------------------------------------------------------------------------------------------------

api! {
    /// Where a request to enrol is in its life.
    enum EnrolmentState {
        /// Nobody decided yet.
        Pending = "pending",
        /// It became a device.
        Approved = "approved",
        /// An administrator refused it.
        Refused = "refused",
    }
}
api! {
    /// A request to be enrolled.
    struct Enrolment {
        /// The id.
        id: EnrolmentId,
        /// Its state.
        state: EnrolmentState,
        /// What the device says about itself.
        claims: DeviceClaims,
        /// Key id of the device's key: compare it with what the device shows.
        key: Hash,
        /// The address the request came from.
        address: String,
        /// When it was made.
        created: UnixMillis,
        /// The token that it used.
        token: TokenId,
        /// The device that it became.
        device: Option<DeviceId>,
        /// Active devices with the same key, hardware id or host name: why to look twice.
        conflicts: Vec<String>,
    }
}

// --- device ----------------------------------------------------------------------------------------------------------

api! {
    /// Where a device is in its life.
    enum DeviceState {
        /// It is managed.
        Active = "active",
        /// It is locked out, until it is unblocked.
        Blocked = "blocked",
        /// It left for good.
        Retired = "retired",
    }
}
api! {
    /// A device, as a row of a list.
    struct Device {
        /// The id.
        id: DeviceId,
        /// Host name, as the device last said.
        name: String,
        /// Its state.
        state: DeviceState,
        /// Operating system, as the device last said.
        operating_system: String,
        /// Version of its agent.
        agent_version: String,
        /// Whether it has a live channel at this moment.
        online: bool,
        /// Last contact.
        last_seen: Option<UnixMillis>,
        /// Last accepted inventory.
        last_inventory: Option<UnixMillis>,
        /// When it was approved.
        enrolled: UnixMillis,
    }
}
api! {
    /// Columns that a list of devices can be sorted by.
    #[derive(Default)]
    enum DeviceSort {
        /// Host name.
        #[default]
        Name = "name",
        /// State.
        State = "state",
        /// Operating system.
        OperatingSystem = "operating_system",
        /// Last contact.
        LastSeen = "last_seen",
        /// When it was approved.
        Enrolled = "enrolled",
    }
}
api! {
    /// `GET /api/v1/devices`.
    #[derive(Default)]
    struct DeviceQuery {
        /// Part of the host name or operating system, or a whole id.
        #[serde(default)] search: String,
        /// Only devices of this state.
        #[serde(default)] state: Option<DeviceState>,
        /// The column to sort by.
        #[serde(default)] sort: DeviceSort,
        /// From high to low.
        #[serde(default)] descending: bool,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "fifty")] limit: u32,
    }
}
api! {
    /// `GET /api/v1/devices/{id}`.
    struct DeviceDetail {
        /// The row.
        device: Device,
        /// Key id of the device's key.
        key: Hash,
        /// How its key is kept: `software key`.
        key_protection: String,
        /// Its hardware id, as it says.
        hardware_id: Hash,
        /// Serial number of its certificate, hexadecimal.
        certificate_serial: String,
        /// When its certificate ends.
        certificate_expires: UnixMillis,
        /// Version of its assignment.
        policy_version: u64,
        /// When its assignment ends unless it is signed again.
        policy_expires: Option<UnixMillis>,
        /// The reason of a block.
        block_reason: Option<String>,
        /// Inventory classes with the number of rows and the time of their last change.
        classes: Vec<ClassSummary>,
        /// What its agent could not read.
        unread: Vec<Unread>,
        /// Its deployments.
        deployments: Vec<DeviceDeployment>,
        /// Changes with the row; for If-Match.
        revision: u64,
    }
}
api! {
    /// One inventory class of one device.
    struct ClassSummary {
        /// The class.
        class: String,
        /// How many rows.
        rows: u64,
        /// When they last changed.
        changed: UnixMillis,
    }
}
api! {
    /// `GET /api/v1/devices/{id}/inventory/{class}`.
    struct ClassRows {
        /// The class.
        class: String,
        /// Attribute names, in catalogue order, only those that any row has.
        attributes: Vec<String>,
        /// The rows.
        rows: Vec<crate::inventory::Row>,
        /// How many rows there are on all pages.
        total: u64,
    }
}
api! {
    /// Why a device is blocked, unblocked or retired.
    struct Reason {
        /// One sentence for the audit log; 1 to 500 characters.
        reason: String,
    }
}
api! {
    /// One line of a device's history.
    struct TimelineEntry {
        /// When.
        time: UnixMillis,
        /// `enrolment`, `deployment`, `message`, `inventory`, `administration`.
        kind: String,
        /// How serious it is.
        severity: Severity,
        /// One sentence.
        text: String,
    }
}

// --- status messages -------------------------------------------------------------------------------------------------

api! {
    /// A status message as shown.
    struct Message {
        /// When it happened, by the client's clock.
        time: UnixMillis,
        /// When the site committed it.
        received: UnixMillis,
        /// The device that sent it.
        device: DeviceId,
        /// Its host name.
        device_name: String,
        /// Part of the agent.
        component: String,
        /// What happened, as code.
        id: String,
        /// How serious it is.
        severity: Severity,
        /// What happened, as a sentence.
        text: String,
    }
}
api! {
    /// `GET /api/v1/messages`.
    #[derive(Default)]
    struct MessageQuery {
        /// Only of this device.
        #[serde(default)] device: Option<DeviceId>,
        /// At least this serious.
        #[serde(default)] severity: Option<Severity>,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "fifty")] limit: u32,
    }
}
api! {
    /// Something that a device sent and the site did not take.
    struct QuarantineItem {
        /// The device.
        device: DeviceId,
        /// When.
        received: UnixMillis,
        /// The class, where it is a section of an inventory.
        class: Option<String>,
        /// Why, in one sentence.
        reason: String,
        /// The first bytes of it, as text, control characters replaced.
        excerpt: String,
    }
}

// --- application and deployment --------------------------------------------------------------------------------------

api! {
    /// An application that the site distributes.
    struct ApplicationInfo {
        /// SHA-256 of the signed object: this exact version with these exact signatures.
        hash: Hash,
        /// What the author wrote.
        application: Application,
        /// Key ids of the authors whose signatures are valid.
        authors: Vec<Hash>,
        /// When it was added.
        created: UnixMillis,
        /// Bytes of all its content.
        content_size: u64,
    }
}
/// Whom a deployment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Target {
    /// Every active device.
    AllSystems,
    /// One device.
    Device {
        /// The device.
        device: DeviceId,
    },
}
api! {
    /// `POST /api/v1/deployments`.
    struct DeploymentCreate {
        /// The name; default: the application's name and version.
        #[serde(default)] name: Option<Name>,
        /// Which signed application.
        application: Hash,
        /// For whom.
        target: Target,
        /// Not before; default: now.
        #[serde(default)] available: Option<UnixMillis>,
        /// When clients start by themselves; default: now.
        #[serde(default)] deadline: Option<UnixMillis>,
    }
}
api! {
    /// `POST /api/v1/deployments/preview`: what `create` would do.
    struct DeploymentPreview {
        /// How many devices get it.
        devices: u64,
        /// The first of them, by name.
        examples: Vec<String>,
        /// Bytes that each of them fetches.
        content_size: u64,
        /// What to think about: sentences.
        warnings: Vec<String>,
    }
}
api! {
    /// A deployment with its totals.
    struct Deployment {
        /// The id.
        id: DeploymentId,
        /// The name.
        name: Name,
        /// Which signed application.
        application: Hash,
        /// The application, over all of its versions.
        application_id: ApplicationId,
        /// Its name.
        application_name: String,
        /// Its version.
        application_version: String,
        /// For whom.
        target: Target,
        /// Not before.
        available: UnixMillis,
        /// When clients start by themselves.
        deadline: UnixMillis,
        /// When it was made.
        created: UnixMillis,
        /// Who made it.
        created_by: Name,
        /// Devices by state; their sum is the number of targeted devices.
        totals: BTreeMap<String, u64>,
        /// Whether it was deleted: clients no longer get it.
        deleted: bool,
    }
}
api! {
    /// One device of a deployment.
    struct DeviceDeployment {
        /// The deployment.
        deployment: DeploymentId,
        /// Its name.
        deployment_name: String,
        /// The device.
        device: DeviceId,
        /// Its host name.
        device_name: String,
        /// Where it stands.
        state: DeploymentState,
        /// Why it failed.
        reason: Option<FailureReason>,
        /// Exit code of the install command.
        exit_code: Option<i32>,
        /// The end of what the install command printed.
        output: String,
        /// When the state last changed, by the client's clock.
        changed: UnixMillis,
    }
}

// --- audit -----------------------------------------------------------------------------------------------------------

api! {
    /// One entry of the audit log.
    struct AuditEntry {
        /// Number in the chain, from 1.
        number: u64,
        /// When.
        time: UnixMillis,
        /// Who: an administrator's name, or `site`.
        actor: String,
        /// What: `token_create`, `enrolment_approve`, ...
        action: String,
        /// On what: a kind and an id.
        object: String,
        /// One sentence.
        detail: String,
        /// Chain head: SHA-256 over the head before and this entry.
        head: Hash,
    }
}
api! {
    /// `GET /api/v1/audit/verify`.
    struct AuditVerdict {
        /// How many entries were checked.
        entries: u64,
        /// The first entry that does not continue the chain.
        broken_at: Option<u64>,
        /// The last chain head.
        head: Hash,
    }
}
