//! `muster-agent run`: the start phase, in which every error stops the agent with a sentence that says what to do, and the run
//! phase, in which every error is logged and tried again.

mod collector;
mod content;
mod discovery;
pub mod follow;
mod inventory;
pub mod locate;
pub mod send;

use crate::{
    agent::{Agent, StartError},
    apply,
    clock::{Backoff, Clock, random, spread},
    collect::Collector,
    comply,
    content::peer,
    enrol::{EnrolError, Enrolment, Progress},
    health,
    identity::{self, Identity, Stage},
    local,
    log::{self, Log},
    os::{PrivateDirectory, claims},
    policy::{self, Policy},
    restart, secret, updates,
};
use muster_model::{
    report::{Body, Message},
    settings::ClientSettings,
    status::{Component, MessageId, Severity},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

/// The lock file that only one agent at a time can hold.
pub const LOCK: &str = "lock";
/// How long the last messages may take when the agent stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why the agent ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Enrolment came to an end that waiting does not change.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// Only another process gets rid of what hangs.
    #[error(
        "a part of the agent waits for a file system that does not answer; the service manager starts the agent anew"
    )]
    Hangs,
}

/// The state directory, held by this process alone.
#[derive(Debug)]
pub struct Held {
    /// The directory.
    pub directory: PrivateDirectory,
    /// Where users of this machine ask for software; `None`: nowhere.
    pub software: Option<PathBuf>,
    /// Where what the agent says comes from; `None`: only what it says of its log itself is written there.
    pub log: Option<Log>,
    _lock: std::fs::File,
}

/// Opens the state directory and makes sure that no other agent works in it.
///
/// # Errors
/// See [`StartError`].
pub fn hold(path: &Path) -> Result<Held, StartError> {
    let directory = PrivateDirectory::open(path)?;
    let lock = directory.lock(LOCK)?.ok_or_else(|| StartError::Running(directory.path().to_owned()))?;
    crate::reset::resume(&directory)?;
    Ok(Held { directory, software: None, log: None, _lock: lock })
}

/// Runs until `stop` says so.
///
/// # Errors
/// Only in the start phase, or when the site refuses the enrolment for good.
pub async fn run(
    held: Held,
    clock: Clock,
    collector: Collector,
    mut stop: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let Held { directory, software, log, _lock } = held;
    let identity = Identity::load(&directory).map_err(StartError::from)?.ok_or(StartError::NotPinned)?;
    if identity.stage == Stage::Assigned {
        return Err(StartError::Assigned(identity.site).into());
    }
    // A manager that watches is told from here on that the agent is there: an administrator may take days to approve it.
    health::ready();
    let mut beating = JoinSet::new();
    beating.spawn(health::beat());
    if !matches!(identity.stage, Stage::Active { .. })
        && !become_active(&directory, &clock, identity, &mut stop).await?
    {
        return Ok(());
    }
    let mut agent = Agent::open(directory, clock, collector)?;
    if let Some(log) = log {
        agent.log = log;
    }
    agent.open_log();
    let agent = Arc::new(agent);
    work(agent, software, stop).await
}

/// Goes on with the enrolment until the client is active; `false`: told to stop before.
async fn become_active(
    directory: &PrivateDirectory,
    clock: &Clock,
    identity: Identity,
    stop: &mut watch::Receiver<bool>,
) -> Result<bool, RunError> {
    let mut enrolment = Enrolment::new(directory, clock, identity)?;
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(300));
    let mut said = None;
    loop {
        let step = tokio::select! {
            step = enrolment.step() => step,
            _ = stop.wait_for(|stop| *stop) => return Ok(false),
        };
        let wait = match step {
            Ok(Progress::Active(device)) => {
                tracing::info!(%device, "the site approved this client");
                return Ok(true);
            }
            Ok(Progress::Pending { enrolment, retry_after }) => {
                if said.replace(enrolment) != Some(enrolment) {
                    tracing::info!(%enrolment, "waiting for an administrator to approve this client");
                }
                backoff.reset();
                retry_after
            }
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "enrolment does not go on; it is tried again");
                backoff.next(random())
            }
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(false),
        }
    }
}

