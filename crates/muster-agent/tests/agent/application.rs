//! What applications say beside their installation: requirements, exit codes, retries, dependencies, what they replace, and how they are
//! removed; with authors, sites and programs that lie about it.

use crate::actor::{
    Site,
    machine::{Machine, wait_for_file},
    now,
};
use muster_agent::{clock::Clock, store::Store};
use muster_model::{
    application::{
        Application, Command, Dependency, DependencyGroup, Detection, Platform, Requirement, Retries, ReturnCode,
        ReturnMeaning, Superseded,
    },
    id::{ApplicationId, DeploymentId, Hash},
    policy::{Action, DeploymentPolicy, Purpose},
    status::{DeploymentReport, DeploymentState as State, FailureReason as Reason, Verb, WaitReason},
    time::{DAY, UnixMillis},
};
use muster_trust::PrivateKey;
use std::sync::Arc;

pub(crate) async fn enrolled() -> (Arc<Site>, Machine) {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    (site, machine)
}

pub(crate) fn states(steps: &[DeploymentReport]) -> Vec<State> {
    steps.iter().map(|step| step.state).collect()
}

pub(crate) fn id(number: u128) -> ApplicationId {
    ApplicationId(uuid::Uuid::from_u128(number))
}

pub(crate) fn policy(number: u128) -> DeploymentPolicy {
    DeploymentPolicy {
        deployment: DeploymentId(uuid::Uuid::from_u128(number)),
        application: Hash::ZERO,
        action: Action::Install,
        purpose: Purpose::Required,
        related: Vec::new(),
        available: UnixMillis(0),
        deadline: UnixMillis(0),
        outside_windows: false,
        volatile: false,
        software_update: false,
        deferral: None,
        attempt: 0,
        options: muster_model::program::DeploymentOptions::default(),
        needs: Vec::new(),
    }
}

