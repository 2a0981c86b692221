//! Rules that propose groups of updates. A site cannot sign: what a rule proposes is a draft until an author signs it.

use crate::{
    id::{ApplicationId, DeploymentId, Hash, Name, UpdateRuleId},
    limits::UPDATE_PATTERNS,
    time::UnixMillis,
    update::{UpdateGroup, UpdateGroupChange, UpdateTool, is_pattern},
};
use serde::{Deserialize, Serialize};

api! {
    /// `POST /api/v1/updates/rules`: which updates belong to the group, and how often is looked.
    struct UpdateRule {
        /// The name of the rule, and of the group.
        name: Name,
        /// Which tool.
        #[serde(default = "apt")] tool: UpdateTool,
        /// Only security updates, as their repository says it of itself.
        #[serde(default)] security: bool,
        /// Patterns of origins, like `Debian-Security:*`; empty: any.
        #[serde(default)] origins: Vec<String>,
        /// Patterns of packages; empty: any.
        #[serde(default)] names: Vec<String>,
        /// Patterns of packages that never belong to it.
        #[serde(default)] exclude: Vec<String>,
        /// Only what this site has known for so many hours.
        #[serde(default)] min_age_hours: u32,
        /// Only what is missing on so many devices.
        #[serde(default = "one")] min_devices: u64,
        /// How often is looked, in hours.
        #[serde(default = "daily")] every_hours: u32,
        /// Exactly the versions that are proposed, and no later ones.
        #[serde(default)] exact: bool,
        /// Packages may come along that were not there.
        #[serde(default)] allow_new: bool,
        /// Packages may be removed.
        #[serde(default)] allow_removals: bool,
        /// How long an installation may run, in seconds.
        #[serde(default = "hour")] max_run_seconds: u32,
        /// The group that it goes on with, over all of its versions; default: a new one.
        #[serde(default)] application: Option<ApplicationId>,
        /// The deployment in which a signed draft takes the place of the revision before; default: none.
        #[serde(default)] deployment: Option<DeploymentId>,
    }
}

const fn apt() -> UpdateTool {
    UpdateTool::Apt
}
const fn one() -> u64 {
    1
}
const fn daily() -> u32 {
    24
}
const fn hour() -> u32 {
    3_600
}

impl UpdateRule {
    /// Whether the rule is one.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        let patterns: Vec<&String> = self.origins.iter().chain(&self.names).chain(&self.exclude).collect();
        if patterns.len() > UPDATE_PATTERNS || !patterns.iter().all(|pattern| is_pattern(pattern)) {
            return Err("A rule has at most 200 patterns of 1 to 128 printable characters.");
        }
        if !(1..=24 * 31).contains(&self.every_hours) {
            return Err("A rule looks every 1 to 744 hours.");
        }
        if self.min_age_hours > 24 * 365 {
            return Err("An update is at most a year of 8760 hours old before a rule takes it.");
        }
        if !(1..=86_400).contains(&self.max_run_seconds) {
            return Err("max_run_seconds must be from 1 to 86400.");
        }
        Ok(())
    }
}

api! {
    /// A rule, and whether a draft of it waits.
    struct UpdateRuleInfo {
        /// Its number.
        id: UpdateRuleId,
        /// What it says; with the group that it goes on with.
        rule: UpdateRule,
        /// When it was made.
        created: UnixMillis,
        /// Who made it.
        created_by: Name,
        /// When it was looked at last.
        looked: Option<UnixMillis>,
        /// When it is looked at next.
        due: UnixMillis,
        /// Since when a draft waits for a signature.
        drafted: Option<UnixMillis>,
        /// What is new in that draft: packages.
        changes: u64,
    }
}
api! {
    /// A proposed revision of a group. It is worth nothing until an author signs it.
    struct UpdateDraft {
        /// The group as it would be signed.
        group: UpdateGroup,
        /// The version that its application would have.
        version: String,
        /// The signed revision before.
        last: Option<Hash>,
        /// What is new since then.
        changes: Vec<UpdateGroupChange>,
        /// Updates that found no place in it.
        left_out: u64,
    }
}
api! {
    /// A rule with its draft.
    struct UpdateRuleDetail {
        /// The rule.
        info: UpdateRuleInfo,
        /// The draft that waits for a signature.
        draft: Option<UpdateDraft>,
    }
}
api! {
    /// `POST /api/v1/updates/rules/{id}/signed`: an author signed the draft.
    struct UpdateRuleSigned {
        /// The signed application, which is on the site already.
        application: Hash,
    }
}
api! {
    /// One package of a signed group, and whether a later version is known.
    struct UpdateGroupPackage {
        /// The package.
        package: String,
        /// The version that was signed.
        version: String,
        /// Exactly this version and no later one.
        exact: bool,
        /// The latest version that devices are offered, where it is later.
        superseded_by: Option<String>,
        /// Devices that are offered that one.
        devices: u64,
    }
}
