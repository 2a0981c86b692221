//! `muster-agent notify`: shows a user of this machine the restart that comes. It needs no privilege and no state directory.

use crate::{
    local::{self, AskError},
    restart::notice::{Notice, Stage},
};
use muster_model::{
    status::WaitReason,
    time::{MINUTE, UnixMillis},
};
use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

/// How often is asked.
const PAUSE: Duration = Duration::from_secs(10);

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The agent.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The output.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// A moment as a clock on this machine shows it.
fn clock(at: UnixMillis) -> String {
    let zone = crate::collect::Collector::this_machine().time_zone();
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => crate::clock::shown(at),
    }
}

fn sentence(notice: &Notice) -> String {
    let reasons: String = notice.reasons.chars().filter(|c| !c.is_control()).collect();
    let at = notice.at.map(clock);
    match (notice.stage, at) {
        (Stage::None, _) if reasons.is_empty() => "This machine needs no restart.".to_owned(),
        (Stage::None, _) => format!("This machine needs a restart, and makes none by itself ({reasons})."),
        (Stage::Notice, Some(at)) => format!("This machine restarts at {at} ({reasons})."),
        (Stage::Waits, Some(at)) => {
            format!("This machine restarts in its maintenance window from {at} on ({reasons}).")
        }
        (Stage::Notice | Stage::Waits, None) => {
            let why = notice.waits.map_or("window", WaitReason::as_str);
            format!("This machine needs a restart, which waits ({why}; {reasons}).")
        }
        (Stage::Countdown, _) => {
            let minutes = (notice.left.unwrap_or(0).max(0) * 1_000 + MINUTE - 1) / MINUTE;
            format!("This machine restarts in {minutes} minutes. Save your work ({reasons}).")
        }
        (Stage::Underway, _) => "This machine restarts now.".to_owned(),
        (Stage::Failed, _) => format!("This machine needs a restart that did not come about ({reasons})."),
    }
}

/// Shows it once.
///
/// # Errors
/// See [`NotifyError`].
pub fn once(socket: &Path, json: bool) -> Result<(), NotifyError> {
    let notice = local::notice(socket)?;
    let text = if json { serde_json::to_string_pretty(&notice).map_err(io::Error::other)? } else { sentence(&notice) };
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Shows each change until it is ended; what was put away is not shown.
///
/// # Errors
/// See [`NotifyError`].
#[expect(clippy::disallowed_methods, reason = "a command of its own, which has nothing to do but to wait")]
pub fn follow(socket: &Path) -> Result<(), NotifyError> {
    let mut shown = String::new();
    loop {
        let notice = local::notice(socket)?;
        let text = sentence(&notice);
        let is_quiet = notice.put_away || (shown.is_empty() && notice.reasons.is_empty());
        if !is_quiet && text != shown {
            writeln!(io::stdout(), "{text}")?;
            shown = text;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Puts the notice away.
///
/// # Errors
/// See [`NotifyError`].
pub fn snooze(socket: &Path) -> Result<(), NotifyError> {
    local::snooze(socket)?;
    Ok(writeln!(io::stdout(), "The notice is put away.")?)
}

/// Has the machine restarted.
///
/// # Errors
/// See [`NotifyError`].
pub fn restart_now(socket: &Path) -> Result<(), NotifyError> {
    local::restart_now(socket)?;
    Ok(writeln!(io::stdout(), "This machine restarts.")?)
}
