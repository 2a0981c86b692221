//! Looks for management points: at the start, every 25 hours, when this machine is in another network, and when none answers any
//! more. What is found proves itself first; what does not is reported.

use crate::{
    agent::Agent,
    clock::{random, spread},
    locate::{self, Hint, LocationConfig, Refusal, Service, refusal},
    os::network::{Network, Watch, network},
    policy::Policy,
    site::ProveError,
    store::StoreError,
};
use futures_util::{StreamExt, stream};
use muster_model::{
    limits,
    report::{Body, Message, NetworkReport},
    status::{Component, MessageId, Severity},
    time::DAY,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// As long as Configuration Manager goes by what it found.
const REFRESH: Duration = Duration::from_secs(25 * 3_600);
/// How long after the last look the next one is, when no point answers.
const AGAIN: Duration = Duration::from_secs(600);
/// How many proofs run at once, and how long all may take: what hangs hides nothing that comes after it.
const AT_ONCE: usize = 8;
const PROOFS: Duration = Duration::from_secs(150);
/// Under this name the store keeps what was reported today.
const REPORTED: &str = "points_refused";

/// What was reported on a day.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Reported {
    day: i64,
    /// Of each source.
    refused: BTreeMap<String, BTreeSet<String>>,
}

impl Reported {
    /// Notes it; whether it is to be reported: once a day, and not too many, of one source and in all.
    fn is_new(&mut self, day: i64, source: String, point: String) -> bool {
        if self.day != day {
            *self = Self { day, refused: BTreeMap::new() };
        }
        let all: usize = self.refused.values().map(BTreeSet::len).sum();
        let of_source = self.refused.entry(source).or_default();
        all < limits::LOCATION_REPORTS && of_source.len() < limits::LOCATION_SHARE && of_source.insert(point)
    }
}

/// Looks whenever it is time, until the task is ended.
pub async fn run(agent: Arc<Agent>, config: LocationConfig) {
    let watch = Watch::new();
    if let Err(error) = &watch {
        tracing::warn!(%error, "changes of the network are not seen; it is looked at every 25 hours");
    }
    let watch = watch.ok();
    let mut here = network();
    let mut told = None;
    let mut moved = false;
    loop {
        say_where(&agent, &config, &here, &mut told).await;
        look(&agent, &config, moved).await;
        let looked = Instant::now();
        // The last half hour or so is spread, so that clients that started together do not ask together.
        let refresh = sleep(REFRESH - Duration::from_secs(1_800) + spread(Duration::from_secs(1_800), random()));
        tokio::select! {
            () = refresh => moved = false,
            () = exhausted(&agent, looked) => moved = false,
            now = changed(watch.as_ref(), &here) => {
                tracing::info!(addresses = now.addresses.len(), "this machine is in another network");
                here = now;
                moved = true;
                // The site has to see the address from which this client serves others now.
                agent.peers.moved();
            }
        }
    }
}

/// Uses the management points in the order of the policy in force, until the task is ended.
pub async fn follow(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>) {
    loop {
        let ranks = policy.borrow_and_update().as_deref().map(|policy| policy.ranks().to_vec()).unwrap_or_default();
        agent.site.set_ranks(&ranks);
        if policy.changed().await.is_err() {
            return;
        }
    }
}

/// Waits until no point answers; then as long as it takes not to ask too often.
async fn exhausted(agent: &Agent, looked: Instant) {
    agent.site.exhausted.notified().await;
    sleep_until(looked + spread(AGAIN, random())).await;
}

/// Waits for another network; where the system does not say, for ever.
async fn changed(watch: Option<&Watch>, before: &Network) -> Network {
    let Some(watch) = watch else { return pending().await };
    loop {
        if let Err(error) = watch.changed().await {
            tracing::warn!(%error, "changes of the network are not seen any more");
            return pending().await;
        }
        let now = network();
        if now != *before {
            return now;
        }
    }
}

/// Tells the site where this machine is, where that is not what it was `told`; it says which management points are near.
async fn say_where(agent: &Agent, config: &LocationConfig, network: &Network, told: &mut Option<NetworkReport>) {
    let addresses = network.addresses.iter().take(limits::NETWORK_ADDRESSES);
    let addresses: Vec<String> = addresses.map(|(address, prefix)| format!("{address}/{prefix}")).collect();
    // A directory that does not answer takes nothing back, as long as the machine has not moved.
    let before = told.as_ref().filter(|told| told.addresses == addresses).and_then(|told| told.directory_site.clone());
    let report = NetworkReport { addresses, directory_site: directory_site(agent, config, network, before).await };
    if told.as_ref() == Some(&report) {
        return;
    }
    if !report.is_well_formed() {
        tracing::warn!("location.directory_site in agent.json is not the name of a site; the network is not reported");
        return;
    }
    let message = Message { time: agent.clock.now(), body: Body::Network(report.clone()) };
    match agent.store.push(&message) {
        Ok(_) => *told = Some(report),
        Err(error) => tracing::warn!(%error, "where this machine is could not be kept"),
    }
}

