//! Restarts of this machine: what needs one, who is told, when it is made, and the proof afterwards.
//!
//! Only what a required deployment needs makes a restart; what the system itself says, and what a user installed, is said and no more.
//! The program that restarts the machine stands in `agent.json` and nowhere else: without it none is made.

mod keep;
mod make;
pub mod notice;

use crate::{agent::Agent, apply::starts, collect::reasons, os::facts::Stale, policy::Policy};
use muster_model::{
    restart::{Begun, Decision, Situation, decide},
    settings::ClientSettings,
    status::{Component, DeploymentState, MessageId, Severity, WaitReason},
    time::MINUTE,
    window::{Quiet, Work, applying, chance},
};
use notice::Notice;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// How often is looked while nothing is counted down.
const LOOK: Duration = Duration::from_secs(20);
/// How often is looked while something is.
const TICK: Duration = Duration::from_secs(1);
/// How often is looked until the site said what time it is, where windows hold.
const SOON: Duration = Duration::from_millis(200);
/// How often is looked which programs run what was replaced: it reads a table of each.
const PROGRAMS: Duration = Duration::from_secs(600);

/// What users are shown, and what they answered.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    face: Mutex<Face>,
    pub(crate) answered: Notify,
}

#[derive(Debug, Default)]
pub(crate) struct Face {
    pub(crate) notice: Notice,
    /// Until when nobody wants to see it.
    pub(crate) put_away: Option<Instant>,
    /// A user wants it now.
    pub(crate) wanted: bool,
}

