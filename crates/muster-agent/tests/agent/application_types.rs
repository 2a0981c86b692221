//! Applications with several deployment types: which one a device takes, what it fetches for it, and how it is removed again.

use crate::{
    actor::{
        Site,
        machine::{Machine, script, wait_for_file},
    },
    application::{app, enrolled, order, policy, states},
};
use muster_model::{
    application::{Application, Command, ContentFile, DeploymentType, Detection, Platform, Requirement},
    policy::{Action, BodyKind, DeploymentPolicy, Feature},
    status::{DeploymentState as State, FailureReason as Reason},
};

/// A type that writes its name when it is installed or removed; its files are its own.
fn kind(machine: &Machine, name: &str, script: ContentFile) -> DeploymentType {
    let place = machine.place(name).display().to_string();
    let command = |verb: &str| Command {
        program: format!("content/{}", script.name.as_str()),
        arguments: vec![verb.to_owned(), place.clone(), machine.place("order").display().to_string()],
        success_codes: vec![0],
    };
    DeploymentType {
        name: name.parse().unwrap(),
        platform: Platform::Linux,
        requirements: Vec::new(),
        install: command("install"),
        uninstall: Some(command("remove")),
        repair: None,
        detection: Detection::File { path: place.clone(), hash: None },
        return_codes: Vec::new(),
        max_run_seconds: 30,
        content: vec![script],
    }
}

fn only_with(package: &str) -> Vec<Requirement> {
    let query = format!("select * from SMS_G_System_INSTALLED_SOFTWARE where ProductName = '{package}'");
    vec![Requirement { name: format!("{package} is there").parse().unwrap(), query }]
}

const LINES: &str = "echo $1 $(basename $2) >> $3; case $1 in install) touch $2;; remove) rm $2;; esac";

/// For Windows first; then for machines with a package; then for every Linux.
fn several(site: &Site, machine: &Machine) -> Application {
    let content = |name: &str| site.content(&format!("{name}.sh"), &script(&format!("{LINES} # {name}")));
    let package = DeploymentType { requirements: only_with("wanted"), ..kind(machine, "package", content("package")) };
    let portable = kind(machine, "portable", content("portable"));
    let windows = kind(machine, "windows", content("windows"));
    Application {
        type_name: Some("windows".parse().unwrap()),
        platform: Platform::Windows,
        content: windows.content,
        install: windows.install,
        uninstall: None,
        repair: None,
        detection: Detection::File { path: "C:\\there".into(), hash: None },
        types: vec![package, portable],
        ..app(machine, 1, "several")
    }
}

#[tokio::test]
async fn the_first_type_that_is_for_the_device_is_taken_and_its_files_alone_are_fetched() {
    let (site, machine) = enrolled().await;
    let own = several(&site, &machine);
    own.check().unwrap();
    let needs = vec![Feature::Types];
    let first = DeploymentPolicy { needs, ..policy(1) };
    let [told, object] = &site.signed(&[], &first, &own, &[])[..] else { unreachable!() };
    let object = object.clone();
    site.assign(vec![told.clone(), object.clone()]);
    let running = machine.run();
    let steps = site.wait_end(first.deployment).await;
    assert_eq!(states(&steps), [State::Downloading, State::Installing, State::Succeeded]);
    let named: Vec<_> = steps.iter().map(|step| step.deployment_type.as_ref().map(|name| name.as_str())).collect();
    assert_eq!(named, [Some("portable"); 3]);
    let fetched = machine.directory().directory("content").unwrap().names().unwrap();
    assert_eq!(fetched, [own.types[1].content[0].hash.to_string()]);
    running.stop().await;
    // The machine has the package by now: another device like it would take that type; what is there is removed as what it is.
    machine.install_packages(&["base", "wanted"]);
    let removal = DeploymentPolicy { action: Action::Uninstall, ..policy(2) };
    let removal = DeploymentPolicy { application: object.hash, ..removal };
    let body = |policy: &DeploymentPolicy| site.body(BodyKind::Deployment, serde_json::to_vec(policy).unwrap());
    site.assign(vec![body(&removal), object.clone()]);
    let running = machine.run();
    let steps = site.wait_end(removal.deployment).await;
    assert_eq!(steps.last().unwrap().deployment_type.as_ref().unwrap().as_str(), "portable", "{steps:?}");
    let again = DeploymentPolicy { application: object.hash, ..policy(3) };
    site.assign(vec![body(&again), object]);
    let steps = site.wait_end(again.deployment).await;
    assert_eq!(steps.last().unwrap().deployment_type.as_ref().unwrap().as_str(), "package", "{steps:?}");
    assert_eq!(order(&machine), ["install portable", "remove portable", "install package"]);
    running.stop().await;
}

