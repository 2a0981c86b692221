//! What the policy offers to the users of this machine, and what they may want of it.

use super::{
    rival,
    step::{command, work},
};
use crate::{
    agent::Agent,
    os::{account, own_user},
    policy::{Deployment, Policy},
    store::{StoreError, deployments::Progress, intents::Intent, outbox},
};
use muster_model::{
    application::Platform,
    id::DeploymentId,
    limits::LOCAL_COOL_DOWN,
    report::Message,
    status::{Component, DeploymentState, MessageId, Severity, Verb, WaitReason},
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
    /// Whether it comes by itself: then users have no part in it.
    pub required: bool,
    /// What this user may want of it now.
    pub can: Vec<Verb>,
    /// What a user wants of it, as long as that has not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Verb>,
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
    /// The same was begun a short while ago.
    TooSoon,
    /// Too many requests; later again.
    TooMany,
    /// This account is not of a person.
    NotAPerson,
    /// Not a request.
    Malformed,
    /// Only root and who has a session on this machine may answer the notice of a restart.
    NoSession,
    /// No restart comes.
    NoRestart,
    /// The restart is counted down, or underway.
    TooLate,
    /// It is nothing that users may put off, or it has begun.
    NotDeferrable,
    /// It was put off as often or as long as it may be.
    DeferredOut,
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
            Self::TooSoon => "the same was begun a short while ago; try again in ten minutes",
            Self::Needed => "other software of this machine needs it",
            Self::TooMany => "too many requests; try again in a minute",
            Self::NotAPerson => "only root and the accounts of persons may ask",
            Self::Malformed => "this is not a request",
            Self::NoSession => "only root and who has a session on this machine may answer",
            Self::NoRestart => "no restart comes",
            Self::TooLate => "it is too late: the restart is counted down or underway",
            Self::NotDeferrable => "this cannot be put off, or it has begun",
            Self::DeferredOut => "it cannot be put off any more",
            Self::Unavailable => "the agent cannot take it at this moment",
        }
    }
}

/// What is offered now.
///
/// # Errors
/// See [`StoreError`].
pub(crate) fn list(agent: &Agent, policy: &Policy, user: u32) -> Result<Vec<Software>, StoreError> {
    let mut offers = Vec::new();
    for deployment in policy.deployments() {
        let Some(application) = offered(agent, deployment) else { continue };
        let progress = progress(agent, deployment)?;
        let mut can = Vec::new();
        for verb in Verb::ALL {
            if may(agent, policy, deployment, &progress, *verb, user)?.is_ok() {
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
            wanted: agent.store.intent(progress.deployment)?.map(|intent| intent.verb),
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
    if let Err(declined) = may(agent, policy, deployment, &progress, intent.verb, intent.user)? {
        return Ok(Err(declined));
    }
    // What users begin is not what fills the outbox of a device that cannot send.
    if agent.store.is_backed_up() {
        return Ok(Err(Declined::Unavailable));
    }
    let told = outbox::status(
        Component::Deployment,
        Severity::Information,
        MessageId::UserBegan,
        &[
            ("deployment", &id.to_string()),
            ("name", deployment.application().map_or("", |application| application.value().name.as_str())),
            ("verb", intent.verb.as_str()),
            ("user", &account::described(intent.user)),
        ],
    );
    if !agent.store.intend(id, intent, &Message { time: intent.since, body: told })? {
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
    let is_here = application.platforms().any(|platform| platform == Platform::Linux);
    (policy.action.is_install() && is_time && is_here).then_some(application)
}

fn progress(agent: &Agent, deployment: &Deployment) -> Result<Progress, StoreError> {
    let (id, application) = (deployment.policy().deployment, deployment.policy().application);
    let known = agent.store.deployment(id)?.filter(|progress| progress.application == application);
    Ok(known.unwrap_or_else(|| Progress::new(id, application, agent.clock.now())))
}

/// Whether a user may want it now. What is required is the administrator's; of what is offered a user has installed what is not there, and
/// has repaired and removed what he had installed himself: what was there before, or came for somebody else, is not his.
fn may(
    agent: &Agent,
    policy: &Policy,
    deployment: &Deployment,
    progress: &Progress,
    verb: Verb,
    user: u32,
) -> Result<Result<(), Declined>, StoreError> {
    let Some(application) = offered(agent, deployment) else { return Ok(Err(Declined::NotOffered)) };
    // Where it is not known yet which deployment type it will be, one that can is enough.
    let types = match progress.own_type {
        Some(place) => deployment.types().get(place..=place).unwrap_or_default(),
        None => deployment.types(),
    };
    if types.iter().all(|one| command(one, verb).is_none()) || deployment.policy().purpose.is_required() {
        return Ok(Err(Declined::NotAllowed));
    }
    let works = matches!(progress.state, DeploymentState::Installing | DeploymentState::Downloading)
        || progress.waits == Some(WaitReason::Restart)
        || agent.store.intent(progress.deployment)?.is_some();
    if works {
        return Ok(Err(Declined::Busy));
    }
    let is_there = progress.state == DeploymentState::Succeeded;
    // What runs and leaves nothing may run again.
    if is_there == (verb == Verb::Install) && !application.is_program() {
        return Ok(Err(Declined::Nothing));
    }
    // The agent's own user, which is root, can do all of it without the agent.
    if user != 0 && user != own_user() {
        if verb != Verb::Install && agent.store.installed_by(progress.deployment)? != Some(user) {
            return Ok(Err(Declined::NotAllowed));
        }
        let (now, asked) = (agent.clock.now(), agent.store.asked(progress.deployment, verb)?);
        if asked.is_some_and(|asked| (0..LOCAL_COOL_DOWN).contains(&now.since(asked))) {
            return Ok(Err(Declined::TooSoon));
        }
    }
    if verb == Verb::Uninstall {
        let own = work(application, progress.application, verb, true);
        if rival::of(agent, policy, deployment, &own, true)?.is_some() {
            return Ok(Err(Declined::Needed));
        }
    }
    Ok(Ok(()))
}
