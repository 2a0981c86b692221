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
    window::{Chance, Work, applying, chance},
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
pub(super) fn starts(policy: &Policy, deployment: &DeploymentPolicy) -> UnixMillis {
    let later = match policy.assignment().recipient {
        Recipient::Device(device) => drawn(policy.settings().deadline_spread, device, deployment.deployment),
        Recipient::Enrolment(_) => 0,
    };
    deployment.available.max(deployment.deadline.plus(later))
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
    let work = match (deployment.software_update, policy.settings().updates_in_general_windows) {
        (false, _) => Work::Application,
        (true, false) => Work::Update,
        (true, true) => Work::UpdateAnywhere,
    };
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
