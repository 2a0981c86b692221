//! The client's checks of itself. Each one has a file, and all have one shape: it detects, it mends where it truly can, and what was mended
//! is detected once more before it is said to be mended. What the client cannot mend it says, with what a person can do.

mod clock;
mod command;
mod disk;
mod files;
mod identity;
mod logs;
mod outbox;
mod packages;
mod parts;
mod policy;
mod provisioning;
mod run;
mod service;
mod updates;
mod watchdog;
mod work;

pub use command::command;
pub use parts::{Busy, Parts};
pub(crate) use policy::FETCHED;
pub use run::run;
pub use watchdog::{beat, ready};

use crate::{
    agent::Agent,
    os::{
        PrivateDirectory,
        process::{self, Ending, Job, Output, Tail},
    },
    store::deployments::Progress,
};
use muster_model::{
    health::{CHECKS, CheckOutcome, HealthCheck, HealthReport},
    limits::HEALTH_TEXT_BYTES,
    settings::{ClientSettings, HealthMode},
    status::DeploymentState,
    time::UnixMillis,
};
use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::Notify;

/// How long one look may take.
const LOOKS: Duration = Duration::from_secs(180);
/// How long mending one thing may take.
const MENDS: Duration = Duration::from_secs(1_800);
/// Bytes of a tool's output that are read.
const OUTPUT_BYTES: usize = 64 << 10;

/// What the checks share with the parts of the agent that they wake.
#[derive(Debug, Default)]
pub struct State {
    /// The parts that always run.
    pub parts: Parts,
    /// Which part works on what since when.
    pub busy: Busy,
    /// Told when checks are wanted now.
    pub wanted: Notify,
    /// Told when the outbox is to be sent now, whatever waiting time is left.
    pub(crate) send_now: Notify,
    /// Told whenever sending came to an end, good or bad.
    pub(crate) sent: Notify,
    /// Told whenever a look for policy came to an end, good or bad.
    pub(crate) fetched: Notify,
    /// Told whenever the part that applies deployments has looked for a servicing that was interrupted.
    pub(crate) recovered: Notify,
    /// Packages wait for a maintenance window to be mended.
    pub(crate) packages_wait: AtomicBool,
    /// Only another process gets rid of what hangs: this one ends once it has said so.
    pub(crate) gives_up: AtomicBool,
    /// Told when it has.
    pub(crate) gave_up: Notify,
}

/// What the checks look at. `muster-agent health` looks beside a running agent, and so without one.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    /// Where the files of the machine begin.
    pub root: &'a Path,
    /// The state directory.
    pub directory: &'a PrivateDirectory,
    /// The time.
    pub now: UnixMillis,
    /// The settings in force.
    pub settings: ClientSettings,
    /// The policy in force.
    pub policy: Option<Arc<crate::policy::Policy>>,
    /// The running agent, which alone can mend.
    pub agent: Option<&'a Arc<Agent>>,
    /// Bytes of the disk that must be free; `None`: what the content cache leaves to others.
    pub least_free: Option<u64>,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing is wrong.
    Sound,
    /// There is nothing of the kind here, and why.
    Nothing(String),
    /// It is wrong, and the client can try to mend it.
    Wrong(String),
    /// It is wrong, and only a person can mend it, like this.
    Beyond(String, String),
}

async fn detect(scene: &Scene<'_>, name: &str) -> Finding {
    match name {
        "service" => service::detect(scene),
        "files" => files::detect(scene).await,
        "identity" => identity::detect(scene),
        "clock" => clock::detect(scene),
        "disk" => disk::detect(scene),
        "outbox" => outbox::detect(scene),
        "policy" => policy::detect(scene),
        "packages" => packages::detect(scene),
        "updates" => updates::detect(scene),
        "logs" => logs::detect(scene),
        "work" => work::detect(scene),
        "provisioning" => provisioning::detect(scene),
        _ => Finding::Nothing("This client does not know the check.".to_owned()),
    }
}

/// What was done, or why it could not be.
async fn mend(scene: &Scene<'_>, agent: &Arc<Agent>, name: &str) -> Result<String, String> {
    match name {
        "service" => service::mend(scene).await,
        "identity" => identity::mend(agent).await,
        "disk" => disk::mend(scene, agent),
        "outbox" => outbox::mend(agent).await,
        "policy" => policy::mend(agent).await,
        "packages" => packages::mend(scene, agent).await,
        "updates" => updates::mend(agent).await,
        "logs" => logs::mend(agent).await,
        "work" => work::mend(agent).await,
        "provisioning" => provisioning::mend(agent).await,
        _ => Err("The client cannot mend this.".to_owned()),
    }
}

async fn look(scene: &Scene<'_>, name: &str) -> Finding {
    let late =
        || Finding::Beyond("The look did not come to an end.".to_owned(), "Something of the machine hangs.".to_owned());
    tokio::time::timeout(LOOKS, detect(scene, name)).await.unwrap_or_else(|_| late())
}

