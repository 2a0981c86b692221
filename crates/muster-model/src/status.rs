//! Status messages: what happened on a client, as Configuration Manager has them (component, id, severity, typed values).

use crate::{
    id::{DeploymentId, Hash, Name},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How serious a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Severity {
    /// For the record.
    Information,
    /// Something to look at; the work goes on.
    Warning,
    /// Something failed.
    Error,
}

impl Severity {
    /// The stable text, as on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a client says happened. The sender is the connection's device; the message cannot name one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusMessage {
    /// The part of the agent that speaks.
    pub component: Component,
    /// What happened; see [`MessageId`].
    pub id: MessageId,
    /// How serious it is.
    pub severity: Severity,
    /// Values for the message's sentence, by name; at most 16, each of at most 1,024 bytes.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// Parts of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Component {
    /// Start, stop, identity.
    Agent,
    /// Policy download and verification.
    Policy,
    /// Inventory collection.
    Inventory,
    /// Content download and verification.
    Content,
    /// Application installation.
    Deployment,
    /// The outbox and the connection to the site.
    Transport,
}

impl Component {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Policy => "policy",
            Self::Inventory => "inventory",
            Self::Content => "content",
            Self::Deployment => "deployment",
            Self::Transport => "transport",
        }
    }
}

macro_rules! messages {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $sentence:literal;)+) => {
        /// What a status message can say. Closed: a client cannot invent a kind of message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum MessageId { $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+ }
        impl MessageId {
            /// Every message there is.
            pub const ALL: &[MessageId] = &[$(MessageId::$name,)+];
            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(MessageId::$name => $text,)+ } }
            /// The sentence shown to people; `{name}` stands for a value.
            #[must_use]
            pub const fn sentence(self) -> &'static str { match self { $(MessageId::$name => $sentence,)+ } }
        }
    };
}

