//! Deployments on a machine with a write filter: which are installed below it, by servicing, and how often that may be.

use super::{
    Next, Round,
    step::{Step, Wait},
};
use crate::{
    agent::Agent,
    os::write_filter::{self, WriteFilter},
    servicing::{self, Allowed, Interrupted, Open, Order, ServicingError, Watch},
    store::StoreError,
};
use muster_model::{
    id::DeploymentId,
    policy::DeploymentPolicy,
    settings::ServicingSettings,
    status::{Component, DeploymentState, FailureReason, MessageId, Severity, WaitReason},
    time::{DAY, HOUR, MINUTE, SECOND, UnixMillis},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What a servicing takes beside its installers.
pub(super) const OVERHEAD_SECONDS: u32 = 60;
/// Servicings of any day. A site that wants more has its deployments wait.
const DAILY: usize = 8;
/// Servicings that may come to nothing for one deployment.
const TRIES: u32 = 3;
/// How long names of the site's points are looked up.
const LOOKUP: Duration = Duration::from_secs(5);
/// After how long it is tried again to protect a machine.
pub(super) const SOON: i64 = 10 * SECOND;
/// What is kept of servicings, and of what went into the overlay.
const KEPT: &str = "servicing";
const OVERLAY: &str = "overlay_installed";
const SAID: &str = "servicing_said";

/// The servicing of a round, if one goes on.
#[derive(Debug, Default)]
pub(super) struct Session<'a>(Mutex<Option<(Open<'a>, UnixMillis)>>);

impl<'a> Session<'a> {
    fn held(&self) -> MutexGuard<'_, Option<(Open<'a>, UnixMillis)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Agent {
    fn begins(&self, step: servicing::Step) {
        tracing::info!(step = step.as_str(), "servicing");
        self.report(Component::Deployment, Severity::Information, MessageId::ServicingStep, &[("step", step.as_str())]);
    }
}

/// What is kept.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    begun: Vec<UnixMillis>,
    tries: BTreeMap<DeploymentId, u32>,
}

