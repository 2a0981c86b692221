//! Compliance: what a client is told to evaluate, and what it says of each setting.

use crate::{
    baseline::Baseline,
    id::{DeploymentId, Hash},
    limits::{COMPLIANCE_DETAIL_BYTES, COMPLIANCE_VALUE_BYTES},
    status::WaitReason,
    time::{DAY, MINUTE, UnixMillis},
};
use serde::{Deserialize, Serialize};

/// A deployment of a baseline as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselinePolicy {
    /// The deployment.
    pub deployment: DeploymentId,
    /// SHA-256 of the signed baseline object; it is in the same assignment.
    pub baseline: Hash,
    /// How often it is evaluated, in milliseconds; absent: as the client settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<i64>,
    /// What is not as it should be is put right, where the baseline says how.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remediate: bool,
    /// It does not wait for a maintenance window.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside_windows: bool,
}

/// The bounds of an interval of evaluation: a site that is taken over must not keep its clients busy, nor let them sleep.
pub const EVERY: std::ops::RangeInclusive<i64> = 15 * MINUTE..=31 * DAY;

/// How a setting stands on a device, and a baseline as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ComplianceState {
    /// The client has not spoken of it. Set by the site.
    Unknown,
    /// It is not for this system.
    NotApplicable,
    /// It is as it should be.
    Compliant,
    /// It was put right, and is as it should be now.
    Remediated,
    /// It could not be found out.
    Error,
    /// It is not as it should be and is not put right, because another setting that came first wants it otherwise.
    Conflict,
    /// It is not as it should be.
    NonCompliant,
}

impl ComplianceState {
    /// Every state; of several settings the last of these that occurs is that of the whole.
    pub const ALL: &[Self] = &[
        Self::Unknown,
        Self::NotApplicable,
        Self::Compliant,
        Self::Remediated,
        Self::Error,
        Self::Conflict,
        Self::NonCompliant,
    ];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotApplicable => "not_applicable",
            Self::Compliant => "compliant",
            Self::Remediated => "remediated",
            Self::Error => "error",
            Self::Conflict => "conflict",
            Self::NonCompliant => "non_compliant",
        }
    }

    /// The state of that text.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text)
    }
}

/// Why something could not be found out, or was not put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ComplianceReason {
    /// No signature of authors whom the trust bundle names, or not a sound baseline.
    NotSigned,
    /// It runs a program, and fewer authors signed it than that needs.
    TooFewKeys,
    /// It runs a program, and the client's script policy allows none.
    ScriptPolicy,
    /// The system did not let it be read.
    Unreadable,
    /// The way to the file leads through a symbolic link.
    SymbolicLink,
    /// There is more of it than is read.
    TooLarge,
    /// It is not a text, or has control characters.
    NotText,
    /// What was found is not of the setting's type.
    WrongType,
    /// The program could not be started.
    CannotStart,
    /// The program ended with a code that means failure.
    ExitCode,
    /// It took too long and was ended.
    TimedOut,
    /// It was to be put right, and is not as it should be after it.
    RemediationFailed,
    /// Between looking and putting right, the directory was moved, or another one was put in its place: nothing was written.
    Moved,
    /// Its evaluation was broken off again and again, by what it ran or by the machine; it rests until the next time.
    Interrupted,
}

impl ComplianceReason {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::NotSigned,
        Self::TooFewKeys,
        Self::ScriptPolicy,
        Self::Unreadable,
        Self::SymbolicLink,
        Self::TooLarge,
        Self::NotText,
        Self::WrongType,
        Self::CannotStart,
        Self::ExitCode,
        Self::TimedOut,
        Self::RemediationFailed,
        Self::Moved,
        Self::Interrupted,
    ];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSigned => "not_signed",
            Self::TooFewKeys => "too_few_keys",
            Self::ScriptPolicy => "script_policy",
            Self::Unreadable => "unreadable",
            Self::SymbolicLink => "symbolic_link",
            Self::TooLarge => "too_large",
            Self::NotText => "not_text",
            Self::WrongType => "wrong_type",
            Self::CannotStart => "cannot_start",
            Self::ExitCode => "exit_code",
            Self::TimedOut => "timed_out",
            Self::RemediationFailed => "remediation_failed",
            Self::Moved => "moved",
            Self::Interrupted => "interrupted",
        }
    }

    /// The reason of that text.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

/// What a client says of one deployment of a baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComplianceReport {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Digest of the signed baseline object that was evaluated.
    pub baseline: Hash,
    /// What came of it.
    pub outcome: ComplianceOutcome,
}

/// What came of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ComplianceOutcome {
    /// Every setting was looked at.
    Evaluated {
        /// SHA-256 of the JSON of `results`.
        digest: Hash,
        /// One result for each setting, in their order.
        results: Vec<SettingResult>,
    },
    /// Every setting was looked at, and all results are those that were told before.
    Unchanged {
        /// As in the report that told them.
        digest: Hash,
    },
    /// Nothing was looked at, for the whole baseline.
    Failed {
        /// Why.
        reason: ComplianceReason,
    },
    /// It waits.
    Waiting {
        /// For what.
        reason: WaitReason,
        /// Until when, as the client knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starts: Option<UnixMillis>,
    },
}

/// What a client found of one setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingResult {
    /// How it stands. Never `unknown`.
    pub state: ComplianceState,
    /// What was found, cut to [`COMPLIANCE_VALUE_BYTES`]; none where nothing is there, or where the setting is private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why it could not be found out, or was not put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ComplianceReason>,
    /// One sentence about it, at most [`COMPLIANCE_DETAIL_BYTES`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl SettingResult {
    /// Whether every part obeys its limit.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.state != ComplianceState::Unknown
            && self.value.as_ref().is_none_or(|value| value.len() <= COMPLIANCE_VALUE_BYTES)
            && self.detail.len() <= COMPLIANCE_DETAIL_BYTES
    }
}

impl ComplianceReport {
    /// Whether every part obeys its limit. Whether it fits the baseline is the site's to know.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        match &self.outcome {
            ComplianceOutcome::Evaluated { results, .. } => {
                results.len() <= crate::limits::BASELINE_SETTINGS && results.iter().all(SettingResult::is_well_formed)
            }
            _ => true,
        }
    }
}

/// The state of a whole baseline from those of its settings.
#[must_use]
pub fn whole(states: impl IntoIterator<Item = ComplianceState>) -> ComplianceState {
    states.into_iter().max().unwrap_or(ComplianceState::Unknown)
}

/// What the site has to know of a setting to take a result and to show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingOutline {
    /// The item.
    pub item: String,
    /// The setting.
    pub name: String,
    /// How bad it is when it is not as it should be.
    pub severity: crate::baseline::SettingSeverity,
    /// Whether its value never leaves the device.
    pub private: bool,
    /// Whether it can be put right.
    pub remediates: bool,
}

/// The outline of every setting, in their order.
#[must_use]
pub fn outline(baseline: &Baseline) -> Vec<SettingOutline> {
    let of = |(item, setting): (&crate::baseline::ConfigurationItem, &crate::baseline::Setting)| SettingOutline {
        item: item.name.to_string(),
        name: setting.name.to_string(),
        severity: setting.severity,
        private: setting.private,
        remediates: setting.remediation.is_some(),
    };
    baseline.settings().map(of).collect()
}
