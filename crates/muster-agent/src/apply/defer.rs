//! Putting off: users of the machine may have an installation wait, as often and as long as the signed policy says, and no longer.

use super::{software::Declined, window::starts};
use crate::{
    agent::Agent,
    os::{account, own_user},
    policy::{Deployment, Policy},
    store::{StoreError, deferrals::Deferred, deployments::Progress, outbox},
};
use muster_model::{
    id::DeploymentId,
    policy::{Action, Deferral},
    report::Message,
    status::{Component, DeploymentState, MessageId, Severity, WaitReason},
    time::{MINUTE, UnixMillis},
};
use serde::{Deserialize, Serialize};

/// How long users who are there have to answer when the time of an installation has come before they could hear of it.
const ANSWER: i64 = 15 * MINUTE;

/// An installation that comes, and that users may put off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upcoming {
    /// The deployment: its name for every request.
    pub deployment: DeploymentId,
    /// Name of the application.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is removed.
    pub removes: bool,
    /// When it begins, as it is known now; inside a maintenance window, where any holds.
    pub starts: UnixMillis,
    /// How often it was put off.
    pub deferred: u32,
    /// How often it can be put off from now on.
    pub left: u32,
    /// For how many minutes at a time.
    pub minutes: u32,
    /// Until when at most.
    pub last: UnixMillis,
}

/// How often a deployment was put off; zero where its policy lets nobody.
pub(super) fn count(agent: &Agent, deployment: &Deployment) -> Result<u32, StoreError> {
    let policy = deployment.policy();
    if allowed(deployment).is_none() {
        return Ok(0);
    }
    Ok(agent.store.deferred(policy.deployment, policy.application)?.map_or(0, |deferred| deferred.count))
}

/// What the policy allows. What is only offered begins by nobody else than users, and has nothing to put off.
fn allowed(deployment: &Deployment) -> Option<Deferral> {
    deployment.policy().deferral.filter(|_| deployment.policy().purpose.is_required()).map(Deferral::bounded)
}

/// Until when it is put off, where it is.
pub(super) fn until(agent: &Agent, policy: &Policy, deployment: &Deployment) -> Result<Option<UnixMillis>, StoreError> {
    let Some(deferral) = allowed(deployment) else { return Ok(None) };
    let (id, application) = (deployment.policy().deployment, deployment.policy().application);
    let (now, starts) = (agent.clock.now(), starts(policy, deployment.policy()));
    let last = deferral.last(starts);
    let deferred = match agent.store.deferred(id, application)? {
        Some(deferred) => deferred,
        // Users hear of it only now: those who are there have a while to answer.
        None => {
            let until = if agent.collector.somebody() { now.plus(ANSWER).min(last) } else { UnixMillis(0) };
            let told = Deferred { count: 0, until };
            // Where a user was quicker, that stands at the next look.
            agent.store.defer(id, application, None, told, None)?;
            told
        }
    };
    // Whatever is kept, and however the clock was set: never beyond what was signed.
    Ok(Some(deferred.until.min(last)).filter(|until| *until > now && *until > starts))
}

/// What comes and may be put off, for users.
pub(crate) fn list(agent: &Agent, policy: &Policy) -> Result<Vec<Upcoming>, StoreError> {
    let mut upcoming = Vec::new();
    for deployment in policy.deployments() {
        let Some((deferral, progress)) = open(agent, deployment)? else { continue };
        let Some(application) = deployment.application().map(muster_trust::Verified::value) else { continue };
        let (id, object) = (deployment.policy().deployment, deployment.policy().application);
        let starts = starts(policy, deployment.policy());
        let last = deferral.last(starts);
        let deferred = agent.store.deferred(id, object)?.unwrap_or(Deferred { count: 0, until: UnixMillis(0) });
        let waits = matches!(progress.waits, Some(WaitReason::Window | WaitReason::Deadline | WaitReason::Deferred));
        let known = Some(progress.until).filter(|_| progress.state == DeploymentState::Waiting && waits);
        let left = deferral.times.saturating_sub(deferred.count);
        upcoming.push(Upcoming {
            deployment: id,
            name: application.name.to_string(),
            version: application.version.clone(),
            removes: deployment.policy().action == Action::Uninstall,
            starts: known.unwrap_or(starts).max(deferred.until.min(last)).max(starts),
            deferred: deferred.count,
            left: if agent.clock.now() < last { left } else { 0 },
            minutes: deferral.minutes,
            last,
        });
    }
    Ok(upcoming)
}

/// What the policy allows for an installation that has not begun.
fn open(agent: &Agent, deployment: &Deployment) -> Result<Option<(Deferral, Progress)>, StoreError> {
    let policy = deployment.policy();
    let Some(deferral) = allowed(deployment).filter(|_| agent.clock.now() >= policy.available) else { return Ok(None) };
    let known = agent.store.deployment(policy.deployment)?;
    let known = known.filter(|progress| progress.application == policy.application);
    let progress = known.unwrap_or_else(|| Progress::new(policy.deployment, policy.application, agent.clock.now()));
    let is_open = match progress.state {
        DeploymentState::Targeted | DeploymentState::Downloading => true,
        DeploymentState::Waiting => !matches!(
            progress.waits,
            Some(WaitReason::Restart | WaitReason::Superseded | WaitReason::Conflict | WaitReason::User)
        ),
        _ => false,
    };
    Ok(is_open.then_some((deferral, progress)))
}

/// Puts it off once more, for a user.
pub(crate) fn defer(
    agent: &Agent,
    policy: &Policy,
    id: DeploymentId,
    user: u32,
) -> Result<Result<UnixMillis, Declined>, StoreError> {
    if user != 0 && user != own_user() && !agent.collector.has_session(user) {
        return Ok(Err(Declined::NoSession));
    }
    let found = policy.deployments().iter().find(|deployment| deployment.policy().deployment == id);
    let Some(deployment) = found else { return Ok(Err(Declined::NotDeferrable)) };
    let Some((deferral, _)) = open(agent, deployment)? else { return Ok(Err(Declined::NotDeferrable)) };
    let (now, starts) = (agent.clock.now(), starts(policy, deployment.policy()));
    let last = deferral.last(starts);
    let object = deployment.policy().application;
    let known = agent.store.deferred(id, object)?;
    let before = known.unwrap_or(Deferred { count: 0, until: UnixMillis(0) });
    let until = now.max(starts).plus(i64::from(deferral.minutes) * MINUTE).min(last);
    if before.count >= deferral.times || until <= now.max(before.until) {
        return Ok(Err(Declined::DeferredOut));
    }
    // What users do is not what fills the outbox of a device that cannot send.
    if agent.store.is_backed_up() {
        return Ok(Err(Declined::Unavailable));
    }
    let deferred = Deferred { count: before.count + 1, until };
    let (count, times) = (deferred.count.to_string(), deferral.times.to_string());
    let values = [
        ("deployment", id.to_string()),
        ("name", deployment.application().map_or(String::new(), |application| application.value().name.to_string())),
        ("user", account::described(user)),
        ("count", count),
        ("times", times),
        ("until", crate::clock::shown(until)),
    ];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    let body = outbox::status(Component::Deployment, Severity::Information, MessageId::UserDeferred, &values);
    if !agent.store.defer(id, object, known, deferred, Some(&Message { time: now, body }))? {
        return Ok(Err(Declined::NotDeferrable));
    }
    tracing::info!(deployment = %id, user, count = deferred.count, "a user puts an installation off");
    agent.look_again.notify_one();
    Ok(Ok(until))
}