impl Restarts {
    pub(crate) fn face(&self) -> MutexGuard<'_, Face> {
        // Each change of it is whole.
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What only this run of the agent knows.
#[derive(Debug, Default)]
struct Watch {
    /// Since when it is counted down.
    counting: Option<Instant>,
    /// Since when a restart that was begun is waited for, and in which try.
    waiting: Option<(Instant, u32)>,
    /// Nothing is known of the time yet, and a window is waited for.
    asks_time: bool,
    /// What was said last of why none is made.
    said: Option<&'static str>,
    /// When it was looked which programs run what was replaced, and what came of it.
    programs: Option<(Instant, Option<Stale>)>,
}

/// Follows restarts until the agent ends.
pub(crate) async fn run(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>, program: Vec<String>) {
    keep::prove(&agent);
    let mut state = Watch::default();
    loop {
        let current = policy.borrow_and_update().clone();
        step(&agent, current.as_deref(), &program, &mut state).await;
        let pause = match state.counting {
            _ if state.asks_time => SOON,
            Some(_) => TICK,
            None => LOOK,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = agent.restarts.answered.notified() => {}
            changed = policy.changed() => if changed.is_err() { return },
        }
    }
}

async fn step(agent: &Agent, policy: Option<&Policy>, program: &[String], state: &mut Watch) {
    let boot = agent.boot();
    let pending = match agent.restart_pending() {
        Ok(pending) => pending,
        Err(error) => return tracing::warn!(%error, "what needs a restart is not known"),
    };
    let forcing: Vec<_> = policy.into_iter().flat_map(Policy::deployments).map(|d| d.policy()).collect();
    let named = |id| forcing.iter().copied().find(|deployment| deployment.deployment == id);
    let forcing: Vec<_> = pending
        .iter()
        .filter_map(|one| Some((one.since, named(one.deployment)?)))
        .filter(|(_, deployment)| deployment.purpose.is_required())
        .collect();
    let stale = programs(agent, state).await;
    let signs = agent.collector.restart_signs();
    let reasons = reasons(pending.iter().map(|one| one.deployment.to_string()), &signs, stale.as_ref());
    if keep::say(agent, &reasons) {
        // The class of it goes with the inventory.
        agent.inventory_wanted.notify_one();
    }

    let default = ClientSettings::default();
    let settings = policy.map_or(&default, Policy::settings);
    let time_comes = policy.and_then(|policy| forcing.iter().map(|(_, told)| starts(policy, told)).min());
    let work = match (forcing.iter().all(|(_, d)| d.software_update), settings.updates_in_general_windows) {
        (false, _) => Work::Application,
        (true, false) => Work::Update,
        (true, true) => Work::UpdateAnywhere,
    };
    let windows = policy.map_or(&[][..], Policy::windows);
    let outside = forcing.iter().any(|(_, d)| d.outside_windows) || applying(windows, work).next().is_none();
    let now = if outside { Some(agent.clock.now()) } else { agent.window_time() };
    let zone = agent.collector.time_zone();
    let begun = keep::begun(agent).filter(|begun| begun.boot == boot);
    let waited = waited(state, begun.as_ref());
    let wanted = agent.restarts.face().wanted;
    let situation = Situation {
        now: now.unwrap_or_else(|| agent.clock.now()),
        boot: &boot,
        since: forcing.iter().map(|(since, _)| *since).min(),
        settings: settings.restart,
        users: agent.collector.somebody(),
        counted: state.counting.map(|from| millis(from.elapsed())),
        wanted,
        begun: begun.as_ref().map(|begun| (begun, waited)),
    };
    let windows = if outside { &[][..] } else { windows };
    let hours = settings.business_hours.zip(time_comes);
    let quiet = hours.map(|(hours, deadline)| (Quiet { hours, zone: &zone, later: 0 }, deadline));
    let by_windows = |from, seconds| chance(windows, work, &zone, from, seconds);
    let decision = decide(&situation, |from, seconds| match (now, &quiet) {
        (None, _) => None,
        (Some(_), None) => Some(by_windows(from, seconds)),
        // What has time until its deadline leaves users alone until then.
        (Some(_), Some((quiet, deadline))) => Some(quiet.chance(windows, work, from, *deadline, seconds)),
    });
    let decision = match (decision, &quiet) {
        (Decision::Waits { reason: WaitReason::Window, opens }, Some((quiet, deadline)))
            if situation.now < *deadline && quiet.is_business(situation.now) =>
        {
            Decision::Waits { reason: WaitReason::BusinessHours, opens }
        }
        (decision, _) => decision,
    };
    // What is being installed is not broken off; its run time is bounded.
    let decision =
        if decision == Decision::Restart && is_installing(agent) { Decision::Countdown { left: 0 } } else { decision };
    let asks = matches!(decision, Decision::Waits { reason: WaitReason::Clock, .. });
    state.asks_time = asks && !agent.window_time.was_asked();
    follow(agent, program, state, decision, &boot, begun.clone(), &reasons).await;
    let countdown = settings.restart.countdown_minutes.min(settings.restart.notice_minutes);
    let countdown = i64::from(countdown) * MINUTE;
    let mut face = agent.restarts.face();
    face.notice = Notice::of(decision, reasons, situation.now, countdown);
    face.notice.snooze_minutes = settings.restart.snooze_minutes;
}

/// Programs that run what was replaced, as they were some minutes ago at most.
async fn programs(agent: &Agent, state: &mut Watch) -> Option<Stale> {
    if let Some((at, known)) = &state.programs
        && at.elapsed() < PROGRAMS
    {
        return known.clone();
    }
    let collector = agent.collector.clone();
    let found = tokio::task::spawn_blocking(move || collector.stale_programs()).await.ok().flatten();
    state.programs = Some((Instant::now(), found.clone()));
    found
}

fn is_installing(agent: &Agent) -> bool {
    // What is not known may be.
    let Ok(all) = agent.store.deployments() else { return true };
    all.iter().any(|progress| progress.state == DeploymentState::Installing)
}

fn waited(state: &mut Watch, begun: Option<&Begun>) -> i64 {
    let Some(begun) = begun else {
        state.waiting = None;
        return 0;
    };
    let since = match state.waiting {
        Some((since, tries)) if tries == begun.tries => since,
        _ => Instant::now(),
    };
    state.waiting = Some((since, begun.tries));
    millis(since.elapsed())
}

async fn follow(
    agent: &Agent,
    program: &[String],
    state: &mut Watch,
    decision: Decision,
    boot: &str,
    begun: Option<Begun>,
    reasons: &str,
) {
    state.counting = match decision {
        Decision::Countdown { .. } => state.counting.or_else(|| Some(Instant::now())),
        _ => None,
    };
    if is_forgotten(decision) {
        agent.restarts.face().wanted = false;
    }
    let why = match decision {
        Decision::Restart => {
            if program.is_empty() {
                Some("agent.json names no program that restarts this machine")
            } else {
                make::restart(agent, program, boot, begun, reasons).await;
                None
            }
        }
        Decision::GivenUp => {
            keep::give_up(agent, begun);
            return;
        }
        Decision::Unprovable => Some("the system does not say which run of it this is"),
        _ => None,
    };
    if let Some(why) = why
        && state.said != Some(why)
    {
        tracing::error!(why, "this machine is not restarted");
        agent.report(Component::Agent, Severity::Error, MessageId::RestartFailed, &[("reason", why)]);
    }
    state.said = why.or(state.said.filter(|_| decision != Decision::Nothing));
}

/// Whether what a user wanted is over with this: another restart, weeks later, is asked for anew.
const fn is_forgotten(decision: Decision) -> bool {
    matches!(
        decision,
        Decision::Restart | Decision::Nothing | Decision::Forbidden | Decision::Unprovable | Decision::GivenUp
    )
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_wanted_does_not_outlive_its_restart() {
        for over in [Decision::Nothing, Decision::Forbidden, Decision::Unprovable, Decision::GivenUp, Decision::Restart]
        {
            assert!(is_forgotten(over), "{over:?}");
        }
        assert!(!is_forgotten(Decision::Countdown { left: 1 }) && !is_forgotten(Decision::Underway));
    }
}
