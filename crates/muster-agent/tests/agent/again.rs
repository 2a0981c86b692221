//! What an administrator has tried again, and what a newer site says that this client does not understand.

use crate::{
    actor::Site,
    application::{app, enrolled, order, policy, states},
};
use muster_model::{
    application::Application,
    id::DeploymentId,
    policy::{BodyKind, BodyRef, DeploymentPolicy},
    status::{DeploymentReport, DeploymentState as State, FailureReason as Reason},
};

async fn ends(site: &Site, deployment: DeploymentId, count: usize) -> Vec<DeploymentReport> {
    site.wait("another end of a deployment", |state| {
        let steps = Site::steps(state, deployment);
        (steps.iter().filter(|step| step.state.is_end()).count() == count).then_some(steps)
    })
    .await
}

/// Installed only where `may` is there.
fn app_that_may(machine: &crate::actor::machine::Machine) -> Application {
    let mut application = app(machine, 1, "one");
    let may = machine.place("may").display().to_string();
    application.install.arguments[1] = format!("echo try >> $1; test -e {may} && touch $0");
    application
}

#[tokio::test]
async fn each_attempt_that_is_asked_for_is_made_once() {
    let (site, machine) = enrolled().await;
    let application = app_that_may(&machine);
    let first = policy(1);
    // Signed once: another signature would be another object.
    let object = site.signed(&[&site.keys.author], &first, &application, &[]).remove(1);
    let attempt = |attempt, other: &[BodyRef]| {
        let policy = DeploymentPolicy { attempt, application: object.hash, ..first.clone() };
        let policy = site.body(BodyKind::Deployment, serde_json::to_vec(&policy).unwrap());
        site.assign([&[policy, object.clone()], other].concat());
    };
    let other = |number, name| site.signed(&[&site.keys.author], &policy(number), &app(&machine, number, name), &[]);
    attempt(0, &[]);
    let running = machine.run();
    let steps = site.wait_end(first.deployment).await;
    assert_eq!(steps.last().unwrap().reason, Some(Reason::ExitCode), "{steps:?}");
    // Again, and again in vain; the same number a second time is nothing new.
    attempt(1, &[]);
    ends(&site, first.deployment, 2).await;
    attempt(1, &other(2, "two"));
    ends(&site, policy(2).deployment, 1).await;
    assert_eq!(order(&machine), ["try", "try", "two"]);
    // A client that stopped meanwhile knows what it has tried.
    running.stop().await;
    std::fs::write(machine.place("may"), "").unwrap();
    let running = machine.run();
    attempt(2, &[]);
    let steps = ends(&site, first.deployment, 3).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded);
    // What is done is not done again, whatever the number.
    attempt(3, &other(3, "three"));
    ends(&site, policy(3).deployment, 1).await;
    assert_eq!(order(&machine), ["try", "try", "two", "try", "three"]);
    running.stop().await;
}

/// The policy body with one word more.
fn newer(site: &Site, bodies: &[BodyRef]) -> Vec<BodyRef> {
    let bytes = site.state().bodies[&bodies[0].hash].clone();
    let mut policy: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    policy["only_on_sundays"] = true.into();
    let body = site.body(BodyKind::Deployment, serde_json::to_vec(&policy).unwrap());
    [vec![body], bodies[1..].to_vec()].concat()
}

// A word of the policy that is not understood is not passed over, and keeps nothing else from holding.
#[tokio::test]
async fn a_deployment_that_is_not_understood_is_not_begun_and_holds_up_no_other() {
    let (site, machine) = enrolled().await;
    let (strange, plain) = (app(&machine, 1, "strange"), app(&machine, 2, "plain"));
    let author = [&site.keys.author];
    let understood = site.signed(&author, &policy(1), &strange, &[]);
    let other = site.signed(&author, &policy(2), &plain, &[]);
    site.assign([newer(&site, &understood), other.clone()].concat());
    let running = machine.run();
    let steps = site.wait_end(policy(1).deployment).await;
    assert_eq!((steps.len(), steps[0].reason), (1, Some(Reason::AgentTooOld)), "{steps:?}");
    site.wait_end(policy(2).deployment).await;
    assert_eq!(order(&machine), ["plain"]);
    // When it is understood it is begun: by a newer client, or because the site says less.
    site.assign([understood, other].concat());
    let steps = ends(&site, policy(1).deployment, 2).await;
    assert_eq!(states(&steps), [State::Failed, State::Installing, State::Succeeded]);
    // What does not even say what it is of is no policy at all.
    let rubbish = site.body(BodyKind::Deployment, b"{\"only_on_sundays\": true}".to_vec());
    site.assign(vec![rubbish]);
    let refused = site.wait_status(muster_model::status::MessageId::PolicyRefused).await;
    assert_eq!(refused["reason"], "malformed");
    running.stop().await;
}
