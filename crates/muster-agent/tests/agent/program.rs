//! Programs: what runs once or by a schedule and is not looked for. What ran is known after a kill, and runs again by its rule only.

use crate::{
    actor::{
        Site,
        machine::{Machine, wait_for_file},
        now,
    },
    application::{app, enrolled, order, policy, states},
};
use muster_agent::{
    clock::Clock,
    store::{Store, programs::Known},
};
use muster_model::{
    application::{Application, Detection},
    policy::{BodyKind, BodyRef, DeploymentPolicy, Purpose},
    program::{DeploymentOptions, Outcome, Rerun},
    schedule::{Recurrence, ScheduleToken},
    status::{DeploymentReport, DeploymentState as State, FailureReason as Reason},
    time::{DAY, HOUR, UnixMillis},
};
use std::{sync::Arc, time::Duration};

fn program(machine: &Machine, line: &str) -> Application {
    let mut application = app(machine, 1, "program");
    application.install.arguments[1] = line.to_owned();
    let application = Application { uninstall: None, repair: None, detection: Detection::Program, ..application };
    application.check().unwrap();
    application
}

/// Signed once: another signature would be another program.
struct Signed(BodyRef);

impl Signed {
    fn new(site: &Site, application: &Application) -> Self {
        Self(site.signed(&[], &policy(9), application, &[]).remove(1))
    }

    fn bodies(&self, site: &Site, policy: &DeploymentPolicy) -> Vec<BodyRef> {
        let policy = DeploymentPolicy { application: self.0.hash, ..policy.clone() };
        vec![site.body(BodyKind::Deployment, serde_json::to_vec(&policy).unwrap()), self.0.clone()]
    }
}

fn rerun(number: u128, rerun: Rerun) -> DeploymentPolicy {
    DeploymentPolicy { options: DeploymentOptions { rerun, ..DeploymentOptions::default() }, ..policy(number) }
}

/// Waits until a deployment has come to so many ends.
async fn ends(site: &Site, deployment: &DeploymentPolicy, count: usize) -> Vec<DeploymentReport> {
    site.wait("the end of a program", |state| {
        let steps = Site::steps(state, deployment.deployment);
        (steps.iter().filter(|step| step.state.is_end()).count() >= count).then_some(steps)
    })
    .await
}

#[tokio::test]
async fn a_program_that_ran_runs_again_by_its_rule_alone_and_its_code_decides() {
    let (site, machine) = enrolled().await;
    let (good, bad) = (program(&machine, "echo good >> $1"), program(&machine, "echo bad >> $1; exit 3"));
    let (good, bad) = (Signed::new(&site, &good), Signed::new(&site, &bad));
    let first = rerun(1, Rerun::Never);
    site.assign(good.bodies(&site, &first));
    let running = machine.run();
    let steps = ends(&site, &first, 1).await;
    assert_eq!((states(&steps), steps[1].exit_code), (vec![State::Installing, State::Succeeded], None));
    // Another deployment of the same program knows that it ran.
    for (number, of, rule, runs, state) in [
        (2, &good, Rerun::Never, 0, State::Succeeded),
        (3, &good, Rerun::IfFailed, 0, State::Succeeded),
        (4, &good, Rerun::IfSucceeded, 1, State::Succeeded),
        (5, &good, Rerun::Always, 1, State::Succeeded),
        (6, &bad, Rerun::IfSucceeded, 1, State::Failed),
        (7, &bad, Rerun::IfSucceeded, 0, State::Failed),
        (8, &bad, Rerun::Never, 0, State::Failed),
        (9, &bad, Rerun::IfFailed, 1, State::Failed),
    ] {
        let (before, told) = (order(&machine).len(), rerun(number, rule));
        site.assign(of.bodies(&site, &told));
        let steps = ends(&site, &told, 1).await;
        assert_eq!((order(&machine).len() - before, steps.last().unwrap().state), (runs, state), "{number}: {steps:?}");
        if runs == 0 {
            assert!(steps[0].output.contains("does not run again"), "{steps:?}");
        }
    }
    // What is withdrawn and comes again is the same: it ran. An administrator who asks has it run.
    let told = rerun(8, Rerun::Never);
    site.assign(bad.bodies(&site, &told));
    let before = order(&machine).len();
    let asked = DeploymentPolicy { attempt: 1, ..told.clone() };
    let settled = ends(&site, &told, 2).await.len();
    site.assign(bad.bodies(&site, &asked));
    let steps = site.wait("another attempt", |state| {
        let steps = Site::steps(state, told.deployment);
        (steps.len() > settled && steps.last().unwrap().state.is_end()).then_some(steps)
    });
    let last = steps.await.pop().unwrap();
    assert_eq!((last.reason, last.exit_code), (Some(Reason::ExitCode), Some(3)));
    assert_eq!(order(&machine).len() - before, 1);
    // What succeeded is done, however often it is asked for.
    let heard = DeploymentPolicy { attempt: 1, ..first.clone() };
    site.assign(good.bodies(&site, &heard));
    let store = || Store::open(&machine.directory(), true).unwrap();
    while store().attempt(first.deployment).unwrap() < 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await;
    let known = store().program_of(good.0.hash, first.deployment).unwrap();
    assert!(matches!(known, Some(Known::Ran(run)) if run.outcome == Outcome::Succeeded), "{known:?}");
}