messages! {
    /// The agent started.
    AgentStarted = "agent_started", "The agent {version} started.";
    /// The agent stopped on request.
    AgentStopped = "agent_stopped", "The agent stopped.";
    /// The client certificate was renewed.
    CertificateRenewed = "certificate_renewed", "The client certificate was renewed; it is valid until {expires}.";
    /// The clock of the client is wrong.
    ClockWrong = "clock_wrong", "The clock differs from the site's by {seconds} seconds.";
    /// A policy was accepted.
    PolicyAccepted = "policy_accepted", "Policy version {version} was accepted.";
    /// A policy was refused; `reason` is one of the policy refusals.
    PolicyRefused = "policy_refused", "A policy was refused: {reason}.";
    /// A server's certificate was refused; `reason` is one of the reasons of a status that proves nothing.
    ServerRefused = "server_refused", "A server was refused: {reason}.";
    /// A source of management points named an address where somebody else answers; `source` is who named it.
    PointRefused = "point_refused", "A false management point at {address}, named by {source}, was refused: {reason}.";
    /// A newer trust bundle was accepted.
    TrustAccepted = "trust_accepted", "Trust bundle {version} was accepted.";
    /// A trust bundle was refused.
    TrustRefused = "trust_refused", "A trust bundle was refused: {reason}.";
    /// A part of the inventory could not be read.
    InventoryUnreadable = "inventory_unreadable", "{class} could not be read: {reason}";
    /// Content did not have the bytes that its hash names, and was thrown away.
    ContentAltered = "content_altered", "Content {hash} was not what its hash names; it was thrown away.";
    /// A chunk list, or what came by it, was refused; the content came whole.
    ChunkListRefused = "chunk_list_refused", "The chunk list of content {hash} was refused: {reason}.";
    /// A large content file came: how much had to be moved for it, and how much was here in other files.
    ContentFetched = "content_fetched", "Content {hash} of {size} bytes came; {moved} bytes were moved, and {reused} were here.";
    /// Of a content file, how much came from clients of the same subnet.
    ContentFromPeers = "content_from_peers", "Of content {hash}, {bytes} bytes came from {peers} client(s) of the same subnet.";
    /// A client of the same subnet gave other bytes than it should; it is not asked for a while, and others were.
    PeerRefused = "peer_refused", "What the client {device} gave of content {hash} was refused: {reason}.";
    /// A user of the machine had software of an offer installed, repaired or removed; `user` is the name and number of the account there.
    UserBegan = "user_began", "{user} had {verb} of {name} begun (deployment {deployment}).";
    /// A user put an installation off.
    UserDeferred = "user_deferred", "{user} put {name} off until {until}, {count} of {times} times (deployment {deployment}).";
    /// A step of a servicing begins.
    ServicingStep = "servicing_step", "Servicing of the write filter: {step}.";
    /// A servicing came to its end, and the machine is protected again.
    ServicingEnded = "servicing_ended", "Servicing ended after {seconds} seconds for {deployments} deployment(s); the write filter protects again.";
    /// A servicing did not begin, or did not come to its end.
    ServicingFailed = "servicing_failed", "Servicing did not work: {reason}.";
    /// A servicing was interrupted; it was ended at the next start.
    ServicingInterrupted = "servicing_interrupted", "Servicing was interrupted in the step {step}; the write filter protects again.";
    /// What was installed is gone after the next restart.
    OverlayInstalled = "overlay_installed", "Deployment {deployment} was installed into the overlay and is gone after the next restart.";
    /// What the client keeps is gone after the next restart.
    StateVolatile = "state_volatile", "The client's state in {path} is on the overlay and is gone after the next restart; put it on a disk that is not filtered.";
    /// Messages were lost with the outbox.
    OutboxLost = "outbox_lost", "Messages {from} to {to} were lost with the outbox of the client.";
    /// The outbox is full; the oldest messages of low value were dropped and counted.
    OutboxFull = "outbox_full", "The outbox was full; {count} messages were not kept.";
    /// The client found its own log altered.
    LogAltered = "log_altered", "The client's log was altered between {from} and {until}: {fault}, at record {sequence}.";
    /// The machine needs a restart; `reasons` says for what, with the source of each.
    RestartPending = "restart_pending", "The machine needs a restart: {reasons}.";
    /// The machine needed a restart, and needs it no more.
    RestartNotPending = "restart_not_pending", "The machine needs no restart any more.";
    /// A user of the machine put the notice of a restart away, or wanted it at once.
    RestartAnswered = "restart_answered", "{user} answered the notice of a restart: {answer}.";
    /// The system is asked to restart.
    RestartBegun = "restart_begun", "The machine is restarted (try {tries}): {reasons}.";
    /// Another run of the system proves it; `left` is what needs a restart still.
    Restarted = "restarted", "The machine was restarted, {seconds} seconds after that had begun; {left} reasons for a restart are left.";
    /// The restart did not come about.
    RestartFailed = "restart_failed", "The machine was not restarted: {reason}.";
}

/// Where a deployment stands on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeploymentState {
    /// Targeted, and the client has not spoken of it yet. Set by the site.
    Targeted,
    /// The client has the policy and waits for its time.
    Waiting,
    /// The client fetches the content.
    Downloading,
    /// The installer runs.
    Installing,
    /// The detection rule finds the application.
    Succeeded,
    /// It did not work; `reason` says why.
    Failed,
    /// The device does not meet a requirement of the application, which `output` names. It is looked at again when the inventory is.
    RequirementsNotMet,
}

impl DeploymentState {
    /// Every state, in the order a deployment goes through them.
    pub const ALL: &[Self] = &[
        Self::Targeted,
        Self::Waiting,
        Self::Downloading,
        Self::Installing,
        Self::Succeeded,
        Self::Failed,
        Self::RequirementsNotMet,
    ];

