//! Whether the agent's own log is open, takes what is said, and is whole.

use super::{Finding, Scene};
use crate::{agent::Agent, log::Standing};
use std::sync::Arc;

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let Some(agent) = scene.agent else {
        return Finding::Nothing("Only the running agent knows how its log stands.".to_owned());
    };
    match agent.log.standing() {
        Standing::Waiting => Finding::Wrong("The log in the state directory is not open.".to_owned()),
        Standing::Open(lost) if lost > 0 => Finding::Wrong(format!("{lost} records of the log could not be written.")),
        Standing::Open(_) if agent.log.unsaid().is_some() => {
            Finding::Wrong("The log was altered, and the site is not told yet.".to_owned())
        }
        Standing::Open(_) => Finding::Sound,
    }
}

/// Opens it, or reads it whole and puts an altered one aside. What follows says something: a disk that takes it has space again.
pub(super) async fn mend(agent: &Arc<Agent>) -> Result<String, String> {
    let looking = agent.clone();
    let look = move || {
        looking.look_at_log();
        looking.say_looked();
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(()) => Ok("The log was opened, or read and written to again.".to_owned()),
        Err(_) => Err("The look at the log broke off.".to_owned()),
    }
}
