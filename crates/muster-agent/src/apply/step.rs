//! One deployment on its way: how a step is kept and reported, and what the end of a command makes of it.

use super::{ATTEMPTS, AWAY, Next, defer, install::LOCKED, program, scripts_refused, servicing};
use crate::{
    agent::Agent,
    content::ContentError,
    os::writable::Inside,
    policy::{Deployment, Policy},
    store::{
        StoreError,
        deployments::{Kept, Progress},
        intents::Intent,
        programs::{Known, Run},
    },
    updates::Refusal,
};
use muster_model::{
    application::{Application, ParameterValues, Retries, ReturnMeaning},
    id::{Hash, Name},
    policy::Purpose,
    problem::Code,
    program::Outcome,
    status::{
        Component, DeploymentReport, DeploymentState, FailureReason, MessageId, Runs, Severity, Verb, WaitReason,
    },
    time::{HOUR, SECOND, UnixMillis},
};

use std::path::PathBuf;

/// How often an installer may ask for a restart before it goes on.
const RESTARTS: u32 = 5;

/// What a deployment waits for, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) reason: WaitReason,
    pub(super) starts: Option<UnixMillis>,
}

impl Wait {
    /// Without a time at which it ends.
    pub(super) const fn for_ever(reason: WaitReason) -> Self {
        Self { reason, starts: None }
    }

    /// As it is kept: the end of time for what never fits, its beginning for a clock that is not believed.
    pub(super) fn until(self) -> UnixMillis {
        match (self.reason, self.starts) {
            (WaitReason::NeverFits, _) => UnixMillis(i64::MAX),
            (_, starts) => starts.unwrap_or_default(),
        }
    }
}

/// A command that is to run for a deployment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) application: &'a Application,
    pub(super) runs: Runs,
    /// The place of its deployment type.
    pub(super) place: usize,
    /// Whether it is the deployment's own application, and not one that comes along.
    pub(super) own: bool,
    /// What is installed in its place right afterwards.
    pub(super) room_for: Option<&'a Application>,
}

impl Work<'_> {
    /// Whether the application is to be there afterwards.
    pub(super) const fn wants_there(&self) -> bool {
        !matches!(self.runs.verb, Verb::Uninstall)
    }
}

/// How a command came to its end.
#[derive(Debug)]
pub(super) enum Came {
    /// What was wanted is so. The code says whether a restart is needed.
    Done { code: Option<i32>, output: String },
    /// It is not so.
    Failed { reason: FailureReason, code: Option<i32>, output: String },
}

/// One deployment on its way: its progress, and how a step is kept and reported.
pub(super) struct Step<'a> {
    pub(super) agent: &'a Agent,
    pub(super) progress: Progress,
    /// What a user wants of it.
    pub(super) intent: Option<Intent>,
    /// It had succeeded, and is not so any more.
    pub(super) undone: bool,
    /// How often users put it off.
    deferred: u32,
    purpose: Purpose,
    /// Whether the inventory is to be taken when it is installed.
    collects: bool,
    /// After how long what came to its end is looked at again.
    pub(super) again: i64,
    /// What its rule looks at: the root of the machine, or of the file system below its write filter.
    pub(super) root: PathBuf,
    /// The servicing in which its commands run.
    pub(super) inside: Option<Inside>,
    /// Objects of which no script runs, each with the reason.
    pub(super) scripts_refused: Vec<(Hash, String)>,
    /// A command that this user began installed it. `None`: that does not change.
    installed: Option<Option<u32>>,
    /// What its deployment types are called, where it has several.
    type_names: Vec<Name>,
    /// Values that its deployment gives.
    pub(super) values: ParameterValues,
    /// For which time a program of it would run now.
    due: UnixMillis,
    /// A program that begins or ends with the next step.
    program: Option<(Hash, Run)>,
}

impl<'a> Step<'a> {
    pub(super) fn new(
        agent: &'a Agent,
        policy: &Policy,
        deployment: &Deployment,
        before: Option<Progress>,
    ) -> Result<Self, StoreError> {
        let (id, application) = (deployment.policy().deployment, deployment.policy().application);
        let progress = before.unwrap_or_else(|| Progress::new(id, application, agent.clock.now()));
        Self::of(agent, policy, progress, Some(deployment))
    }

