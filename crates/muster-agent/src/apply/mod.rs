//! Deployments on this client: when their time has come, fetch, detect, install, detect again, and report each step.
//!
//! One installation at a time. Every step is kept together with its report before the next one begins, so that after a kill
//! the agent knows what it was doing; an installer that still runs is waited for, and never started a second time beside itself.

mod again;
mod approve;
pub(crate) mod choose;
mod consider;
pub mod defer;
pub mod detect;
pub(crate) mod facts;
mod install;
pub mod notices;
mod plan;
mod program;
mod require;
mod rival;
mod servicing;
pub mod software;
mod step;
mod unread;
mod window;

use crate::{
    agent::Agent,
    content::{self, ContentError},
    policy::{Deployment, Policy},
    store::deployments::Progress,
};
pub(crate) use approve::{refusal, scripts_refused};
use consider::consider;
pub(crate) use consider::may_pass;
use muster_model::{
    application::{Command, ContentFile},
    status::DeploymentState,
    time::{HOUR, MINUTE, SECOND, UnixMillis},
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
pub(crate) use window::{allows_updates, starts};

/// The longest wait without looking at the clock: it may be set, and a machine may sleep.
const LOOK: i64 = MINUTE;
/// How often content that the site does not have, or that is altered, is asked for before the deployment fails.
const ATTEMPTS: u32 = 5;
/// When a deployment that failed for want of content or space is tried again.
const AGAIN: i64 = HOUR;

/// How long to wait for content when the site is away or the connection broke.
const AWAY: i64 = 5 * SECOND;

/// How long to wait for the first answer of the site, where windows hold: it says what time it is.
const SOON: i64 = 100;

/// What is tried next, and when.
type Next = Option<UnixMillis>;

/// Program and arguments as they are handed to the system: `content/<name>` is the file's path, and `secret/<name>` that of a
/// secret where there are any.
#[must_use]
pub fn arguments(command: &Command, directory: &Path, secrets: Option<&Path>) -> (PathBuf, Vec<String>) {
    let place = |text: &str| {
        let content = text.strip_prefix("content/").map(|name| directory.join(name));
        let secret = || Some(secrets?.join(text.strip_prefix("secret/")?));
        content.or_else(secret).map_or_else(|| text.to_owned(), |path| path.display().to_string())
    };
    (place(&command.program).into(), command.arguments.iter().map(|a| place(a)).collect())
}

/// Works on the deployments of the policy in force until it is told to stop.
pub async fn run(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>, mut stop: watch::Receiver<bool>) {
    if let Err(error) = agent.store.restarted(&agent.boot()) {
        tracing::warn!(%error, "restarts that happened could not be forgotten");
    }
    servicing::start(&agent);
    loop {
        servicing::recover(&agent);
        agent.health.recovered.notify_waiters();
        let current = policy.borrow_and_update().clone();
        install::sweep(&agent, current.is_some());
        let work = async {
            // Without a policy nothing can be asked whether an interrupted installation is there after all.
            let current = current.as_deref()?;
            install::recover(&agent, current).await;
            evaluate(&Round::new(&agent, current, &policy)).await
        };
        let next = tokio::select! {
            next = work => next,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let now = agent.clock.now();
        let wait = next.map_or(LOOK * 60, |next| next.since(now).clamp(0, LOOK));
        tokio::select! {
            changed = policy.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())) => {}
            () = agent.look_again.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// One round over all deployments, by one policy.
struct Round<'a> {
    agent: &'a Agent,
    policy: &'a Policy,
    newer: &'a watch::Receiver<Option<Arc<Policy>>>,
    /// The servicing of the write filter that goes on.
    servicing: servicing::Session<'a>,
}

impl<'a> Round<'a> {
    fn new(agent: &'a Agent, policy: &'a Policy, newer: &'a watch::Receiver<Option<Arc<Policy>>>) -> Self {
        Self { agent, policy, newer, servicing: servicing::Session::default() }
    }
}

impl Round<'_> {
    /// Whether another policy came meanwhile: nothing more is begun by this one.
    fn is_over(&self) -> bool {
        self.newer.has_changed().unwrap_or(false)
    }

    /// Fetches what is due. A policy that comes meanwhile ends it: the deployment may be withdrawn, or another rate hold.
    async fn fetch(&self, files: &[ContentFile]) -> Result<(), ContentError> {
        let mut newer = self.newer.clone();
        tokio::select! {
            done = content::fetch(self.agent, self.policy, files) => done,
            Ok(()) = newer.changed() => Err(ContentError::Superseded),
        }
    }
}

/// The deployments in the order in which they are worked on. Where windows hold, the shortest run time comes first: so most fits in.
fn in_order(policy: &Policy) -> Vec<&Deployment> {
    let mut deployments: Vec<_> = policy.deployments().iter().collect();
    if !policy.windows().is_empty() {
        deployments.sort_by_key(|deployment| deployment.application().map(|a| a.value().longest_run_seconds()));
    }
    deployments
}

/// Everything whose time has come, one after the other. Returns when something is to be done next.
async fn evaluate(round: &Round<'_>) -> Next {
    let next = evaluate_each(round).await;
    match servicing::leave(round) {
        true => next,
        false => Some(round.agent.clock.now().plus(servicing::SOON)),
    }
}

async fn evaluate_each(round: &Round<'_>) -> Next {
    let (agent, policy) = (round.agent, round.policy);
    let by_clock = !policy.windows().is_empty() || policy.settings().business_hours.is_some();
    if by_clock && !agent.window_time.was_asked() {
        return Some(agent.clock.now().plus(SOON));
    }
    let unread = policy.unread().iter().map(|unread| unread.deployment);
    let assigned: Vec<_> = policy.deployments().iter().map(|d| d.policy().deployment).chain(unread).collect();
    if let Err(error) = agent.store.keep_deployments(&assigned) {
        tracing::warn!(%error, "deployments that are gone could not be forgotten");
    }
    unread::say(round);
    let mut next: Next = None;
    let mut order = in_order(policy);
    // What was on its way when its round ended was slow: whatever is new or has its content goes before it.
    let kept = agent.store.deployments().unwrap_or_default();
    let slow = |p: &&Progress| p.state == DeploymentState::Downloading;
    let slow: HashSet<_> = kept.iter().filter(slow).map(|progress| progress.deployment).collect();
    order.sort_by_key(|deployment| slow.contains(&deployment.policy().deployment));
    for deployment in order {
        if round.is_over() {
            return Some(agent.clock.now());
        }
        let wanted = match consider(round, deployment).await {
            Ok(wanted) => wanted,
            Err(error) => {
                tracing::warn!(deployment = %deployment.policy().deployment, %error, "a deployment waits");
                Some(agent.clock.now().plus(MINUTE))
            }
        };
        next = next.into_iter().chain(wanted).min();
    }
    if round.is_over() {
        return Some(agent.clock.now());
    }
    if let Err(error) = content::cache::trim(agent, policy) {
        tracing::warn!(%error, "the content cache could not be cleaned");
    }
    next
}
