//! Deployments that are held, ended, tried again or rolled out in phases; and what happened to them on a device.

use std::collections::BTreeMap;

use super::DeploymentCreate;
use crate::{
    id::{CollectionId, DeploymentId, DeviceId, Name},
    limits::DEPLOYMENT_PHASES,
    status::{DeploymentState, FailureReason, WaitReason},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Which devices of a deployment a phase takes, of those that no phase before it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PhaseReach {
    /// So many hundredths of the deployment's devices, those of earlier phases included. Who is among them the site draws, for each
    /// deployment anew and for ever: no device can choose.
    Percent {
        /// Hundredths.
        percent: u8,
    },
    /// The members of a collection, as it is when the site first looks at a device.
    Collection {
        /// The collection.
        collection: CollectionId,
    },
    /// Everybody who is left.
    Rest,
}

api! {
    /// A phase of a deployment.
    #[derive(Eq)]
    struct Phase {
        /// The name.
        name: Name,
        /// Whom it takes.
        reach: PhaseReach,
        /// The next phase begins when so many hundredths of the devices that this one is for succeeded.
        #[serde(default = "most")] success_percent: u8,
        /// And at least so many devices succeeded or failed.
        #[serde(default = "one")] at_least: u32,
        /// And so many hours have passed since it began.
        #[serde(default)] after_hours: u32,
        /// The deployment is paused when more than so many hundredths of its devices failed.
        #[serde(default)] stop_percent: Option<u8>,
        /// The deployment is paused when more than so many of its devices failed.
        #[serde(default)] stop_count: Option<u32>,
        /// It begins only when an administrator says so.
        #[serde(default)] manual: bool,
    }
}
const fn most() -> u8 {
    95
}
const fn one() -> u32 {
    1
}

impl Phase {
    /// Phases for whoever names none: 1 %, 10 %, 50 %, the rest, each a day after the one before at the earliest.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        let percent = |percent| (format!("{percent} %"), PhaseReach::Percent { percent });
        let all = [percent(1), percent(10), percent(50), ("The rest".to_owned(), PhaseReach::Rest)];
        let phase = |(name, reach): (String, PhaseReach)| {
            Some(Self {
                name: name.parse().ok()?,
                reach,
                success_percent: most(),
                at_least: one(),
                after_hours: 24,
                stop_percent: Some(10),
                stop_count: None,
                manual: false,
            })
        };
        all.into_iter().filter_map(phase).collect()
    }

    /// Whether phases can be followed in this order; if not, why.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(phases: &[Self]) -> Result<(), String> {
        if !(2..=DEPLOYMENT_PHASES).contains(&phases.len()) {
            return Err(format!("A deployment has 2 to {DEPLOYMENT_PHASES} phases, or none."));
        }
        let mut reached = 0;
        for (at, phase) in phases.iter().enumerate() {
            let name = &phase.name;
            if phases[..at].iter().any(|before| before.name == *name) {
                return Err(format!("Two phases are called {name}."));
            }
            match phase.reach {
                PhaseReach::Percent { percent } if percent > reached && percent < 100 => reached = percent,
                PhaseReach::Percent { .. } => {
                    return Err(format!(
                        "{name}: its hundredths must be more than those of the phases before, and less than 100."
                    ));
                }
                PhaseReach::Rest if at + 1 < phases.len() => {
                    return Err(format!("{name} takes everybody who is left, so that it must be the last phase."));
                }
                PhaseReach::Collection { .. } | PhaseReach::Rest => {}
            }
            if phase.success_percent > 100 || phase.stop_percent.is_some_and(|percent| percent > 100) {
                return Err(format!("{name}: there are no more than 100 hundredths."));
            }
            if phase.at_least == 0 {
                return Err(format!("{name}: of no device nothing is learned; `at_least` is 1 or more."));
            }
            if phase.after_hours > 24 * 365 {
                return Err(format!("{name}: it may last a year at most."));
            }
        }
        match phases.last().map(|phase| phase.reach) {
            Some(PhaseReach::Rest) => Ok(()),
            _ => Err("The last phase must take everybody who is left.".to_owned()),
        }
    }
}

