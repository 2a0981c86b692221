//! Whether the machine was left in a state that is meant for a while: locked down, with its write filter open.

use super::{Finding, Scene};
use crate::{agent::Agent, servicing};
use muster_model::time::{HOUR, MINUTE};
use std::sync::Arc;

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let most = i64::from(scene.settings.servicing.max_minutes) * MINUTE + HOUR;
    match servicing::begun(scene.directory) {
        Some(begun) if scene.now.since(begun) > most => {
            Finding::Wrong(format!("A servicing has been open for {} hours.", scene.now.since(begun) / HOUR))
        }
        _ => Finding::Sound,
    }
}

pub(super) async fn mend(agent: &Arc<Agent>) -> Result<String, String> {
    let owner = agent.clone();
    let done = tokio::task::spawn_blocking(move || servicing::recover(&owner.directory)).await;
    match done {
        Ok(Ok(_)) => Ok("The servicing was ended, and the machine is protected again.".to_owned()),
        Ok(Err(error)) => Err(format!("The servicing could not be ended: {error}.")),
        Err(_) => Err("Ending the servicing failed.".to_owned()),
    }
}
