//! One deployment in one round: whether anything is to be done, and then as far as it goes.

use super::{
    AGAIN, Next, Round, again, approve,
    choose::{self, Choice},
    defer, install,
    plan::{self, Done},
    program,
    require::{Verdict, requirements},
    rival, servicing,
    step::{Came, Step, Wait, Work, command, work},
    window::{Gate, early, gate, starts},
};
use crate::{
    content,
    policy::{Deployment, Policy},
    secret,
    store::StoreError,
};
use muster_model::{
    application::{Application, Platform},
    policy::Action,
    status::{DeploymentState, FailureReason, Verb, WaitReason},
    time::{DAY, HOUR, MINUTE, UnixMillis},
};

/// Whether a deployment that stands somewhere is looked at now.
pub(super) enum Look {
    /// It is.
    Now,
    /// Not before that, or not at all.
    Later(Next),
}

/// One deployment, as far as it goes now.
pub(super) async fn consider(round: &Round<'_>, deployment: &Deployment) -> Result<Next, StoreError> {
    let agent = round.agent;
    let (id, object) = (deployment.policy().deployment, deployment.policy().application);
    let before = agent.store.deployment(id)?.filter(|progress| progress.application == object);
    let before = again::anew(agent, deployment, before)?;
    let mut step = Step::new(agent, round.policy, deployment, before)?;
    if let Look::Later(next) = look(round, deployment, &mut step)? {
        return Ok(next);
    }
    let Some(application) = deployment.application() else {
        return step.fail(FailureReason::NotSigned, None, String::new()).map(|()| None);
    };
    let application = application.value();
    if application.platforms().all(|platform| platform != Platform::Linux) {
        let output = "The application is for another operating system.".to_owned();
        return step.fail(FailureReason::CannotStart, None, output).map(|()| None);
    }
    let refused =
        approve::refusal(agent, deployment).or_else(|| approve::detection_refused(deployment, &step.scripts_refused));
    if let Some((reason, why)) = refused {
        // What is there already stays as it is; nothing more is begun.
        return match step.progress.state.is_end() && step.progress.state != DeploymentState::Failed {
            true => Ok(Some(agent.clock.now().plus(HOUR))),
            false => step.fail(reason, None, why).map(|()| None),
        };
    }
    if let Err(error) = application.given(&deployment.policy().options.parameters) {
        return step.fail(FailureReason::ParameterInvalid, None, format!("{error}.")).map(|()| None);
    }
    if let Some(why) = servicing::refuses(application.updates().is_some(), servicing::is_wanted(deployment.policy())) {
        return step.fail(FailureReason::Servicing, None, why).map(|()| None);
    }
    if !deployment.policy().purpose.is_required() && step.intent.is_none() {
        return offer(round, &mut step, deployment).await;
    }
    if !step.is_pressing()
        && let Some(next) = time(round, &mut step, deployment)?
    {
        return Ok(Some(next));
    }
    if let Some(next) = expired(round) {
        return Ok(Some(next));
    }
    agent.facts.looked(id);
    start(round, &mut step, deployment).await
}

/// By a policy past its expiry nothing is begun, and no detection rule is asked.
fn expired(round: &Round<'_>) -> Next {
    let (agent, now) = (round.agent, round.agent.clock.now());
    let current = round.policy.is_current(agent.site.trust().bundle(), now, agent.floor());
    (!current).then(|| {
        tracing::warn!(
            "the policy or the trust bundle is past its expiry; nothing new is started until the site renews it"
        );
        now.plus(HOUR)
    })
}

/// Whether it may work later without anybody changing the deployment.
pub(crate) const fn may_pass(reason: FailureReason) -> bool {
    use FailureReason::{
        CacheFull, CacheTooSmall, ContentAltered, ContentUnavailable, DiskFull, UpdateRefused, UpdateSource,
    };
    matches!(
        reason,
        ContentUnavailable | ContentAltered | DiskFull | CacheTooSmall | CacheFull | UpdateSource | UpdateRefused
    )
}

