//! Deployments that want the contrary of another one: what replaced an application keeps it away, a newer version is not turned into an
//! older one, and what is wanted somewhere stays.

use super::step::Work;
use crate::{
    agent::Agent,
    policy::{Deployment, Policy, Related},
    store::{StoreError, deployments::Progress},
};
use muster_model::{
    application::Application,
    id::{ApplicationId, DeploymentId},
    status::{DeploymentState, Verb, WaitReason},
    version,
};
use std::collections::HashSet;

/// Why a command does not begin, though nothing is as its deployment wants. `had_it`: it was there by this deployment.
pub(super) fn of(
    agent: &Agent,
    policy: &Policy,
    deployment: &Deployment,
    work: &Work<'_>,
    had_it: bool,
) -> Result<Option<WaitReason>, StoreError> {
    for (other, application) in installing(policy, deployment.policy().deployment) {
        let rival = match work.runs.verb {
            Verb::Install => replaces(application, work.application),
            // What replaces another application says so itself; whom it takes it away from it does not know.
            Verb::Uninstall => {
                work.own && application.id == work.application.id || needs(other, application, work.application.id)
            }
            Verb::Repair => false,
        };
        if !rival {
            continue;
        }
        let required = other.policy().purpose.is_required();
        let progress = progress(agent, other)?;
        let state = progress.as_ref().map(|progress| progress.state);
        let is_there = state == Some(DeploymentState::Succeeded);
        let not_for_this = state == Some(DeploymentState::RequirementsNotMet);
        let waits = progress.and_then(|progress| progress.waits);
        // It will not come by itself. One that stands back itself keeps nobody away: else two could wait for each other.
        let gave_up = not_for_this || state == Some(DeploymentState::Failed) || waits == Some(WaitReason::Superseded);
        match work.runs.verb {
            Verb::Install if is_there || had_it && required && !gave_up => return Ok(Some(WaitReason::Superseded)),
            Verb::Uninstall if is_there || required && !not_for_this => return Ok(Some(WaitReason::Conflict)),
            _ => {}
        }
    }
    Ok(None)
}

/// What other deployments have installed here.
pub(super) fn there<'a>(
    agent: &Agent,
    policy: &'a Policy,
    id: DeploymentId,
) -> Result<Vec<&'a Application>, StoreError> {
    let mut found = Vec::new();
    for (other, application) in installing(policy, id) {
        if progress(agent, other)?.is_some_and(|progress| progress.state == DeploymentState::Succeeded) {
            found.push(application);
        }
    }
    Ok(found)
}

/// Whether two are the same application, and the first one is newer.
pub(super) fn is_newer(one: &Application, other: &Application) -> bool {
    one.id == other.id && version::compare("", &one.version, &other.version).is_gt()
}

/// Whether an application takes the place of another one.
fn replaces(one: &Application, other: &Application) -> bool {
    is_newer(one, other) || one.supersedes.iter().any(|old| old.application == other.id)
}

fn progress(agent: &Agent, deployment: &Deployment) -> Result<Option<Progress>, StoreError> {
    let found = agent.store.deployment(deployment.policy().deployment)?;
    Ok(found.filter(|progress| progress.application == deployment.policy().application))
}

/// The other deployments that install.
fn installing(policy: &Policy, id: DeploymentId) -> impl Iterator<Item = (&Deployment, &Application)> {
    policy.deployments().iter().filter_map(move |other| {
        let installs = other.policy().deployment != id && other.policy().action.is_install();
        Some((other, other.application().filter(|_| installs)?.value()))
    })
}

/// Whether a deployment depends on an application, over what it depends on too.
fn needs(other: &Deployment, application: &Application, this: ApplicationId) -> bool {
    let (mut seen, mut left) = (HashSet::new(), vec![application]);
    while let Some(one) = left.pop() {
        if !seen.insert((one.id, one.version.as_str())) {
            continue;
        }
        for dependency in one.dependencies.iter().flat_map(|group| &group.any) {
            if dependency.application == this {
                return true;
            }
            let along = other.related().iter().map(Related::application);
            left.extend(along.filter(|related| related.id == dependency.application));
        }
    }
    false
}