    /// Whether nothing more is to be done for now.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::RequirementsNotMet)
    }

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Targeted => "targeted",
            Self::Waiting => "waiting",
            Self::Downloading => "downloading",
            Self::Installing => "installing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RequirementsNotMet => "requirements_not_met",
        }
    }
}

/// Why a deployment failed on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FailureReason {
    /// No signature of an author that the trust bundle names.
    NotSigned,
    /// The content could not be fetched.
    ContentUnavailable,
    /// The content is not what its hash names.
    ContentAltered,
    /// The install command could not be started.
    CannotStart,
    /// The install command ended with an exit code that means failure.
    ExitCode,
    /// The install command ran over its maximum run time and was ended.
    TimedOut,
    /// The install command said success and the detection rule does not find the application.
    NotDetected,
    /// The detection rule itself failed.
    DetectionFailed,
    /// The agent was stopped in the middle of the installation and did not find the application afterwards.
    Interrupted,
    /// The disk is full.
    DiskFull,
    /// A secret that the application wants was not sealed for this device yet, or cannot be opened any more.
    SecretMissing,
    /// The content is larger than the client's cache may be. It is tried again, as the limit may be raised.
    CacheTooSmall,
    /// What other deployments need fills the client's cache. It is tried again when that is over.
    CacheFull,
    /// A requirement of the application is not one that this client can compute.
    RequirementInvalid,
    /// An application that it depends on did not come along, is of nobody who is believed, or needs itself.
    DependencyMissing,
    /// An application that it depends on could not be installed; `output` says which, and why.
    DependencyFailed,
    /// An application that it replaces could not be uninstalled first; `output` says which, and why.
    SupersededFailed,
    /// The uninstall command said success and the detection rule still finds the application.
    StillDetected,
    /// Its authors signed no command for what it is to do.
    NoCommand,
    /// The site says more of it than this client understands: it is not begun until the client is newer.
    AgentTooOld,
    /// A write filter protects the machine, and it could not be serviced; `output` says why.
    Servicing,
    /// The system's own tool could not ask its sources for updates, or does not believe one of them; `output` says which. It is tried again.
    UpdateSource,
    /// What the system's own tool would do is not what the signed group of updates allows, or none that it allows is offered; `output` says
    /// what. It is tried again.
    UpdateRefused,
    /// Nobody approved it with a second key, as the trust bundle demands, or the approval has ended.
    NotApproved,
    /// The script policy of this client lets nothing of it run; `output` says why.
    ScriptPolicy,
    /// The values that its deployment gives are not those that its authors declared; `output` says which.
    ParameterInvalid,
}

impl FailureReason {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::NotSigned,
        Self::ContentUnavailable,
        Self::ContentAltered,
        Self::CannotStart,
        Self::ExitCode,
        Self::TimedOut,
        Self::NotDetected,
        Self::DetectionFailed,
        Self::Interrupted,
        Self::DiskFull,
        Self::SecretMissing,
        Self::CacheTooSmall,
        Self::CacheFull,
        Self::RequirementInvalid,
        Self::DependencyMissing,
        Self::DependencyFailed,
        Self::SupersededFailed,
        Self::StillDetected,
        Self::NoCommand,
        Self::AgentTooOld,
        Self::Servicing,
        Self::UpdateSource,
        Self::UpdateRefused,
        Self::NotApproved,
        Self::ScriptPolicy,
        Self::ParameterInvalid,
    ];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSigned => "not_signed",
            Self::ContentUnavailable => "content_unavailable",
            Self::ContentAltered => "content_altered",
            Self::CannotStart => "cannot_start",
            Self::ExitCode => "exit_code",
            Self::TimedOut => "timed_out",
            Self::NotDetected => "not_detected",
            Self::DetectionFailed => "detection_failed",
            Self::Interrupted => "interrupted",
            Self::DiskFull => "disk_full",
            Self::SecretMissing => "secret_missing",
            Self::CacheTooSmall => "cache_too_small",
            Self::CacheFull => "cache_full",
            Self::RequirementInvalid => "requirement_invalid",
            Self::DependencyMissing => "dependency_missing",
            Self::DependencyFailed => "dependency_failed",
            Self::SupersededFailed => "superseded_failed",
            Self::StillDetected => "still_detected",
            Self::NoCommand => "no_command",
            Self::AgentTooOld => "agent_too_old",
            Self::Servicing => "servicing",
            Self::UpdateSource => "update_source",
            Self::UpdateRefused => "update_refused",
            Self::NotApproved => "not_approved",
            Self::ScriptPolicy => "script_policy",
            Self::ParameterInvalid => "parameter_invalid",
        }
    }
}

