//! Maintenance windows on this client: whether a deployment may begin now, and until when it waits otherwise.
//!
//! A window is opened by a clock, and a clock can be wrong, or be set. What is believed of it stands in [`Agent::window_time`];
//! while it is not believed, windows stay closed.

use crate::{agent::Agent, policy::Policy};
use muster_model::{
    application::Application,
    policy::DeploymentPolicy,
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

/// What the windows of the policy say to a deployment at a moment or later: now, or when its deadline will have come.
pub(super) fn gate(
    agent: &Agent,
    policy: &Policy,
    deployment: &DeploymentPolicy,
    application: &Application,
    from: UnixMillis,
) -> Gate {
    let work = if deployment.software_update { Work::Update } else { Work::Application };
    if deployment.outside_windows || applying(policy.windows(), work).next().is_none() {
        return Gate::Open;
    }
    let Some(now) = agent.window_time() else { return Gate::Closed { reason: WaitReason::Clock, starts: None } };
    let zone = agent.collector.time_zone();
    match chance(policy.windows(), work, &zone, from.max(now), application.max_run_seconds) {
        Chance::Free | Chance::Now { .. } => Gate::Open,
        Chance::Later { opens, .. } => Gate::Closed { reason: WaitReason::Window, starts: Some(opens) },
        Chance::Never => Gate::Closed { reason: WaitReason::NeverFits, starts: None },
    }
}
