//! Users of this machine and the running agent: a socket to which every user can connect, and which says who connects. A user can ask what
//! the policy offers, and that it is begun; nothing that a user sends names a program, a file or a server.

mod client;
mod server;

pub use client::{AskError, begin, defer, list, notice, restart_now, snooze, told, upcoming};
pub(crate) use server::run;

use crate::{
    apply::{
        defer::Upcoming,
        notices::Told,
        software::{Declined, Software},
    },
    restart::notice::Notice,
};
use muster_model::{id::DeploymentId, status::Verb, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// What a user asks: one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What is offered.
    List {},
    /// The restart that comes.
    Notice {},
    /// What is told of deployments that say so.
    Told {},
    /// Put its notice away.
    Snooze {},
    /// Restart now.
    RestartNow {},
    /// What comes and can be put off.
    Upcoming {},
    /// Put it off.
    Defer {
        /// Which.
        deployment: DeploymentId,
    },
    /// Have it begun.
    Begin {
        /// Which command.
        verb: Verb,
        /// Of which offer.
        deployment: DeploymentId,
    },
}

/// What the agent answers: one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// What is offered.
    List {
        /// The offers.
        software: Vec<Software>,
    },
    /// The restart that comes.
    Notice {
        /// What is shown.
        notice: Notice,
    },
    /// What is told of deployments.
    Told {
        /// Each of them.
        told: Vec<Told>,
    },
    /// What comes and can be put off.
    Upcoming {
        /// The installations.
        upcoming: Vec<Upcoming>,
    },
    /// It is put off.
    Deferred {
        /// Until when.
        until: UnixMillis,
    },
    /// The answer to a notice was taken.
    Taken,
    /// It is kept, and begins.
    Begun,
    /// Nothing changed.
    Declined {
        /// Why.
        why: Declined,
    },
}
