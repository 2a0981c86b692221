//! A command itself, and taking up one that a kill of the agent left behind.

use super::{
    Next, approve, arguments,
    consider::may_pass,
    detect::{self, DetectionFailed},
    servicing,
    step::{Came, Step, Wait, Work, command, meaning},
};
use crate::{
    agent::Agent,
    content,
    os::{
        PrivateDirectory,
        process::{self, Ending, Job, Output, Tail},
        volatile_directory, volatile_find, volatile_sweep,
    },
    policy::{Deployment, Policy},
    script,
    secret::{self, Opened},
    store::{StoreError, deployments::Progress},
    updates::{self, Refusal},
};
use muster_model::{
    application::{Application, Command, FileName, Given, ParameterValues, ParameterWay, ReturnMeaning},
    id::DeploymentId,
    secret::SECRET_BYTES,
    status::{DeploymentState, FailureReason, Runs, Verb, WaitReason},
    time::{MINUTE, UnixMillis},
};
use std::{
    fs::File,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// How long to wait where another program has the system's tool.
pub(super) const LOCKED: i64 = 5 * MINUTE;
/// How long after its limit an installer that was left behind is ended.
const GRACE: Duration = Duration::from_secs(10);
/// How long to wait for space on a full disk before trying again.
const FULL: Duration = Duration::from_secs(5);

/// Closes the servicing in which a command ran.
type Leave<'a> = &'a (dyn Fn() + Sync);

/// Names of a deployment's things in the directory of runs.
struct Names<'a> {
    /// Closes the servicing that is open, where one may be.
    leave: Option<Leave<'a>>,
    directory: String,
    lock: String,
    output: String,
    secrets: String,
}

impl Names<'_> {
    fn of(id: DeploymentId) -> Self {
        let with = |end: &str| format!("{id}.{end}");
        Self {
            leave: None,
            directory: id.to_string(),
            lock: with("lock"),
            output: with("output"),
            secrets: with("secrets"),
        }
    }

    fn clean(&self, agent: &Agent) {
        let runs = &agent.runs;
        let gone = volatile_sweep(runs.path(), |what| what != self.directory);
        let gone = gone.and_then(|()| runs.remove_directory(&self.directory));
        let gone = gone.and_then(|()| runs.remove(&self.lock)).and_then(|()| runs.remove(&self.output));
        let gone = gone.and_then(|()| runs.remove(&self.secrets));
        if let Err(error) = gone {
            tracing::warn!(%error, "what an installation left could not be removed");
        }
    }
}

/// Asks the detection rule, where it needs no files of the application.
pub(super) async fn detected(step: &Step<'_>, application: &Application) -> Result<bool, Refusal> {
    ask(step, application, &step.agent.runs).await
}

async fn ask(step: &Step<'_>, application: &Application, directory: &PrivateDirectory) -> Result<bool, Refusal> {
    let (agent, id) = (step.agent, step.progress.deployment);
    match application.updates() {
        Some(group) => updates::is_complete(agent, id, group).await.map_err(that_passes),
        None => {
            let mark = mark_of_detection(agent, id);
            let found =
                detect::detect_below(&application.detection, directory, &mark, &step.root, step.inside.as_ref());
            found.await.map_err(|DetectionFailed(text)| Refusal { reason: Some(FailureReason::DetectionFailed), text })
        }
    }
}

/// What keeps the system's tool from an answer may pass: unlike a detection rule that fails it is asked again.
fn that_passes(refusal: Refusal) -> Refusal {
    let reason = refusal.reason.map(|reason| if may_pass(reason) { reason } else { FailureReason::UpdateRefused });
    Refusal { reason, ..refusal }
}

/// What everything that a command starts carries in its environment, so that all of it can be found and ended. It names the
/// agent's own directory too: what another agent on this machine started is not ours to end; and when the command began, which is kept:
/// what an earlier one of the same deployment left running is the application, and stays.
fn mark_of(agent: &Agent, progress: &Progress) -> String {
    let (id, directory) = (progress.deployment, agent.runs.path().display());
    match progress.runs {
        Some(_) => format!("{id} {directory} {}", progress.changed.0),
        // As an earlier agent did it.
        None => format!("{id} {directory}"),
    }
}

