//! Users put an installation off: as often and as long as the signed policy says, kept over a restart of the agent, and no longer.

use crate::{
    actor::{Site, machine::Machine},
    application::{app, order, policy},
    window,
};
use muster_agent::{
    apply::{defer::Upcoming, software::Declined},
    local::{self, AskError},
};
use muster_model::{
    id::DeploymentId,
    policy::{Deferral, DeploymentPolicy},
    status::{DeploymentReport, DeploymentState as State, MessageId, WaitReason},
    time::{HOUR, MINUTE, UnixMillis},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

async fn upcoming(socket: &Path) -> Vec<Upcoming> {
    let socket = socket.to_owned();
    tokio::task::spawn_blocking(move || local::upcoming(&socket)).await.unwrap().unwrap()
}

async fn defer(socket: &Path, word: &str) -> Result<UnixMillis, Declined> {
    let (socket, word) = (socket.to_owned(), word.to_owned());
    match tokio::task::spawn_blocking(move || local::defer(&socket, &word)).await.unwrap() {
        Ok((_, until)) => Ok(until),
        Err(AskError::Declined(why)) => Err(why),
        Err(error) => panic!("{error}"),
    }
}

async fn last(site: &Site, id: DeploymentId, starts: UnixMillis) -> DeploymentReport {
    site.wait("the report of a deferral", |state| {
        Site::steps(state, id).pop().filter(|step| step.starts == Some(starts))
    })
    .await
}

/// The agent anew, at a moment.
async fn later(
    site: &Site,
    machine: &Machine,
    running: crate::actor::machine::Running,
    now: UnixMillis,
) -> (crate::actor::machine::Running, PathBuf) {
    running.stop().await;
    window::set(site, machine, now);
    let (running, socket) = machine.run_for_users();
    // It answers, and has its policy.
    let ready = async {
        loop {
            let socket = socket.clone();
            let seen = tokio::task::spawn_blocking(move || local::list(&socket)).await.unwrap();
            if seen.is_ok_and(|list| !list.is_empty()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready).await.unwrap();
    (running, socket)
}

#[tokio::test]
async fn an_installation_is_put_off_so_often_and_so_long_and_then_comes() {
    let (site, machine) = window::enrolled().await;
    let deadline = machine.clock.now().plus(HOUR);
    let deferral = Deferral { times: 3, minutes: 60, grace_minutes: 150 };
    let one = DeploymentPolicy { deadline, deferral: Some(deferral), ..policy(1) };
    let plain = DeploymentPolicy { deadline, ..policy(2) };
    let (editor, other) = (app(&machine, 1, "editor"), app(&machine, 2, "other"));
    site.assign_all(&[(one.clone(), &editor, &[][..]), (plain.clone(), &other, &[])]);
    let (running, socket) = machine.run_for_users();
    last(&site, plain.deployment, deadline).await;
    last(&site, one.deployment, deadline).await;
    let comes = upcoming(&socket).await;
    assert_eq!(comes.len(), 1, "what has no limits cannot be put off: {comes:?}");
    assert_eq!((comes[0].name.as_str(), comes[0].starts, comes[0].left), ("editor", deadline, 3));
    assert_eq!(comes[0].last, deadline.plus(150 * MINUTE));
    // Once before the deadline: an hour from the deadline on.
    assert_eq!(defer(&socket, "Editor").await, Ok(deadline.plus(HOUR)));
    let step = last(&site, one.deployment, deadline.plus(HOUR)).await;
    assert_eq!((step.state, step.waits, step.deferred), (State::Waiting, Some(WaitReason::Deferred), 1));
    let said = site.wait_status(MessageId::UserDeferred).await;
    assert_eq!((said["count"].as_str(), said["times"].as_str()), ("1", "3"), "{said:?}");
    // Again while it is put off does not add up beyond what one gives.
    assert_eq!(defer(&socket, "editor").await, Err(Declined::DeferredOut));

    // After the deadline the agent was started anew, and knows of it; what nobody could put off is there.
    let now = deadline.plus(50 * MINUTE);
    let (running, socket) = later(&site, &machine, running, now).await;
    site.wait_end(plain.deployment).await;
    assert_eq!(order(&machine), ["other"]);
    assert_eq!(defer(&socket, "editor").await, Ok(deadline.plus(110 * MINUTE)));
    // The last one is cut at the last moment.
    let now = deadline.plus(100 * MINUTE);
    let (running, socket) = later(&site, &machine, running, now).await;
    assert_eq!(defer(&socket, "editor").await, Ok(deadline.plus(150 * MINUTE)));
    let step = last(&site, one.deployment, deadline.plus(150 * MINUTE)).await;
    assert_eq!(step.deferred, 3);
    assert_eq!(defer(&socket, "editor").await, Err(Declined::DeferredOut));
    assert_eq!(upcoming(&socket).await[0].left, 0);
    assert_eq!(order(&machine), ["other"]);
    let (running, socket) = later(&site, &machine, running, deadline.plus(150 * MINUTE)).await;
    let end = site.wait_end(one.deployment).await.pop().unwrap();
    assert_eq!((end.state, end.deferred), (State::Succeeded, 3));
    assert!(upcoming(&socket).await.is_empty(), "what is there cannot be put off");
    running.stop().await;
}