/// Bounded, and of one line: it goes into a message.
fn sentence(text: &str) -> String {
    let mut out: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while out.len() > HEALTH_TEXT_BYTES {
        out.pop();
    }
    out.trim().to_owned()
}

/// Makes one check: detect, mend, verify.
pub async fn check_one(scene: &Scene<'_>, name: &str, mode: HealthMode) -> HealthCheck {
    let result = |outcome, found: &str, done: &str| HealthCheck {
        name: name.to_owned(),
        outcome,
        found: sentence(found),
        done: sentence(done),
    };
    let found = match look(scene, name).await {
        Finding::Sound => return result(CheckOutcome::Passed, "", ""),
        Finding::Nothing(why) => return result(CheckOutcome::NotApplicable, "", &why),
        Finding::Beyond(found, advice) => return result(CheckOutcome::Failed, &found, &advice),
        Finding::Wrong(found) => found,
    };
    let Some(agent) = scene.agent else {
        return result(CheckOutcome::Failed, &found, "The running agent mends it at its next checks, where it may.");
    };
    if mode != HealthMode::Remediate {
        return result(CheckOutcome::Failed, &found, "Nothing was done: this client only says what it finds.");
    }
    tracing::warn!(check = name, found, "a check of the client found something wrong; it is mended");
    let mended = tokio::time::timeout(MENDS, mend(scene, agent, name)).await;
    match mended.unwrap_or_else(|_| Err("Mending it did not come to an end.".to_owned())) {
        Err(why) => result(CheckOutcome::Failed, &found, &why),
        // Only what is seen to be mended is.
        Ok(done) => match look(&Scene { now: agent.clock.now(), ..scene.clone() }, name).await {
            Finding::Sound | Finding::Nothing(_) => result(CheckOutcome::Remedied, &found, &done),
            Finding::Wrong(still) | Finding::Beyond(still, _) => {
                result(CheckOutcome::Failed, &found, &format!("{done} It did not help: {still}"))
            }
        },
    }
}

/// Makes every check.
pub async fn check(scene: &Scene<'_>, mode: HealthMode) -> HealthReport {
    let mut checks = Vec::with_capacity(CHECKS.len());
    for name in CHECKS {
        checks.push(check_one(scene, name, mode).await);
    }
    HealthReport { remediates: mode == HealthMode::Remediate, checks }
}

/// Whether an installation or a servicing goes on, or nobody knows: then the client does nothing of its own to this machine.
fn is_at_work(agent: &Agent) -> bool {
    let installs = |all: Vec<Progress>| all.iter().any(|progress| progress.state == DeploymentState::Installing);
    crate::servicing::begun(&agent.directory).is_some() || agent.store.deployments().map_or(true, installs)
}

/// A tool of the system, its arguments as they are and no shell; its code and what it printed, with its `errors` or without.
async fn tool(
    scene: &Scene<'_>,
    place: &str,
    program: &str,
    arguments: Vec<String>,
    limit: Duration,
    errors: bool,
) -> Result<(i32, String), String> {
    // Whoever looks beside the agent has a place of its own.
    let beside = if scene.agent.is_some() { "" } else { ".beside" };
    tool_in(scene.directory, &format!("health.{place}{beside}"), program, arguments, limit, errors).await
}

async fn tool_in(
    state: &PrivateDirectory,
    pipe: &str,
    program: &str,
    arguments: Vec<String>,
    limit: Duration,
    errors: bool,
) -> Result<(i32, String), String> {
    let failed = |error: std::io::Error| format!("{program} cannot be started: {error}.");
    let runs = state.directory("run").map_err(|error| format!("{error}."))?;
    let output = Output::open(&runs, pipe, true).map_err(failed)?;
    let mut output = if errors { output } else { output.without_errors() };
    let mut tail = Tail::new(OUTPUT_BYTES);
    let mark = format!("{pipe} {}", runs.path().display());
    let environment = vec![("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned())];
    let job = Job {
        program: program.into(),
        arguments,
        directory: runs.path(),
        user: None,
        mark: &mark,
        limit,
        stdin: None,
        environment,
    };
    let ending = process::run(job, Some((&mut output, &mut tail))).await;
    let _ = runs.remove(pipe);
    match ending {
        Ending::Exit(Some(code)) => Ok((code, tail.into_text())),
        Ending::Exit(None) => Err(format!("{program} was ended by a signal.")),
        Ending::TimedOut => Err(format!("{program} ran for more than {} seconds, and was ended.", limit.as_secs())),
        Ending::NotStarted(error) => Err(failed(error)),
    }
}

/// The argument by which a tool works on another tree than this machine's.
fn root_argument(root: &Path) -> Option<String> {
    (root != Path::new("/")).then(|| format!("--root={}", root.display()))
}