/// The same for a detection, of which nothing is to be left.
fn mark_of_detection(agent: &Agent, id: DeploymentId) -> String {
    format!("{id} {} detection {}", agent.runs.path().display(), agent.clock.now().0)
}

/// Asks the detection rule among the files of the application.
async fn detect_in(step: &Step<'_>, work: &Work<'_>, directory: &PrivateDirectory) -> Result<bool, Refusal> {
    // Here, where the files lie: each time, for an installer may have put others there.
    let rule = (work.runs.application, &work.application.detection);
    if let Some(why) = approve::detection_refused_in(&step.scripts_refused, rule, directory.path()) {
        return Err(Refusal { reason: Some(FailureReason::ScriptPolicy), text: why });
    }
    ask(step, work.application, directory).await
}

/// Files into place, detect, run, detect. `true`: it worked, and the deployment goes on with the next command.
pub(super) async fn run(
    step: &mut Step<'_>,
    work: &Work<'_>,
    secrets: Opened,
    detect_first: bool,
    leave: Leave<'_>,
) -> Result<(bool, Next), StoreError> {
    let agent = step.agent;
    let names = Names { leave: Some(leave), ..Names::of(step.progress.deployment) };
    let lock = match agent.runs.lock(&names.lock) {
        Ok(Some(lock)) => lock,
        // Something that an installation before this one left running. It is not ours to end.
        Ok(None) => return Ok((false, Some(agent.clock.now().plus(MINUTE)))),
        Err(error) => return cannot_start(step, work, &names, &error).await,
    };
    let (directory, mut output) = match prepare(step, work, &names).await? {
        Prepared::Ready(directory, output) => (directory, output),
        Prepared::Not(ended) => return Ok(ended),
    };
    if detect_first {
        match detect_in(step, work, &directory).await {
            Ok(there) if there == work.wants_there() && work.runs.verb != Verb::Repair => {
                let came = Came::Done { code: None, output: String::new() };
                return finish(step, work, &names, came).await;
            }
            Ok(_) => {}
            Err(refusal) => return not_now(step, work, &names, refusal).await,
        }
    }
    let in_memory = match lay_out(agent, &names, &secrets) {
        Ok(in_memory) => in_memory,
        // Somebody may make room for them later.
        Err(error) => {
            return finish(step, work, &names, failed(FailureReason::SecretMissing, None, error.to_string())).await;
        }
    };
    let limit = Duration::from_secs(u64::from(work.application.max_run_seconds));
    // What the system's tool would do is asked and judged before it is told to do it.
    let plan = match work.application.updates() {
        Some(group) => match updates::plan(agent, step.progress.deployment, group, limit).await {
            Ok(plan) => Some(plan),
            Err(refusal) => return not_now(step, work, &names, refusal).await,
        },
        None => None,
    };
    let in_memory = in_memory.as_ref().map(PrivateDirectory::path);
    let (mut program, mut arguments, given) = match ready(step, work, plan.as_ref(), directory.path(), in_memory) {
        Ok(ready) => ready,
        Err(came) => return finish(step, work, &names, came).await,
    };
    if let Err(error) = hand_over(&lock, &given.input) {
        return cannot_start(step, work, &names, &error).await;
    }
    step.begin(work)?;
    let mark = mark_of(agent, &step.progress);
    let mut tail = Tail::new(agent.limits.output_bytes + if secrets.is_empty() { 0 } else { SECRET_BYTES });
    if let Some(inside) = &step.inside {
        (program, arguments) = match inside.command(&program, arguments, directory.path()) {
            Ok(command) => command,
            Err(error) => return cannot_start(step, work, &names, &error).await,
        };
    }
    let job = Job {
        program,
        arguments,
        directory: directory.path(),
        user: None,
        mark: &mark,
        limit,
        stdin: Some(lock),
        environment: given.environment,
    };
    let ending = process::run(job, Some((&mut output, &mut tail))).await;
    let cut = tail.was_cut();
    let output = secret::redact(tail.into_text(), cut, agent.limits.output_bytes, &secrets);
    drop(secrets);
    let left_out = plan.map(|plan| plan.left_out).unwrap_or_default();
    let came = match ending {
        Ending::NotStarted(error) => return cannot_start(step, work, &names, &error).await,
        Ending::TimedOut => failed(FailureReason::TimedOut, None, output),
        Ending::Exit(Some(code)) => exited(step, work, code, output, &directory).await,
        Ending::Exit(None) => failed(FailureReason::ExitCode, None, output),
    };
    let came = match came {
        Came::Failed { reason: FailureReason::NotDetected, code, .. } if !left_out.is_empty() => {
            failed(FailureReason::UpdateRefused, code, left_out)
        }
        came => came,
    };
    if work.application.updates().is_some() {
        agent.updates.wanted.notify_one();
        // Somebody took the tool after the plan was judged: nothing went wrong here, and it is planned anew.
        if let Came::Failed { output, reason: FailureReason::ExitCode, .. } = &came
            && let Some(busy) = updates::locked(output)
        {
            return not_now(step, work, &names, busy).await;
        }
    }
    finish(step, work, &names, came).await
}

