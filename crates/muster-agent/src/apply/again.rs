//! Another attempt, because an administrator asked for it: the number in the signed policy is higher than that of the last one here.

use super::servicing;
use crate::{
    agent::Agent,
    policy::Deployment,
    store::{StoreError, deployments::Progress},
};
use muster_model::status::{DeploymentState, WaitReason};

/// Where a deployment stands, begun anew where that is asked for and it failed. Whatever runs, waits for its time, or is done stays as
/// it is, and the number counts as heard: it is not meant for what fails later.
pub(super) fn anew(
    agent: &Agent,
    deployment: &Deployment,
    before: Option<Progress>,
) -> Result<Option<Progress>, StoreError> {
    let policy = deployment.policy();
    if policy.attempt == 0 || policy.attempt <= agent.store.attempt(policy.deployment)? {
        return Ok(before);
    }
    let fresh = || Progress::new(policy.deployment, policy.application, agent.clock.now());
    let (progress, again) = match before {
        None => (fresh(), true),
        Some(before) if is_over(&before) => {
            tracing::info!(deployment = %policy.deployment, attempt = policy.attempt, "it is tried again");
            (fresh(), true)
        }
        Some(before) => (before, false),
    };
    servicing::anew(agent, policy.deployment)?;
    agent.store.begin_attempt(&progress, policy.attempt, again)?;
    Ok(Some(progress))
}

fn is_over(progress: &Progress) -> bool {
    let retries = progress.state == DeploymentState::Waiting && progress.waits.is_some_and(WaitReason::is_retry);
    retries || matches!(progress.state, DeploymentState::Failed | DeploymentState::RequirementsNotMet)
}
