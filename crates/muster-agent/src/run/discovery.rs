//! Heartbeat discovery: the client says what it is at the interval of its settings, and when that changes.

use crate::{
    agent::Agent,
    clock::{random, spread},
    policy::Policy,
    store::StoreError,
};
use muster_model::{
    discovery::Facts,
    report::{Body, DiscoveryReport, Message},
    time::{DAY, UnixMillis},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How often is looked whether something changed.
const LOOK: Duration = Duration::from_secs(600);
/// Under this name the store keeps what was said last.
const SAID: &str = "discovery";

/// What was said last, and when.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    time: UnixMillis,
    facts: Facts,
}

impl Said {
    /// Whether it is to be said again: something is otherwise, the interval is over, or the clock was set back.
    fn is_old(&self, facts: &Facts, now: UnixMillis, interval: i64) -> bool {
        self.facts != *facts || !(0..interval).contains(&now.since(self.time))
    }
}

pub(super) async fn run(agent: Arc<Agent>, policy: watch::Receiver<Option<Arc<Policy>>>) {
    loop {
        let interval = policy.borrow().as_deref().map_or(7 * DAY, |policy| policy.settings().heartbeat);
        if let Err(error) = say(&agent, interval).await {
            tracing::error!(%error, "what this machine is could not be kept; it is tried again");
        }
        tokio::time::sleep(spread(LOOK, random())).await;
    }
}

async fn say(agent: &Arc<Agent>, interval: i64) -> Result<(), StoreError> {
    let taker = agent.clone();
    let work = move || {
        let now = taker.clock.now();
        let facts = match taker.collector.discovery(now) {
            Ok(facts) => facts,
            Err(error) => {
                tracing::warn!(%error, "what this machine is could not be read");
                return Ok(());
            }
        };
        let before = taker.store.value(SAID)?.and_then(|text| serde_json::from_str::<Said>(&text).ok());
        if before.is_some_and(|before| !before.is_old(&facts, now, interval)) {
            return Ok(());
        }
        let body = Body::Discovery(DiscoveryReport { facts: facts.clone() });
        taker.store.push(&Message { time: now, body })?;
        // After a crash in between it is said twice, which is no harm.
        let said = serde_json::to_string(&Said { time: now, facts }).map_err(|_| StoreError::Damaged)?;
        taker.store.set_value(SAID, &said)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Damaged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::discovery::Fact;

    #[test]
    fn it_is_said_when_it_changes_and_at_its_interval() {
        let facts: Facts = [("Build".to_owned(), Fact::Text("12".to_owned()))].into();
        let said = Said { time: UnixMillis(1_000), facts: facts.clone() };
        assert!(!said.is_old(&facts, UnixMillis(1_000), DAY) && !said.is_old(&facts, UnixMillis(DAY), DAY));
        assert!(said.is_old(&facts, UnixMillis(DAY + 1_000), DAY), "a day later");
        assert!(said.is_old(&facts, UnixMillis(0), DAY), "the clock was set back");
        assert!(said.is_old(&Facts::new(), UnixMillis(1_001), DAY), "something is otherwise");
    }
}
