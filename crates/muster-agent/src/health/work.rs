//! Whether the parts of the agent do what they should: none has ended, and none has worked on one thing for hours.

use super::{Finding, Scene};
use crate::agent::Agent;
use muster_model::time::HOUR;
use std::sync::Arc;

/// Longer than anything that a part does at once.
const STUCK: i64 = 6 * HOUR;

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let Some(agent) = scene.agent else {
        return Finding::Nothing("Only the running agent knows what its parts do.".to_owned());
    };
    let (ended, stuck) = (agent.health.parts.ended(), agent.health.busy.longer(STUCK, scene.now));
    match (ended.is_empty(), stuck.is_empty()) {
        (true, true) => Finding::Sound,
        (false, _) => Finding::Wrong(format!("Parts of the agent have ended: {}.", ended.join(", "))),
        (true, false) => Finding::Wrong(format!("Parts of the agent hang: {}.", stuck.join(", "))),
    }
}

/// Ends what hangs and takes it up again. What waits in the kernel for a disk that does not answer is left behind.
pub(super) async fn mend(scene: &Scene<'_>, agent: &Arc<Agent>) -> Result<String, String> {
    let mut names = agent.health.parts.ended();
    names.extend(agent.health.busy.longer(STUCK, scene.now));
    let mut begun = Vec::new();
    for name in names {
        if agent.health.parts.again(name).await {
            begun.push(name);
        }
    }
    match begun.is_empty() {
        true => Err("There is no part of that name to be taken up again; restart the agent.".to_owned()),
        false => Ok(format!("They were taken up again: {}.", begun.join(", "))),
    }
}
