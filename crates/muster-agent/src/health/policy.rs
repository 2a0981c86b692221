//! Whether the policy is fresh: the client asked for it lately, and was answered.

use super::{Finding, Scene};
use crate::{agent::Agent, store};
use muster_model::time::{DAY, HOUR, UnixMillis};
use std::{sync::Arc, time::Duration};

/// When policy was last looked for and the site answered.
pub(crate) const FETCHED: &str = "policy_fetched";
const FETCHES: Duration = Duration::from_secs(120);

fn fetched(scene: &Scene<'_>) -> Option<UnixMillis> {
    let text = match scene.agent {
        Some(agent) => agent.store.value(FETCHED).ok().flatten(),
        None => {
            let connection = store::Store::look(scene.directory).ok().flatten()?;
            store::value(&connection, FETCHED).ok().flatten()
        }
    };
    text?.parse().ok().map(UnixMillis)
}

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let Some(fetched) = fetched(scene) else {
        return Finding::Wrong("The site never answered with a policy.".to_owned());
    };
    let age = scene.now.since(fetched);
    match age > DAY.max(3 * scene.settings.policy_poll) {
        true => Finding::Wrong(format!("The policy was last asked for {} hours ago.", age / HOUR)),
        false => Finding::Sound,
    }
}

pub(super) async fn mend(agent: &Arc<Agent>) -> Result<String, String> {
    let fetched = agent.health.fetched.notified();
    agent.time_wanted.notify_one();
    match tokio::time::timeout(FETCHES, fetched).await {
        Ok(()) => Ok("The site was asked for the policy again.".to_owned()),
        Err(_) => Err("Asking the site for the policy did not come to an end.".to_owned()),
    }
}
