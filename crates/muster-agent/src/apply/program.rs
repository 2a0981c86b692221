//! Programs: what runs and leaves nothing that could be looked for. What is asked instead of a detection rule is what the agent kept of
//! earlier runs, and the rule of the deployment.

use super::{
    Next,
    consider::Look,
    step::{Step, Work},
};
use crate::{
    policy::Deployment,
    store::{
        StoreError,
        programs::{Known, Run},
    },
};
use muster_model::{
    program::Outcome,
    status::{DeploymentState, FailureReason},
    time::{HOUR, UnixMillis},
};

/// The moment from which a deployment's program is due.
fn from(deployment: &Deployment) -> UnixMillis {
    deployment.policy().available.max(deployment.policy().deadline)
}

/// For which time it would run now.
pub(super) fn due(deployment: &Deployment, now: UnixMillis) -> UnixMillis {
    deployment.policy().options.due(from(deployment), now)
}

/// Whether one that came to its end is looked at, because its schedule says so. `None`: it says nothing of it.
pub(super) fn look(deployment: &Deployment, step: &Step<'_>, now: UnixMillis) -> Option<Look> {
    let options = &deployment.policy().options;
    let is_program = deployment.application().is_some_and(|application| application.value().is_program());
    if !is_program || options.schedule.is_empty() || !step.progress.state.is_end() || step.intent.is_some() {
        return None;
    }
    // A run may end after its next time has come: what counts is for which time it began.
    let policy = deployment.policy();
    let ran = step.agent.store.program_of(policy.application, policy.deployment);
    let last = match ran {
        Ok(Some(Known::Ran(run))) => run.due,
        _ => step.progress.changed,
    };
    if last < due(deployment, now) {
        return Some(Look::Now);
    }
    // A failure that may pass is another matter, and is looked at as ever.
    let next = options.next(from(deployment), now);
    let is_rest = step.progress.state == DeploymentState::Succeeded || is_of_a_run(step);
    is_rest.then(|| Look::Later(next.map(|next| next.min(now.plus(HOUR)))))
}

/// What is asked before anything is fetched. `Some`: it does not run.
pub(super) fn before(step: &mut Step<'_>, deployment: &Deployment, own: &Work<'_>) -> Result<Option<Next>, StoreError> {
    if step.intent.is_some() {
        return Ok(None);
    }
    let (store, now) = (&step.agent.store, step.agent.clock.now());
    let (program, policy) = (own.runs.application, deployment.policy());
    match store.program_of(program, policy.deployment)? {
        Some(Known::Wanted) => return Ok(None),
        Some(Known::Ran(run)) if run.due >= due(deployment, now) => return settle(step, &run).map(Some),
        Some(Known::Ran(_)) | None => {}
    }
    match store.program_last(program)? {
        Some(run) if !policy.options.rerun.runs_after(run.outcome) => settle(step, &run).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// It ran, and does not run again: the deployment stands as that run ended.
fn settle(step: &mut Step<'_>, run: &Run) -> Result<Next, StoreError> {
    let (now, began) = (step.agent.clock.now(), crate::clock::shown(run.started));
    let stands = match run.outcome {
        Outcome::Succeeded => step.progress.state == DeploymentState::Succeeded,
        // Another failure, of its files perhaps, is not how it ended.
        Outcome::Failed | Outcome::Unknown => step.progress.state == DeploymentState::Failed && is_of_a_run(step),
    };
    if stands {
        step.progress.changed = now;
        return step.as_it_was().map(|()| None);
    }
    match run.outcome {
        Outcome::Succeeded => step.succeed(format!("It ran at {began}, and does not run again."), false)?,
        Outcome::Failed => {
            let text = format!("It ran at {began} and failed, and does not run again.");
            step.fail(FailureReason::ExitCode, run.code, text)?;
        }
        Outcome::Unknown => {
            let text = format!("It was begun at {began}, nobody knows how it ended, and it does not run again.");
            step.fail(FailureReason::Interrupted, None, text)?;
        }
    }
    Ok(None)
}

/// Whether it failed by running.
const fn is_of_a_run(step: &Step<'_>) -> bool {
    matches!(
        step.progress.reason,
        Some(
            FailureReason::ExitCode | FailureReason::TimedOut | FailureReason::Interrupted | FailureReason::CannotStart
        )
    )
}
