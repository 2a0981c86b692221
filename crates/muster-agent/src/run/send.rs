//! Sends what is in the outbox: in batches, signed, again until the site has acknowledged them.

use crate::{
    agent::Agent,
    clock::{Backoff, random},
    http::HttpError,
    session::Session,
    store::{
        StoreError,
        outbox::{Answered, Outgoing},
    },
};
use muster_model::{
    problem::Code,
    report::{Channel, REPORT_TYPE},
};
use muster_trust::envelope::{self, EnvelopeError};
use std::{sync::Arc, time::Duration};

/// What comes within this time goes out together.
const GATHER: Duration = Duration::from_millis(50);
/// How long to wait at least after the site said that this client is not active.
const NOT_ACTIVE: Duration = Duration::from_secs(300);
/// How often in a row a batch may be put in order again before waiting.
const REPAIRS: u32 = 4;

/// Why the outbox could not be emptied.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The site cannot be reached, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Signing.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Compression.
    #[error("a batch could not be compressed")]
    Compression,
    /// The site's answer does not fit what was sent.
    #[error("the site's answer does not fit the messages that were sent; nothing is forgotten")]
    Contradiction,
}

/// Sends whenever there is something, until the task is ended.
pub async fn run(agent: Arc<Agent>) {
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(600));
    loop {
        let flushed = flush(&agent).await;
        agent.health.sent.notify_waiters();
        match flushed {
            Ok(()) => {
                agent.site.content();
                backoff.reset();
                agent.store.wait_for_more().await;
                tokio::time::sleep(GATHER).await;
            }
            Err(error) => {
                let mut wait = backoff.next(random());
                if let SendError::Http(error) = &error {
                    agent.site.turn_away();
                    if error.clock_difference().is_some() {
                        agent.compare_clock(error.clock_difference());
                    }
                    if error.is_locked_out() {
                        wait = wait.max(NOT_ACTIVE);
                    }
                }
                tracing::warn!(%error, wait = wait.as_secs(), "messages could not be sent; they are kept");
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = agent.health.send_now.notified() => backoff.reset(),
                }
            }
        }
    }
}

/// Sends everything that is there now.
///
/// # Errors
/// See [`SendError`]; what was not acknowledged is still in the outbox.
pub async fn flush(agent: &Agent) -> Result<(), SendError> {
    let mut session = None;
    for channel in Channel::ALL {
        let mut repairs = 0;
        while let Some(batch) = agent.store.batch(agent.site.identity().site, *channel, agent.clock.now())? {
            let session = match &mut session {
                Some(session) => session,
                none => none.insert(agent.site.session().await?),
            };
            match send(agent, session, &batch).await {
                Ok(()) => repairs = 0,
                Err(SendError::Http(error)) if repairs < REPAIRS && repair(agent, &batch, &error)? => repairs += 1,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

async fn send(agent: &Agent, session: &mut Session, batch: &Outgoing) -> Result<(), SendError> {
    let payload = zstd::bulk::compress(&batch.json, 3).map_err(|_| SendError::Compression)?;
    let envelope = envelope::sign1(&agent.site.key, REPORT_TYPE, payload)?;
    if envelope.len() > agent.limits.report_bytes {
        agent.store.too_large(batch, agent.clock.now())?;
        return Ok(());
    }
    let answer = session.report(envelope).await?;
    match agent.store.answered(batch, &answer)? {
        Answered::Acknowledged { resync } => {
            if resync {
                tracing::info!(classes = answer.resync.join(", "), "the site asks for classes of the inventory again");
                agent.inventory_wanted.notify_one();
            }
            Ok(())
        }
        Answered::Contradiction => Err(SendError::Contradiction),
    }
}

/// Puts the outbox in order after a refusal that says how. `true`: try again at once.
fn repair(agent: &Agent, batch: &Outgoing, error: &HttpError) -> Result<bool, StoreError> {
    let Some(problem) = error.problem() else { return Ok(false) };
    match (problem.code, problem.expected) {
        (Code::SequenceGap, Some(expected)) => {
            tracing::warn!(expected, "the site and the outbox differ about what was sent; going on where the site is");
            agent.store.go_on_at(batch, expected, agent.clock.now())?;
        }
        (Code::SequenceFork, Some(expected)) => {
            tracing::error!(expected, "the site knows another history of this client: it was set back, or copied");
            agent.store.go_on_at(batch, expected, agent.clock.now())?;
        }
        (Code::TooLarge, _) => agent.store.too_large(batch, agent.clock.now())?,
        _ => return Ok(false),
    }
    Ok(true)
}
