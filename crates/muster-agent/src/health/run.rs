//! When the checks are made: once in their interval, at a time of day that each device has for itself, and when somebody wants it.

use super::{Scene, check, packages};
use crate::{
    agent::Agent,
    clock::{random, spread},
    policy::Policy,
};
use muster_model::{
    health::CheckOutcome,
    id::DeploymentId,
    report::{Body, Message},
    settings::{HealthMode, drawn},
    time::{MINUTE, UnixMillis},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::watch;

/// When the checks were last made.
const CHECKED: &str = "health_checked";
/// An agent that has just begun is left alone for so long, and up to twice that.
const FIRST: Duration = Duration::from_secs(900);
/// The longest wait without looking at the clock.
const LOOK: i64 = 10 * MINUTE;

/// When the next checks are due. A clock that was set back does not put them off.
fn due(last: Option<UnixMillis>, interval: i64, offset: i64, now: UnixMillis) -> UnixMillis {
    let Some(last) = last.filter(|last| *last <= now) else { return now };
    UnixMillis(((last.0 - offset).div_euclid(interval) + 1) * interval + offset)
}

/// Makes the checks for as long as the agent runs.
pub async fn run(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>) {
    tokio::select! {
        () = tokio::time::sleep(FIRST + spread(FIRST, random())) => {}
        () = agent.health.wanted.notified() => agent.health.wanted.notify_one(),
    }
    let mut checked = None;
    loop {
        let current = policy.borrow_and_update().clone();
        let settings = current.as_deref().map(|policy| policy.settings().clone()).unwrap_or_default();
        let interval = settings.health.interval.max(MINUTE);
        let offset = match agent.site.device() {
            Ok(device) => drawn(interval, device, DeploymentId(device.0)),
            Err(_) => 0,
        };
        let kept = agent.store.value(CHECKED).ok().flatten().and_then(|text| text.parse().ok()).map(UnixMillis);
        // A disk that keeps nothing is no reason to check without end.
        let last = [kept, checked].into_iter().flatten().filter(|last| *last <= agent.clock.now()).max();
        let due = due(last, interval, offset, agent.clock.now());
        let opened = agent.health.packages_wait.load(Ordering::Acquire)
            && current.as_deref().is_some_and(|policy| packages::may_begin(&agent, policy));
        if (due <= agent.clock.now() || opened) && settings.health.mode != HealthMode::Off {
            checked = Some(agent.clock.now());
            once(&agent, current).await;
            continue;
        }
        let wait = due.since(agent.clock.now()).clamp(1_000, LOOK);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())) => {}
            () = agent.health.wanted.notified() => if settings.health.mode != HealthMode::Off {
                checked = Some(agent.clock.now());
                once(&agent, current).await;
            },
            changed = policy.changed() => if changed.is_err() { std::future::pending::<()>().await },
        }
    }
}

/// Makes the checks and reports them.
async fn once(agent: &Arc<Agent>, policy: Option<Arc<Policy>>) {
    agent.health.packages_wait.store(false, Ordering::Release);
    // Before anything is mended: whatever comes of it, and even where it ends the agent, it is not done again at once.
    if let Err(error) = agent.store.set_value(CHECKED, &agent.clock.now().0.to_string()) {
        tracing::error!(%error, "when the client checked itself could not be kept");
    }
    let settings = policy.as_deref().map(|policy| policy.settings().clone()).unwrap_or_default();
    let mode = settings.health.mode;
    let scene = Scene {
        root: agent.collector.root(),
        directory: &agent.directory,
        now: agent.clock.now(),
        settings,
        policy,
        agent: Some(agent),
        least_free: None,
    };
    let report = check(&scene, mode).await;
    let (failed, remedied) = (report.count(CheckOutcome::Failed), report.count(CheckOutcome::Remedied));
    tracing::info!(failed, remedied, "the client checked itself");
    if let Err(error) = agent.store.push(&Message { time: agent.clock.now(), body: Body::Health(report) }) {
        tracing::error!(%error, "what the client's checks found could not be kept");
    }
    if agent.health.gives_up.load(Ordering::Acquire) {
        agent.health.gave_up.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::time::{DAY, HOUR};

    #[test]
    fn checks_are_due_once_in_their_interval_at_the_devices_own_time() {
        let at = |last, now| due(last, DAY, 5 * HOUR, UnixMillis(now));
        assert_eq!(at(None, 7), UnixMillis(7), "it never checked itself");
        assert_eq!(at(Some(UnixMillis(HOUR)), 2 * HOUR), UnixMillis(5 * HOUR));
        assert_eq!(at(Some(UnixMillis(5 * HOUR)), 6 * HOUR), UnixMillis(DAY + 5 * HOUR));
        assert_eq!(at(Some(UnixMillis(9 * HOUR)), HOUR), UnixMillis(HOUR), "the clock was set back");
    }
}
