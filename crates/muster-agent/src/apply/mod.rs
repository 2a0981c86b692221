//! Deployments on this client: when their time has come, fetch, detect, install, detect again, and report each step.
//!
//! One installation at a time. Every step is kept together with its report before the next one begins, so that after a kill
//! the agent knows what it was doing; an installer that still runs is waited for, and never started a second time beside itself.

pub mod detect;
mod install;
mod window;

use crate::{
    agent::Agent,
    content::{self, ContentError},
    policy::{Deployment, Policy},
    secret,
    store::{StoreError, deployments::Progress},
};
use muster_model::{
    application::{Application, Command, Platform},
    status::{Component, DeploymentReport, DeploymentState, FailureReason, MessageId, Severity, WaitReason},
    time::{HOUR, MINUTE, SECOND, UnixMillis},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use window::{Gate, gate};

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

/// One deployment, as far as it goes now.
async fn consider(round: &Round<'_>, deployment: &Deployment) -> Result<Next, StoreError> {
    let (agent, policy) = (round.agent, round.policy);
    let (id, object) = (deployment.policy().deployment, deployment.policy().application);
    let before = agent.store.deployment(id)?.filter(|progress| progress.application == object);
    let now = agent.clock.now();
    let mut step = Step::new(agent, deployment, before.clone());
    let known =
        |wait: Wait| before.as_ref().is_some_and(|b| b.state == DeploymentState::Waiting && b.until == wait.until());
    if let Some(before) = &before {
        let again = before.changed.plus(AGAIN);
        match (before.state, before.reason) {
            (DeploymentState::Installing, _) => return Ok(Some(now.plus(MINUTE))),
            (DeploymentState::Failed, Some(reason)) if may_pass(reason) && now >= again => step.progress.attempts = 0,
            (DeploymentState::Failed, Some(reason)) if may_pass(reason) => return Ok(Some(again)),
            // Not signed may become signed: by a trust bundle that names the author.
            (DeploymentState::Failed, Some(FailureReason::NotSigned)) if deployment.application().is_some() => {}
            // What was not sealed may be sealed by now.
            (DeploymentState::Failed, Some(FailureReason::SecretMissing))
                if deployment.application().is_some_and(|a| secret::open(agent, policy, a.value()).is_ok()) => {}
            (DeploymentState::Succeeded | DeploymentState::Failed, _) => return Ok(None),
            _ => {}
        }
    }
    let Some(application) = deployment.application() else {
        return step.fail(FailureReason::NotSigned, None, String::new()).map(|()| None);
    };
    let application = application.value();
    if application.platform != Platform::Linux {
        let output = "The application is for another operating system.".to_owned();
        return step.fail(FailureReason::CannotStart, None, output).map(|()| None);
    }
    let starts = deployment.policy().available.max(deployment.policy().deadline);
    let gate = gate(agent, policy, deployment.policy(), application, starts);
    if now < starts {
        let wait = match gate {
            Gate::Closed { reason, starts } if reason != WaitReason::Clock => Wait { reason, starts },
            _ => Wait { reason: WaitReason::Deadline, starts: Some(starts) },
        };
        if !known(wait) {
            step.wait(wait)?;
        }
        return Ok(Some(starts));
    }
    // All that may be done before a window opens was done when it began to wait.
    if let Gate::Closed { reason, starts } = gate
        && known(Wait { reason, starts })
    {
        return Ok(Some(starts.unwrap_or_else(|| now.plus(MINUTE))));
    }
    if !policy.is_current(agent.site.trust().bundle(), now, agent.floor()) {
        tracing::warn!(deployment = %id, "the policy or the trust bundle is past its expiry; nothing new is started until the site renews it");
        return Ok(Some(now.plus(HOUR)));
    }
    start(round, &mut step, deployment, application).await
}

/// Whether it may work later without anybody changing the deployment.
pub(crate) const fn may_pass(reason: FailureReason) -> bool {
    use FailureReason::{CacheFull, CacheTooSmall, ContentAltered, ContentUnavailable, DiskFull};
    matches!(reason, ContentUnavailable | ContentAltered | DiskFull | CacheTooSmall | CacheFull)
}

/// From detection to detection. Content comes also while no window is open; the installation waits for one.
async fn start(
    round: &Round<'_>,
    step: &mut Step<'_>,
    deployment: &Deployment,
    application: &Application,
) -> Result<Next, StoreError> {
    let (agent, policy) = (round.agent, round.policy);
    let needs_content = detect::needs_content(&application.detection);
    if !needs_content {
        match install::detected(agent, step.progress.deployment, application).await {
            Ok(true) => return step.succeed(String::new()).map(|()| None),
            Ok(false) => {}
            Err(error) => return step.fail(FailureReason::DetectionFailed, None, error.0).map(|()| None),
        }
    }
    // Before anything is fetched: without them it does not go on.
    let secrets = match secret::open(agent, policy, application) {
        Ok(secrets) => secrets,
        Err(missing) => return step.fail(FailureReason::SecretMissing, None, missing.to_string()).map(|()| None),
    };
    if !application.content.is_empty() {
        let there = |file| content::is_there(&agent.cache, file);
        let waited = step.progress.state == DeploymentState::Waiting && application.content.iter().all(there);
        if step.progress.state != DeploymentState::Downloading && !waited {
            step.take(DeploymentState::Downloading, |_| {})?;
        }
        if let Err(error) = content::fetch(agent, policy, &application.content).await {
            return step.content_failed(&error);
        }
    }
    // What is left of a window is asked for last: a download may have taken long, and the policy may be another one by now.
    if round.is_over() {
        return Ok(Some(agent.clock.now()));
    }
    match gate(agent, policy, deployment.policy(), application, agent.clock.now()) {
        Gate::Open => install::install(step, application, secrets, needs_content).await,
        Gate::Closed { reason, starts } => {
            step.wait(Wait { reason, starts })?;
            Ok(Some(starts.unwrap_or_else(|| agent.clock.now().plus(MINUTE))))
        }
    }
}

/// What a deployment waits for, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wait {
    reason: WaitReason,
    starts: Option<UnixMillis>,
}

