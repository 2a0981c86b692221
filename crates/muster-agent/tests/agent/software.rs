//! What is offered to the users of a machine: nothing begins by itself, a user can have it begun, and a user who means harm can do no more.

use crate::{
    actor::{
        Site,
        machine::{Machine, Running},
    },
    application::{app, enrolled, order, policy},
};
use muster_agent::{
    apply::software::{Declined, Software},
    local::{self, AskError},
    os::account,
};
use muster_model::{
    id::DeploymentId,
    policy::{DeploymentPolicy, Purpose},
    status::{DeploymentState as State, MessageId, Verb, WaitReason},
    time::{HOUR, UnixMillis},
};
use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
};

async fn offered() -> (Arc<Site>, Machine, Running, PathBuf) {
    let (site, machine) = enrolled().await;
    let (running, socket) = machine.run_for_users();
    (site, machine, running, socket)
}

async fn waits(site: &Site, id: DeploymentId, steps: usize, reason: WaitReason) {
    site.wait("what it waits for", |state| {
        let all = Site::steps(state, id);
        (all.len() >= steps && all.last().is_some_and(|s| s.waits == Some(reason))).then_some(())
    })
    .await;
}

async fn ask<T: Send + 'static>(work: impl FnOnce() -> Result<T, AskError> + Send + 'static) -> Result<T, Declined> {
    match tokio::task::spawn_blocking(work).await.unwrap() {
        Ok(answer) => Ok(answer),
        Err(AskError::Declined(why)) => Err(why),
        Err(error) => panic!("{error}"),
    }
}

async fn list(socket: &Path) -> Vec<Software> {
    let socket = socket.to_owned();
    ask(move || local::list(&socket)).await.unwrap()
}

async fn begin(socket: &Path, verb: Verb, word: &str) -> Result<Software, Declined> {
    let (socket, word) = (socket.to_owned(), word.to_owned());
    ask(move || local::begin(&socket, verb, &word)).await
}

