//! `muster-agent notify`: shows a user of this machine the restart that comes, what is installed, and what can be put off. It needs no privilege and no state directory.

use crate::{
    apply::{
        defer::Upcoming,
        notices::{self, Told},
    },
    local::{self, AskError},
    restart::notice::{Notice, Stage},
};
use muster_model::{
    status::{FailureReason, Verb, WaitReason},
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

/// What is said of a deployment, as `stage` has it.
fn said(told: &Told) -> String {
    let text: String = format!("{} {}", told.name, told.version).chars().filter(|c| !c.is_control()).collect();
    let done = match told.verb {
        Verb::Install => "installed",
        Verb::Uninstall => "removed",
        Verb::Repair => "repaired",
    };
    match (told.stage, told.at) {
        (notices::Stage::Coming, Some(at)) => format!("{text} will be {done} at {} or later.", clock(at)),
        (notices::Stage::Coming, None) => format!("{text} will be {done}."),
        (notices::Stage::Underway, _) => format!("{text} is being {done}. Please leave the machine on."),
        (notices::Stage::Succeeded, _) => format!("{text} was {done}."),
        (notices::Stage::Failed, _) => {
            let why = told.reason.map_or("failed", FailureReason::as_str);
            format!("{text} could not be {done} ({why}). Nothing is for you to do.")
        }
    }
}

/// An installation that comes.
fn comes(one: &Upcoming) -> String {
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let what = if one.removes { "is removed" } else { "is installed" };
    let off = match one.left {
        0 => "It cannot be put off any more.".to_owned(),
        left => format!(
            "It can be put off {left} more time(s), {} minutes each, until {}: muster-agent notify --defer {}",
            one.minutes,
            clock(one.last),
            one.deployment
        ),
    };
    format!("{} {} {what} at {}. {off}", clean(&one.name), clean(&one.version), clock(one.starts))
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Shown {
    #[serde(flatten)]
    notice: Notice,
    /// What is told of software stands beside the restart.
    software: Vec<Told>,
    /// Installations that come and that users may put off.
    upcoming: Vec<Upcoming>,
}

/// Shows it once.
///
/// # Errors
/// See [`NotifyError`].
pub fn once(socket: &Path, json: bool) -> Result<(), NotifyError> {
    let (notice, software, upcoming) = (local::notice(socket)?, local::told(socket)?, local::upcoming(socket)?);
    let text = if json {
        serde_json::to_string_pretty(&Shown { notice, software, upcoming }).map_err(io::Error::other)?
    } else {
        let told = software.iter().map(said).chain(upcoming.iter().map(comes));
        std::iter::once(sentence(&notice)).chain(told).collect::<Vec<_>>().join("\n")
    };
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Shows each change until it is ended; what was put away is not shown.
///
/// # Errors
/// See [`NotifyError`].
#[expect(clippy::disallowed_methods, reason = "a command of its own, which has nothing to do but to wait")]
pub fn follow(socket: &Path) -> Result<(), NotifyError> {
    let (mut shown, mut told) = (String::new(), Vec::new());
    loop {
        let (software, upcoming) = (local::told(socket)?, local::upcoming(socket)?);
        let now: Vec<String> = software.iter().map(said).chain(upcoming.iter().map(comes)).collect();
        for text in now.iter().filter(|text| !told.contains(*text)) {
            writeln!(io::stdout(), "{text}")?;
        }
        told = now;
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

/// Puts an installation off, by its name or deployment.
///
/// # Errors
/// See [`NotifyError`].
pub fn defer(socket: &Path, word: &str) -> Result<(), NotifyError> {
    let (one, until) = local::defer(socket, word)?;
    let name: String = one.name.chars().filter(|c| !c.is_control()).collect();
    Ok(writeln!(
        io::stdout(),
        "{name} is put off until {}; {} time(s) are left.",
        clock(until),
        one.left.saturating_sub(1)
    )?)
}

/// Has the machine restarted.
///
/// # Errors
/// See [`NotifyError`].
pub fn restart_now(socket: &Path) -> Result<(), NotifyError> {
    local::restart_now(socket)?;
    Ok(writeln!(io::stdout(), "This machine restarts.")?)
}