impl Wait {
    /// As it is kept: the end of time for what never fits, its beginning for a clock that is not believed.
    fn until(self) -> UnixMillis {
        match (self.reason, self.starts) {
            (WaitReason::NeverFits, _) => UnixMillis(i64::MAX),
            (_, starts) => starts.unwrap_or_default(),
        }
    }
}

/// One deployment on its way: its progress, and how a step is kept and reported.
struct Step<'a> {
    agent: &'a Agent,
    progress: Progress,
    /// Whether the inventory is to be taken when it is installed.
    collects: bool,
}

impl<'a> Step<'a> {
    fn new(agent: &'a Agent, deployment: &Deployment, before: Option<Progress>) -> Self {
        let progress = before.unwrap_or(Progress {
            deployment: deployment.policy().deployment,
            application: deployment.policy().application,
            state: DeploymentState::Targeted,
            reason: None,
            changed: agent.clock.now(),
            until: UnixMillis(0),
            attempts: 0,
        });
        let collects = deployment.application().is_some_and(|application| application.value().collector.is_some());
        Self { agent, progress, collects }
    }

    fn take(&mut self, state: DeploymentState, fill: impl FnOnce(&mut DeploymentReport)) -> Result<(), StoreError> {
        let mut progress = Progress { state, reason: None, changed: self.agent.clock.now(), ..self.progress.clone() };
        let mut report = DeploymentReport {
            deployment: progress.deployment,
            application: progress.application,
            state,
            reason: None,
            exit_code: None,
            output: String::new(),
            starts: None,
            waits: None,
        };
        fill(&mut report);
        progress.reason = report.reason;
        let reason = report.reason.map(FailureReason::as_str);
        self.agent.store.step(&progress, report)?;
        tracing::info!(deployment = %progress.deployment, state = state.as_str(), reason, "deployment");
        self.progress = progress;
        Ok(())
    }

    fn wait(&mut self, wait: Wait) -> Result<(), StoreError> {
        self.progress.until = wait.until();
        self.take(DeploymentState::Waiting, |report| (report.waits, report.starts) = (Some(wait.reason), wait.starts))
    }

    fn succeed(&mut self, output: String) -> Result<(), StoreError> {
        self.take(DeploymentState::Succeeded, |report| report.output = output)?;
        if self.collects {
            self.agent.inventory_wanted.notify_one();
        }
        Ok(())
    }

    fn fail(&mut self, reason: FailureReason, exit_code: Option<i32>, output: String) -> Result<(), StoreError> {
        self.take(DeploymentState::Failed, |report| {
            (report.reason, report.exit_code, report.output) = (Some(reason), exit_code, output);
        })
    }

    /// Content did not come: again later, or not at all.
    fn content_failed(&mut self, error: &ContentError) -> Result<Next, StoreError> {
        let (now, attempts) = (self.agent.clock.now(), self.progress.attempts + 1);
        let reason = match error {
            ContentError::DiskFull => return self.fail(FailureReason::DiskFull, None, String::new()).map(|()| None),
            ContentError::Altered(hash) => {
                let hash = hash.to_string();
                self.agent.report(Component::Content, Severity::Error, MessageId::ContentAltered, &[("hash", &hash)]);
                FailureReason::ContentAltered
            }
            ContentError::CacheTooSmall { .. } => {
                return self.fail(FailureReason::CacheTooSmall, None, error.to_string()).map(|()| None);
            }
            ContentError::CacheFull { .. } => {
                return self.fail(FailureReason::CacheFull, None, error.to_string()).map(|()| None);
            }
            ContentError::Unavailable(error) if error.problem().is_some() => FailureReason::ContentUnavailable,
            // The site is away, or the connection broke: what came is kept, and it goes on when the site is back.
            ContentError::Unavailable(_) | ContentError::Io(_) => {
                tracing::warn!(deployment = %self.progress.deployment, %error, "content is not there yet");
                self.agent.site.turn_away();
                return Ok(Some(now.plus(AWAY)));
            }
        };
        self.agent.site.turn_away();
        if attempts >= ATTEMPTS {
            return self.fail(reason, None, error.to_string()).map(|()| None);
        }
        // Kept without a report: nothing new is to be said.
        self.progress.attempts = attempts;
        self.agent.store.keep_progress(&self.progress)?;
        Ok(Some(now.plus(i64::from(attempts) * 2_000)))
    }
}
