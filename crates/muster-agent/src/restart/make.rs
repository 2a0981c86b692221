//! Asks the system to restart: with the program of this machine's own configuration, after it was kept that it is asked.

use super::keep;
use crate::{
    agent::Agent,
    os::process::{self, Ending, Job},
};
use muster_model::{
    restart::Begun,
    status::{Component, MessageId, Severity},
};
use std::{path::Path, time::Duration};

/// How long the program may take. The system goes down after it.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn restart(agent: &Agent, program: &[String], boot: &str, begun: Option<Begun>, reasons: &str) {
    let first =
        || Begun { boot: boot.to_owned(), at: agent.clock.now(), tries: 0, reasons: reasons.to_owned(), failed: false };
    let begun = begun.unwrap_or_else(first).again();
    // What could not be kept is not done: after a kill nobody would know of it.
    if let Err(error) = keep::begin(agent, &begun) {
        return tracing::error!(%error, "the machine is not restarted: that could not be kept");
    }
    let Some((path, arguments)) = program.split_first() else { return };
    tracing::warn!(reasons, tries = begun.tries, "the machine is restarted");
    let job = Job {
        program: path.into(),
        arguments: arguments.to_vec(),
        directory: Path::new("/"),
        user: None,
        mark: "restart",
        limit: LIMIT,
        stdin: None,
        environment: Vec::new(),
    };
    let reason = match process::run(job, None).await {
        Ending::Exit(Some(0)) => return,
        Ending::Exit(Some(code)) => format!("{path} ended with {code}"),
        Ending::Exit(None) => format!("{path} was ended by a signal"),
        Ending::TimedOut => format!("{path} ran for more than {} seconds", LIMIT.as_secs()),
        Ending::NotStarted(error) => format!("{path} could not be started: {error}"),
    };
    tracing::error!(reason, "the machine is not restarted");
    agent.report(Component::Agent, Severity::Error, MessageId::RestartFailed, &[("reason", &reason)]);
}