/// What a deployment waits for on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WaitReason {
    /// Its deadline.
    Deadline,
    /// A maintenance window that is long enough.
    Window,
    /// Nothing that comes by itself: no maintenance window is long enough, or none opens again.
    NeverFits,
    /// The client's clock: it is wrong, or was set, and maintenance windows stay closed until the site says that it is right.
    Clock,
    /// A user of the machine who starts it.
    User,
    /// A restart of the machine: its installer cannot go on before.
    Restart,
    /// A little time, after an attempt that did not work.
    Retry,
    /// Nothing: an application that replaces it is there, or will be.
    Superseded,
    /// Another deployment that wants the contrary: what is wanted somewhere is not uninstalled.
    Conflict,
    /// Servicing of the write filter that protects the machine: it is not allowed, not possible, or was done too often.
    Servicing,
    /// The end of business hours, or its deadline.
    BusinessHours,
    /// Another program that has the system's package manager.
    PackageManager,
    /// Users of the machine, who put it off or have time to answer.
    Deferred,
}

impl WaitReason {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::Deadline,
        Self::Window,
        Self::NeverFits,
        Self::Clock,
        Self::User,
        Self::Restart,
        Self::Retry,
        Self::Superseded,
        Self::Conflict,
        Self::Servicing,
        Self::BusinessHours,
        Self::PackageManager,
        Self::Deferred,
    ];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Window => "window",
            Self::NeverFits => "never_fits",
            Self::Clock => "clock",
            Self::User => "user",
            Self::Restart => "restart",
            Self::Retry => "retry",
            Self::Superseded => "superseded",
            Self::Conflict => "conflict",
            Self::Servicing => "servicing",
            Self::BusinessHours => "business_hours",
            Self::PackageManager => "package_manager",
            Self::Deferred => "deferred",
        }
    }

    /// Whether it ends by itself, a little later: at the moment that is kept with it.
    #[must_use]
    pub const fn is_retry(self) -> bool {
        matches!(self, Self::Retry | Self::PackageManager)
    }
}

/// Which of an application's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// The install command.
    Install,
    /// The uninstall command.
    Uninstall,
    /// The repair command.
    Repair,
}

impl Verb {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Install, Self::Uninstall, Self::Repair];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::Repair => "repair",
        }
    }
}

/// One step of a deployment on the device that reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentReport {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Digest of the signed application object that was acted upon.
    pub application: Hash,
    /// Where it stands.
    pub state: DeploymentState,
    /// With `failed`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailureReason>,
    /// Exit code of the install command, where it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The end of what the install command printed, at most `Limits::output_bytes`; control characters removed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// With `waiting`: when the client will start, as it knows now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<UnixMillis>,
    /// With `waiting`: for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<WaitReason>,
    /// With `installing`: which command of which signed object runs, where it is not the install command of the deployment's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Runs>,
    /// With `succeeded`: the machine needs a restart to be done with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
    /// It had succeeded, and a later look found that it was undone: it is done again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// Of an application with several deployment types: the one that was chosen for this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_type: Option<Name>,
    /// How often users of the machine put it off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deferred: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A command that runs for a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// Digest of the signed application object.
    pub application: Hash,
    /// Which of its commands.
    pub verb: Verb,
}