/// After how long a group of updates is looked at again: somebody may repair the machine meanwhile. What was run and did not work only each
/// day, as it is said each time; what an earlier agent made of a look without an answer like every other one.
const fn passes_for_updates(reason: FailureReason) -> Option<i64> {
    use FailureReason::{DetectionFailed, ExitCode, Interrupted, NotDetected, TimedOut};
    match reason {
        DetectionFailed => Some(AGAIN),
        ExitCode | TimedOut | NotDetected | Interrupted => Some(DAY),
        _ => None,
    }
}

/// By what is known of it.
fn look(round: &Round<'_>, deployment: &Deployment, step: &mut Step<'_>) -> Result<Look, StoreError> {
    let (agent, now) = (round.agent, round.agent.clock.now());
    if let Some(look) = program::look(deployment, step, now) {
        return Ok(look);
    }
    let before = &step.progress;
    let asked = step.intent.is_some();
    Ok(match (before.state, before.reason) {
        (DeploymentState::Installing, _) => Look::Later(Some(now.plus(MINUTE))),
        (DeploymentState::Waiting, _) if before.waits == Some(WaitReason::Restart) => {
            let boot = agent.boot();
            // Where the system does not say which run it is, nobody knows whether there was another one.
            match boot.is_empty() || before.boot.as_ref() == Some(&boot) {
                true => Look::Later(None),
                false => Look::Now,
            }
        }
        _ if asked => {
            let retry = before.waits.is_some_and(WaitReason::is_retry) && before.state == DeploymentState::Waiting;
            match retry && now < before.until {
                true => Look::Later(Some(before.until)),
                false => Look::Now,
            }
        }
        (DeploymentState::Waiting, _) if before.waits.is_some_and(WaitReason::is_retry) && now < before.until => {
            Look::Later(Some(before.until))
        }
        (DeploymentState::Failed, Some(reason)) => failed(round, deployment, step, reason),
        (DeploymentState::Failed, None) => Look::Later(None),
        (DeploymentState::Succeeded, _) => due(step, now)?,
        (DeploymentState::RequirementsNotMet, _) => match agent.facts.changed(before.deployment) {
            true => Look::Now,
            false => due(step, now)?,
        },
        _ => Look::Now,
    })
}

/// What came to its end is looked at again after a while.
fn due(step: &mut Step<'_>, now: UnixMillis) -> Result<Look, StoreError> {
    let before = &step.progress;
    // An earlier agent kept no time.
    let mut at = if before.until > before.changed { before.until } else { before.changed.plus(step.again) };
    if at.since(now) > step.again {
        // The site wants it more often than when it was looked at last, or the clock was set back.
        at = now.plus(step.again);
        step.progress.until = at;
        step.agent.store.keep_progress(&step.progress)?;
    }
    // What is further away than the longest rest is found by then.
    Ok(if now >= at { Look::Now } else { Look::Later(Some(at).filter(|at| at.since(now) <= HOUR)) })
}

fn failed(round: &Round<'_>, deployment: &Deployment, step: &mut Step<'_>, reason: FailureReason) -> Look {
    let (agent, now) = (round.agent, round.agent.clock.now());
    let again = step.progress.changed.plus(AGAIN);
    let application = deployment.application().map(muster_trust::Verified::value);
    let updates = application.is_some_and(|application| application.updates().is_some());
    if updates && let Some(after) = passes_for_updates(reason) {
        let again = step.progress.changed.plus(after);
        return if now >= again { Look::Now } else { Look::Later(Some(again)) };
    }
    match reason {
        reason if may_pass(reason) && now >= again => {
            step.progress.attempts = 0;
            Look::Now
        }
        reason if may_pass(reason) => Look::Later(Some(again)),
        // Not signed may become signed: by a trust bundle that names the author.
        FailureReason::NotSigned if application.is_some() => Look::Now,
        // Somebody may approve it or sign it too, and settings change.
        FailureReason::NotApproved if approve::refusal(agent, deployment).is_none() => Look::Now,
        FailureReason::ScriptPolicy if step.scripts_refused.is_empty() => Look::Now,
        FailureReason::DependencyMissing if application.is_some_and(|a| plan::is_whole(deployment, a)) => {
            // Whole, and still in a circle: not every round.
            if now >= again { Look::Now } else { Look::Later(Some(again)) }
        }
        // Now it is understood: else it would not be among these.
        FailureReason::AgentTooOld => Look::Now,
        // The settings may allow it by now; what came to nothing too often is remembered.
        FailureReason::Servicing => {
            if now >= again {
                Look::Now
            } else {
                Look::Later(Some(again))
            }
        }
        // What was not sealed may be sealed by now.
        FailureReason::SecretMissing if application.is_some_and(|a| secret::open(agent, round.policy, a).is_ok()) => {
            Look::Now
        }
        _ => Look::Later(None),
    }
}