api! {
    /// `POST /api/v1/deployments/phased`.
    struct PhasedDeploymentCreate {
        /// What is deployed, and to whom in all.
        deployment: DeploymentCreate,
        /// The phases in their order; the first begins at once, unless it is `manual`.
        phases: Vec<Phase>,
    }
}
api! {
    /// How a phase of a deployment stands. Only active devices count.
    struct PhaseStanding {
        /// Its number, from 1.
        number: u32,
        /// The phase.
        phase: Phase,
        /// When it began.
        begun: Option<UnixMillis>,
        /// Who began it: an administrator, or the site.
        begun_by: Option<String>,
        /// Active devices by state.
        totals: BTreeMap<String, u64>,
        /// What it waits for, or why it is over: a sentence.
        says: String,
    }
}
api! {
    /// Whether a deployment is held or ended, and how its phases stand.
    struct DeploymentStanding {
        /// Since when it is paused.
        paused: Option<UnixMillis>,
        /// Who paused it; nobody: the site did, because too much failed.
        paused_by: Option<String>,
        /// Why it was paused.
        reason: Option<String>,
        /// When it was cancelled.
        cancelled: Option<UnixMillis>,
        /// Devices on which it did not begin.
        not_begun: u64,
        /// Devices on which it began and did not end.
        begun: u64,
        /// Devices on which it failed, of those that are in its target now.
        failed: u64,
        /// Its phases; empty: it has none.
        phases: Vec<PhaseStanding>,
    }
}
api! {
    /// `POST /api/v1/deployments/{id}/retry`. Without a device: every one on which it failed.
    #[derive(Copy, Default, Eq)]
    struct DeploymentRetry {
        /// Only this device; also where it did not meet a requirement.
        #[serde(default)] device: Option<DeviceId>,
        /// Only devices of this phase.
        #[serde(default)] phase: Option<u32>,
    }
}
api! {
    /// What a retry came to.
    #[derive(Copy, Eq)]
    struct DeploymentRetried {
        /// Devices that try again.
        devices: u64,
    }
}
api! {
    /// `POST /api/v1/deployments/{id}/phase`: the next phase begins now, whatever its criteria say.
    #[derive(Copy, Eq)]
    struct PhaseBegin {
        /// Its number; of another one than the next nothing is begun.
        phase: u32,
    }
}
api! {
    /// What is done to a deployment, by an administrator or by the site.
    enum DeploymentAct {
        /// It begins on no further device.
        Pause = "pause",
        /// It may begin again.
        Resume = "resume",
        /// It ended for good.
        Cancel = "cancel",
        /// It is tried again where it failed.
        Retry = "retry",
        /// The phase of the device began.
        PhaseBegin = "phase_begin",
        /// A second key approved it.
        Approve = "approve",
        /// The approval was taken back.
        Withdraw = "withdraw",
        /// It deploys another revision of its application.
        Revise = "revise",
    }
}

impl DeploymentAct {
    /// What was done, as the end of a sentence about the deployment.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "cancelled",
            Self::Retry => "tried again",
            Self::PhaseBegin => "phase begun",
            Self::Approve => "approved",
            Self::Withdraw => "approval withdrawn",
            Self::Revise => "revised",
        }
    }
}
api! {
    /// One step of a deployment on a device, or what was done to it meanwhile.
    struct DeploymentEvent {
        /// When, by the clock of the device; of an act, by that of the site.
        happened: UnixMillis,
        /// When the site heard of it, by its own clock.
        received: UnixMillis,
        /// Where it stood then; nothing: it is an act.
        state: Option<DeploymentState>,
        /// What was done to the deployment.
        act: Option<DeploymentAct>,
        /// Who did that: an administrator; nobody: the site.
        by: Option<String>,
        /// Why it failed.
        reason: Option<FailureReason>,
        /// Exit code of the command.
        exit_code: Option<i32>,
        /// What it waited for.
        waits: Option<WaitReason>,
        /// Until when, as the client knew.
        starts: Option<UnixMillis>,
        /// The end of what the command printed; of an act, why.
        output: String,
        /// Which attempt that an administrator asked for; 0: the first.
        attempt: u32,
    }
}
api! {
    /// How two deployments in force contradict each other.
    enum RivalKind {
        /// One installs what the other uninstalls.
        Opposed = "opposed",
        /// Both install the same application in different versions.
        Version = "version",
        /// One replaces what the other installs.
        Superseded = "superseded",
    }
}

impl RivalKind {
    /// What comes of it on a device that has both.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Opposed => "One installs what the other uninstalls: what is wanted somewhere is not uninstalled.",
            Self::Version => {
                "Both install the same application in different versions: the newer one stays once it is there."
            }
            Self::Superseded => {
                "One replaces what the other installs: what is replaced is not installed any more once the other is there."
            }
        }
    }
}
api! {
    /// A deployment in force that contradicts another one on some devices.
    struct DeploymentRival {
        /// The other deployment.
        deployment: DeploymentId,
        /// Its name.
        name: String,
        /// How they contradict each other.
        kind: RivalKind,
        /// Active devices that have both.
        devices: u64,
        /// The first of them by name.
        example: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, reach: PhaseReach) -> Phase {
        Phase {
            name: name.parse().unwrap(),
            reach,
            success_percent: 95,
            at_least: 1,
            after_hours: 0,
            stop_percent: None,
            stop_count: None,
            manual: false,
        }
    }

    #[test]
    fn phases_that_cannot_be_followed_are_refused() {
        let percent = |name, percent| phase(name, PhaseReach::Percent { percent });
        let rest = phase("rest", PhaseReach::Rest);
        assert_eq!(Phase::check(&[percent("a", 1), percent("b", 10), rest.clone()]), Ok(()));
        assert_eq!((Phase::check(&Phase::usual()), Phase::usual().len()), (Ok(()), 4));
        for bad in [
            vec![],
            vec![rest.clone()],
            vec![percent("a", 1), percent("b", 1), rest.clone()],
            vec![percent("a", 10), percent("b", 1), rest.clone()],
            vec![percent("a", 0), rest.clone()],
            vec![percent("a", 100), rest.clone()],
            vec![percent("a", 1), percent("b", 2)],
            vec![rest.clone(), percent("a", 1)],
            vec![percent("rest", 1), rest.clone()],
            vec![Phase { at_least: 0, ..percent("a", 1) }, rest.clone()],
            vec![Phase { stop_percent: Some(101), ..percent("a", 1) }, rest.clone()],
        ] {
            assert!(Phase::check(&bad).is_err(), "{bad:?}");
        }
    }
}