#[tokio::test]
async fn a_program_runs_once_for_each_time_of_its_schedule() {
    let (site, mut machine) = (Site::start().await, Machine::new());
    let start = now();
    machine.clock = Clock::at(start);
    machine.enrol(&site).await;
    let signed = Signed::new(&site, &program(&machine, "echo ran >> $1; test $(wc -l < $1) -ge 2"));
    let daily =
        ScheduleToken { start: start.plus(HOUR), every: Recurrence::Interval { days: 1, hours: 0, minutes: 0 } };
    let options = DeploymentOptions { rerun: Rerun::IfFailed, schedule: vec![daily], ..DeploymentOptions::default() };
    let told = DeploymentPolicy { options, deadline: start, available: start, ..policy(1) };
    let bodies = signed.bodies(&site, &told);
    let at = |machine: &Machine, moment: UnixMillis| {
        machine.clock.set(moment);
        let mut assignment = site.next_assignment(bodies.clone());
        (assignment.issued, assignment.expires) = (moment, moment.plus(7 * DAY));
        site.publish(&assignment);
    };
    // It fails, and is due again when its schedule says so: three times are one where the machine was off.
    for (moment, runs, count) in [(start, 1, 1), (start.plus(3 * DAY), 2, 2)] {
        at(&machine, moment);
        let running = machine.run();
        let steps = ends(&site, &told, count).await;
        assert_eq!(order(&machine).len(), runs, "{steps:?}");
        running.stop().await;
    }
    assert_eq!(ends(&site, &told, 2).await.last().unwrap().state, State::Succeeded);
    // It has succeeded: the rule lets it rest, and nothing is said. Another deployment shows that it was looked at.
    at(&machine, start.plus(5 * DAY));
    let running = machine.run();
    site.wait_status(muster_model::status::MessageId::PolicyAccepted).await;
    let mut assignment =
        site.next_assignment([bodies, site.signed(&[], &policy(2), &app(&machine, 2, "two"), &[])].concat());
    (assignment.issued, assignment.expires) = (start.plus(5 * DAY), start.plus(9 * DAY));
    site.publish(&assignment);
    site.wait_end(policy(2).deployment).await;
    assert_eq!(order(&machine), ["ran", "ran", "two"]);
    running.stop().await;
}

/// The real agent, killed while the program runs.
async fn killed(rule: Rerun) -> (Arc<Site>, Machine, DeploymentPolicy, Vec<BodyRef>) {
    let (site, machine) = enrolled().await;
    let signed = Signed::new(&site, &program(&machine, "echo ran >> $1; touch $0.runs; sleep 1"));
    let told = rerun(1, rule);
    let bodies = signed.bodies(&site, &told);
    site.assign(bodies.clone());
    let mut agent = machine.spawn();
    wait_for_file(&machine.place("program.runs")).await;
    agent.start_kill().unwrap();
    agent.wait().await.unwrap();
    (site, machine, told, bodies)
}

#[tokio::test]
async fn a_program_whose_end_nobody_saw_is_interrupted_and_runs_again_by_its_rule_alone() {
    let (site, machine, told, _) = killed(Rerun::Never).await;
    let running = machine.run();
    let steps = ends(&site, &told, 1).await;
    assert_eq!((states(&steps), steps[1].reason), (vec![State::Installing, State::Failed], Some(Reason::Interrupted)));
    // Neither this deployment nor another one runs it again, unless its rule says that what failed does.
    let hash = steps[0].application;
    let body = |policy: DeploymentPolicy| {
        site.body(BodyKind::Deployment, serde_json::to_vec(&DeploymentPolicy { application: hash, ..policy }).unwrap())
    };
    let object = BodyRef { kind: BodyKind::Application, hash, size: site.state().bodies[&hash].len() as u64 };
    let (never, succeeded) = (rerun(2, Rerun::Never), rerun(3, Rerun::IfSucceeded));
    site.assign(vec![body(told), body(never.clone()), body(succeeded.clone()), object.clone()]);
    for other in [&never, &succeeded] {
        let steps = ends(&site, other, 1).await;
        assert_eq!((steps.len(), steps[0].reason), (1, Some(Reason::Interrupted)), "{steps:?}");
        assert!(steps[0].output.contains("nobody knows how it ended"), "{steps:?}");
    }
    assert_eq!(order(&machine), ["ran"]);
    let failed = rerun(4, Rerun::IfFailed);
    site.assign(vec![body(failed.clone()), object]);
    assert_eq!(ends(&site, &failed, 1).await.last().unwrap().state, State::Succeeded);
    assert_eq!(order(&machine), ["ran", "ran"]);
    running.stop().await;
}

#[tokio::test]
async fn a_program_that_is_offered_runs_when_a_user_wants_it_and_each_time() {
    let (site, machine) = enrolled().await;
    let signed = Signed::new(&site, &program(&machine, "echo ran >> $1"));
    let told = DeploymentPolicy { purpose: Purpose::Available, ..rerun(1, Rerun::Never) };
    site.assign(signed.bodies(&site, &told));
    let (running, socket) = machine.run_for_users();
    site.wait("an offer", |state| (!Site::steps(state, told.deployment).is_empty()).then_some(())).await;
    for count in 1..=2 {
        let socket = socket.clone();
        let begun = tokio::task::spawn_blocking(move || {
            muster_agent::local::begin(&socket, muster_model::status::Verb::Install, "program")
        });
        begun.await.unwrap().unwrap();
        ends(&site, &told, count).await;
    }
    assert_eq!(order(&machine), ["ran", "ran"]);
    running.stop().await;
}
