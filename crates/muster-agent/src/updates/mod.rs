//! Software updates: the system's own tool is asked which there are, and told to install those of a signed group. Only with that tool's own
//! check of signatures, and only after it said what it would do and that is what the group allows.

mod apt;
mod dnf;
mod scan;
mod tool;

pub use scan::{Scan, ScanState};
pub(crate) use scan::{again, kept, kept_in, run};

use crate::{
    agent::Agent,
    os::{
        Machine,
        process::{self, Ending, Job, Output, Tail},
    },
};
use muster_model::{
    id::DeploymentId,
    limits::UPDATE_BYTES,
    status::FailureReason,
    time::{DAY, UnixMillis},
    update::{Change, Installed, Missing, Simulation, Update, UpdateGroup},
};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};
use tokio::sync::{Mutex, Notify};
use tool::Tool;

/// How long the tool may think.
const THINKS: Duration = Duration::from_secs(120);
/// How long it may ask its sources.
const ASKS: Duration = Duration::from_secs(900);

/// What the parts of the agent share.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Told when updates were installed: a new scan is wanted.
    pub(crate) wanted: Notify,
    /// One at a time asks the sources.
    turn: Mutex<()>,
    /// When they last all answered, in milliseconds.
    refreshed: AtomicI64,
}

/// Why nothing is installed now.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// As the site is told. `None`: another program has the tool; it passes.
    pub(crate) reason: Option<FailureReason>,
    /// For people.
    pub(crate) text: String,
}

impl Refusal {
    fn new(reason: FailureReason, text: impl Into<String>) -> Self {
        Self { reason: Some(reason), text: text.into() }
    }
}

/// What the tool is told, when it said what it will do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// What of the group is missing and not in it, and why; empty: nothing.
    pub(crate) left_out: String,
}

/// A run of the tool that came to its end.
struct Ran {
    code: Option<i32>,
    text: String,
}

/// Runs the tool to its end, as the agent's user and without a shell.
async fn call(
    agent: &Agent,
    place: &str,
    program: PathBuf,
    arguments: Vec<String>,
    errors: bool,
    limit: Duration,
) -> Result<Ran, String> {
    let failed = |error: std::io::Error| format!("The tool for updates cannot be started: {error}.");
    let pipe = format!("updates.{place}");
    let output = Output::open(&agent.runs, &pipe, true).map_err(failed)?;
    let mut output = if errors { output } else { output.without_errors() };
    let mark = format!("{pipe} {}", agent.runs.path().display());
    process::end_everything(&mark, None);
    let mut tail = Tail::new(UPDATE_BYTES).or_end();
    let job = Job {
        program,
        arguments,
        directory: agent.runs.path(),
        user: None,
        mark: &mark,
        limit,
        stdin: None,
        environment: Vec::new(),
    };
    let ending = process::run(job, Some((&mut output, &mut tail))).await;
    if let Err(error) = agent.runs.remove(&pipe) {
        tracing::warn!(%error, "the pipe of the tool for updates could not be removed");
    }
    let cut = tail.was_cut();
    match ending {
        Ending::Exit(code) => Ok(Ran { code, text: tail.into_text() }),
        Ending::TimedOut if cut => {
            Err(format!("The tool for updates printed more than {UPDATE_BYTES} bytes, and was ended."))
        }
        Ending::TimedOut => Err(format!("The tool for updates ran for more than {} seconds.", limit.as_secs())),
        Ending::NotStarted(error) => Err(failed(error)),
    }
}

/// The tool of this machine.
fn tool(agent: &Agent) -> Option<Tool<'_>> {
    Tool::of(agent.collector.root())
}

/// The tool of this machine, where it is the one of the group.
fn tool_of<'a>(agent: &'a Agent, group: &UpdateGroup) -> Result<Tool<'a>, Refusal> {
    tool(agent).filter(|tool| tool.kind() == group.tool).ok_or_else(no_tool)
}

fn no_tool() -> Refusal {
    Refusal::new(FailureReason::UpdateRefused, "This client cannot install updates with this system's tool.")
}

