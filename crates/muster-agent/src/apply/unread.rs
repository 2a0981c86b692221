//! Deployments of which the site says more than this client understands. To pass over a word could mean to pass over a limit, so that
//! nothing of them is begun; the rest of the policy holds, and the site hears why.

use super::{Round, step::Step};
use crate::{
    policy::UnreadDeployment,
    store::{StoreError, deployments::Progress},
};
use muster_model::status::{DeploymentState, FailureReason};

/// Says of each that this client is too old for it, once.
pub(super) fn say(round: &Round<'_>) {
    for unread in round.policy.unread() {
        if let Err(error) = say_of(round, unread) {
            tracing::warn!(deployment = %unread.deployment, %error, "that it is not understood could not be said");
        }
    }
}

fn say_of(round: &Round<'_>, unread: &UnreadDeployment) -> Result<(), StoreError> {
    let agent = round.agent;
    let before = agent.store.deployment(unread.deployment)?.filter(|before| before.application == unread.application);
    // What runs is waited for; its end is said by whoever waits.
    if before.as_ref().is_some_and(|before| before.state == DeploymentState::Installing) {
        return Ok(());
    }
    let before = before.unwrap_or_else(|| Progress::new(unread.deployment, unread.application, agent.clock.now()));
    Step::of(agent, round.policy, before, None)?.fail(FailureReason::AgentTooOld, None, String::new())
}