#[tokio::test]
async fn where_no_type_is_for_the_device_it_says_why_of_each() {
    let (site, machine) = enrolled().await;
    let mut own = several(&site, &machine);
    own.types[1].requirements = only_with("other");
    let mut broken = several(&site, &machine);
    broken.types[0].requirements[0].query = "selekt nothing".into();
    site.assign_all(&[(policy(1), &own, &[]), (policy(2), &broken, &[])]);
    let running = machine.run();
    // A requirement that cannot be computed is not passed over for a type of less priority.
    assert_eq!(site.wait_end(policy(2).deployment).await[0].reason, Some(Reason::RequirementInvalid));
    let steps = site.wait("a requirement that is not met", |state| {
        let steps = Site::steps(state, policy(1).deployment);
        steps.last().is_some_and(|step| step.state == State::RequirementsNotMet).then_some(steps)
    });
    let said = "No deployment type is for this device. package: Requirement not met: wanted is there. \
                portable: Requirement not met: other is there. 1 for other systems.";
    assert_eq!(steps.await[0].output, said);
    assert!(order(&machine).is_empty() && site.state().ranges.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_dependency_is_installed_as_the_type_that_is_for_the_device() {
    let (site, machine) = enrolled().await;
    let base = several(&site, &machine);
    let dependency = muster_model::application::Dependency { application: base.id, version: None };
    let group = muster_model::application::DependencyGroup { any: vec![dependency] };
    let own = Application { dependencies: vec![group], ..app(&machine, 2, "own") };
    site.assign_all(&[(policy(1), &own, &[&base])]);
    let running = machine.run();
    let steps = site.wait_end(policy(1).deployment).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded, "{steps:?}");
    assert_eq!(order(&machine), ["install portable", "own"]);
    running.stop().await;
}

// The second type runs when the agent is killed: the rule of that one is asked afterwards.
#[tokio::test]
async fn after_a_kill_the_type_that_ran_is_looked_for() {
    let (site, machine) = enrolled().await;
    let mut own = several(&site, &machine);
    let slow = format!("touch $2.runs; sleep 1; {LINES}");
    own.types[1].content[0] = site.content("portable.sh", &script(&slow));
    site.assign_all(&[(policy(1), &own, &[])]);
    let mut agent = machine.spawn();
    wait_for_file(&machine.place("portable.runs")).await;
    agent.start_kill().unwrap();
    agent.wait().await.unwrap();
    let running = machine.run();
    let steps = site.wait_end(policy(1).deployment).await;
    let last = steps.last().unwrap();
    assert_eq!((last.state, last.deployment_type.as_ref().unwrap().as_str()), (State::Succeeded, "portable"));
    assert_eq!(order(&machine), ["install portable"]);
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_know_what_an_application_needs_begins_nothing_and_says_so() {
    let (site, machine) = enrolled().await;
    let own = app(&machine, 1, "own");
    let bodies = site.signed(&[], &policy(1), &own, &[]);
    let bytes = site.state().bodies[&bodies[0].hash].clone();
    let mut later: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    later["needs"] = serde_json::json!(["types", "something_later"]);
    let told = site.body(BodyKind::Deployment, serde_json::to_vec(&later).unwrap());
    site.assign(vec![told, bodies[1].clone()]);
    let running = machine.run();
    let steps = site.wait_end(policy(1).deployment).await;
    assert_eq!((steps.len(), steps[0].reason), (1, Some(Reason::AgentTooOld)));
    assert!(order(&machine).is_empty());
    running.stop().await;
}