#[tokio::test]
async fn what_is_offered_begins_when_a_user_says_so_and_not_before() {
    let (site, machine, running, socket) = offered().await;
    let offer = DeploymentPolicy { purpose: Purpose::Available, ..policy(1) };
    // What is required is not for users: its deadline and its windows hold.
    let required = DeploymentPolicy { deadline: UnixMillis(i64::MAX / 4), ..policy(2) };
    let later = DeploymentPolicy { available: crate::actor::now().plus(HOUR), ..offer.clone() };
    let later = DeploymentPolicy { deployment: policy(3).deployment, ..later };
    let (editor, agent, hidden) =
        (app(&machine, 1, "editor"), app(&machine, 2, "antivirus"), app(&machine, 3, "hidden"));
    let all =
        [(offer.clone(), &editor, &[][..]), (required.clone(), &agent, &[][..]), (later.clone(), &hidden, &[][..])];
    site.assign_all(&all);
    waits(&site, offer.deployment, 1, WaitReason::User).await;
    waits(&site, required.deployment, 1, WaitReason::Deadline).await;
    let seen = list(&socket).await;
    let seen: Vec<_> = seen.iter().map(|s| (s.name.as_str(), s.required, s.can.clone())).collect();
    assert_eq!(seen, [("editor", false, vec![Verb::Install]), ("antivirus", true, vec![])]);
    assert!(order(&machine).is_empty(), "nothing begins by itself");

    let began = begin(&socket, Verb::Install, "Editor").await.unwrap();
    assert_eq!((began.deployment, began.wanted), (offer.deployment, None));
    let values = site.wait_status(MessageId::UserBegan).await;
    assert_eq!((values["name"].as_str(), values["verb"].as_str()), ("editor", "install"), "{values:?}");
    assert_eq!(values["user"], account::described(muster_agent::os::own_user()));
    let end = site.wait_end(offer.deployment).await.pop().unwrap();
    assert_eq!(end.state, State::Succeeded);
    assert_eq!(begin(&socket, Verb::Install, "editor").await, Err(Declined::Nothing));
    let before = Site::steps(&site.state(), offer.deployment).len();
    begin(&socket, Verb::Repair, "editor").await.unwrap();
    site.wait("the repair", |s| (Site::steps(s, offer.deployment).len() == before + 2).then_some(())).await;
    begin(&socket, Verb::Uninstall, "editor 1.0").await.unwrap();
    waits(&site, offer.deployment, before + 4, WaitReason::User).await;
    assert_eq!(order(&machine), ["editor", "again-editor", "no-editor"]);

    for verb in Verb::ALL {
        assert_eq!(begin(&socket, *verb, "antivirus").await, Err(Declined::NotAllowed), "{verb:?}");
    }
    // What the policy no longer lists is not removed either.
    begin(&socket, Verb::Install, "editor").await.unwrap();
    site.wait("the editor again", |s| {
        Site::steps(s, offer.deployment).last().is_some_and(|s| s.state == State::Succeeded).then_some(())
    })
    .await;
    site.assign(Vec::new());
    while !list(&socket).await.is_empty() {
        // A user may ask sixty times a minute.
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    let answer = talk(&socket, &begin_line(Verb::Uninstall, offer.deployment)).await;
    assert!(answer.contains("not_offered"), "{answer}");
    assert!(machine.place("editor").exists());
    running.stop().await;
}

fn begin_line(verb: Verb, id: DeploymentId) -> Vec<u8> {
    format!("{{\"ask\":\"begin\",\"verb\":\"{}\",\"deployment\":\"{id}\"}}\n", verb.as_str()).into_bytes()
}

/// Sends bytes as they are; what comes back.
async fn talk(socket: &Path, bytes: &[u8]) -> String {
    let (socket, bytes) = (socket.to_owned(), bytes.to_owned());
    let work = move || {
        let mut stream = UnixStream::connect(socket).unwrap();
        let _ = stream.write_all(&bytes);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn a_user_who_means_harm_gets_answers_and_nothing_else() {
    let (site, machine, running, socket) = offered().await;
    let (offer, hidden) = (DeploymentPolicy { purpose: Purpose::Available, ..policy(1) }, policy(2));
    let removal = DeploymentPolicy {
        action: muster_model::policy::Action::Uninstall,
        deadline: UnixMillis(i64::MAX / 4),
        ..hidden
    };
    let (editor, other) = (app(&machine, 1, "editor"), app(&machine, 2, "other"));
    site.assign_all(&[(offer.clone(), &editor, &[]), (removal.clone(), &other, &[])]);
    waits(&site, offer.deployment, 1, WaitReason::User).await;
    let foreign = DeploymentId(uuid::Uuid::from_u128(99));
    for (line, says) in [
        (begin_line(Verb::Install, foreign), "not_offered"),
        // The same answer for what is there and is not for users.
        (begin_line(Verb::Uninstall, removal.deployment), "not_offered"),
        (begin_line(Verb::Uninstall, offer.deployment), "nothing"),
        (vec![b'x'; 200_000], "malformed"),
        (b"{\"ask\":\"begin\",\"verb\":\"install\",\"deployment\":\"../../etc\"}\n".to_vec(), "malformed"),
        (b"{\"ask\":\"list\",\"program\":\"/bin/sh\"}\n".to_vec(), "malformed"),
        (b"\xff\xfe\0\n".to_vec(), "malformed"),
    ] {
        let answer = talk(&socket, &line).await;
        // Who sends more than is read may lose the answer with the rest.
        assert!(answer.contains(says) || line.len() > 100_000 && answer.is_empty(), "{answer} {}", line.len());
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o666, 0o755));
    // Connections that say nothing, and then many that ask: the agent goes on, and remembers nobody for long.
    let silent: Vec<_> = (0..50).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    drop(silent);
    let mut declined = false;
    for _ in 0..80 {
        declined = declined || talk(&socket, b"{\"ask\":\"list\"}\n").await.contains("too_many");
    }
    assert!(declined, "a flood is bounded");
    assert!(order(&machine).is_empty());
    running.stop().await;
    // A service that somebody broke into is no person.
    if !muster_agent::os::is_root() {
        return;
    }
    let (running, socket) = machine.run_for_users();
    for (user, says) in
        [(33, "accounts of persons"), (65_534, "accounts of persons"), (4_321, "editor 1.0: waiting (user)")]
    {
        let answer = as_user(&machine, user, &socket).await;
        assert!(answer.contains(says), "{user}: {answer}");
    }
    running.stop().await;
}

/// What the program says to another user who asks what is offered.
async fn as_user(machine: &Machine, user: u32, socket: &Path) -> String {
    let program = machine.place("muster-agent");
    if !program.exists() {
        // Where the other user can reach it.
        let built = env!("CARGO_BIN_EXE_muster-agent");
        if std::fs::hard_link(built, &program).is_err() {
            std::fs::copy(built, &program).unwrap();
        }
    }
    // The socket is there a moment after the agent.
    for _ in 0..100 {
        let mut command = tokio::process::Command::new(&program);
        command.arg("--socket").arg(socket).args(["software", "list"]).uid(user).gid(user).current_dir("/");
        let output = command.output().await.unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !text.contains("is it running") {
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no answer for {user}");
}

#[tokio::test]
async fn users_are_told_of_what_says_so_before_while_and_after_it_is_done() {
    use muster_agent::{apply::notices::Stage, local};
    use muster_model::program::DeploymentOptions;
    let (site, machine) = enrolled().await;
    let options = DeploymentOptions { notices: true, ..DeploymentOptions::default() };
    let gate = machine.place("gate");
    let slow = |number, name: &str, code: u8| {
        let mut application = app(&machine, number, name);
        application.install.arguments[1] = format!(
            "touch $0.runs; while [ ! -e {} ]; do sleep 0.05; done; touch $0.{code}; exit {code}",
            gate.display()
        );
        application
    };
    let (works, quiet) = (slow(1, "works", 0), app(&machine, 2, "quiet"));
    let mut works = works;
    works.install.arguments[1].insert_str(0, "touch $0; ");
    let fails = slow(3, "fails", 3);
    let later = DeploymentPolicy { deadline: crate::actor::now().plus(HOUR), options: options.clone(), ..policy(4) };
    let told = |number| DeploymentPolicy { options: options.clone(), ..policy(number) };
    site.assign_all(&[
        (later, &app(&machine, 4, "later"), &[]),
        (policy(2), &quiet, &[]),
        (told(1), &works, &[]),
        (told(3), &fails, &[]),
    ]);
    let (running, socket) = machine.run_for_users();
    let now = async || {
        let socket = socket.clone();
        let told = tokio::task::spawn_blocking(move || local::told(&socket)).await.unwrap().unwrap();
        let mut told: Vec<_> = told.into_iter().map(|one| (one.name, one.stage, one.reason)).collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        told
    };
    crate::actor::machine::wait_for_file(&machine.place("works.runs")).await;
    let expected = [("fails", Stage::Coming), ("later", Stage::Coming), ("works", Stage::Underway)];
    assert_eq!(now().await, expected.map(|(name, stage)| (name.to_owned(), stage, None)));
    std::fs::write(&gate, "").unwrap();
    site.wait_end(policy(3).deployment).await;
    site.wait_end(policy(1).deployment).await;
    let why = Some(muster_model::status::FailureReason::ExitCode);
    let ended = [("fails", Stage::Failed, why), ("later", Stage::Coming, None), ("works", Stage::Succeeded, None)];
    assert_eq!(now().await, ended.map(|(name, stage, reason)| (name.to_owned(), stage, reason)));
    // The helper without privileges says the same in words.
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_muster-agent"))
        .arg("--socket")
        .arg(&socket)
        .args(["notify", "--once"])
        .output();
    let text = String::from_utf8(output.await.unwrap().stdout).unwrap();
    for line in
        ["works 1.0 was installed.", "fails 1.0 could not be installed (exit_code).", "later 1.0 will be installed at "]
    {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("quiet"), "{text}");
    running.stop().await;
}