/// Asks the sources, one at a time.
async fn refresh(agent: &Agent, tool: &Tool<'_>, place: &str, limit: Duration) -> Result<(), Refusal> {
    let _turn = agent.updates.turn.lock().await;
    tool.refresh(agent, place, limit).await?;
    agent.updates.refreshed.store(agent.clock.now().0, Ordering::Relaxed);
    Ok(())
}

/// Whether what the tool knows is of today.
fn is_fresh(agent: &Agent) -> bool {
    let now = agent.clock.now();
    let refreshed = UnixMillis(agent.updates.refreshed.load(Ordering::Relaxed));
    let scanned = kept(agent).filter(|scan| scan.state.is_known()).map(|scan| scan.time);
    [Some(refreshed), scanned].into_iter().flatten().any(|at| (0..DAY).contains(&now.since(at)))
}

/// Whether nothing of a group is missing here. A tool that knows nothing finds nothing missing: where what it knows is old its sources are
/// asked, and where they do not answer the group does not count as complete.
pub(crate) async fn is_complete(agent: &Agent, id: DeploymentId, group: &UpdateGroup) -> Result<bool, Refusal> {
    let tool = tool_of(agent, group)?;
    if group.criteria.is_some()
        && !is_fresh(agent)
        && let Err(refusal) = refresh(agent, &tool, &format!("{id}.ask"), ASKS).await
    {
        tracing::warn!(deployment = %id, reason = refusal.text, "what updates there are is not known");
        return Ok(false);
    }
    Ok(missing(agent, &tool, &format!("{id}.look"), group).await?.is_empty())
}

async fn missing(agent: &Agent, tool: &Tool<'_>, place: &str, group: &UpdateGroup) -> Result<Vec<Missing>, Refusal> {
    let offered = updates(tool.offered(agent, place).await?.changes);
    let root = agent.collector.root().to_owned();
    let packages = tokio::task::spawn_blocking(move || Machine::open(&root).ok()?.packages(&mut Vec::new()));
    let packages = packages.await.ok().flatten().ok_or_else(|| {
        Refusal::new(FailureReason::DetectionFailed, "The list of installed packages cannot be read.")
    })?;
    let database = group.tool.database();
    let installed: Vec<Installed<'_>> = packages
        .iter()
        .filter(|package| package.evidence == database)
        .map(|package| Installed { name: &package.name, version: &package.version })
        .collect();
    Ok(group.missing(&offered, &installed))
}

fn updates(changes: Vec<Change>) -> Vec<Update> {
    let update = |change| match change {
        Change::Install(update) => Some(update),
        Change::Remove { .. } => None,
    };
    changes.into_iter().filter_map(update).collect()
}

/// Asks the sources, and makes the command that installs what of the group is missing and nothing else.
pub(crate) async fn plan(
    agent: &Agent,
    id: DeploymentId,
    group: &UpdateGroup,
    limit: Duration,
) -> Result<Plan, Refusal> {
    let tool = tool_of(agent, group)?;
    refresh(agent, &tool, &format!("{id}.ask"), limit.min(ASKS)).await?;
    let missing = missing(agent, &tool, &format!("{id}.look"), group).await?;
    let wanted: Vec<&Missing> = missing.iter().filter(|missing| missing.version.is_some()).collect();
    let nowhere = missing.iter().filter(|missing| missing.version.is_none());
    let mut left_out: Vec<String> = nowhere.map(Missing::shown).collect();
    if wanted.is_empty() {
        let text = format!("Nothing that the group allows is offered: {}.", shown(&left_out));
        return Err(Refusal::new(FailureReason::UpdateRefused, text));
    }
    let place = format!("{id}.plan");
    let chosen = match judged(agent, &tool, &place, group, &wanted).await {
        Ok(()) => wanted,
        Err(Refusal { reason: None, text }) => return Err(Refusal { reason: None, text }),
        Err(whole) => {
            // Perhaps one of them alone is in the way of all others: those that the tool takes along without anything else are tried.
            let (chosen, rest) = tool.easy(agent, &place, group, wanted).await?;
            if chosen.is_empty() || rest.is_empty() {
                return Err(whole);
            }
            judged(agent, &tool, &place, group, &chosen).await?;
            left_out.extend(rest.into_iter().map(|missing| format!("{}: {}", missing.shown(), whole.text)));
            chosen
        }
    };
    let (program, arguments) = tool.install(&chosen);
    let left_out = if left_out.is_empty() { String::new() } else { format!("Not installed: {}", shown(&left_out)) };
    Ok(Plan { program, arguments, left_out })
}

