//! What is kept of restarts: what was said of them, and the one that was begun, until another run of the system proves it.

use crate::{
    agent::Agent,
    store::{StoreError, outbox},
};
use muster_model::{
    report::Message,
    restart::Begun,
    status::{Component, MessageId, Severity},
    time::SECOND,
};

/// Reasons of which the site was told.
const SAID: &str = "restart_said";
/// The restart that was begun; empty: none.
const BEGUN: &str = "restart_begun";

/// The restart that was begun.
pub(super) fn begun(agent: &Agent) -> Option<Begun> {
    let text = agent.store.value(BEGUN).ok().flatten()?;
    serde_json::from_str(&text).ok()
}

fn message(agent: &Agent, severity: Severity, id: MessageId, values: &[(&str, &str)]) -> Message {
    Message { time: agent.clock.now(), body: outbox::status(Component::Agent, severity, id, values) }
}

/// Tells the site what needs a restart, once for each change. Whether it was one.
pub(super) fn say(agent: &Agent, reasons: &str) -> bool {
    let said = agent.store.value(SAID).ok().flatten().unwrap_or_default();
    if said == reasons {
        return false;
    }
    let told = match reasons.is_empty() {
        true => message(agent, Severity::Information, MessageId::RestartNotPending, &[]),
        false => message(agent, Severity::Warning, MessageId::RestartPending, &[("reasons", reasons)]),
    };
    if let Err(error) = agent.store.tell(SAID, reasons, &told) {
        tracing::warn!(%error, "what needs a restart could not be told");
        return false;
    }
    true
}

/// Keeps that the system is asked, before it is.
pub(super) fn begin(agent: &Agent, begun: &Begun) -> Result<(), StoreError> {
    let text = serde_json::to_string(begun).unwrap_or_default();
    let values = [("tries", begun.tries.to_string()), ("reasons", begun.reasons.clone())];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    let told = message(agent, Severity::Information, MessageId::RestartBegun, &values);
    agent.store.tell(BEGUN, &text, &told)
}

/// Says once that a restart was given up in this run of the system.
pub(super) fn give_up(agent: &Agent, begun: Option<Begun>) {
    let Some(begun) = begun.filter(|begun| !begun.failed) else { return };
    let reason = format!("it was asked {} times, and the system still runs", begun.tries);
    let told = message(agent, Severity::Error, MessageId::RestartFailed, &[("reason", &reason)]);
    let text = serde_json::to_string(&Begun { failed: true, ..begun }).unwrap_or_default();
    if let Err(error) = agent.store.tell(BEGUN, &text, &told) {
        tracing::warn!(%error, "a restart that was given up could not be kept");
    }
}

/// Where another run of the system proves a restart that was begun: tells the site, and forgets it.
pub(super) fn prove(agent: &Agent) {
    let boot = agent.boot();
    let Some(begun) = begun(agent).filter(|begun| begun.is_proven(&boot)) else { return };
    let pending = agent.restart_pending().map_or(0, |pending| pending.len());
    let left = (pending + agent.collector.restart_signs().len()).to_string();
    let seconds = (agent.clock.now().since(begun.at) / SECOND).max(0).to_string();
    let values = [("seconds", seconds.as_str()), ("left", left.as_str())];
    let told = message(agent, Severity::Information, MessageId::Restarted, &values);
    match agent.store.tell(BEGUN, "", &told) {
        Ok(()) => tracing::info!(seconds, left, "the machine was restarted"),
        Err(error) => tracing::warn!(%error, "the proof of a restart could not be kept"),
    }
}
