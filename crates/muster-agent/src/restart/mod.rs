//! Restarts of this machine: what needs one, who is told, when it is made, and the proof afterwards.
//!
//! Only what a required deployment needs makes a restart; what the system itself says, and what a user installed, is said and no more.
//! The program that restarts the machine stands in `agent.json` and nowhere else: without it none is made.

mod keep;
mod make;
pub mod notice;

use crate::{agent::Agent, os::facts::RestartSign, policy::Policy};
use muster_model::{
    restart::{Begun, Decision, Situation, decide},
    settings::ClientSettings,
    status::{Component, DeploymentState, MessageId, Severity, WaitReason},
    time::MINUTE,
    window::{Chance, Work, applying, chance},
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
/// Bytes of the reasons in a message.
const REASONS: usize = 900;

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
    let reasons = reasons(pending.iter().map(|one| one.deployment.to_string()), &agent.collector.restart_signs());
    keep::say(agent, &reasons);

    let default = ClientSettings::default();
    let settings = policy.map_or(&default, Policy::settings);
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
    let decision = decide(&situation, |from, seconds| match (outside, now) {
        (true, _) => Some(Chance::Free),
        (false, None) => None,
        (false, Some(_)) => Some(chance(windows, work, &zone, from, seconds)),
    });
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

/// All reasons in one text, each with its source.
fn reasons(deployments: impl Iterator<Item = String>, signs: &[RestartSign]) -> String {
    let ours = deployments.map(|id| format!("deployment {id}"));
    let mut text = ours.chain(signs.iter().map(RestartSign::sentence)).collect::<Vec<_>>().join("; ");
    if text.len() > REASONS {
        let end = (0..=REASONS).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
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
