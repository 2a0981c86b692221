//! Maintenance windows on this client: whether a deployment may begin now, and until when it waits otherwise.
//!
//! A window is opened by a clock, and a clock can be wrong, or be set. What is believed of it stands in [`Agent::window_time`];
//! while it is not believed, windows stay closed.

use crate::{agent::Agent, policy::Policy};
use muster_model::{
    policy::{DeploymentPolicy, Recipient},
    settings::drawn,
    status::WaitReason,
    time::UnixMillis,
    window::{Chance, Quiet, Work, applying, chance},
};

/// Whether a deployment may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Yes.
    Open,
    /// Not now.
    Closed {
        /// Why.
        reason: WaitReason,
        /// When it will, as it is known now.
        starts: Option<UnixMillis>,
    },
}

/// When a deployment begins where no window holds it back: at its deadline, and by what this device drew of the spread later.
pub(crate) fn starts(policy: &Policy, deployment: &DeploymentPolicy) -> UnixMillis {
    deployment.available.max(deployment.deadline.plus(later(policy, deployment)))
}

/// By how much this device begins the deployment later than others.
fn later(policy: &Policy, deployment: &DeploymentPolicy) -> i64 {
    match policy.assignment().recipient {
        Recipient::Device(device) => drawn(policy.settings().deadline_spread, device, deployment.deployment),
        Recipient::Enrolment(_) => 0,
    }
}

/// When a required deployment may begin by business hours, before its time comes: at a moment when users are left in peace, and a window is open
/// where windows hold. `None`: not before its time.
pub(super) fn early(agent: &Agent, policy: &Policy, deployment: &DeploymentPolicy, seconds: u32) -> Option<Gate> {
    let (hours, starts) = (policy.settings().business_hours?, starts(policy, deployment));
    if !deployment.purpose.is_required() || agent.clock.now() >= starts {
        return None;
    }
    // By a clock that is not believed nothing begins early.
    let now = agent.window_time()?;
    let (zone, later) = (agent.collector.time_zone(), later(policy, deployment));
    let quiet = Quiet { hours, zone: &zone, later };
    let windows = if deployment.outside_windows { &[][..] } else { policy.windows() };
    let from = deployment.available.plus(later).max(now);
    match quiet.chance(windows, work(policy, deployment), from, starts, seconds) {
        Chance::Free | Chance::Now { .. } if from <= now => Some(Gate::Open),
        Chance::Free | Chance::Now { .. } => Some(Gate::Closed { reason: WaitReason::Deadline, starts: Some(from) }),
        Chance::Later { opens, .. } if opens < starts => {
            let reason = if quiet.is_business(from) { WaitReason::BusinessHours } else { WaitReason::Window };
            Some(Gate::Closed { reason, starts: Some(opens) })
        }
        Chance::Later { .. } | Chance::Never => None,
    }
}

/// Whether work on packages that belongs to no deployment may begin now, as an update may that takes so many seconds.
pub(crate) fn allows_updates(agent: &Agent, policy: &Policy, seconds: u32) -> bool {
    let work = kind(policy, true);
    if applying(policy.windows(), work).next().is_none() {
        return true;
    }
    // As with deployments: before the site was asked what time it is nothing begins.
    let Some(now) = agent.window_time.was_asked().then(|| agent.window_time()).flatten() else { return false };
    let chance = chance(policy.windows(), work, &agent.collector.time_zone(), now, seconds);
    matches!(chance, Chance::Free | Chance::Now { .. })
}

/// What windows make of a deployment.
fn work(policy: &Policy, deployment: &DeploymentPolicy) -> Work {
    kind(policy, deployment.software_update)
}

fn kind(policy: &Policy, software_update: bool) -> Work {
    match (software_update, policy.settings().updates_in_general_windows) {
        (false, _) => Work::Application,
        (true, false) => Work::Update,
        (true, true) => Work::UpdateAnywhere,
    }
}

/// What the windows of the policy say to a command of a deployment that takes so many seconds, at a moment or later: now, or when its
/// deadline will have come.
pub(super) fn gate(
    agent: &Agent,
    policy: &Policy,
    deployment: &DeploymentPolicy,
    seconds: u32,
    from: UnixMillis,
) -> Gate {
    let work = work(policy, deployment);
    if deployment.outside_windows || applying(policy.windows(), work).next().is_none() {
        return Gate::Open;
    }
    let Some(now) = agent.window_time() else { return Gate::Closed { reason: WaitReason::Clock, starts: None } };
    let zone = agent.collector.time_zone();
    match chance(policy.windows(), work, &zone, from.max(now), seconds) {
        Chance::Free | Chance::Now { .. } => Gate::Open,
        Chance::Later { opens, .. } => Gate::Closed { reason: WaitReason::Window, starts: Some(opens) },
        Chance::Never => Gate::Closed { reason: WaitReason::NeverFits, starts: None },
    }
}
