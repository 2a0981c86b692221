//! Whether messages go out. A machine that was off, or away from its site, has old ones too: then nothing helps but to get there.

use super::{Finding, Scene};
use crate::{agent::Agent, store};
use muster_model::time::{DAY, HOUR};
use std::{sync::Arc, time::Duration};

/// How long a message may wait.
const WAITS: i64 = DAY;
/// How long sending may take.
const SENDS: Duration = Duration::from_secs(120);

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let oldest = match scene.agent {
        Some(agent) => agent.store.oldest(),
        None => {
            store::Store::look(scene.directory).and_then(|look| look.as_ref().map_or(Ok(None), store::outbox::oldest))
        }
    };
    match oldest {
        Ok(Some(oldest)) if scene.now.since(oldest) > WAITS => {
            Finding::Wrong(format!("Messages have been waiting for {} hours.", scene.now.since(oldest) / HOUR))
        }
        Ok(_) => Finding::Sound,
        Err(error) => Finding::Beyond(
            format!("The outbox cannot be read: {error}."),
            "Restart the agent: it puts a damaged database aside, and says what was lost.".to_owned(),
        ),
    }
}

/// A new connection, to the next management point where there is one, without the waiting time that is left.
pub(super) async fn mend(agent: &Arc<Agent>) -> Result<String, String> {
    agent.site.turn_away();
    let sent = agent.health.sent.notified();
    agent.health.send_now.notify_one();
    match tokio::time::timeout(SENDS, sent).await {
        Ok(()) => Ok("Messages were sent over a new connection.".to_owned()),
        Err(_) => Err("Sending over a new connection did not come to an end.".to_owned()),
    }
}