    /// One whose deployment the policy may not list any more.
    pub(super) fn of(
        agent: &'a Agent,
        policy: &Policy,
        progress: Progress,
        deployment: Option<&Deployment>,
    ) -> Result<Self, StoreError> {
        let intent = agent.store.intent(progress.deployment)?;
        let purpose = deployment.map_or(Purpose::Required, |deployment| deployment.policy().purpose);
        // What was just removed has nothing to say.
        let installs = deployment.filter(|deployment| deployment.policy().action.is_install());
        let application = installs.and_then(Deployment::application);
        let collects = application.is_some_and(|application| application.value().collector.is_some());
        let again = policy.settings().application_reevaluation;
        let scripts_refused = deployment.map(|of| scripts_refused(agent, policy, of)).unwrap_or_default();
        let deferred = deployment.map(|of| defer::count(agent, of)).transpose()?.unwrap_or_default();
        let root = servicing::root(deployment.map(Deployment::policy));
        Ok(Self {
            agent,
            progress,
            intent,
            undone: false,
            deferred,
            purpose,
            collects,
            again,
            root,
            inside: None,
            scripts_refused,
            installed: None,
            type_names: deployment.map(type_names).unwrap_or_default(),
            values: deployment.map(|of| of.policy().options.parameters.clone()).unwrap_or_default(),
            due: deployment.map_or(UnixMillis(0), |of| program::due(of, agent.clock.now())),
            program: None,
        })
    }

    pub(super) fn take(
        &mut self,
        state: DeploymentState,
        fill: impl FnOnce(&mut DeploymentReport),
    ) -> Result<(), StoreError> {
        self.keep(state, None, fill)
    }

    fn keep(
        &mut self,
        state: DeploymentState,
        restart: Option<String>,
        fill: impl FnOnce(&mut DeploymentReport),
    ) -> Result<(), StoreError> {
        let mut progress = Progress { state, reason: None, changed: self.agent.clock.now(), ..self.progress.clone() };
        let mut report = DeploymentReport {
            deployment: progress.deployment,
            application: progress.application,
            state,
            reason: None,
            exit_code: None,
            output: String::new(),
            starts: None,
            waits: None,
            runs: None,
            restart: false,
            undone: self.undone,
            deployment_type: self.progress.own_type.and_then(|place| self.type_names.get(place).cloned()),
            deferred: self.deferred,
        };
        fill(&mut report);
        (progress.reason, progress.waits) = (report.reason, report.waits);
        if state.is_end() {
            progress.until = progress.changed.plus(self.again);
            progress.tries = 0;
        }
        if !matches!(state, DeploymentState::RequirementsNotMet | DeploymentState::Failed) {
            progress.said.clear();
        }
        if progress.waits != Some(WaitReason::Restart) {
            progress.boot = None;
        }
        let reason = report.reason.map(FailureReason::as_str);
        let offered = progress.waits == Some(WaitReason::User);
        // What is offered is not there; who comes to it next may be its administrator.
        let installed = if offered { Some(None) } else { self.installed };
        let program = self.program;
        let kept = Kept { progress, report, ends_intent: state.is_end() || offered, installed, restart, program };
        self.agent.store.step(&kept)?;
        if kept.restart.is_some() {
            self.agent.restarts.answered.notify_one();
        }
        tracing::info!(deployment = %kept.progress.deployment, state = state.as_str(), reason, "deployment");
        if kept.ends_intent {
            self.intent = None;
        }
        self.installed = None;
        self.program = None;
        self.progress = kept.progress;
        Ok(())
    }

    pub(super) fn wait(&mut self, wait: Wait) -> Result<(), StoreError> {
        self.progress.until = wait.until();
        self.take(DeploymentState::Waiting, |report| (report.waits, report.starts) = (Some(wait.reason), wait.starts))
    }

