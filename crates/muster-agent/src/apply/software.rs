//! What the policy offers to the users of this machine, and what they may want of it.

use super::{
    rival,
    step::{command, work},
};
use crate::{
    agent::Agent,
    policy::{Deployment, Policy},
    store::{StoreError, deployments::Progress, intents::Intent},
};
use muster_model::{
    application::Platform,
    id::DeploymentId,
    policy::Action,
    status::{DeploymentState, Verb, WaitReason},
};
use serde::{Deserialize, Serialize};

/// One offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    /// The deployment: its name for every request.
    pub deployment: DeploymentId,
    /// Name of the application.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it stands.
    pub state: DeploymentState,
    /// With `waiting`: for what.
    pub waits: Option<WaitReason>,
    /// Whether it comes by itself, too.
    pub required: bool,
    /// What a user may want of it now.
    pub can: Vec<Verb>,
}

/// Why nothing is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Declined {
    /// The policy offers no such thing: the same answer for what is not there and what is not for users.
    NotOffered,
    /// It is being worked on.
    Busy,
    /// It is so already, or it is not there.
    Nothing,
    /// It may not be done by a user, or its authors signed no command for it.
    NotAllowed,
    /// Another deployment needs it.
    Needed,
    /// Too many requests; later again.
    TooMany,
    /// This account is not of a person.
    NotAPerson,
    /// Not a request.
    Malformed,
    /// The agent cannot keep it now.
    Unavailable,
}

impl Declined {
    /// What is said to the user.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotOffered => "this machine's policy offers no such software",
            Self::Busy => "it is being worked on; try again when that has ended",
            Self::Nothing => "there is nothing to do: it is so already",
            Self::NotAllowed => "this cannot be done with this software by a user",
            Self::Needed => "other software of this machine needs it",
            Self::TooMany => "too many requests; try again in a minute",
            Self::NotAPerson => "only root and the accounts of persons may ask",
            Self::Malformed => "this is not a request",
            Self::Unavailable => "the agent cannot take it at this moment",
        }
    }
}

/// What is offered now.
///
/// # Errors
/// See [`StoreError`].
pub(crate) fn list(agent: &Agent, policy: &Policy) -> Result<Vec<Software>, StoreError> {
    let mut offers = Vec::new();
    for deployment in policy.deployments() {
        let Some(application) = offered(agent, deployment) else { continue };
        let progress = progress(agent, deployment)?;
        let mut can = Vec::new();
        for verb in Verb::ALL {
            if may(agent, policy, deployment, &progress, *verb)?.is_ok() {
                can.push(*verb);
            }
        }
        offers.push(Software {
            deployment: progress.deployment,
            name: application.name.to_string(),
            version: application.version.clone(),
            state: progress.state,
            waits: progress.waits,
            required: deployment.policy().purpose.is_required(),
            can,
        });
    }
    Ok(offers)
}

/// Keeps what a user wants, and has it begun.
///
/// # Errors
/// See [`StoreError`].
pub(crate) fn begin(
    agent: &Agent,
    policy: &Policy,
    id: DeploymentId,
    intent: Intent,
) -> Result<Result<(), Declined>, StoreError> {
    let found = policy.deployments().iter().find(|deployment| deployment.policy().deployment == id);
    let Some(deployment) = found.filter(|deployment| offered(agent, deployment).is_some()) else {
        return Ok(Err(Declined::NotOffered));
    };
    let progress = progress(agent, deployment)?;
    if let Err(declined) = may(agent, policy, deployment, &progress, intent.verb)? {
        return Ok(Err(declined));
    }
    if !agent.store.intend(id, intent, agent.clock.now())? {
        return Ok(Err(Declined::Busy));
    }
    tracing::info!(deployment = %id, verb = intent.verb.as_str(), user = intent.user, "a user wants software");
    agent.look_again.notify_one();
    Ok(Ok(()))
}

/// The application, where users may know of it.
fn offered<'a>(agent: &Agent, deployment: &'a Deployment) -> Option<&'a muster_model::application::Application> {
    let policy = deployment.policy();
    let is_time = agent.clock.now() >= policy.available;
    let application = deployment.application()?.value();
    (policy.action == Action::Install && is_time && application.platform == Platform::Linux).then_some(application)
}

fn progress(agent: &Agent, deployment: &Deployment) -> Result<Progress, StoreError> {
    let (id, application) = (deployment.policy().deployment, deployment.policy().application);
    let known = agent.store.deployment(id)?.filter(|progress| progress.application == application);
    Ok(known.unwrap_or_else(|| Progress::new(id, application, agent.clock.now())))
}

fn may(
    agent: &Agent,
    policy: &Policy,
    deployment: &Deployment,
    progress: &Progress,
    verb: Verb,
) -> Result<Result<(), Declined>, StoreError> {
    let Some(application) = offered(agent, deployment) else { return Ok(Err(Declined::NotOffered)) };
    if command(application, verb).is_none() {
        return Ok(Err(Declined::NotAllowed));
    }
    let works = matches!(progress.state, DeploymentState::Installing | DeploymentState::Downloading)
        || progress.waits == Some(WaitReason::Restart)
        || agent.store.intent(progress.deployment)?.is_some();
    if works {
        return Ok(Err(Declined::Busy));
    }
    let is_there = progress.state == DeploymentState::Succeeded;
    // What is required would come again by itself.
    if verb == Verb::Uninstall && deployment.policy().purpose.is_required() {
        return Ok(Err(Declined::NotAllowed));
    }
    if is_there == (verb == Verb::Install) {
        return Ok(Err(Declined::Nothing));
    }
    if verb == Verb::Uninstall {
        let own = work(application, progress.application, verb, true);
        if rival::of(agent, policy, deployment, &own, true)?.is_some() {
            return Ok(Err(Declined::Needed));
        }
    }
    Ok(Ok(()))
}
