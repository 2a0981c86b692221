//! What a client's own checks found: whether it is sound, and what it mended of itself.

use crate::limits::{HEALTH_CHECKS, HEALTH_NAME_BYTES, HEALTH_TEXT_BYTES};
use serde::{Deserialize, Serialize};

/// The checks that this version's client makes, in their order. A site takes others as well: a client may be newer.
pub const CHECKS: [&str; 12] = [
    "service",
    "files",
    "identity",
    "clock",
    "disk",
    "outbox",
    "policy",
    "packages",
    "updates",
    "logs",
    "work",
    "provisioning",
];

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CheckOutcome {
    /// Nothing is wrong.
    Passed,
    /// It was wrong; the client mended it and looked again.
    Remedied,
    /// It is wrong, and still is.
    Failed,
    /// There is nothing of this kind on this machine.
    NotApplicable,
}

impl CheckOutcome {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Remedied => "remedied",
            Self::Failed => "failed",
            Self::NotApplicable => "not_applicable",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthCheck {
    /// Its name: see [`CHECKS`].
    pub name: String,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// What was found, a sentence; empty where nothing is wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub found: String,
    /// What was done about it, or why nothing was; empty where nothing is wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub done: String,
}

/// All checks of one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthReport {
    /// Whether the client mends what it finds; else it only says so.
    pub remediates: bool,
    /// The checks.
    pub checks: Vec<HealthCheck>,
}

impl HealthReport {
    /// Whether every part obeys its limit.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let is_name = |name: &str| {
            (1..=HEALTH_NAME_BYTES).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        let is_text = |text: &str| text.len() <= HEALTH_TEXT_BYTES && !text.chars().any(char::is_control);
        let is_new =
            |(at, check): (usize, &HealthCheck)| !self.checks.iter().take(at).any(|before| before.name == check.name);
        (1..=HEALTH_CHECKS).contains(&self.checks.len())
            && self.checks.iter().all(|check| is_name(&check.name) && is_text(&check.found) && is_text(&check.done))
            && self.checks.iter().enumerate().all(is_new)
    }

    /// How many checks ended so.
    #[must_use]
    pub fn count(&self, outcome: CheckOutcome) -> u64 {
        self.checks.iter().filter(|check| check.outcome == outcome).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(names: &[&str], found: &str) -> HealthReport {
        let check = |name: &&str| HealthCheck {
            name: (*name).to_owned(),
            outcome: CheckOutcome::Failed,
            found: found.to_owned(),
            done: String::new(),
        };
        HealthReport { remediates: true, checks: names.iter().map(check).collect() }
    }

    #[test]
    fn a_report_has_bounds() {
        assert!(report(&CHECKS, "It is.").is_well_formed());
        assert!(report(&["of_a_newer_client"], "").is_well_formed(), "a newer client has more checks");
        assert!(!report(&[], "").is_well_formed() && !report(&["disk", "disk"], "").is_well_formed());
        assert!(!report(&["Disk"], "").is_well_formed() && !report(&["disk"], "a\nb").is_well_formed());
        let most = "x".repeat(HEALTH_TEXT_BYTES);
        assert!(report(&["disk"], &most).is_well_formed() && !report(&["disk"], &format!("{most}x")).is_well_formed());
        let names: Vec<String> = (0..=HEALTH_CHECKS).map(|n| "a".repeat(n + 1)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(report(&names[..HEALTH_CHECKS], "").is_well_formed() && !report(&names, "").is_well_formed());
    }
}