    /// Waits, and says so only where it was not said before.
    pub(super) fn wait_once(&mut self, wait: Wait) -> Result<(), StoreError> {
        let progress = &self.progress;
        let said = progress.state == DeploymentState::Waiting && progress.waits == Some(wait.reason);
        match said && progress.until == wait.until() {
            true => Ok(()),
            false => self.wait(wait),
        }
    }

    pub(super) fn succeed(&mut self, output: String, restart: bool) -> Result<(), StoreError> {
        let boot = restart.then(|| self.agent.boot());
        self.keep(DeploymentState::Succeeded, boot, |report| (report.output, report.restart) = (output, restart))?;
        if self.collects {
            self.agent.inventory_wanted.notify_one();
        }
        Ok(())
    }

    pub(super) fn fail(
        &mut self,
        reason: FailureReason,
        exit_code: Option<i32>,
        output: String,
    ) -> Result<(), StoreError> {
        let before = &self.progress;
        let alike = before.state == DeploymentState::Failed && before.reason == Some(reason);
        if alike && exit_code.is_none() && before.said == output && self.intent.is_none() {
            // Said already: it was tried again, and is as it was.
            self.progress.changed = self.agent.clock.now();
            return self.agent.store.keep_progress(&self.progress);
        }
        self.progress.said.clone_from(&output);
        self.take(DeploymentState::Failed, |report| {
            (report.reason, report.exit_code, report.output) = (Some(reason), exit_code, output);
        })
    }

    /// Its rule gives no answer now. Where another program has the tool it is as it was, and is looked at soon.
    pub(super) fn no_answer(&mut self, refusal: Refusal) -> Result<Next, StoreError> {
        let Refusal { reason, text } = refusal;
        if let Some(reason) = reason {
            return self.fail(reason, None, text).map(|()| None);
        }
        let until = self.agent.clock.now().plus(LOCKED);
        if self.progress.state.is_end() {
            self.progress.until = until;
            self.agent.store.keep_progress(&self.progress)?;
        } else {
            self.wait(Wait { reason: WaitReason::PackageManager, starts: Some(until) })?;
        }
        Ok(Some(until))
    }

    /// The device does not meet a requirement; said once.
    pub(super) fn not_for_this(&mut self, said: &str) -> Result<(), StoreError> {
        if self.progress.state == DeploymentState::RequirementsNotMet && self.progress.said == said {
            self.progress.until = self.agent.clock.now().plus(self.again);
            return self.agent.store.keep_progress(&self.progress);
        }
        self.progress.said = said.to_owned();
        self.take(DeploymentState::RequirementsNotMet, |report| report.output = said.to_owned())
    }

    /// It was looked at, and is as it was: nothing is said.
    pub(super) fn as_it_was(&mut self) -> Result<(), StoreError> {
        self.progress.until = self.agent.clock.now().plus(self.again);
        self.agent.store.keep_progress(&self.progress)
    }

    /// Notes that a command begins.
    pub(super) fn begin(&mut self, work: &Work<'_>) -> Result<(), StoreError> {
        let run = i64::from(work.application.max_run_seconds) * SECOND;
        self.progress.until = self.agent.clock.now().plus(run);
        self.progress.runs = Some(work.runs);
        self.progress.runs_type = (work.place > 0).then_some(work.place);
        if work.application.is_program() {
            let started = self.agent.clock.now();
            let run = Run { due: self.due, started, outcome: Outcome::Unknown, code: None };
            self.program = Some((work.runs.application, run));
        }
        let usual = work.own && work.runs.verb == Verb::Install;
        self.take(DeploymentState::Installing, |report| report.runs = (!usual).then_some(work.runs))
    }