/// Waits for the deadline, and for a window, as long as none of both is there.
fn time(round: &Round<'_>, step: &mut Step<'_>, deployment: &Deployment) -> Result<Next, StoreError> {
    let (agent, policy) = (round.agent, round.policy);
    let now = agent.clock.now();
    // What a user wants has no deadline.
    let starts = step.intent.map_or_else(|| starts(policy, deployment.policy()), |_| now);
    // What is looked at again is as it was, most of the time: it waits when there is something to do.
    let may_be_early = policy.settings().business_hours.is_some();
    if step.progress.state.is_end() && (now >= starts || may_be_early) {
        return Ok(None);
    }
    if step.intent.is_none()
        && let Some(until) = defer::until(agent, policy, deployment)?
    {
        step.wait_once(Wait { reason: WaitReason::Deferred, starts: Some(until) })?;
        return Ok(Some(until));
    }
    let held = agent.facts.held(step.progress.deployment, now).unwrap_or(0);
    // Which deployment type it is may not be known yet: then the longest has to fit.
    let types = deployment.types();
    let own = step.progress.own_type.and_then(|place| types.get(place)).map(|one| one.max_run_seconds);
    let longest = || types.iter().map(|one| one.max_run_seconds).max().unwrap_or(0);
    let seconds = own.unwrap_or_else(longest).max(held);
    let known = |wait: Wait| {
        let progress = &step.progress;
        // An earlier agent kept no reason.
        let alike = progress.waits.is_none_or(|reason| reason == wait.reason);
        progress.state == DeploymentState::Waiting && progress.until == wait.until() && alike
    };
    if now < starts && step.intent.is_none() {
        match early(agent, policy, deployment.policy(), seconds) {
            Some(Gate::Open) => return Ok(None),
            Some(Gate::Closed { reason, starts }) => {
                let wait = Wait { reason, starts };
                if !known(wait) {
                    step.wait(wait)?;
                }
                return Ok(starts);
            }
            None => {}
        }
    }
    let gate = gate(agent, policy, deployment.policy(), seconds, starts);
    if now < starts {
        let wait = match gate {
            Gate::Closed { reason, starts } if reason != WaitReason::Clock => Wait { reason, starts },
            _ => Wait { reason: WaitReason::Deadline, starts: Some(starts) },
        };
        if !known(wait) {
            step.wait(wait)?;
        }
        return Ok(Some(starts));
    }
    // All that may be done before a window opens was done when it began to wait.
    match gate {
        Gate::Closed { reason, starts } if known(Wait { reason, starts }) => {
            Ok(Some(starts.unwrap_or_else(|| now.plus(MINUTE))))
        }
        _ => Ok(None),
    }
}

/// What business hours say where the time of a deployment has not come. `None`: it has, or a user began it.
fn before_its_time(step: &Step<'_>, policy: &Policy, deployment: &Deployment, seconds: u32) -> Option<Gate> {
    let starts = starts(policy, deployment.policy());
    if step.intent.is_some() || step.agent.clock.now() >= starts {
        return None;
    }
    let closed = Gate::Closed { reason: WaitReason::Deadline, starts: Some(starts) };
    Some(early(step.agent, policy, deployment.policy(), seconds).unwrap_or(closed))
}

