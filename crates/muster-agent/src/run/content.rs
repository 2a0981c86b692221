//! Content ahead of its time: what a deployment needs whose time has not come is fetched as soon as the policy says so, spread over
//! a while so that not every client asks at once.

use crate::{
    agent::Agent,
    apply::choose,
    clock::random,
    content::{self, ContentError},
    policy::{Deployment, Policy},
};
use muster_model::{
    application::Platform,
    id::{DeploymentId, Hash},
    policy::Action,
    time::{HOUR, UnixMillis},
};
use std::{
    collections::{HashMap, HashSet},
    future::pending,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Over how long the clients of a site are spread, where the deployment's time is far away.
const SPREAD: i64 = HOUR;
/// When it is tried again, where the site is away or does not have it; twice as late each time.
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// The longest of these waits.
const LATEST: Duration = Duration::from_secs(6 * 3_600);

/// When this client begins with what. Another policy changes nothing about those that it knows.
type Turns = HashMap<(DeploymentId, Hash), Instant>;

pub(super) async fn run(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>) {
    let mut turns = Turns::new();
    loop {
        let current = policy.borrow_and_update().clone();
        let work = async {
            if let Some(policy) = &current {
                ahead(&agent, policy, &mut turns).await;
            }
            pending::<()>().await;
        };
        tokio::select! {
            () = work => {}
            changed = policy.changed() => if changed.is_err() { return },
        }
    }
}

/// Deployments whose time has not come and that want content.
fn coming<'a>(agent: &Agent, policy: &'a Policy) -> Vec<(&'a Deployment, UnixMillis)> {
    let now = agent.clock.now();
    let wants = |deployment: &&Deployment| {
        let application = deployment.application().map(|application| application.value());
        let fits =
            application.is_some_and(|a| a.platforms().any(|one| one == Platform::Linux) && a.files().next().is_some());
        // What is offered may never be wanted, and what is removed seldom needs its files.
        let told = deployment.policy();
        fits && told.purpose.is_required()
            && told.action == Action::Install
            && !agent
                .store
                .deployment(deployment.policy().deployment)
                .ok()
                .flatten()
                .is_some_and(|p| p.application == deployment.policy().application && p.is_final())
    };
    let time = |deployment: &Deployment| deployment.policy().available.max(deployment.policy().deadline);
    let coming = policy.deployments().iter().filter(wants).map(|deployment| (deployment, time(deployment)));
    coming.filter(|(_, starts)| *starts > now).collect()
}

/// Fetches, each in its turn, until everything is there or nothing more can be done before the policy changes.
async fn ahead(agent: &Agent, policy: &Policy, turns: &mut Turns) {
    let now = agent.clock.now();
    let coming = coming(agent, policy);
    let keys: HashSet<_> = coming.iter().map(|(deployment, _)| key(deployment)).collect();
    turns.retain(|turn, _| keys.contains(turn));
    let mut order: Vec<_> = coming
        .into_iter()
        .map(|(deployment, starts)| {
            let turn =
                *turns.entry(key(deployment)).or_insert_with(|| Instant::now() + delay(starts.since(now), random()));
            (turn, deployment)
        })
        .collect();
    let mut waits: HashMap<_, Duration> = HashMap::new();
    while let Some(next) = (0..order.len()).min_by_key(|index| order[*index].0) {
        let (turn, deployment) = order.swap_remove(next);
        sleep_until(turn).await;
        // One by whom nothing new is started any more starts nothing here.
        let is_current = policy.is_current(agent.site.trust().bundle(), agent.clock.now(), agent.floor());
        if is_current && fetch(agent, policy, deployment).await {
            // The others do not wait for it; and another policy does not make it come sooner.
            let wait = waits.get(&key(deployment)).map_or(AGAIN, |wait| (*wait * 2).min(LATEST));
            waits.insert(key(deployment), wait);
            let turn = Instant::now() + wait;
            turns.insert(key(deployment), turn);
            order.push((turn, deployment));
        }
    }
}

fn key(deployment: &Deployment) -> (DeploymentId, Hash) {
    (deployment.policy().deployment, deployment.policy().application)
}

/// A random part of an hour, or of half of the time that is left where that is less.
fn delay(left: i64, random: u32) -> Duration {
    let most = SPREAD.min(left / 2).max(0);
    Duration::from_millis(most.unsigned_abs()).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Whether it is to be tried again.
async fn fetch(agent: &Agent, policy: &Policy, deployment: &Deployment) -> bool {
    // Of several deployment types the files of the one that this device would take now.
    let Some(application) = choose::ahead(agent, deployment).await else { return false };
    if application.content.is_empty() {
        return false;
    }
    let error = match content::fetch_ahead(agent, policy, &application.content).await {
        Ok(()) => {
            tracing::info!(deployment = %deployment.policy().deployment, "content is here before its time");
            return false;
        }
        Err(error) => error,
    };
    tracing::info!(deployment = %deployment.policy().deployment, %error, "content is not fetched ahead");
    // What does not fit is fetched when its time comes, and is a state then.
    let is_full =
        matches!(error, ContentError::CacheTooSmall { .. } | ContentError::CacheFull { .. } | ContentError::DiskFull);
    !is_full
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::time::{DAY, MINUTE};

    #[test]
    fn clients_are_spread_and_none_comes_after_half_of_the_time_that_is_left() {
        let half = delay(7 * DAY, u32::MAX / 2).as_secs_f64();
        assert!((half - 1_800.0).abs() < 1.0, "{half}");
        assert_eq!(delay(7 * DAY, u32::MAX), Duration::from_secs(3_600));
        assert_eq!(delay(MINUTE, u32::MAX), Duration::from_secs(30));
        assert_eq!((delay(MINUTE, 0), delay(-5, u32::MAX)), (Duration::ZERO, Duration::ZERO));
    }
}