    /// What the end of a command makes of the deployment. `true`: it goes on with the next command.
    pub(super) fn ended(&mut self, work: &Work<'_>, came: &Came) -> Result<(bool, Next), StoreError> {
        if work.application.is_program() && self.progress.state == DeploymentState::Installing {
            let (outcome, code) = match came {
                Came::Done { code, .. } => (Outcome::Succeeded, *code),
                Came::Failed { reason: FailureReason::Interrupted, .. } => (Outcome::Unknown, None),
                Came::Failed { code, .. } => (Outcome::Failed, *code),
            };
            // Its beginning was kept with this state, and for which time it was: an agent that takes it up comes later.
            let begun = self.agent.store.program_of(work.runs.application, self.progress.deployment)?;
            let begun = match begun {
                Some(Known::Ran(run)) if run.started == self.progress.changed => run.due,
                _ => self.due,
            };
            let run = Run { due: begun, started: self.progress.changed, outcome, code };
            self.program = Some((work.runs.application, run));
        }
        match came {
            Came::Done { code, output } => self.done(work, *code, output.clone()).map(|goes_on| (goes_on, None)),
            Came::Failed { reason, code, output } => {
                self.came_to_nothing(work, *reason, *code, output.clone()).map(|next| (false, next))
            }
        }
    }

    fn done(&mut self, work: &Work<'_>, code: Option<i32>, output: String) -> Result<bool, StoreError> {
        let meaning = code.map(|code| meaning(work, code));
        let restart = matches!(meaning, Some(ReturnMeaning::SuccessRestart | ReturnMeaning::RestartFirst));
        self.progress.tries = 0;
        // Not where it was found there already: then somebody else put it there.
        let ran = self.progress.state == DeploymentState::Installing && work.own;
        if let Some(intent) = self.intent.filter(|_| ran && work.runs.verb == Verb::Install) {
            self.installed = Some(Some(intent.user));
        }
        if !work.own {
            let boot = restart.then(|| self.agent.boot());
            return self.keep(DeploymentState::Downloading, boot, |report| report.output = output).map(|()| true);
        }
        let offered_again = work.runs.verb == Verb::Uninstall && self.purpose == Purpose::Available;
        if offered_again {
            let boot = restart.then(|| self.agent.boot());
            self.progress.until = UnixMillis(0);
            return self
                .keep(DeploymentState::Waiting, boot, |report| {
                    (report.waits, report.output) = (Some(WaitReason::User), output);
                })
                .map(|()| false);
        }
        self.succeed(output, restart).map(|()| false)
    }

    fn came_to_nothing(
        &mut self,
        work: &Work<'_>,
        reason: FailureReason,
        code: Option<i32>,
        output: String,
    ) -> Result<Next, StoreError> {
        let meaning = code.map(|code| meaning(work, code));
        let now = self.agent.clock.now();
        let wants_restart = matches!(meaning, Some(ReturnMeaning::RestartFirst | ReturnMeaning::SuccessRestart));
        if wants_restart && self.progress.tries < RESTARTS {
            self.progress.tries += 1;
            let boot = self.agent.boot();
            self.progress.boot = Some(boot.clone());
            self.progress.until = UnixMillis(0);
            self.keep(DeploymentState::Waiting, Some(boot), |report| {
                (report.waits, report.exit_code, report.output) = (Some(WaitReason::Restart), code, output);
            })?;
            return Ok(None);
        }
        let again =
            work.application.retries.or_else(|| (meaning == Some(ReturnMeaning::Retry)).then_some(Retries::USUAL));
        // What may have run is left to the rule of its deployment.
        let is_lost = work.application.is_program() && reason == FailureReason::Interrupted;
        if let Some(again) = again.filter(|again| !is_lost && may_retry(reason) && self.progress.tries < again.count) {
            self.progress.tries += 1;
            let starts = now.plus(i64::from(again.wait_seconds) * SECOND);
            self.progress.until = starts;
            self.take(DeploymentState::Waiting, |report| {
                (report.waits, report.starts) = (Some(WaitReason::Retry), Some(starts));
                (report.exit_code, report.output) = (code, output);
            })?;
            return Ok(Some(starts));
        }
        if work.own {
            return self.fail(reason, code, output).map(|()| None);
        }
        let outer = if work.wants_there() { FailureReason::DependencyFailed } else { FailureReason::SupersededFailed };
        let application = work.application;
        let head = format!("{} {}: {}\n", application.name, application.version, reason.as_str());
        let mut room = self.agent.limits.output_bytes.saturating_sub(head.len()).min(output.len());
        while !output.is_char_boundary(output.len() - room) {
            room -= 1;
        }
        self.fail(outer, code, format!("{head}{}", &output[output.len() - room..])).map(|()| None)
    }

