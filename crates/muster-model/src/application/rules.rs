//! What an application says beside its installation: what exit codes mean, how often it is tried, what it needs and what it replaces.

use super::{Application, ApplicationError, Command};
use crate::{
    id::ApplicationId,
    limits::{
        DEPENDENCY_CHOICES, DEPENDENCY_GROUPS, REQUIREMENT_BYTES, REQUIREMENTS, RETRIES, RETRY_SECONDS, RETURN_CODES,
        SUPERSEDED,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What an exit code of a command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReturnMeaning {
    /// It worked.
    Success,
    /// It worked, and is whole after the next restart.
    SuccessRestart,
    /// It cannot go on before a restart; afterwards detection decides, and it is begun again where it is not there.
    RestartFirst,
    /// Something else is in the way for the moment: again a little later.
    Retry,
    /// It did not work.
    Failure,
}

/// One line of an application's table of exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReturnCode {
    /// The exit code.
    pub code: i32,
    /// What it means.
    pub meaning: ReturnMeaning,
}

/// What the field's usual installers mean, where an application says nothing else.
pub const USUAL_CODES: [ReturnCode; 4] = [
    ReturnCode { code: 0, meaning: ReturnMeaning::Success },
    ReturnCode { code: 3_010, meaning: ReturnMeaning::SuccessRestart },
    ReturnCode { code: 1_641, meaning: ReturnMeaning::RestartFirst },
    ReturnCode { code: 1_618, meaning: ReturnMeaning::Retry },
];

/// How often a command that failed is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retries {
    /// How often at most, after the first time. 1 to 20.
    pub count: u32,
    /// Seconds in between. 1 to 86,400.
    pub wait_seconds: u32,
}

impl Retries {
    /// After a code that means "retry", where the application says nothing: ten times, two hours in between.
    pub const USUAL: Self = Self { count: 10, wait_seconds: 7_200 };
}

/// Applications of which one must be there first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DependencyGroup {
    /// Any of these will do; where none is there, the first that can be is installed.
    pub any: Vec<Dependency>,
}

/// An application that another one needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dependency {
    /// Which, over all of its versions.
    pub application: ApplicationId,
    /// Its least version; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Dependency {
    /// Whether this application is the one that is needed, in a version that will do.
    #[must_use]
    pub fn is_met_by(&self, application: &Application) -> bool {
        let least = |least: &String| crate::version::compare("", &application.version, least).is_ge();
        self.application == application.id && self.version.as_ref().is_none_or(least)
    }
}

/// An application that another one replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Superseded {
    /// Which, over all of its versions.
    pub application: ApplicationId,
    /// Whether it is uninstalled first, by the command that its own authors signed. Default: the new one is installed over it.
    #[serde(default)]
    pub uninstall: bool,
}

impl Application {
    /// What an exit code of one of its commands means: its own table, then the command's success codes, then what is usual.
    #[must_use]
    pub fn meaning(&self, command: &Command, code: i32) -> ReturnMeaning {
        let own = self.return_codes.iter().find(|known| known.code == code);
        if let Some(known) = own {
            return known.meaning;
        }
        if command.success_codes.contains(&code) {
            return ReturnMeaning::Success;
        }
        // Whoever named success codes without 0 means that 0 is none.
        let usual = USUAL_CODES.iter().filter(|known| known.meaning != ReturnMeaning::Success);
        usual.into_iter().find(|known| known.code == code).map_or(ReturnMeaning::Failure, |known| known.meaning)
    }

    pub(super) fn check_rules(&self) -> Result<(), ApplicationError> {
        let names: HashSet<_> = self.requirements.iter().map(|requirement| requirement.name.as_str()).collect();
        let long = self.requirements.iter().any(|requirement| requirement.query.len() > REQUIREMENT_BYTES);
        if self.requirements.len() > REQUIREMENTS || names.len() != self.requirements.len() || long {
            return Err(ApplicationError::Requirements);
        }
        let codes: HashSet<_> = self.return_codes.iter().map(|known| known.code).collect();
        if self.return_codes.len() > RETURN_CODES || codes.len() != self.return_codes.len() {
            return Err(ApplicationError::ReturnCodes);
        }
        let in_bounds = |r: &Retries| (1..=RETRIES).contains(&r.count) && (1..=RETRY_SECONDS).contains(&r.wait_seconds);
        if !self.retries.as_ref().is_none_or(in_bounds) {
            return Err(ApplicationError::Retries);
        }
        let sound = |group: &DependencyGroup| {
            (1..=DEPENDENCY_CHOICES).contains(&group.any.len()) && group.any.iter().all(|one| self.may_need(one))
        };
        if self.dependencies.len() > DEPENDENCY_GROUPS || !self.dependencies.iter().all(sound) {
            return Err(ApplicationError::Dependencies);
        }
        let replaced: HashSet<_> = self.supersedes.iter().map(|old| old.application).collect();
        let itself = replaced.contains(&self.id);
        if self.supersedes.len() > SUPERSEDED || replaced.len() != self.supersedes.len() || itself {
            return Err(ApplicationError::Supersedes);
        }
        Ok(())
    }

    fn may_need(&self, dependency: &Dependency) -> bool {
        let printable = |text: &String| (1..=100).contains(&text.len()) && !text.chars().any(char::is_control);
        dependency.application != self.id && dependency.version.as_ref().is_none_or(printable)
    }
}