/// The directory's site: as it is configured, or as the directory knows it.
async fn directory_site(
    agent: &Agent,
    config: &LocationConfig,
    network: &Network,
    before: Option<String>,
) -> Option<String> {
    let directory = config.directory.as_ref().filter(|directory| directory.sites);
    let (None, Some(directory)) = (&config.directory_site, directory) else { return config.directory_site.clone() };
    let addresses: Vec<_> = network.addresses.iter().map(|(address, _)| *address).collect();
    match locate::directory_site(directory, &addresses, &agent.clock).await {
        Ok(site) => site,
        Err(error) => {
            tracing::warn!(%error, "which site of the directory this machine is in is not known");
            before
        }
    }
}

/// One look: every source, every proof, every report.
pub async fn look(agent: &Agent, config: &LocationConfig, moved: bool) {
    let found = locate::hints(config, Some(agent.site.identity().site), Service::ManagementPoint, &agent.clock).await;
    for error in &found.errors {
        tracing::warn!(%error, "a source of management points was of no use");
    }
    let mut proven = Vec::new();
    for (_, hint, outcome) in proofs(agent, found.hints).await {
        match outcome {
            Ok(()) => proven.push(hint),
            Err(ProveError::Http(error)) => match refusal(&error) {
                Some(reason) => agent.site.refuse(hint, reason),
                None => {
                    tracing::info!(%error, source = %hint.source, "a management point that was named does not answer")
                }
            },
            Err(ProveError::Site(error)) => tracing::error!(%error, "nobody can be believed at this moment"),
        }
    }
    // A source that does not answer now has taken nothing back.
    let unheard =
        agent.site.found().into_iter().filter(|hint| found.errors.iter().any(|error| error.is_of(&hint.source)));
    for hint in unheard {
        if !proven.iter().any(|known: &Hint| known.address == hint.address) {
            proven.push(hint);
        }
    }
    tracing::debug!(points = proven.len(), "management points that were found proved themselves");
    agent.site.set_found(proven, moved);
    report(agent);
}

/// Lets every hint prove itself, a few at once; in their order, without those for which there was no time.
async fn proofs(agent: &Agent, hints: Vec<Hint>) -> Vec<(usize, Hint, Result<(), ProveError>)> {
    let proofs: Vec<_> = hints
        .into_iter()
        .enumerate()
        .map(|(at, hint)| async move {
            let outcome = agent.site.prove(&hint.address).await;
            (at, hint, outcome)
        })
        .collect();
    let mut done: Vec<_> = stream::iter(proofs).buffer_unordered(AT_ONCE).take_until(sleep(PROOFS)).collect().await;
    done.sort_by_key(|(at, ..)| *at);
    done
}

/// Reports what was refused since the last time.
pub fn report(agent: &Agent) {
    for (hint, reason) in agent.site.take_refused() {
        match is_new(agent, &hint, reason) {
            Ok(true) => {
                let (address, source) = (hint.address.to_string(), hint.source.to_string());
                tracing::error!(address, source, reason = reason.as_str(), "a false management point was refused");
                let values = [("address", address.as_str()), ("source", &source), ("reason", reason.as_str())];
                agent.report(Component::Transport, Severity::Error, MessageId::PointRefused, &values);
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "what was reported of false management points could not be kept"),
        }
    }
}

fn is_new(agent: &Agent, hint: &Hint, reason: Refusal) -> Result<bool, StoreError> {
    let kept = agent.store.value(REPORTED)?;
    let mut reported: Reported = kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let day = agent.clock.now().0.div_euclid(DAY);
    let is_new = reported.is_new(day, hint.source.to_string(), format!("{} {}", hint.address, reason.as_str()));
    if is_new {
        agent.store.set_value(REPORTED, &serde_json::to_string(&reported).unwrap_or_default())?;
    }
    Ok(is_new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_false_point_is_reported_once_a_day_and_not_too_many() {
        // proves S12: reports are without repetition, and bounded.
        let mut reported = Reported::default();
        let mut is_new = |day, source: &str, point: &str| reported.is_new(day, source.to_owned(), point.to_owned());
        assert!(is_new(1, "dns", "a") && !is_new(1, "dns", "a"));
        assert!(is_new(2, "dns", "a"));
        let new = (0..1_000).filter(|number| is_new(2, "dns", &number.to_string())).count();
        assert_eq!(new, limits::LOCATION_SHARE - 1);
        assert!(is_new(2, "directory", "a"), "one source does not silence another");
        let new = (0..1_000).filter(|number| is_new(2, &number.to_string(), "a")).count();
        assert_eq!(new, limits::LOCATION_REPORTS - limits::LOCATION_SHARE - 1);
    }
}