/// What would run, with the values of its deployment; or why it does not.
fn ready(
    step: &Step<'_>,
    work: &Work<'_>,
    plan: Option<&updates::Plan>,
    directory: &Path,
    secrets: Option<&Path>,
) -> Result<(PathBuf, Vec<String>, Given), Came> {
    let invalid = |text: String| failed(FailureReason::ParameterInvalid, None, text);
    let Some(command) = command(work.application, work.runs.verb) else {
        let text = format!("There is no {} command.", work.runs.verb.as_str());
        return Err(failed(FailureReason::NoCommand, None, text));
    };
    let values = if work.own { &step.values } else { &NOTHING };
    let given = match work.application.given(values) {
        Ok(given) => given,
        // What is removed for another one has no values, and needs none where its command names none.
        Err(_) if !work.own && !work.application.takes_values(command) => Given::default(),
        Err(error) => return Err(invalid(format!("{error}."))),
    };
    let (program, arguments) = match plan {
        Some(plan) => (plan.program.clone(), plan.arguments.clone()),
        None => with_values(command, directory, secrets, &given),
    };
    // Here, where the files lie as they would be run.
    let is_script = script::is_script(&program, &arguments, directory);
    // What looks like the place of a value is a text where nothing is declared.
    let by_input = work.application.parameters.iter().any(|parameter| parameter.way == ParameterWay::Input);
    let has_values = by_input || !work.application.parameters.is_empty() && command.has_places();
    let reads_code = is_script && !command.program.starts_with("content/") || script::is_launcher(&program);
    if has_values && reads_code && !(script::runs_a_file(&program) && command.values_follow_code()) {
        let text = "A value stands where the program would read code: its authors must give it behind the code.";
        return Err(invalid(text.to_owned()));
    }
    let refused = step.scripts_refused.iter().find(|(hash, _)| *hash == work.runs.application);
    match refused.filter(|_| is_script) {
        Some((_, why)) => Err(failed(FailureReason::ScriptPolicy, None, why.clone())),
        None => Ok((program, arguments, given)),
    }
}

/// Values go to nothing that comes along.
static NOTHING: ParameterValues = ParameterValues::new();

/// Program and arguments with the values in their places. What stands in a value is not looked at again.
fn with_values(command: &Command, directory: &Path, secrets: Option<&Path>, given: &Given) -> (PathBuf, Vec<String>) {
    let (program, placed) = arguments(command, directory, secrets);
    let each = command.arguments.iter().zip(placed).map(|(signed, placed)| {
        let valued = given.argument(signed);
        if valued == *signed { placed } else { valued }
    });
    (program, each.collect())
}

/// What the command reads: the locked file is its standard input.
fn hand_over(mut lock: &File, input: &str) -> io::Result<()> {
    lock.set_len(0)?;
    lock.write_all(input.as_bytes())?;
    lock.rewind()
}

/// Nothing was told to the system's tool: what is in its way may pass.
async fn not_now(
    step: &mut Step<'_>,
    work: &Work<'_>,
    names: &Names<'_>,
    refusal: Refusal,
) -> Result<(bool, Next), StoreError> {
    let Some(reason) = refusal.reason else {
        tracing::info!(deployment = %step.progress.deployment, reason = refusal.text, "updates wait");
        let starts = step.agent.clock.now().plus(LOCKED);
        step.wait(Wait { reason: WaitReason::PackageManager, starts: Some(starts) })?;
        names.clean(step.agent);
        return Ok((false, Some(starts)));
    };
    finish(step, work, names, failed(reason, None, refusal.text)).await
}