/// Whether what the tool would do for these is what the group allows.
async fn judged(
    agent: &Agent,
    tool: &Tool<'_>,
    place: &str,
    group: &UpdateGroup,
    wanted: &[&Missing],
) -> Result<(), Refusal> {
    let simulation = tool.simulate(agent, place, wanted).await?;
    judge_all(group, wanted, simulation)
}

/// What the tool would do is judged, and that it would do all that is wanted: it may come to an answer that leaves something out.
fn judge_all(group: &UpdateGroup, wanted: &[&Missing], simulation: Simulation) -> Result<(), Refusal> {
    let does = |missing: &&Missing| {
        let same = |update: &Update| {
            update.package == missing.package
                && missing.version.as_ref() == Some(&update.candidate)
                && missing.architecture.as_ref().is_none_or(|of| *of == update.architecture)
        };
        simulation.changes.iter().any(|change| matches!(change, Change::Install(update) if same(update)))
    };
    let lacking: Vec<String> = wanted.iter().filter(|missing| !does(missing)).map(|missing| missing.shown()).collect();
    if !lacking.is_empty() {
        let text = format!("The tool would leave out {}.", shown(&lacking));
        return Err(Refusal::new(FailureReason::UpdateRefused, text));
    }
    judge(group, simulation)
}

fn judge(group: &UpdateGroup, simulation: Simulation) -> Result<(), Refusal> {
    let refused = |text: String| Refusal::new(FailureReason::UpdateRefused, text);
    // A line that cannot be read may say anything: then what the tool would do is not known.
    let changes = simulation.all().map_err(|error| refused(error.to_string()))?;
    if changes.is_empty() {
        return Err(refused("The tool would do nothing.".to_owned()));
    }
    group.permits(&changes).map_err(refused)
}

/// Where what a tool said is that another program has it.
pub(crate) fn locked(text: &str) -> Option<Refusal> {
    let of_apt = ["Could not get lock", "Unable to lock", "Unable to acquire the dpkg frontend lock"];
    let says = |line: &&str| {
        (line.starts_with("E: ") && of_apt.iter().any(|lock| line.contains(lock)))
            // As dpkg says it itself, where its own lock was taken after apt had the outer one.
            || (line.starts_with("dpkg: error: ") && line.contains("locked by another process"))
            || line.contains(" already locked by ")
            || line.contains("can't create transaction lock on ")
            || line.contains("Failed to obtain the transaction lock")
    };
    let line = text.lines().find(says)?;
    Some(Refusal { reason: None, text: line.chars().take(300).collect() })
}

/// The errors that a tool said, or its last lines.
fn end(text: &str) -> String {
    let marks = ["E: ", "Err:", "W: ", "Error: ", "No match for "];
    let mut lines: Vec<&str> =
        text.lines().filter(|line| marks.iter().any(|mark| line.starts_with(mark))).take(10).collect();
    if lines.is_empty() {
        lines = text.lines().rev().take(10).collect();
        lines.reverse();
    }
    lines.join("\n").chars().take(2_000).collect()
}

/// The first few of them.
fn shown(all: &[String]) -> String {
    let head: Vec<&str> = all.iter().take(20).map(String::as_str).collect();
    match all.len() - head.len() {
        0 => head.join("; "),
        more => format!("{}; and {more} more", head.join("; ")),
    }
}
