//! Whether the parts of the agent do what they should: none has ended, and none has worked on one thing for hours.

use super::{Finding, Scene, is_at_work, watchdog};
use crate::agent::Agent;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Longer than anything that a part does at once.
const STUCK: Duration = Duration::from_secs(6 * 3_600);

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let Some(agent) = scene.agent else {
        return Finding::Nothing("Only the running agent knows what its parts do.".to_owned());
    };
    let (ended, stuck) = (agent.health.parts.ended(), agent.health.busy.longer(STUCK));
    match (ended.is_empty(), stuck.is_empty()) {
        (true, true) => Finding::Sound,
        (false, _) => Finding::Wrong(format!("Parts of the agent have ended: {}.", ended.join(", "))),
        (true, false) => Finding::Wrong(format!("Parts of the agent hang: {}.", stuck.join(", "))),
    }
}

/// Ends what hangs and takes it up again. What waits in the kernel for a disk that does not answer holds a thread, and there are few: such a part
/// is not begun a second time, and only another process gets rid of it.
pub(super) async fn mend(agent: &Arc<Agent>) -> Result<String, String> {
    let health = &agent.health;
    let hanging = health.busy.longer(STUCK);
    let mut names = health.parts.ended();
    names.extend(hanging.iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    let (held, free): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| health.busy.holds_thread(name));
    let mut begun = Vec::new();
    for name in free {
        if health.parts.again(name).await {
            begun.push(name);
        }
    }
    if !held.is_empty() {
        let ends = held.iter().any(|name| hanging.contains(name)) && watchdog::is_watched() && !is_at_work(agent);
        if ends {
            health.gives_up.store(true, Ordering::Release);
        }
        let advice = if ends { "the agent ends, and its service manager starts it anew" } else { "restart the agent" };
        return Err(format!("{} waits for a file system that does not answer: {advice}.", held.join(", ")));
    }
    match begun.is_empty() {
        true => Err("There is no part of that name to be taken up again; restart the agent.".to_owned()),
        false => Ok(format!("They were taken up again: {}.", begun.join(", "))),
    }
}