fn failed(reason: FailureReason, code: Option<i32>, output: String) -> Came {
    Came::Failed { reason, code, output }
}

/// What an exit code says, and what is there then: the detection decides where the code is no failure.
async fn exited(step: &Step<'_>, work: &Work<'_>, code: i32, output: String, directory: &PrivateDirectory) -> Came {
    if matches!(meaning(work, code), ReturnMeaning::Failure | ReturnMeaning::Retry) {
        return failed(FailureReason::ExitCode, Some(code), output);
    }
    if work.application.is_program() {
        return Came::Done { code: Some(code), output };
    }
    let id = step.progress.deployment;
    match detect_in(step, work, directory).await {
        Ok(there) if there == work.wants_there() => Came::Done { code: Some(code), output },
        Ok(true) => failed(FailureReason::StillDetected, Some(code), output),
        Ok(false) => failed(FailureReason::NotDetected, Some(code), output),
        Err(refusal) => {
            tracing::warn!(deployment = %id, reason = refusal.text, "the detection after an installation failed");
            failed(refusal.reason.unwrap_or(FailureReason::UpdateRefused), Some(code), output)
        }
    }
}

/// The secrets as files in memory, under their names, for as long as the installation runs. What it was given, the run directory says:
/// after a kill the output is told only when all of it can be taken out again.
fn lay_out(agent: &Agent, names: &Names<'_>, secrets: &Opened) -> io::Result<Option<PrivateDirectory>> {
    if secrets.is_empty() {
        return Ok(None);
    }
    volatile_sweep(agent.runs.path(), |what| what != names.directory)?;
    let given: Vec<&str> = secrets.iter().map(|(name, _)| name.as_str()).collect();
    agent.runs.write(&names.secrets, &serde_json::to_vec(&given)?)?;
    let directory = volatile_directory(agent.runs.path(), &names.directory)?;
    for (name, value) in secrets {
        directory.new_file(name.as_str(), 0o600)?.write_all(value)?;
    }
    Ok(Some(directory))
}

/// What an interrupted installation was given. `None`: not all of it is there any more.
fn laid_out(agent: &Agent, names: &Names<'_>) -> Option<Opened> {
    let Some(given) = agent.runs.read(&names.secrets, SECRET_BYTES).ok()? else { return Some(Vec::new()) };
    let given: Vec<FileName> = serde_json::from_slice(&given).ok()?;
    let directory = volatile_find(agent.runs.path(), &names.directory)?;
    let read = |name: FileName| {
        let value = directory.read(name.as_str(), SECRET_BYTES).ok().flatten()?;
        Some((name, Zeroizing::new(value)))
    };
    given.into_iter().map(read).collect()
}

/// Removes secrets that no installation needs any more: a kill can leave them at any moment. Those of one that was going on stay where it is
/// taken up next, or still runs.
pub(super) fn sweep(agent: &Agent, taken_up: bool) {
    let going_on = agent.store.deployments().unwrap_or_default();
    let going_on = going_on.into_iter().filter(|progress| progress.state == DeploymentState::Installing);
    let going_on: Vec<Names<'_>> = going_on.map(|progress| Names::of(progress.deployment)).collect();
    let runs = |names: &Names<'_>| matches!(agent.runs.lock(&names.lock), Ok(None));
    let keep = |what: &str| going_on.iter().any(|names| names.directory == what && (taken_up || runs(names)));
    if let Err(error) = volatile_sweep(agent.runs.path(), keep) {
        tracing::warn!(%error, "secrets of installations that ended could not be removed");
    }
}

enum Prepared {
    Ready(PrivateDirectory, Output),
    Not((bool, Next)),
}

