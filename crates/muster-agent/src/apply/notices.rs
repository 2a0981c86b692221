//! What users of this machine are told of deployments that say so: that something comes, that it is being done, and how it ended. Only told:
//! nobody can put it off here.

use crate::{
    agent::Agent,
    policy::{Deployment, Policy},
    store::{StoreError, deployments::Progress},
};
use muster_model::{
    id::DeploymentId,
    policy::Action,
    status::{DeploymentState, FailureReason, Verb, WaitReason},
    time::{DAY, UnixMillis},
};
use serde::{Deserialize, Serialize};

/// Where it stands, for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is going to be done.
    Coming,
    /// It is being done.
    Underway,
    /// It was done.
    Succeeded,
    /// It was tried and did not work.
    Failed,
}

/// What users are told of one deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which.
    pub deployment: DeploymentId,
    /// Name of the application.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What is done with it.
    pub verb: Verb,
    /// Where it stands.
    pub stage: Stage,
    /// With `coming`: when, where that is known. Else: since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixMillis>,
    /// With `failed`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailureReason>,
}

/// Everything that users are told now.
///
/// # Errors
/// See [`StoreError`].
pub(crate) fn list(agent: &Agent, policy: &Policy) -> Result<Vec<Told>, StoreError> {
    let (now, mut all) = (agent.clock.now(), Vec::new());
    for deployment in policy.deployments().iter().filter(|deployment| deployment.policy().options.notices) {
        let (id, application) = (deployment.policy().deployment, deployment.policy().application);
        let progress = agent.store.deployment(id)?.filter(|progress| progress.application == application);
        all.extend(told(deployment, progress.as_ref(), now));
    }
    Ok(all)
}

fn told(deployment: &Deployment, progress: Option<&Progress>, now: UnixMillis) -> Option<Told> {
    let (application, policy) = (deployment.application()?.value(), deployment.policy());
    let usual = match policy.action {
        Action::Install => Verb::Install,
        Action::Uninstall => Verb::Uninstall,
    };
    let begun = policy.available.max(policy.deadline);
    let (stage, at, reason) = match progress {
        None => (Stage::Coming, Some(begun).filter(|at| *at > now), None),
        Some(progress) => stage(progress, now)?,
    };
    // What is offered comes only when a user wants it.
    let offered = stage == Stage::Coming && !policy.purpose.is_required();
    let verb = progress.and_then(|p| p.runs).filter(|runs| runs.application == policy.application);
    let verb = verb.filter(|_| stage != Stage::Coming).map_or(usual, |runs| runs.verb);
    let (name, version) = (application.name.to_string(), application.version.clone());
    (!offered).then_some(Told { deployment: policy.deployment, name, version, verb, stage, at, reason })
}

type Standing = (Stage, Option<UnixMillis>, Option<FailureReason>);

fn stage(progress: &Progress, now: UnixMillis) -> Option<Standing> {
    let since = progress.changed;
    // What was found as it was to be, or ended long ago, is no news.
    let is_news = progress.runs.is_some() && (0..DAY).contains(&now.since(since));
    match (progress.state, progress.waits) {
        (DeploymentState::Waiting, Some(WaitReason::Superseded | WaitReason::Conflict | WaitReason::User)) => None,
        (DeploymentState::Targeted | DeploymentState::Waiting | DeploymentState::Downloading, _) => {
            let known = progress.until > now && progress.until < UnixMillis(i64::MAX);
            Some((Stage::Coming, known.then_some(progress.until), None))
        }
        (DeploymentState::Installing, _) => Some((Stage::Underway, Some(since), None)),
        (DeploymentState::Succeeded, _) => is_news.then_some((Stage::Succeeded, Some(since), None)),
        (DeploymentState::Failed, _) => is_news.then_some((Stage::Failed, Some(since), progress.reason)),
        (DeploymentState::RequirementsNotMet, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{id::Hash, status::Runs};

    #[test]
    fn what_is_told_follows_where_it_stands() {
        let now = UnixMillis(10 * DAY);
        let mut progress = Progress::new(DeploymentId(uuid::Uuid::from_u128(1)), Hash::ZERO, now);
        progress.state = DeploymentState::Waiting;
        for (waits, until, told) in [
            (WaitReason::Deadline, now.plus(5), Some((Stage::Coming, Some(now.plus(5)), None))),
            (WaitReason::NeverFits, UnixMillis(i64::MAX), Some((Stage::Coming, None, None))),
            (WaitReason::Clock, UnixMillis(0), Some((Stage::Coming, None, None))),
            (WaitReason::User, UnixMillis(0), None),
            (WaitReason::Superseded, UnixMillis(0), None),
        ] {
            (progress.waits, progress.until) = (Some(waits), until);
            assert_eq!(stage(&progress, now), told, "{waits:?}");
        }
        (progress.state, progress.waits) = (DeploymentState::Succeeded, None);
        assert_eq!(stage(&progress, now), None, "it was there already");
        progress.runs = Some(Runs { application: Hash::ZERO, verb: Verb::Install });
        assert_eq!(stage(&progress, now), Some((Stage::Succeeded, Some(now), None)));
        assert_eq!(stage(&progress, now.plus(DAY)), None);
        (progress.state, progress.reason) = (DeploymentState::Failed, Some(FailureReason::TimedOut));
        assert_eq!(stage(&progress, now), Some((Stage::Failed, Some(now), Some(FailureReason::TimedOut))));
        progress.state = DeploymentState::Installing;
        assert_eq!(stage(&progress, now), Some((Stage::Underway, Some(now), None)));
    }
}
