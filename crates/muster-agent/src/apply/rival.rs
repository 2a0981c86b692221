//! Deployments that want the contrary of another one: what replaced an application keeps it away, and what is wanted somewhere stays.

use super::step::Work;
use crate::{
    agent::Agent,
    policy::{Deployment, Policy},
    store::StoreError,
};
use muster_model::{
    application::Application,
    policy::Action,
    status::{DeploymentState, Verb, WaitReason},
};

/// Why a command does not begin, though nothing is as its deployment wants.
pub(super) fn of(
    agent: &Agent,
    policy: &Policy,
    deployment: &Deployment,
    own: &Work<'_>,
    had_succeeded: bool,
) -> Result<Option<WaitReason>, StoreError> {
    let id = deployment.policy().deployment;
    for other in policy.deployments().iter().filter(|other| other.policy().deployment != id) {
        let Some(application) = other.application().filter(|_| other.policy().action == Action::Install) else {
            continue;
        };
        let application = application.value();
        let required = other.policy().purpose.is_required();
        let rival = match own.runs.verb {
            Verb::Install => application.supersedes.iter().any(|old| old.application == own.application.id),
            Verb::Uninstall => wants(other, application, own.application),
            Verb::Repair => false,
        };
        if !rival {
            continue;
        }
        let progress = agent.store.deployment(other.policy().deployment)?;
        let is_there = progress.is_some_and(|progress| progress.state == DeploymentState::Succeeded);
        match own.runs.verb {
            Verb::Install if is_there || had_succeeded && required => return Ok(Some(WaitReason::Superseded)),
            Verb::Uninstall if is_there || required => return Ok(Some(WaitReason::Conflict)),
            _ => {}
        }
    }
    Ok(None)
}

/// Whether a deployment wants this application to be there: itself, or as what it depends on.
fn wants(other: &Deployment, application: &Application, this: &Application) -> bool {
    let needs =
        |of: &Application| of.dependencies.iter().flat_map(|group| &group.any).any(|one| one.application == this.id);
    application.id == this.id
        || needs(application)
        || other.related().iter().any(|related| needs(related.application()))
}
