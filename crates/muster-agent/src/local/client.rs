//! A user's end: one question, one answer.

use super::{Answer, Request};
use crate::{
    apply::{
        defer::Upcoming,
        notices::Told,
        software::{Declined, Software},
    },
    restart::notice::Notice,
};
use muster_model::{
    id::DeploymentId,
    limits::{LOCAL_ANSWER_BYTES, LOCAL_SECONDS},
    status::Verb,
    time::UnixMillis,
};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// Why there is no answer that helps.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No agent answers.
    #[error("the agent of this machine cannot be asked at {0}: {1}; is it running?")]
    NoAgent(String, io::Error),
    /// It is not begun.
    #[error("{}", .0.sentence())]
    Declined(Declined),
    /// Not an answer.
    #[error("the agent gave an answer that this program does not understand")]
    Answer,
    /// No offer of that name.
    #[error("no software here is called {0:?}; `muster-agent software list` shows all")]
    Unknown(String),
    /// Several offers of that name.
    #[error("several are called {0:?}; give the id, as `muster-agent software list` shows it")]
    Several(String),
}

fn ask(socket: &Path, request: &Request) -> Result<Answer, AskError> {
    let failed = |error| AskError::NoAgent(socket.display().to_string(), error);
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    let patience = Some(Duration::from_secs(LOCAL_SECONDS * 2));
    stream.set_read_timeout(patience).map_err(failed)?;
    stream.set_write_timeout(patience).map_err(failed)?;
    let mut line = serde_json::to_vec(request).map_err(|_| AskError::Answer)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(LOCAL_ANSWER_BYTES as u64).read_to_end(&mut answer).map_err(failed)?;
    match serde_json::from_slice(&answer) {
        Ok(Answer::Declined { why }) => Err(AskError::Declined(why)),
        Ok(answer) => Ok(answer),
        Err(_) => Err(AskError::Answer),
    }
}

/// What is offered to the users of this machine.
///
/// # Errors
/// See [`AskError`].
pub fn list(socket: &Path) -> Result<Vec<Software>, AskError> {
    match ask(socket, &Request::List {})? {
        Answer::List { software } => Ok(software),
        _ => Err(AskError::Answer),
    }
}

/// The restart that comes.
///
/// # Errors
/// See [`AskError`].
pub fn notice(socket: &Path) -> Result<Notice, AskError> {
    match ask(socket, &Request::Notice {})? {
        Answer::Notice { notice } => Ok(notice),
        _ => Err(AskError::Answer),
    }
}

/// What users are told of deployments. An agent that knows of no such thing tells nothing.
///
/// # Errors
/// See [`AskError`].
pub fn told(socket: &Path) -> Result<Vec<Told>, AskError> {
    match ask(socket, &Request::Told {}) {
        Ok(Answer::Told { told }) => Ok(told),
        Ok(_) => Err(AskError::Answer),
        Err(AskError::Declined(Declined::Malformed | Declined::NotOffered)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What comes and can be put off. Before there is a policy, nothing.
///
/// # Errors
/// See [`AskError`].
pub fn upcoming(socket: &Path) -> Result<Vec<Upcoming>, AskError> {
    match ask(socket, &Request::Upcoming {}) {
        Ok(Answer::Upcoming { upcoming }) => Ok(upcoming),
        Err(AskError::Declined(Declined::NotOffered)) => Ok(Vec::new()),
        Ok(_) => Err(AskError::Answer),
        Err(error) => Err(error),
    }
}

/// Puts something off, by its id or its name. Which one it is, and until when.
///
/// # Errors
/// See [`AskError`].
pub fn defer(socket: &Path, word: &str) -> Result<(Upcoming, UnixMillis), AskError> {
    let all = upcoming(socket)?;
    let id: Option<DeploymentId> = word.parse().ok();
    let named = |one: &&Upcoming| match id {
        Some(id) => one.deployment == id,
        None => one.name.eq_ignore_ascii_case(word),
    };
    let mut found = all.iter().filter(named);
    let one = found.next().ok_or_else(|| AskError::Unknown(word.to_owned()))?;
    if found.next().is_some() {
        return Err(AskError::Several(word.to_owned()));
    }
    match ask(socket, &Request::Defer { deployment: one.deployment })? {
        Answer::Deferred { until } => Ok((one.clone(), until)),
        _ => Err(AskError::Answer),
    }
}

fn taken(socket: &Path, request: &Request) -> Result<(), AskError> {
    match ask(socket, request)? {
        Answer::Taken => Ok(()),
        _ => Err(AskError::Answer),
    }
}

/// Puts the notice of a restart away.
///
/// # Errors
/// See [`AskError`].
pub fn snooze(socket: &Path) -> Result<(), AskError> {
    taken(socket, &Request::Snooze {})
}

/// Has the machine restarted now.
///
/// # Errors
/// See [`AskError`].
pub fn restart_now(socket: &Path) -> Result<(), AskError> {
    taken(socket, &Request::RestartNow {})
}

/// Has something begun, by its id or its name. Which one it is.
///
/// # Errors
/// See [`AskError`].
pub fn begin(socket: &Path, verb: Verb, word: &str) -> Result<Software, AskError> {
    let offers = list(socket)?;
    let id: Option<DeploymentId> = word.parse().ok();
    let named = |offer: &&Software| match id {
        Some(id) => offer.deployment == id,
        None => {
            offer.name.eq_ignore_ascii_case(word)
                || format!("{} {}", offer.name, offer.version).eq_ignore_ascii_case(word)
        }
    };
    let mut found = offers.iter().filter(named);
    let offer = found.next().ok_or_else(|| AskError::Unknown(word.to_owned()))?;
    if found.next().is_some() {
        return Err(AskError::Several(word.to_owned()));
    }
    match ask(socket, &Request::Begin { verb, deployment: offer.deployment })? {
        Answer::Begun => Ok(offer.clone()),
        _ => Err(AskError::Answer),
    }
}