/// Offers an application to the users of the machine: nothing begins by itself.
async fn offer(round: &Round<'_>, step: &mut Step<'_>, deployment: &Deployment) -> Result<Next, StoreError> {
    let agent = round.agent;
    let (now, available) = (agent.clock.now(), deployment.policy().available);
    if now < available {
        step.wait_once(Wait { reason: WaitReason::Deadline, starts: Some(available) })?;
        return Ok(Some(available));
    }
    let is_offered = step.progress.state == DeploymentState::Waiting && step.progress.waits == Some(WaitReason::User);
    if is_offered {
        return Ok(None);
    }
    if let Some(next) = expired(round) {
        return Ok(Some(next));
    }
    agent.facts.looked(step.progress.deployment);
    let was_there = step.progress.state == DeploymentState::Succeeded;
    let application = match chosen(step, deployment, Verb::Install).await {
        Ok((_, application)) => application,
        Err(choice) => return none(step, choice),
    };
    if was_there && application.is_program() {
        return step.as_it_was().map(|()| None);
    }
    if !application.is_program() && !application.detection.needs_content() {
        match install::detected(step, application).await {
            Ok(true) if was_there => return step.as_it_was().map(|()| None),
            Ok(true) => return step.succeed(String::new(), false).map(|()| None),
            Ok(false) => step.undone = was_there,
            Err(refusal) => return step.no_answer(refusal),
        }
    } else if was_there {
        return step.as_it_was().map(|()| None);
    }
    match requirements(agent, application).await {
        Verdict::Met => step.wait(Wait::for_ever(WaitReason::User)).map(|()| None),
        Verdict::NotMet(text) => step.not_for_this(&text).map(|()| None),
        Verdict::Invalid(text) => step.fail(FailureReason::RequirementInvalid, None, text).map(|()| None),
    }
}

/// The verb of a deployment: what a user wants, or what it is for.
fn verb(step: &Step<'_>, deployment: &Deployment) -> Verb {
    step.wanted().unwrap_or(match deployment.policy().action {
        Action::Install => Verb::Install,
        Action::Uninstall => Verb::Uninstall,
    })
}