/// A fresh private directory with the application's files under their names, checked once more, and a place for the output.
async fn prepare(step: &mut Step<'_>, work: &Work<'_>, names: &Names<'_>) -> Result<Prepared, StoreError> {
    let agent = step.agent;
    let fresh = || -> io::Result<(PrivateDirectory, Output)> {
        agent.runs.remove_directory(&names.directory)?;
        let directory = agent.runs.directory(&names.directory).map_err(io::Error::other)?;
        Ok((directory, Output::open(&agent.runs, &names.output, true)?))
    };
    let (directory, output) = match fresh() {
        Ok(ready) => ready,
        Err(error) => return cannot_start(step, work, names, &error).await.map(Prepared::Not),
    };
    for file in &work.application.content {
        if let Err(error) = content::take_out(&agent.cache, file, &directory, agent.clock.now()).await {
            names.clean(agent);
            return step.content_failed(&error).map(|next| Prepared::Not((false, next)));
        }
    }
    Ok(Prepared::Ready(directory, output))
}

async fn cannot_start(
    step: &mut Step<'_>,
    work: &Work<'_>,
    names: &Names<'_>,
    error: &io::Error,
) -> Result<(bool, Next), StoreError> {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let reason = if full { FailureReason::DiskFull } else { FailureReason::CannotStart };
    finish(step, work, names, failed(reason, None, error.to_string())).await
}

/// The end: kept and reported, then cleaned. In the other order a kill would leave a report that never comes. With a full
/// disk it waits for space: what happened must not be told otherwise for want of it. What fills the disk may be what the command itself left
/// in its directory, which nobody needs any more; so that goes first.
async fn finish(
    step: &mut Step<'_>,
    work: &Work<'_>,
    names: &Names<'_>,
    came: Came,
) -> Result<(bool, Next), StoreError> {
    let (tries, until) = (step.progress.tries, step.progress.until);
    let mut was_cleared = false;
    let ended = loop {
        match step.ended(work, &came) {
            Ok(ended) => break ended,
            Err(error @ (StoreError::DiskFull | StoreError::OutboxFull)) => {
                tracing::error!(%error, "the end of an installation cannot be kept yet");
                // What was counted for nothing is not counted.
                (step.progress.tries, step.progress.until) = (tries, until);
                if !std::mem::replace(&mut was_cleared, true)
                    && step.agent.runs.remove_directory(&names.directory).is_ok()
                {
                    continue;
                }
                // Nothing stays open for as long as somebody else takes to make room.
                if let Some(leave) = names.leave {
                    leave();
                }
                tokio::time::sleep(FULL).await;
            }
            Err(error) => return Err(error),
        }
    };
    names.clean(step.agent);
    Ok(ended)
}

/// Takes up installations that were going on when the agent ended: waits for an installer that still runs, until its limit, then
/// asks the detection rule.
pub(super) async fn recover(agent: &Agent, policy: &Policy) {
    let left = match agent.store.deployments() {
        Ok(all) => all.into_iter().filter(|progress| progress.state == DeploymentState::Installing),
        Err(error) => return tracing::error!(%error, "deployments cannot be read"),
    };
    for progress in left {
        if let Err(error) = take_up(agent, policy, progress).await {
            tracing::warn!(%error, "an interrupted installation could not be reported; it is tried again");
        }
    }
}

/// How long an installer that was left behind may still run: what is left of its time, and never more than all of it, whatever the clock says.
fn left(progress: &Progress, now: UnixMillis) -> Duration {
    let whole = progress.until.since(progress.changed).max(0);
    Duration::from_millis(progress.until.since(now).clamp(0, whole).unsigned_abs())
}

