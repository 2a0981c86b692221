//! The scan: which updates there are. It is taken at its interval and after updates were installed, kept on disk, and told with the inventory.

use super::{ASKS, Refusal, refresh, tool, updates};
use crate::{agent::Agent, clock, policy::Policy};
use muster_model::{
    limits::UPDATE_BYTES,
    settings::ClientSettings,
    time::{HOUR, MINUTE, UnixMillis},
    update::{Simulation, Update, UpdateTool},
};
use serde::{Deserialize, Serialize};
use std::{future::pending, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Where the last scan is kept, in the state directory.
const KEPT: &str = "updates.json";
/// A machine that was just started has other things to do; and not all that were started together ask at once.
const FIRST: i64 = 10 * MINUTE;
/// See [`FIRST`].
const FIRST_SPREAD: Duration = Duration::from_secs(3_000);
/// When a scan that failed is taken again.
const AGAIN: i64 = HOUR;
/// The longest wait without looking at the clock: it may be set, and a machine may sleep.
const LOOK: i64 = 10 * MINUTE;

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanState {
    /// It knows everything.
    Complete,
    /// It knows everything but what stood in lines that could not be read.
    Partial,
    /// Another program has the tool.
    Locked,
    /// A source could not be asked, or is not believed.
    SourceFailed,
    /// The tool did not say what it would do.
    Failed,
}

impl ScanState {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Locked => "locked",
            Self::SourceFailed => "source_failed",
            Self::Failed => "failed",
        }
    }

    /// Whether it came to its end, and what it found counts.
    #[must_use]
    pub const fn is_known(self) -> bool {
        matches!(self, Self::Complete | Self::Partial)
    }
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// When.
    pub time: UnixMillis,
    /// By which tool.
    pub tool: UpdateTool,
    /// How it ended.
    pub state: ScanState,
    /// Why it is not complete.
    pub reason: String,
    /// What the tool offers.
    pub updates: Vec<Update>,
}

/// The last scan, where there was one.
pub(crate) fn kept(agent: &Agent) -> Option<Scan> {
    kept_in(&agent.directory)
}

/// The last scan that is kept in a state directory.
pub(crate) fn kept_in(directory: &crate::os::PrivateDirectory) -> Option<Scan> {
    let bytes = directory.read(KEPT, 2 * UPDATE_BYTES).ok().flatten()?;
    serde_json::from_slice(&bytes).ok()
}

/// Takes scans until the agent ends.
pub(crate) async fn run(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>) {
    let known = policy.wait_for(Option::is_some).await.is_ok();
    if !known || tool(&agent).is_none() {
        return pending::<()>().await;
    }
    let elsewhere = tool(&agent).is_some_and(|tool| tool.is_elsewhere());
    let spread = clock::spread(FIRST_SPREAD, clock::random()).as_millis();
    let delay = if elsewhere { 0 } else { FIRST + i64::try_from(spread).unwrap_or_default() };
    let not_before = agent.clock.now().plus(delay);
    let mut wanted = false;
    loop {
        let settings =
            policy.borrow_and_update().as_deref().map(|policy| policy.settings().clone()).unwrap_or_default();
        let now = agent.clock.now();
        let due = due(kept(&agent).as_ref(), &settings, wanted, not_before, now);
        if due <= now && settings.update_scan_enabled {
            wanted = false;
            if let Err(error) = keep(&agent, &take(&agent).await) {
                tracing::error!(%error, "the scan for updates could not be kept");
            }
            agent.inventory_wanted.notify_one();
        }
        let wait = due.since(agent.clock.now()).clamp(MINUTE, LOOK);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())) => {}
            () = agent.updates.wanted.notified() => wanted = true,
            changed = policy.changed() => if changed.is_err() { pending::<()>().await },
        }
    }
}

/// When the next one is due. A clock that was set back does not put it off.
fn due(
    last: Option<&Scan>,
    settings: &ClientSettings,
    wanted: bool,
    not_before: UnixMillis,
    now: UnixMillis,
) -> UnixMillis {
    let Some(last) = last.filter(|last| last.time <= now) else { return not_before };
    if wanted {
        return now;
    }
    let every = if last.state.is_known() { settings.update_scan } else { AGAIN };
    last.time.plus(every).max(not_before)
}

fn keep(agent: &Agent, scan: &Scan) -> std::io::Result<()> {
    agent.directory.write(KEPT, &serde_json::to_vec(scan)?)
}

/// Takes a scan now and keeps it.
///
/// # Errors
/// When the disk refuses.
pub(crate) async fn again(agent: &Agent) -> std::io::Result<()> {
    keep(agent, &take(agent).await)
}

async fn take(agent: &Agent) -> Scan {
    let _busy = agent.health.busy.begin("updates", tokio::time::Instant::now());
    let found = ask(agent).await;
    let (state, reason, updates) = match found {
        Ok(Simulation { changes, unread: 0, .. }) => (ScanState::Complete, String::new(), updates(changes)),
        Ok(Simulation { changes, unread, first }) => {
            let reason = format!("{unread} line(s) of the tool's output cannot be read, the first: {first}");
            tracing::warn!(reason, "a scan for updates passed over lines");
            (ScanState::Partial, reason, updates(changes))
        }
        Err(refusal) => {
            use muster_model::status::FailureReason::UpdateSource;
            let state = match refusal.reason {
                None => ScanState::Locked,
                Some(UpdateSource) => ScanState::SourceFailed,
                Some(_) => ScanState::Failed,
            };
            tracing::warn!(reason = refusal.text, state = state.as_str(), "a scan for updates is not complete");
            (state, refusal.text, Vec::new())
        }
    };
    tracing::info!(updates = updates.len(), state = state.as_str(), "scan for updates");
    Scan {
        time: agent.clock.now(),
        tool: tool(agent).map_or(UpdateTool::Apt, |tool| tool.kind()),
        state,
        reason,
        updates,
    }
}

async fn ask(agent: &Agent) -> Result<Simulation, Refusal> {
    let tool = tool(agent).ok_or_else(super::no_tool)?;
    refresh(agent, &tool, "scan", ASKS).await?;
    tool.offered(agent, "scan").await
}
