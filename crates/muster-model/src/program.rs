//! Programs: what runs once, or whenever a schedule says so, and leaves nothing that could be looked for. Whether one runs again is decided
//! here, by what a client kept of its earlier runs.

use crate::{
    application::ParameterValues,
    limits::PROGRAM_SCHEDULES,
    schedule::{self, ScheduleToken},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Whether a program that ran before runs when it is due again, as Configuration Manager has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Rerun {
    /// Never, however it came to its end.
    #[default]
    Never,
    /// Always.
    Always,
    /// Where it failed the last time, or nobody knows how it ended.
    IfFailed,
    /// Where it succeeded the last time.
    IfSucceeded,
}

impl Rerun {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Never, Self::Always, Self::IfFailed, Self::IfSucceeded];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
            Self::IfFailed => "if_failed",
            Self::IfSucceeded => "if_succeeded",
        }
    }

    /// Whether it is the default.
    #[must_use]
    pub const fn is_never(&self) -> bool {
        matches!(self, Self::Never)
    }

    /// Whether a program runs that ran before, and came to this end.
    #[must_use]
    pub const fn runs_after(self, last: Outcome) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::IfFailed => !matches!(last, Outcome::Succeeded),
            Self::IfSucceeded => matches!(last, Outcome::Succeeded),
        }
    }
}

/// How a run of a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// By a code that means success.
    Succeeded,
    /// Otherwise.
    Failed,
    /// It was begun, and nobody knows how far it came.
    Unknown,
}

impl Outcome {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Succeeded, Self::Failed, Self::Unknown];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// What a deployment says beyond which application, for whom and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeploymentOptions {
    /// Of a program: whether it runs again when it is due again. Default: never.
    #[serde(default, skip_serializing_if = "Rerun::is_never")]
    pub rerun: Rerun,
    /// Of a program: when it is due again after its deadline, in UTC. Default: not again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<ScheduleToken>,
    /// Values of the application's parameters.
    #[serde(default, skip_serializing_if = "ParameterValues::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, crate::application::ParameterValue>))]
    pub parameters: ParameterValues,
    /// Users of a machine are told before, while and after something is done. Default: it is silent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notices: bool,
}

impl DeploymentOptions {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether its schedule is one that a client keeps to.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.schedule.len() <= PROGRAM_SCHEDULES && self.schedule.iter().all(ScheduleToken::is_sound)
    }

    /// The last moment until now at which it was due: its deadline, or what the schedule says after it.
    #[must_use]
    pub fn due(&self, deadline: UnixMillis, now: UnixMillis) -> UnixMillis {
        schedule::latest(&self.schedule, now).map_or(deadline, |last| last.max(deadline))
    }

    /// When it is due again.
    #[must_use]
    pub fn next(&self, deadline: UnixMillis, now: UnixMillis) -> Option<UnixMillis> {
        schedule::next(&self.schedule, now.max(deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{schedule::Recurrence, time::DAY};

    #[test]
    fn what_ran_runs_again_by_the_rule() {
        use Outcome::{Failed, Succeeded, Unknown};
        let runs = |rerun: Rerun| [Succeeded, Failed, Unknown].map(|last| rerun.runs_after(last));
        assert_eq!(runs(Rerun::Never), [false, false, false]);
        assert_eq!(runs(Rerun::Always), [true, true, true]);
        assert_eq!(runs(Rerun::IfFailed), [false, true, true]);
        assert_eq!(runs(Rerun::IfSucceeded), [true, false, false]);
    }

    #[test]
    fn it_is_due_at_its_deadline_and_then_by_its_schedule() {
        let daily =
            ScheduleToken { start: UnixMillis(DAY / 2), every: Recurrence::Interval { days: 1, hours: 0, minutes: 0 } };
        let options = DeploymentOptions { schedule: vec![daily], ..DeploymentOptions::default() };
        let (deadline, noon) = (UnixMillis(10 * DAY), |day: i64| UnixMillis(day * DAY + DAY / 2));
        // What the schedule says before the deadline does not count.
        assert_eq!(options.due(deadline, UnixMillis(10 * DAY + 1)), deadline);
        assert_eq!(options.next(deadline, UnixMillis(0)), Some(noon(10)));
        assert_eq!(options.due(deadline, noon(12)), noon(12));
        assert_eq!(options.due(deadline, UnixMillis(13 * DAY)), noon(12));
        assert_eq!(options.next(deadline, noon(12)), Some(noon(13)));
        let once = DeploymentOptions::default();
        assert_eq!((once.due(deadline, noon(90)), once.next(deadline, noon(90))), (deadline, None));
    }
}