/// The deployment type that is for this device, with its place; kept and said from now on.
async fn chosen<'a>(
    step: &mut Step<'_>,
    deployment: &'a Deployment,
    verb: Verb,
) -> Result<(usize, &'a Application), Choice<'a>> {
    let types = deployment.types();
    let choice = match verb {
        Verb::Install => choose::to_install(step.agent, types).await,
        Verb::Uninstall | Verb::Repair => choose::that_is_there(step, types, verb).await,
    };
    let several = types.len() > 1;
    match choice {
        Choice::One(place, application) => {
            step.progress.own_type = several.then_some(place);
            Ok((place, application))
        }
        other => {
            step.progress.own_type = None;
            Err(other)
        }
    }
}

/// What is said where no type is for this device.
fn none(step: &mut Step<'_>, choice: Choice<'_>) -> Result<Next, StoreError> {
    match choice {
        Choice::Unknown(reason, text) => step.fail(reason, None, text).map(|()| None),
        Choice::None(text) => step.not_for_this(&text).map(|()| None),
        Choice::One(..) => Ok(None),
    }
}

/// From detection to detection. Content comes also while no window is open; the installation waits for one.
async fn start(round: &Round<'_>, step: &mut Step<'_>, deployment: &Deployment) -> Result<Next, StoreError> {
    let verb = verb(step, deployment);
    let (place, application) = match chosen(step, deployment, verb).await {
        Ok(chosen) => chosen,
        Err(choice) => return none(step, choice),
    };
    let own = Work { place, ..work(application, deployment.policy().application, verb, true) };
    if command(application, own.runs.verb).is_none() {
        let output = format!("There is no {} command.", own.runs.verb.as_str());
        return step.fail(FailureReason::NoCommand, None, output).map(|()| None);
    }
    if application.is_program()
        && let Some(next) = program::before(step, deployment, &own)?
    {
        return Ok(next);
    }
    if let Some(next) = before(round, step, deployment, &own).await? {
        return Ok(next);
    }
    let there = rival::there(round.agent, round.policy, deployment.policy().deployment)?;
    let mut done = Done::default();
    // Each of what comes along installed once, and removed once for each of its types; and its own.
    let commands = deployment.related().iter().map(|related| related.types().len() + 1).sum::<usize>();
    for _ in 0..=commands {
        let next = match own.runs.verb {
            Verb::Install => plan::next(step, deployment, application, &there, &done).await,
            Verb::Uninstall | Verb::Repair => Ok(None),
        };
        let piece = match next {
            Ok(piece) => piece.unwrap_or(own),
            Err((reason, text)) => return step.fail(reason, None, text).map(|()| None),
        };
        if !piece.own
            && let Some(reason) = rival::of(round.agent, round.policy, deployment, &piece, false)?
        {
            return stand_back(step, reason);
        }
        match run(round, step, deployment, &piece).await? {
            (true, _) => done.note(&piece),
            (false, next) => return Ok(next),
        }
    }
    let text = "What it depends on is installed again and again, and does not come to an end.".to_owned();
    step.fail(FailureReason::DependencyFailed, None, text).map(|()| None)
}

/// What is asked before anything is fetched. `Some`: nothing is to be done.
async fn before(
    round: &Round<'_>,
    step: &mut Step<'_>,
    deployment: &Deployment,
    own: &Work<'_>,
) -> Result<Option<Next>, StoreError> {
    let (agent, application) = (round.agent, own.application);
    let had_succeeded = step.progress.state == DeploymentState::Succeeded && step.intent.is_none();
    let asked_repair = own.runs.verb == Verb::Repair;
    if application.is_program() {
        // What is asked of it was asked.
    } else if !application.detection.needs_content() {
        match install::detected(step, application).await {
            Ok(there) if asked_repair && there => {}
            Ok(_) if asked_repair => {
                let output = "It is not there, so that it cannot be repaired.".to_owned();
                return step.fail(FailureReason::NotDetected, None, output).map(|()| Some(None));
            }
            Ok(there) if there == own.wants_there() && had_succeeded => {
                return step.as_it_was().map(|()| Some(None));
            }
            Ok(there) if there == own.wants_there() => {
                // By the way of every command, so that what was offered is offered again.
                let came = Came::Done { code: None, output: String::new() };
                return step.ended(own, &came).map(|_| Some(None));
            }
            Ok(_) => step.undone = had_succeeded,
            Err(refusal) => return step.no_answer(refusal).map(Some),
        }
    } else if had_succeeded {
        // Its rule needs its files: they are not fetched for a look alone.
        return step.as_it_was().map(|()| Some(None));
    }
    let had_it = had_succeeded || step.progress.waits == Some(WaitReason::Superseded);
    if let Some(reason) = rival::of(agent, round.policy, deployment, own, had_it)? {
        return stand_back(step, reason).map(Some);
    }
    if own.runs.verb == Verb::Install {
        match requirements(agent, application).await {
            Verdict::Met => {}
            Verdict::NotMet(text) => return step.not_for_this(&text).map(|()| Some(None)),
            Verdict::Invalid(text) => {
                return step.fail(FailureReason::RequirementInvalid, None, text).map(|()| Some(None));
            }
        }
    }
    Ok(None)
}

/// Waits until no other deployment wants the contrary; what a user wanted is forgotten then.
fn stand_back(step: &mut Step<'_>, reason: WaitReason) -> Result<Next, StoreError> {
    let (agent, now) = (step.agent, step.agent.clock.now());
    if step.intent.take().is_some() {
        agent.store.forget_intent(step.progress.deployment)?;
        return Ok(Some(now));
    }
    step.wait_once(Wait::for_ever(reason)).map(|()| Some(now.plus(HOUR)))
}

/// Policy, approval and scripts, before each command: the one before may have run for a day. `Some`: it does not go on.
fn judged_anew(round: &Round<'_>, step: &mut Step<'_>, deployment: &Deployment) -> Result<Option<Next>, StoreError> {
    if let Some(next) = expired(round) {
        return Ok(Some(Some(next)));
    }
    if let Some((reason, why)) = approve::refusal(round.agent, deployment) {
        return step.fail(reason, None, why).map(|()| Some(None));
    }
    step.scripts_refused = approve::scripts_refused(round.agent, round.policy, deployment);
    Ok(None)
}

/// One command with all that it needs. `true`: it worked, and the next one follows.
async fn run(
    round: &Round<'_>,
    step: &mut Step<'_>,
    deployment: &Deployment,
    piece: &Work<'_>,
) -> Result<(bool, Next), StoreError> {
    let (agent, policy, application) = (round.agent, round.policy, piece.application);
    // Before anything is fetched: without them it does not go on.
    let secrets = match piece.runs.verb {
        Verb::Install => match secret::open(agent, policy, application) {
            Ok(secrets) => secrets,
            Err(missing) => {
                return step.fail(FailureReason::SecretMissing, None, missing.to_string()).map(|()| (false, None));
            }
        },
        Verb::Uninstall | Verb::Repair => Vec::new(),
    };
    let (mut seconds, mut files) = (application.max_run_seconds, application.content.clone());
    // What is removed to make room is removed when what takes its place can follow at once: else there would be none of both.
    if let Some(next) = piece.room_for {
        if let Err(missing) = secret::open(agent, policy, next) {
            return step.fail(FailureReason::SecretMissing, None, missing.to_string()).map(|()| (false, None));
        }
        seconds = seconds.saturating_add(next.max_run_seconds);
        files.extend(next.content.iter().filter(|file| !application.content.contains(file)).cloned());
    }
    let serviced = servicing::is_wanted(deployment.policy());
    if let Some(why) = servicing::refuses(application.updates().is_some(), serviced) {
        return step.fail(FailureReason::Servicing, None, why).map(|()| (false, None));
    }
    if serviced {
        seconds = seconds.saturating_add(servicing::OVERHEAD_SECONDS);
    }
    if !files.is_empty() {
        let there = |file| content::is_there(&agent.cache, file);
        if !files.iter().all(there) {
            // Nothing is left open while something is fetched.
            servicing::leave(round);
        }
        let waited = step.progress.state == DeploymentState::Waiting && files.iter().all(there);
        if step.progress.state != DeploymentState::Downloading && !waited {
            step.take(DeploymentState::Downloading, |_| {})?;
        }
        if let Err(error) = round.fetch(&files).await {
            return step.content_failed(&error).map(|next| (false, next));
        }
    }
    // What is left of a window is asked for last: a download may have taken long, and the policy may be another one by now.
    if round.is_over() {
        return Ok((false, Some(agent.clock.now())));
    }
    if let Some(stopped) = judged_anew(round, step, deployment)? {
        return Ok((false, stopped));
    }
    // Somebody may have put it off while something was fetched.
    if step.intent.is_none()
        && let Some(until) = defer::until(agent, policy, deployment)?
    {
        step.wait_once(Wait { reason: WaitReason::Deferred, starts: Some(until) })?;
        return Ok((false, Some(until)));
    }
    // A user who begins something knows what time it is; who began it long ago does not.
    let now = agent.clock.now();
    // Nor does a user open the write filter.
    let open = match step.is_pressing() && !serviced {
        true => Gate::Open,
        false => before_its_time(step, policy, deployment, seconds)
            .unwrap_or_else(|| gate(agent, policy, deployment.policy(), seconds, now)),
    };
    match open {
        Gate::Open => {
            if let Some(next) = servicing::enter(round, step, deployment.policy(), seconds).await? {
                return Ok((false, next));
            }
            let leave = || {
                servicing::leave(round);
            };
            let detect_first = application.detection.needs_content();
            let done = install::run(step, piece, secrets, detect_first, &leave).await;
            servicing::ran(step, deployment.policy());
            done
        }
        Gate::Closed { reason, starts } => {
            agent.facts.hold(step.progress.deployment, seconds, now);
            step.wait_once(Wait { reason, starts })?;
            Ok((false, Some(starts.unwrap_or_else(|| now.plus(MINUTE)))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_updates_comes_again_after_whatever_somebody_may_repair() {
        assert_eq!(passes_for_updates(FailureReason::DetectionFailed), Some(HOUR));
        for reason in [FailureReason::TimedOut, FailureReason::ExitCode, FailureReason::NotDetected] {
            assert_eq!(passes_for_updates(reason), Some(DAY));
        }
        assert_eq!(passes_for_updates(FailureReason::NotSigned), None);
    }
}