impl Kept {
    fn of(agent: &Agent) -> Result<Self, StoreError> {
        let text = agent.store.value(KEPT)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    fn keep(&self, agent: &Agent) -> Result<(), StoreError> {
        agent.store.set_value(KEPT, &serde_json::to_string(self).map_err(|_| StoreError::Damaged)?)
    }

    /// Counts another one.
    fn begin(&mut self, deployment: DeploymentId, now: UnixMillis) -> Begin {
        if self.tries.get(&deployment).is_some_and(|tries| *tries >= TRIES) {
            return Begin::InVain;
        }
        // A time to come is one of a clock that was wrong: it counts as long.
        self.begun.retain(|begun| now.since(*begun).abs() < DAY);
        if self.begun.len() >= DAILY {
            let first = self.begun.iter().min().map_or(now, |first| first.plus(DAY));
            return Begin::TooOften(first.max(now.plus(MINUTE)));
        }
        self.begun.push(now);
        *self.tries.entry(deployment).or_default() += 1;
        Begin::Counted
    }

    /// These came to something. What did not is remembered, also where the servicing itself was in order.
    fn forget(&mut self, done: &[DeploymentId]) {
        self.tries.retain(|deployment, _| !done.contains(deployment));
    }

    /// Nothing was tried after all.
    fn take_back(&mut self, deployment: DeploymentId) {
        self.begun.pop();
        if let Some(tries) = self.tries.get_mut(&deployment) {
            *tries = tries.saturating_sub(1);
        }
    }
}

/// Whether another servicing may begin.
#[derive(Debug, PartialEq, Eq)]
enum Begin {
    /// It may, and is counted.
    Counted,
    /// There were too many; when the next may be.
    TooOften(UnixMillis),
    /// It came to nothing too often for this deployment.
    InVain,
}

/// The write filter, where it is on.
fn filter() -> Option<WriteFilter> {
    write_filter::this_machine().filter(|filter| filter.state.is_overlay())
}

/// Whether a deployment is installed below the write filter. What users begin by themselves never is.
pub(super) fn is_wanted(policy: &DeploymentPolicy) -> bool {
    policy.purpose.is_required() && !policy.volatile && filter().is_some()
}

/// Why a group of updates is not installed below the write filter: its sources cannot be reached from there, and what the tool would do is
/// not known. People are not locked out for that, and what lies above the filter says nothing.
pub(super) fn refuses(updates: bool, serviced: bool) -> Option<String> {
    (serviced && updates).then(|| {
        "Updates are not installed below a write filter: their sources cannot be reached from there.".to_owned()
    })
}

/// What the rules of a deployment look at.
pub(super) fn root(policy: Option<&DeploymentPolicy>) -> PathBuf {
    let wanted = policy.is_some_and(|policy| policy.purpose.is_required() && !policy.volatile);
    let lower = if wanted { filter().and_then(|filter| filter.lower) } else { None };
    lower.unwrap_or_else(|| "/".into())
}

/// At the start: says what would be lost, and looks again at what was lost.
pub(super) fn start(agent: &Agent) {
    let path = agent.directory.path();
    if filter().is_some() && write_filter::is_volatile(path).unwrap_or(false) {
        let path = path.display().to_string();
        agent.report(Component::Agent, Severity::Warning, MessageId::StateVolatile, &[("path", &path)]);
    }
    if let Err(error) = look_again(agent) {
        tracing::warn!(%error, "what went into the overlay could not be looked at again");
    }
}

/// What was installed into the overlay of an earlier run of the system is gone.
fn look_again(agent: &Agent) -> Result<(), StoreError> {
    let Some(text) = agent.store.value(OVERLAY)? else { return Ok(()) };
    let kept: BTreeMap<DeploymentId, String> = serde_json::from_str(&text).unwrap_or_default();
    let boot = agent.boot();
    let (here, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = kept.into_iter().partition(|(_, of)| *of == boot);
    for deployment in gone.keys() {
        if let Some(mut progress) = agent.store.deployment(*deployment)?.filter(|p| p.state.is_end()) {
            progress.until = progress.changed.plus(1);
            agent.store.keep_progress(&progress)?;
        }
    }
    agent.store.set_value(OVERLAY, &serde_json::to_string(&here).map_err(|_| StoreError::Damaged)?)
}

/// Ends a servicing that was interrupted.
pub(super) fn recover(agent: &Agent) {
    match servicing::recover(&agent.directory) {
        Ok(None) => {}
        // Said once, and tried again with each round.
        Err(error) if agent.store.value(SAID).ok().flatten() == Some(error.to_string()) => {}
        Err(error) => {
            failed(agent, &error);
            say(agent, &error.to_string());
        }
        Ok(Some(Interrupted { step, restarted, .. })) => {
            tracing::warn!(step = step.map(servicing::Step::as_str), restarted, "a servicing was interrupted");
            let values = [("step", step.map_or("unknown", servicing::Step::as_str))];
            agent.report(Component::Deployment, Severity::Error, MessageId::ServicingInterrupted, &values);
            say(agent, "");
        }
    }
}

/// Remembers what was said of a servicing that cannot be undone.
fn say(agent: &Agent, text: &str) {
    if let Err(error) = agent.store.set_value(SAID, text) {
        tracing::warn!(%error, "what was said of a servicing could not be kept");
    }
}

fn failed(agent: &Agent, error: &ServicingError) {
    tracing::error!(%error, "servicing");
    let reason = error.to_string();
    agent.report(Component::Deployment, Severity::Error, MessageId::ServicingFailed, &[("reason", &reason)]);
}

/// Before a command of a deployment runs: opens the file system below the write filter, or goes on in a servicing that is open. `Some`: it
/// does not run now.
pub(super) async fn enter<'a>(
    round: &Round<'a>,
    step: &mut Step<'_>,
    policy: &DeploymentPolicy,
    seconds: u32,
) -> Result<Option<Next>, StoreError> {
    step.inside = None;
    if !is_wanted(policy) {
        // Nothing is to run beside a view that is still writable.
        if !leave(round) {
            return Ok(Some(Some(round.agent.clock.now().plus(SOON))));
        }
        return Ok(None);
    }
    let (agent, now) = (round.agent, round.agent.clock.now());
    let ServicingSettings { allowed, max_minutes } = round.policy.settings().servicing;
    if !allowed {
        return wait(step, now.plus(HOUR));
    }
    let (needs, longest) = (Duration::from_secs(seconds.into()), Duration::from_secs(u64::from(max_minutes) * 60));
    if needs > longest {
        let text = format!("It may take {seconds} seconds, and a servicing may last {max_minutes} minutes.");
        return step.fail(FailureReason::Servicing, None, text).map(|()| Some(None));
    }
    if go_on(round, step, policy.deployment, needs) {
        return Ok(None);
    }
    let mut kept = Kept::of(agent)?;
    let assigned = |id: &DeploymentId| round.policy.deployments().iter().any(|one| one.policy().deployment == *id);
    kept.tries.retain(|deployment, _| assigned(deployment));
    match kept.begin(policy.deployment, now) {
        Begin::TooOften(until) => return wait(step, until),
        Begin::InVain => {
            let text = format!("Servicing for it came to nothing {TRIES} times.");
            return step.fail(FailureReason::Servicing, None, text).map(|()| Some(None));
        }
        // Counted before it begins: a machine that dies of it does not try for ever.
        Begin::Counted => kept.keep(agent)?,
    }
    let order = Order {
        directory: &agent.directory,
        now,
        longest,
        until: until(agent, now.plus(i64::from(max_minutes) * MINUTE)),
        allowed: reachable(agent).await,
        deployment: policy.deployment,
        watch: agent,
    };
    // What is below the filter may be altered in the meantime; what was there before is known to the site.
    agent.anchor_log();
    match servicing::begin(&order) {
        Ok(open) => {
            step.inside = open.inside();
            *round.servicing.held() = Some((open, now));
            Ok(None)
        }
        Err(error) => {
            if error.is_obstacle() {
                kept.take_back(policy.deployment);
                kept.keep(agent)?;
            }
            if step.progress.waits != Some(WaitReason::Servicing) {
                failed(agent, &error);
            }
            wait(step, now.plus(10 * MINUTE))
        }
    }
}

fn wait(step: &mut Step<'_>, until: UnixMillis) -> Result<Option<Next>, StoreError> {
    step.wait_once(Wait::for_ever(WaitReason::Servicing)).map(|()| Some(Some(until)))
}

/// Whether it goes on in the servicing that is open, as there is time enough left in it.
fn go_on(round: &Round<'_>, step: &mut Step<'_>, deployment: DeploymentId, needs: Duration) -> bool {
    let mut held = round.servicing.held();
    let Some((open, _)) = held.as_mut() else { return false };
    if open.left() >= needs && open.also(deployment).is_ok() {
        step.inside = open.inside();
        return step.inside.is_some();
    }
    drop(held);
    leave(round);
    false
}

/// Until when, as people at the machine read it.
fn until(agent: &Agent, at: UnixMillis) -> String {
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(agent.collector.time_zone());
    time.strftime("%H:%M (%Z)").to_string()
}

/// Whom the machine talks to meanwhile: the management points that it knows, and its servers of names.
async fn reachable(agent: &Agent) -> Allowed {
    let mut site: Vec<SocketAddr> = Vec::new();
    let look = async {
        for point in agent.site.order() {
            if let Ok(found) = tokio::net::lookup_host((point.host(), point.port())).await {
                site.extend(found);
            }
        }
    };
    // A name that cannot be found is not let through; what is to be said to the site goes out afterwards.
    let _ = tokio::time::timeout(LOOKUP, look).await;
    let machine = crate::os::Machine::open(Path::new("/"));
    let servers = machine.map(|machine| machine.resolver().servers).unwrap_or_default();
    Allowed { site, resolvers: servers.iter().filter_map(|server| server.parse().ok()).collect() }
}

/// Closes the servicing that is open, if one is.
/// `false`: it could not be protected, and is to be tried again soon.
pub(super) fn leave(round: &Round<'_>) -> bool {
    let Some((open, begun)) = round.servicing.held().take() else { return true };
    let agent = round.agent;
    let deployments = open.deployments().to_vec();
    if let Err(error) = open.close() {
        failed(agent, &error);
        return false;
    }
    let seconds = (agent.clock.now().since(begun).max(0) / 1_000).to_string();
    let values = [("seconds", seconds.as_str()), ("deployments", &deployments.len().to_string())];
    agent.report(Component::Deployment, Severity::Information, MessageId::ServicingEnded, &values);
    let forgotten = Kept::of(agent).and_then(|mut kept| {
        let mut done = Vec::new();
        for deployment in deployments {
            let progress = agent.store.deployment(deployment)?;
            if progress.is_some_and(|progress| progress.state == DeploymentState::Succeeded) {
                done.push(deployment);
            }
        }
        kept.forget(&done);
        kept.keep(agent)
    });
    if let Err(error) = forgotten {
        tracing::warn!(%error, "the end of a servicing could not be kept");
    }
    true
}

/// An administrator asks for another attempt: what came to nothing before counts no more.
pub(super) fn anew(agent: &Agent, deployment: DeploymentId) -> Result<(), StoreError> {
    let mut kept = Kept::of(agent)?;
    if kept.tries.remove(&deployment).is_some() {
        kept.keep(agent)?;
    }
    Ok(())
}

/// After a command of a deployment ran: what went into the overlay is known as such.
pub(super) fn ran(step: &mut Step<'_>, policy: &DeploymentPolicy) {
    let agent = step.agent;
    let into_overlay = step.inside.take().is_none() && filter().is_some();
    if !into_overlay || step.progress.state != DeploymentState::Succeeded {
        return;
    }
    let text = agent.store.value(OVERLAY).ok().flatten().unwrap_or_default();
    let mut kept: BTreeMap<DeploymentId, String> = serde_json::from_str(&text).unwrap_or_default();
    kept.insert(policy.deployment, agent.boot());
    let done = serde_json::to_string(&kept).map_err(|_| StoreError::Damaged);
    if let Err(error) = done.and_then(|text| agent.store.set_value(OVERLAY, &text)) {
        tracing::warn!(%error, "what went into the overlay could not be kept");
    }
    let deployment = policy.deployment.to_string();
    let values = [("deployment", deployment.as_str())];
    agent.report(Component::Deployment, Severity::Warning, MessageId::OverlayInstalled, &values);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> DeploymentId {
        DeploymentId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn the_filter_is_not_opened_for_a_group_of_updates() {
        assert!(refuses(true, true).is_some());
        assert_eq!((refuses(true, false), refuses(false, true)), (None, None));
    }

    #[test]
    fn servicing_is_bounded_by_day_and_by_deployment_whatever_the_clock_does() {
        let (mut kept, now) = (Kept::default(), UnixMillis(10 * DAY));
        for number in 1..=3 {
            assert_eq!(kept.begin(id(1), now.plus(number)), Begin::Counted);
        }
        assert_eq!(kept.begin(id(1), now.plus(4)), Begin::InVain);
        for number in 2..=6 {
            assert_eq!(kept.begin(id(number), now.plus(HOUR)), Begin::Counted);
        }
        assert_eq!(kept.begin(id(9), now.plus(HOUR)), Begin::TooOften(now.plus(1 + DAY)));
        // A clock that goes back brings no more.
        assert!(matches!(kept.begin(id(9), now.plus(-HOUR)), Begin::TooOften(_)));
        assert_eq!(kept.begin(id(9), now.plus(DAY + 2 * HOUR)), Begin::Counted);
        assert_eq!(kept.begin(id(1), now.plus(2 * DAY)), Begin::InVain, "what came to nothing is remembered");
        kept.forget(&[id(2)]);
        assert!(
            kept.tries.contains_key(&id(1)) && !kept.tries.contains_key(&id(2)),
            "only what succeeded is forgotten"
        );
        // What stood in the way counts for nothing.
        let before = kept.begun.len();
        kept.take_back(id(9));
        assert_eq!((kept.begun.len(), kept.tries[&id(9)]), (before - 1, 0));
    }
}