    /// Content did not come: again later, or not at all.
    pub(super) fn content_failed(&mut self, error: &ContentError) -> Result<Next, StoreError> {
        let (now, attempts) = (self.agent.clock.now(), self.progress.attempts + 1);
        let reason = match error {
            ContentError::DiskFull => return self.fail(FailureReason::DiskFull, None, String::new()).map(|()| None),
            ContentError::Altered(hash) => {
                let hash = hash.to_string();
                self.agent.report(Component::Content, Severity::Error, MessageId::ContentAltered, &[("hash", &hash)]);
                FailureReason::ContentAltered
            }
            ContentError::CacheTooSmall { .. } => {
                return self.fail(FailureReason::CacheTooSmall, None, error.to_string()).map(|()| None);
            }
            ContentError::CacheFull { .. } => {
                return self.fail(FailureReason::CacheFull, None, error.to_string()).map(|()| None);
            }
            ContentError::Unavailable(error)
                if error.problem().is_some_and(|problem| problem.code != Code::TooMany) =>
            {
                FailureReason::ContentUnavailable
            }
            // Nothing went wrong: the next round goes on with it, by the policy that is in force then.
            ContentError::Superseded | ContentError::Slow => return Ok(Some(now)),
            ContentError::Gone(_) => {
                tracing::info!(deployment = %self.progress.deployment, %error, "it is fetched again");
                return Ok(Some(now.plus(AWAY)));
            }
            // The site is away, or the connection broke: what came is kept, and it goes on when the site is back.
            ContentError::Unavailable(_) | ContentError::Io(_) => {
                tracing::warn!(deployment = %self.progress.deployment, %error, "content is not there yet");
                self.agent.site.turn_away();
                return Ok(Some(now.plus(AWAY)));
            }
        };
        self.agent.site.turn_away();
        if attempts >= ATTEMPTS {
            return self.fail(reason, None, error.to_string()).map(|()| None);
        }
        // Kept without a report: nothing new is to be said.
        self.progress.attempts = attempts;
        self.agent.store.keep_progress(&self.progress)?;
        Ok(Some(now.plus(i64::from(attempts) * 2_000)))
    }

    /// Whether a user wants it now: who asked long ago does not wait for it any more, and does not know what time it is.
    pub(super) fn is_pressing(&self) -> bool {
        let now = self.agent.clock.now();
        self.intent.is_some_and(|intent| (0..=HOUR).contains(&now.since(intent.since)))
    }

    /// The verb that a user wants.
    pub(super) fn wanted(&self) -> Option<Verb> {
        self.intent.map(|intent| intent.verb)
    }
}

/// What the deployment types of its application are called, where it has several.
fn type_names(deployment: &Deployment) -> Vec<Name> {
    match deployment.types() {
        [_] => Vec::new(),
        types => types.iter().filter_map(|one| one.type_name.clone()).collect(),
    }
}

/// The command of a verb, where authors signed one.
pub(super) const fn command(application: &Application, verb: Verb) -> Option<&muster_model::application::Command> {
    match verb {
        Verb::Install => Some(&application.install),
        Verb::Uninstall => application.uninstall.as_ref(),
        Verb::Repair => application.repair.as_ref(),
    }
}

/// What an exit code of a command means.
pub(super) fn meaning(work: &Work<'_>, code: i32) -> ReturnMeaning {
    command(work.application, work.runs.verb)
        .map_or(ReturnMeaning::Failure, |command| work.application.meaning(command, code))
}

/// Whether the same command may work another time.
const fn may_retry(reason: FailureReason) -> bool {
    matches!(
        reason,
        FailureReason::ExitCode
            | FailureReason::TimedOut
            | FailureReason::NotDetected
            | FailureReason::StillDetected
            | FailureReason::Interrupted
    )
}

/// The command of an application for a deployment.
pub(super) const fn work(application: &Application, object: Hash, verb: Verb, own: bool) -> Work<'_> {
    Work { application, runs: Runs { application: object, verb }, place: 0, own, room_for: None }
}
