//! Installers that ask, fork away, and fill the disk, and detection rules that lie: each comes to a state with its reason, once, and holds
//! nothing up.

use crate::{
    actor::{
        application as scripted,
        machine::{Machine, script, skip},
        now,
    },
    application::{app, enrolled, order, policy, states},
};
use muster_model::{
    application::{Application, Command, Detection, Retries},
    status::{DeploymentState as State, FailureReason as Reason},
};
use std::process::Stdio;

/// With another install command.
fn installs(machine: &Machine, number: u128, name: &str, line: &str) -> Application {
    let mut application = app(machine, number, name);
    application.install.arguments[1] = line.to_owned();
    application
}

#[tokio::test]
async fn an_installer_that_asks_gets_no_answer_and_does_not_wait_for_one() {
    let (site, machine) = enrolled().await;
    let asks = "read line && touch $0.read; (read line < /dev/tty) 2>/dev/null && touch $0.tty; echo asked; exit 7";
    site.assign_all(&[(policy(1), &installs(&machine, 1, "asks", asks), &[])]);
    let running = machine.run();
    let steps = site.wait_end(policy(1).deployment).await;
    let last = steps.last().unwrap();
    assert_eq!((last.reason, last.exit_code, last.output.as_str()), (Some(Reason::ExitCode), Some(7), "asked"));
    assert!(!machine.place("asks.read").exists() && !machine.place("asks.tty").exists());
    running.stop().await;
}

#[tokio::test]
async fn what_an_installer_leaves_running_holds_up_neither_the_next_one_nor_its_own_next_try() {
    let (site, machine) = enrolled().await;
    let pid = machine.place("pid").display().to_string();
    // It fails once, with something left behind that has everything open that it had.
    let forks = format!(
        "echo try >> $1; setsid sleep 1000 & echo $! >> {pid}; test -e $0.once && touch $0 && exit 0; touch $0.once; exit 1"
    );
    let forks =
        Application { retries: Some(Retries { count: 1, wait_seconds: 1 }), ..installs(&machine, 1, "forks", &forks) };
    site.assign_all(&[(policy(1), &forks, &[]), (policy(2), &app(&machine, 2, "next"), &[])]);
    let running = machine.run();
    assert_eq!(site.wait_end(policy(2).deployment).await.last().unwrap().state, State::Succeeded);
    let steps = site.wait_end(policy(1).deployment).await;
    assert_eq!(states(&steps), [State::Installing, State::Waiting, State::Installing, State::Succeeded]);
    running.stop().await;
    for pid in std::fs::read_to_string(&pid).unwrap().lines() {
        let alive = std::path::Path::new("/proc").join(pid).exists();
        assert!(alive, "what an installation started is the application, and stays");
        std::process::Command::new("kill").args(["-9", pid]).status().unwrap();
    }
}

const ON_A_SMALL_DISK: &str = r#"
set -e
cp -a "$1" "$2/copy"
mount -t tmpfs -o size=2m,mode=0700 none "$1"
cp -a "$2/copy/." "$1/"
exec "$3" --state "$1" run
"#;

#[tokio::test]
async fn an_installer_that_fills_the_agents_own_disk_is_told_and_cleaned_away() {
    let mount = "mount -t tmpfs -o size=64k none /mnt";
    let able = tokio::process::Command::new("unshare").args(["-rm", "sh", "-c", mount]).stderr(Stdio::null()).status();
    if !able.await.is_ok_and(|status| status.success()) {
        return skip("the test of an installer that fills the disk", "a file system of its own cannot be mounted here");
    }
    let (site, machine) = enrolled().await;
    let mut agent = tokio::process::Command::new("unshare")
        .args(["-rm", "sh", "-c", ON_A_SMALL_DISK, "sh"])
        .args([machine.state(), machine.place(""), env!("CARGO_BIN_EXE_muster-agent").into()])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let fills = scripted(
        site.content("setup.sh", &script("cat /dev/zero > filler; echo full; exit 5")),
        &machine.place("x"),
        60,
    );
    let steps = site.wait_end(site.deploy(&[&site.keys.author], &fills, now())).await;
    let last = steps.last().unwrap();
    assert_eq!((last.reason, last.exit_code), (Some(Reason::ExitCode), Some(5)), "{last:?}");
    assert!(last.output.contains("full"), "{last:?}");
    let next = scripted(site.content("setup.sh", &script("touch \"$1\"")), &machine.place("next"), 60);
    let steps = site.wait_end(site.deploy(&[&site.keys.author], &next, now())).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded, "{steps:?}");
    agent.start_kill().unwrap();
    agent.wait().await.unwrap();
}

#[tokio::test]
async fn a_rule_that_lies_makes_a_clear_state_and_no_circle() {
    let (site, machine) = enrolled().await;
    // It is there by its rule, and its installer says that it failed: what failed is not called a success.
    let failed = installs(&machine, 1, "failed", "echo failed >> $1; touch $0; exit 3");
    // Never there, whatever the installer did.
    let never = Application {
        retries: Some(Retries { count: 1, wait_seconds: 1 }),
        detection: Detection::File { path: machine.place("elsewhere").display().to_string(), hash: None },
        ..installs(&machine, 2, "never", "echo never >> $1; exit 0")
    };
    // One answer before, another one after: no, yes, no, yes ...
    let flag = machine.place("flag").display().to_string();
    let changes = Detection::Command {
        command: Command {
            program: "/bin/sh".into(),
            arguments: ["-c", "if test -e $0; then rm $0; exit 0; else touch $0; exit 1; fi", &flag]
                .map(str::to_owned)
                .to_vec(),
            success_codes: vec![0],
        },
    };
    let changes = Application { detection: changes, ..installs(&machine, 3, "changes", "echo changes >> $1") };
    let all = [(policy(1), &failed, &[][..]), (policy(2), &never, &[]), (policy(3), &changes, &[])];
    let author = [&site.keys.author];
    let bodies: Vec<_> = all.iter().flat_map(|(policy, own, along)| site.signed(&author, policy, own, along)).collect();
    site.assign(bodies.clone());
    let running = machine.run();
    let mut ends = Vec::new();
    for (policy, ..) in &all {
        let last = site.wait_end(policy.deployment).await.pop().unwrap();
        ends.push((last.state, last.reason));
    }
    let expected =
        [(State::Failed, Some(Reason::ExitCode)), (State::Failed, Some(Reason::NotDetected)), (State::Succeeded, None)];
    assert_eq!(ends, expected);
    running.stop().await;
    // Another run of the agent, and another round: nothing begins again.
    let said = site.state().messages.len();
    site.assign([bodies, site.signed(&author, &policy(4), &app(&machine, 4, "after"), &[])].concat());
    let running = machine.run();
    site.wait_end(policy(4).deployment).await;
    running.stop().await;
    let mut order = order(&machine);
    order.sort_unstable();
    assert_eq!(order, ["after", "changes", "failed", "never", "never"]);
    assert!(site.state().messages.len() > said);
}