/// Begins the parts that run for as long as the agent does.
fn begin(
    agent: &Arc<Agent>,
    publish: watch::Sender<Option<Arc<Policy>>>,
    policy: &watch::Receiver<Option<Arc<Policy>>>,
    wake: &Arc<Notify>,
    software: Option<PathBuf>,
) {
    let parts = &agent.health.parts;
    /// A part that needs the agent and the policy.
    macro_rules! part {
        ($name:literal, $run:path) => {{
            let (agent, policy) = (agent.clone(), policy.clone());
            parts.spawn($name, move || $run(agent.clone(), policy.clone()));
        }};
    }
    let sender = agent.clone();
    parts.spawn("send", move || send::run(sender.clone()));
    let (follower, waker) = (agent.clone(), wake.clone());
    parts.spawn("policy", move || follow::policy(follower.clone(), publish.clone(), waker.clone()));
    let (listener, waker) = (agent.clone(), wake.clone());
    parts.spawn("live", move || follow::live(listener.clone(), waker.clone()));
    let keeper = agent.clone();
    parts.spawn("log", move || log::run::run(keeper.clone()));
    part!("log_pieces", log::run::answer);
    let renewer = agent.clone();
    parts.spawn("certificate", move || follow::certificate(renewer.clone()));
    part!("secret", secret::run);
    match identity::config(&agent.directory) {
        Ok(config) => {
            let (restarter, policy, program) = (agent.clone(), policy.clone(), config.restart);
            parts.spawn("restart", move || restart::run(restarter.clone(), policy.clone(), program.clone()));
            let (finder, location) = (agent.clone(), config.location);
            parts.spawn("locate", move || locate::run(finder.clone(), location.clone()));
        }
        Err(error) => tracing::error!(%error, "no management points are looked for, and no restart is made"),
    }
    part!("location", locate::follow);
    part!("inventory", inventory::run);
    part!("updates", updates::run);
    part!("heartbeat", heartbeat);
    part!("discovery", discovery::run);
    part!("content", content::run);
    part!("peer", peer::run);
    part!("health", health::run);
    if let Some(path) = software {
        let (asked, policy) = (agent.clone(), policy.clone());
        parts.spawn("local", move || local::run(asked.clone(), policy.clone(), path.clone()));
    }
}

/// The run phase.
async fn work(agent: Arc<Agent>, software: Option<PathBuf>, mut stop: watch::Receiver<bool>) -> Result<(), RunError> {
    let (publish, policy) = watch::channel::<Option<Arc<Policy>>>(load_policy(&agent));
    let wake = Arc::new(Notify::new());
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    agent.report(Component::Agent, Severity::Information, MessageId::AgentStarted, &version);
    begin(&agent, publish, &policy, &wake, software);
    let (halt, halted) = watch::channel(false);
    let complying = tokio::spawn(comply::run(agent.clone(), policy.clone(), halted.clone()));
    let applying = tokio::spawn(apply::run(agent.clone(), policy, halted));
    tracing::info!(site = %agent.site.identity().site, "the agent runs");
    let ended = tokio::select! {
        // A stop that can never come is a stop.
        _ = stop.wait_for(|stop| *stop) => Ok(()),
        () = agent.health.gave_up.notified() => Err(RunError::Hangs),
    };
    halt.send_replace(true);
    agent.health.parts.shutdown().await;
    // An installer that runs goes on by itself; the next agent takes it up.
    let _ = applying.await;
    let _ = complying.await;
    agent.report(Component::Agent, Severity::Information, MessageId::AgentStopped, &[]);
    agent.anchor_log();
    if tokio::time::timeout(LAST_WORDS, send::flush(&agent)).await.is_err() {
        tracing::info!("the last messages go out at the next start");
    }
    tracing::info!("the agent stopped");
    agent.note_log();
    ended
}

fn load_policy(agent: &Agent) -> Option<Arc<Policy>> {
    let recipient = agent.recipient().ok()?;
    let (trust, identity) = (agent.site.trust(), agent.site.identity());
    policy::load(&agent.policies, trust.bundle(), &identity, recipient, &agent.clock).map(Arc::new)
}

/// A length of the client settings.
fn length(millis: i64) -> Duration {
    Duration::from_millis(millis.max(0).unsigned_abs())
}

/// Waits for a length that the settings say, from now on; other settings that come meanwhile hold at once. `None`: not at all.
async fn pause(policy: &mut watch::Receiver<Option<Arc<Policy>>>, wait: impl Fn(&ClientSettings) -> Option<Duration>) {
    let begun = tokio::time::Instant::now();
    loop {
        let wait = wait(policy.borrow_and_update().as_deref().map_or(&ClientSettings::default(), Policy::settings));
        let over = async {
            match wait {
                Some(wait) => tokio::time::sleep_until(begun + wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => return,
            changed = policy.changed() => if changed.is_err() { std::future::pending::<()>().await },
        }
    }
}

async fn heartbeat(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>) {
    loop {
        let kept = match claims::claims(agent.site.identity().site, &agent.directory) {
            Ok(claims) => {
                let message = Message { time: agent.clock.now(), body: Body::Heartbeat(claims) };
                agent.store.push(&message).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let random = random();
        match kept {
            Ok(()) => pause(&mut policy, |settings| Some(spread(length(settings.heartbeat), random))).await,
            Err(error) => {
                tracing::error!(%error, "a heartbeat could not be kept");
                tokio::time::sleep(spread(Duration::from_secs(300), random)).await;
            }
        }
    }
}
