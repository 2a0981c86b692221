//! Deployments on this client: when their time has come, fetch, detect, install, detect again, and report each step.
//!
//! One installation at a time. Every step is kept together with its report before the next one begins, so that after a kill
//! the agent knows what it was doing; an installer that still runs is waited for, and never started a second time beside itself.

mod consider;
pub mod detect;
pub(crate) mod facts;
mod install;
mod plan;
mod require;
mod rival;
pub mod software;
mod step;
mod window;

use crate::{
    agent::Agent,
    content,
    policy::{Deployment, Policy},
};
use consider::consider;
pub(crate) use consider::may_pass;
use muster_model::{
    application::Command,
    time::{DAY, HOUR, MINUTE, SECOND, UnixMillis},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// The longest wait without looking at the clock: it may be set, and a machine may sleep.
const LOOK: i64 = MINUTE;
/// How often content that the site does not have, or that is altered, is asked for before the deployment fails.
const ATTEMPTS: u32 = 5;
/// When a deployment that failed for want of content or space is tried again.
const AGAIN: i64 = HOUR;

/// After how long an application that is there is looked for again, and a device for which one is not.
const REEVALUATE: i64 = 7 * DAY;

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
    loop {
        let current = policy.borrow_and_update().clone();
        install::sweep(&agent, current.is_some());
        let work = async {
            // Without a policy nothing can be asked whether an interrupted installation is there after all.
            let current = current.as_deref()?;
            install::recover(&agent, current).await;
            evaluate(&Round { agent: &agent, policy: current, newer: &policy }).await
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
}

impl Round<'_> {
    /// Whether another policy came meanwhile: nothing more is begun by this one.
    fn is_over(&self) -> bool {
        self.newer.has_changed().unwrap_or(false)
    }
}

/// The deployments in the order in which they are worked on. Where windows hold, the shortest run time comes first: so most fits in.
fn in_order(policy: &Policy) -> Vec<&Deployment> {
    let mut deployments: Vec<_> = policy.deployments().iter().collect();
    if !policy.windows().is_empty() {
        deployments.sort_by_key(|deployment| deployment.application().map(|a| a.value().max_run_seconds));
    }
    deployments
}

/// Everything whose time has come, one after the other. Returns when something is to be done next.
async fn evaluate(round: &Round<'_>) -> Next {
    let (agent, policy) = (round.agent, round.policy);
    if !policy.windows().is_empty() && !agent.window_time.was_asked() {
        return Some(agent.clock.now().plus(SOON));
    }
    let assigned: Vec<_> = policy.deployments().iter().map(|d| d.policy().deployment).collect();
    if let Err(error) = agent.store.keep_deployments(&assigned) {
        tracing::warn!(%error, "deployments that are gone could not be forgotten");
    }
    let mut next: Next = None;
    for deployment in in_order(policy) {
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
    if let Err(error) = content::cache::trim(agent, policy) {
        tracing::warn!(%error, "the content cache could not be cleaned");
    }
    next
}