async fn take_up(agent: &Agent, policy: &Policy, progress: Progress) -> Result<(), StoreError> {
    let names = Names::of(progress.deployment);
    let mark = mark_of(agent, &progress);
    let mut tail = Tail::new(agent.limits.output_bytes + SECRET_BYTES);
    let mut output = Output::open(&agent.runs, &names.output, false).ok();
    tracing::info!(deployment = %progress.deployment, "an installation was going on when the agent ended");
    // The lock is held by the installer as long as it runs.
    let (since, left) = (Instant::now(), left(&progress, agent.clock.now()));
    while let Ok(None) = agent.runs.lock(&names.lock) {
        if since.elapsed() > left + GRACE {
            process::end_everything(&mark, None);
        }
        if since.elapsed() > left + 2 * GRACE {
            tracing::warn!(deployment = %progress.deployment, "something that cannot be found holds on; it is not waited for");
            break;
        }
        let pause = tokio::time::sleep(Duration::from_millis(500));
        match &mut output {
            Some(output) => {
                // Its output is taken off its hands meanwhile, so that it does not stand still.
                let _ = tokio::time::timeout(Duration::from_millis(500), output.read_to_end(&mut tail)).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            None => pause.await,
        }
    }
    let deployment = policy.deployments().iter().find(|deployment| {
        let policy = deployment.policy();
        policy.deployment == progress.deployment && policy.application == progress.application
    });
    // An earlier agent kept no command: there was only one.
    let runs = progress.runs.unwrap_or(Runs { application: progress.application, verb: Verb::Install });
    let types = deployment.map(|deployment| deployment.types_of(runs.application)).unwrap_or_default();
    let place = progress.runs_type.unwrap_or(0);
    let application = types.get(place);
    // What is refused now is not asked either: the policy may have changed since it began.
    let refused = deployment.is_some_and(|of| {
        let scripts = approve::scripts_refused(agent, policy, of);
        approve::refusal(agent, of).is_some() || approve::detection_refused(of, &scripts).is_some()
    });
    let found = match application.filter(|_| !refused) {
        // How it ended, nobody can be asked.
        Some(application) if application.is_program() => None,
        Some(application) => match agent.runs.directory(&names.directory) {
            Ok(directory) => match application.updates() {
                Some(group) => updates::is_complete(agent, progress.deployment, group).await.ok(),
                None => {
                    let mark = mark_of_detection(agent, progress.deployment);
                    let root = servicing::root(deployment.map(Deployment::policy));
                    detect::detect_below(&application.detection, &directory, &mark, &root, None).await.ok()
                }
            },
            Err(error) => {
                tracing::warn!(%error, "what an installation left cannot be looked at");
                None
            }
        },
        None => None,
    };
    let own = runs.application == progress.application;
    let mut step = Step::of(agent, policy, progress, deployment)?;
    let (cut, limit) = (tail.was_cut(), agent.limits.output_bytes);
    let output = match laid_out(agent, &names) {
        Some(secrets) if secrets.is_empty() => end_of(&tail.into_text(), limit),
        Some(secrets) => secret::redact(tail.into_text(), cut, limit, &secrets),
        None => "What it printed is kept back: a secret that may stand in it cannot be taken out any more.".to_owned(),
    };
    let Some(application) = application else {
        // The policy lists it no longer: nothing is known of it, and nothing of it is run.
        step.fail(FailureReason::Interrupted, None, output)?;
        names.clean(agent);
        return Ok(());
    };
    let work = Work { application, runs, place, own, room_for: None };
    let came = match found {
        Some(there) if there == work.wants_there() => Came::Done { code: None, output },
        _ => failed(FailureReason::Interrupted, None, output),
    };
    finish(&mut step, &work, &names, came).await.map(|_| ())
}

/// The last `limit` bytes of a text.
fn end_of(text: &str, limit: usize) -> String {
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installer_left_behind_is_waited_for_no_longer_than_it_may_run() {
        let id = DeploymentId(uuid::Uuid::from_u128(1));
        let object = muster_model::id::Hash([0; 32]);
        let progress = Progress { until: UnixMillis(90_000), ..Progress::new(id, object, UnixMillis(30_000)) };
        assert_eq!(left(&progress, UnixMillis(80_000)), Duration::from_secs(10));
        assert_eq!(left(&progress, UnixMillis(-1_000_000_000)), Duration::from_secs(60), "a clock that was set back");
        assert_eq!(left(&progress, UnixMillis(i64::MAX / 2)), Duration::ZERO);
    }

    #[test]
    fn what_keeps_the_tool_from_an_answer_passes() {
        let of = |reason| that_passes(Refusal { reason, text: String::new() }).reason;
        assert_eq!(of(Some(FailureReason::DetectionFailed)), Some(FailureReason::UpdateRefused));
        assert_eq!(of(Some(FailureReason::UpdateSource)), Some(FailureReason::UpdateSource));
        assert_eq!(of(None), None, "another program has the tool");
    }
}