/// An application that writes its name to `order` when it is installed or removed, and is there when the file of its name is.
pub(crate) fn app(machine: &Machine, number: u128, name: &str) -> Application {
    let shell = |line: &str| Command {
        program: "/bin/sh".into(),
        arguments: [
            "-c",
            line,
            &machine.place(name).display().to_string(),
            &machine.place("order").display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec(),
        success_codes: vec![0],
    };
    Application {
        id: id(number),
        name: name.parse().unwrap(),
        version: "1.0".into(),
        platform: Platform::Linux,
        content: Vec::new(),
        install: shell(&format!("echo {name} >> $1; touch $0")),
        uninstall: Some(shell(&format!("echo no-{name} >> $1; rm $0"))),
        repair: Some(shell(&format!("echo again-{name} >> $1"))),
        detection: Detection::File { path: machine.place(name).display().to_string(), hash: None },
        secrets: Vec::new(),
        collector: None,
        requirements: Vec::new(),
        return_codes: Vec::new(),
        retries: None,
        dependencies: Vec::new(),
        supersedes: Vec::new(),
        type_name: None,
        types: Vec::new(),
        parameters: Vec::new(),
        max_run_seconds: 30,
    }
}

pub(crate) fn order(machine: &Machine) -> Vec<String> {
    let text = std::fs::read_to_string(machine.place("order")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn needs(number: u128) -> DependencyGroup {
    DependencyGroup { any: vec![Dependency { application: id(number), version: None }] }
}

/// Another install command.
fn install(mut application: Application, line: &str) -> Application {
    application.install.arguments[1] = line.to_owned();
    application
}

#[tokio::test]
async fn dependencies_come_first_what_is_replaced_goes_and_what_is_unwanted_is_removed() {
    let (site, machine) = enrolled().await;
    let (base, middle) =
        (app(&machine, 1, "base"), Application { dependencies: vec![needs(1)], ..app(&machine, 2, "middle") });
    let (old, other) = (app(&machine, 3, "old"), app(&machine, 4, "other"));
    for there in ["old", "other"] {
        std::fs::write(machine.place(there), "").unwrap();
    }
    let new = Application {
        dependencies: vec![needs(2)],
        supersedes: vec![Superseded { application: id(3), uninstall: true }],
        ..app(&machine, 5, "new")
    };
    // What comes along without any reason is not touched.
    let first = policy(1);
    site.assign_all(&[(first.clone(), &new, &[&base, &middle, &old, &other])]);
    let running = machine.run();
    let steps = site.wait_end(first.deployment).await;
    assert_eq!(order(&machine), ["base", "middle", "no-old", "new"], "{steps:?}");
    assert!(machine.place("other").exists());
    let runs: Vec<_> = steps.iter().filter(|s| s.state == State::Installing).map(|s| s.runs.map(|r| r.verb)).collect();
    assert_eq!(runs, [Some(Verb::Install), Some(Verb::Install), Some(Verb::Uninstall), None]);
    // The old one is required too: it does not come back, and nothing is removed that another one depends on.
    let (again, kept, removal) = (policy(2), policy(3), policy(4));
    let uninstall = |policy: &DeploymentPolicy| DeploymentPolicy { action: Action::Uninstall, ..policy.clone() };
    site.assign_all(&[
        (first.clone(), &new, &[&base, &middle, &old, &other]),
        (again.clone(), &old, &[]),
        (uninstall(&kept), &base, &[]),
        (uninstall(&removal), &other, &[]),
    ]);
    assert_eq!(site.wait_end(removal.deployment).await.last().unwrap().state, State::Succeeded);
    for (policy, reason) in [(again, WaitReason::Superseded), (kept, WaitReason::Conflict)] {
        let waits =
            site.wait("what is not done", |state| Site::steps(state, policy.deployment).last().and_then(|s| s.waits));
        assert_eq!(waits.await, reason);
    }
    assert_eq!(order(&machine)[4..], ["no-other"]);
    running.stop().await;
}

#[tokio::test]
async fn what_an_application_depends_on_is_run_only_where_authors_signed_it_and_it_makes_no_circle() {
    let (site, machine) = enrolled().await;
    let running = machine.run();
    let stranger = PrivateKey::generate().unwrap();
    let base = app(&machine, 1, "base");
    let new = Application { dependencies: vec![needs(1)], ..app(&machine, 2, "new") };
    let circle = Application { dependencies: vec![needs(2)], ..app(&machine, 1, "base") };
    let again = Application { version: "0.9".into(), ..new.clone() };
    let wanted = DependencyGroup { any: vec![Dependency { application: id(1), version: Some("2".into()) }] };
    let newer = Application { dependencies: vec![wanted], ..new.clone() };
    let author = &site.keys.author;
    let cases: [(u128, &PrivateKey, &Application, Vec<&Application>); 4] = [
        (1, &stranger, &new, vec![&base]),
        (2, author, &new, vec![&circle, &again]),
        (3, author, &newer, vec![&base]),
        (4, author, &new, vec![]),
    ];
    for (number, key, own, along) in cases {
        let policy = policy(number);
        site.assign(site.signed(&[key], &policy, own, &along));
        let steps = site.wait_end(policy.deployment).await;
        assert_eq!(steps.last().unwrap().reason, Some(Reason::DependencyMissing), "{number}: {steps:?}");
    }
    assert!(order(&machine).is_empty());
    running.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_before_its_own_turn_says_where() {
    let (site, machine) = enrolled().await;
    std::fs::write(machine.place("old"), "").unwrap();
    let broken = install(app(&machine, 1, "broken"), "echo broken; exit 3");
    let liar = install(app(&machine, 2, "liar"), "exit 0");
    let mut stays = app(&machine, 3, "old");
    stays.uninstall.as_mut().unwrap().arguments[1] = "exit 0".into();
    let supersedes = vec![Superseded { application: id(3), uninstall: true }];
    let on = |number| Application { dependencies: vec![needs(number)], ..app(&machine, 9, "new") };
    let over = Application { supersedes, ..app(&machine, 9, "new") };
    let running = machine.run();
    for (number, own, along, reason, says) in [
        (1, on(1), &broken, Reason::DependencyFailed, "broken 1.0: exit_code\nbroken"),
        (2, on(2), &liar, Reason::DependencyFailed, "liar 1.0: not_detected"),
        (3, over, &stays, Reason::SupersededFailed, "old 1.0: still_detected"),
    ] {
        let policy = policy(number);
        site.assign_all(&[(policy.clone(), &own, &[along])]);
        let steps = site.wait_end(policy.deployment).await;
        let last = steps.last().unwrap();
        assert_eq!((last.reason, last.output.trim()), (Some(reason), says), "{steps:?}");
    }
    let (removal, kept) = (DeploymentPolicy { action: Action::Uninstall, ..policy(4) }, app(&machine, 5, "kept"));
    let without = Application { uninstall: None, ..kept };
    site.assign_all(&[(removal.clone(), &without, &[])]);
    assert_eq!(site.wait_end(removal.deployment).await.last().unwrap().reason, Some(Reason::NoCommand));
    let removal = DeploymentPolicy { action: Action::Uninstall, ..policy(5) };
    site.assign_all(&[(removal.clone(), &stays, &[])]);
    assert_eq!(site.wait_end(removal.deployment).await.last().unwrap().reason, Some(Reason::StillDetected));
    assert!(order(&machine).is_empty() && !machine.place("new").exists());
    running.stop().await;
}

#[tokio::test]
async fn a_device_that_does_not_meet_a_requirement_says_which_and_looks_again() {
    let (site, machine) = enrolled().await;
    let query = "select * from SMS_G_System_INSTALLED_SOFTWARE where ProductName = 'wanted'";
    let requirement = |query: &str| Requirement { name: "Wanted is there".parse().unwrap(), query: query.into() };
    let own = Application { requirements: vec![requirement(query)], ..app(&machine, 1, "new") };
    let (deployed, bad) = (policy(1), policy(2));
    let broken = Application { requirements: vec![requirement("selekt nothing")], ..app(&machine, 2, "bad") };
    site.assign_all(&[(deployed.clone(), &own, &[]), (bad.clone(), &broken, &[])]);
    let running = machine.run();
    let steps = site
        .wait("a requirement that is not met", |state| {
            let steps = Site::steps(state, deployed.deployment);
            steps.last().is_some_and(|s| s.state == State::RequirementsNotMet).then_some(steps)
        })
        .await;
    assert_eq!((steps.len(), steps[0].output.as_str()), (1, "Requirement not met: Wanted is there."));
    assert_eq!(site.wait_end(bad.deployment).await[0].reason, Some(Reason::RequirementInvalid));
    running.stop().await;
    assert!(order(&machine).is_empty());
    machine.install_packages(&["base", "wanted"]);
    let running = machine.run();
    let steps = site.wait("success", |state| {
        let steps = Site::steps(state, deployed.deployment);
        steps.last().is_some_and(|s| s.state == State::Succeeded).then_some(steps)
    });
    assert_eq!(states(&steps.await), [State::RequirementsNotMet, State::Installing, State::Succeeded]);
    running.stop().await;
}

#[tokio::test]
async fn exit_codes_retry_and_restart() {
    let (site, machine) = enrolled().await;
    machine.restart("first");
    let code = |code, meaning| ReturnCode { code, meaning };
    let codes = vec![
        code(9, ReturnMeaning::SuccessRestart),
        code(8, ReturnMeaning::RestartFirst),
        code(7, ReturnMeaning::Retry),
    ];
    let with = |application: Application| Application { return_codes: codes.clone(), ..application };
    let soft = with(install(app(&machine, 1, "soft"), "touch $0; exit 9"));
    let hard = with(install(app(&machine, 2, "hard"), "test -e $0.once && touch $0; touch $0.once; exit 8"));
    let busy = install(app(&machine, 3, "busy"), "test -e $0.once && touch $0 && exit 0; touch $0.once; exit 7");
    let busy = with(Application { retries: Some(Retries { count: 1, wait_seconds: 1 }), ..busy });
    let never = install(app(&machine, 4, "never"), "echo try >> $1; exit 1");
    let never = Application { retries: Some(Retries { count: 2, wait_seconds: 1 }), ..never };
    let deployed: Vec<_> = (1..=4).map(policy).collect();
    site.assign_all(&[
        (deployed[0].clone(), &soft, &[]),
        (deployed[1].clone(), &hard, &[]),
        (deployed[2].clone(), &busy, &[]),
        (deployed[3].clone(), &never, &[]),
    ]);
    let running = machine.run();
    let last = site.wait_end(deployed[0].deployment).await.pop().unwrap();
    assert!(last.restart && last.state == State::Succeeded, "{last:?}");
    let steps = site.wait_end(deployed[2].deployment).await;
    assert_eq!(states(&steps), [State::Installing, State::Waiting, State::Installing, State::Succeeded]);
    assert_eq!((steps[1].waits, steps[1].exit_code), (Some(WaitReason::Retry), Some(7)));
    let steps = site.wait_end(deployed[3].deployment).await;
    assert_eq!((steps.len(), steps[5].reason, order(&machine).len()), (6, Some(Reason::ExitCode), 3), "{steps:?}");
    let steps = site.wait("a restart that is needed", |state| {
        let steps = Site::steps(state, deployed[1].deployment);
        steps.last().is_some_and(|s| s.waits == Some(WaitReason::Restart)).then_some(steps)
    });
    assert_eq!(steps.await.last().unwrap().exit_code, Some(8));
    running.stop().await;
    let pending = |boot: &str| {
        let store = Store::open(&machine.directory(), true).unwrap();
        store.restart_pending(boot).unwrap().iter().map(|pending| pending.deployment).collect::<Vec<_>>()
    };
    assert_eq!(pending("first"), [deployed[0].deployment, deployed[1].deployment]);
    // The agent alone is started again, then the machine.
    let running = machine.run();
    running.stop().await;
    assert_eq!(pending("first").len(), 2);
    machine.restart("second");
    let running = machine.run();
    let last = site.wait_end(deployed[1].deployment).await.pop().unwrap();
    assert!(last.state == State::Succeeded && last.restart, "{last:?}");
    running.stop().await;
    assert_eq!((pending("first"), pending("second")), (vec![], vec![deployed[1].deployment]));
}

#[tokio::test]
async fn an_application_that_somebody_removed_is_installed_again() {
    let (site, mut machine) = (Site::start().await, Machine::new());
    machine.clock = Clock::at(now());
    machine.enrol(&site).await;
    let (deployed, own) = (policy(1), app(&machine, 1, "new"));
    let bodies = site.signed(&[], &deployed, &own, &[]);
    site.assign(bodies.clone());
    let running = machine.run();
    site.wait_end(deployed.deployment).await;
    running.stop().await;
    std::fs::remove_file(machine.place("new")).unwrap();
    // A week has passed, and the site has signed anew meanwhile.
    let later = now().plus(7 * DAY + 60_000);
    machine.clock.set(later);
    let mut assignment = site.next_assignment(bodies);
    (assignment.issued, assignment.expires) = (later, later.plus(7 * DAY));
    site.publish(&assignment);
    let running = machine.run();
    let steps = site.wait("the second installation", |state| {
        let steps = Site::steps(state, deployed.deployment);
        (steps.len() == 4).then_some(steps)
    });
    let steps = steps.await;
    assert_eq!(states(&steps), [State::Installing, State::Succeeded, State::Installing, State::Succeeded]);
    assert!(!steps[0].undone && steps[2].undone, "{steps:?}");
    assert_eq!(order(&machine), ["new", "new"]);
    running.stop().await;
}

#[tokio::test]
async fn a_dependency_survives_the_kill_of_the_agent_and_is_not_run_twice() {
    let (site, machine) = enrolled().await;
    let base = install(app(&machine, 1, "base"), "echo base >> $1; touch $0.runs; sleep 1; touch $0");
    let own = Application { dependencies: vec![needs(1)], ..app(&machine, 2, "new") };
    let deployed = policy(1);
    site.assign_all(&[(deployed.clone(), &own, &[&base])]);
    let mut agent = machine.spawn();
    wait_for_file(&machine.place("base.runs")).await;
    agent.start_kill().unwrap();
    agent.wait().await.unwrap();
    let mut agent = machine.spawn();
    let steps = site.wait_end(deployed.deployment).await;
    agent.start_kill().unwrap();
    agent.wait().await.unwrap();
    assert_eq!(steps.last().unwrap().state, State::Succeeded, "{steps:?}");
    assert_eq!(order(&machine), ["base", "new"]);
}

#[tokio::test]
async fn an_installer_that_asks_gets_no_answer_and_goes_on() {
    let (site, machine) = enrolled().await;
    let asks =
        install(app(&machine, 1, "asks"), "read answer </dev/tty || read answer || echo nobody is there; touch $0");
    let deployed = policy(1);
    site.assign_all(&[(deployed.clone(), &asks, &[])]);
    let running = machine.run();
    let last = site.wait_end(deployed.deployment).await.pop().unwrap();
    assert!(last.state == State::Succeeded && last.output.ends_with("nobody is there"), "{last:?}");
    running.stop().await;
}
