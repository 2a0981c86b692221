//! Whether the machine was left in a state that is meant for a while: locked down, with its write filter open.

use super::{Finding, Scene};
use crate::{agent::Agent, servicing};
use muster_model::time::{HOUR, MINUTE};
use std::{sync::Arc, time::Duration};

/// How long it may take until somebody has looked.
const RECOVERS: Duration = Duration::from_secs(120);

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let most = i64::from(scene.settings.servicing.max_minutes) * MINUTE + HOUR;
    match servicing::begun(scene.directory) {
        Some(begun) if scene.now.since(begun) > most => {
            Finding::Wrong(format!("A servicing has been open for {} hours.", scene.now.since(begun) / HOUR))
        }
        _ => Finding::Sound,
    }
}

/// The part that applies deployments ends it, and nobody else: only that part knows whether it goes on.
pub(super) async fn mend(agent: &Arc<Agent>) -> Result<String, String> {
    let recovered = agent.health.recovered.notified();
    agent.look_again.notify_one();
    match tokio::time::timeout(RECOVERS, recovered).await {
        Ok(()) => Ok("The servicing was ended, and the machine is protected again.".to_owned()),
        Err(_) => Err("Deployments are worked on; the servicing is ended after them.".to_owned()),
    }
}
