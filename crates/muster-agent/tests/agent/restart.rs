//! Restarts: users are told, it is counted down, the system is asked once, another run of the system is the proof, and no window that is
//! closed is restarted in.

use crate::{
    actor::{Site, machine::Machine},
    window::{app, assign, enrolled, policy, set, window},
};
use muster_agent::{
    apply::software::Declined,
    local::{self, AskError},
    restart::notice::{Notice, Stage},
};
use muster_model::{
    application::{Application, ReturnCode, ReturnMeaning},
    catalogue::PENDING_RESTART,
    inventory::{Change, Row, Section, Value},
    policy::ClientSettings,
    report::Body,
    status::{MessageId, WaitReason},
    time::{DAY, HOUR, MINUTE},
};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// An application whose installer wants a restart.
pub(crate) fn wants_restart(site: &Site, machine: &Machine) -> Application {
    let mut app = app(site, machine, "needs", 60);
    let line = "touch \"$0\"; exit 9".to_owned();
    app.install.program = "/bin/sh".into();
    app.install.arguments = vec!["-c".into(), line, machine.place("needs").display().to_string()];
    app.return_codes = vec![ReturnCode { code: 9, meaning: ReturnMeaning::SuccessRestart }];
    app
}

/// What stands for the system's own program: writes down that it was asked, and ends with this code.
pub(crate) fn stand_in(machine: &Machine, code: u8) -> PathBuf {
    let (program, asked) = (machine.place("restarts"), machine.place("asked"));
    std::fs::write(&program, format!("#!/bin/sh\necho \"$1\" >> {}\nexit {code}\n", asked.display())).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let config = serde_json::json!({ "restart": [program, "now"] });
    machine.directory().write("agent.json", &serde_json::to_vec(&config).unwrap()).unwrap();
    asked
}

pub(crate) fn asked(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// Somebody works at the machine, or nobody does.
pub(crate) fn session(machine: &Machine, state: &str) {
    let users = machine.place("tree/run/systemd/users");
    std::fs::create_dir_all(&users).unwrap();
    std::fs::write(users.join("1000"), format!("STATE={state}\n")).unwrap();
}

async fn ask<T: Send + 'static>(work: impl FnOnce() -> Result<T, AskError> + Send + 'static) -> Result<T, Declined> {
    match tokio::task::spawn_blocking(work).await.unwrap() {
        Ok(answer) => Ok(answer),
        Err(AskError::Declined(why)) => Err(why),
        Err(error) => panic!("{error}"),
    }
}

async fn wait_stage(socket: &Path, stage: Stage) -> Notice {
    wait_notice(socket, |notice| notice.stage == stage).await
}

pub(crate) async fn wait_notice(socket: &Path, is_it: impl Fn(&Notice) -> bool) -> Notice {
    // A user may ask sixty times in a minute.
    for _ in 0..40 {
        let socket = socket.to_owned();
        // The agent may be about to begin: then it cannot be asked yet.
        let found = tokio::task::spawn_blocking(move || local::notice(&socket)).await.unwrap();
        if let Ok(notice) = found
            && is_it(&notice)
        {
            return notice;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    panic!("no such notice");
}

fn count(site: &Site, id: MessageId) -> usize {
    let state = site.state();
    state.messages.iter().filter(|(_, _, m)| matches!(&m.body, Body::Status(s) if s.id == id)).count()
}

#[tokio::test]
async fn a_restart_is_told_asked_for_once_and_proven() {
    let (site, machine) = enrolled().await;
    machine.restart("first");
    session(&machine, "active");
    let path = stand_in(&machine, 0);
    let app = wants_restart(&site, &machine);
    assign(&site, &[], &[(policy(1), &app)], &ClientSettings::default());
    let (running, socket) = machine.run_for_users();
    let told = site.wait_status(MessageId::RestartPending).await;
    assert!(told["reasons"].contains(&policy(1).deployment.to_string()), "{told:?}");
    let notice = wait_stage(&socket, Stage::Notice).await;
    assert_eq!(notice.at.unwrap().since(machine.clock.now()), 90 * MINUTE, "as the settings say");
    // A user puts it away, and then does not.
    let to = socket.clone();
    ask(move || local::snooze(&to)).await.unwrap();
    assert!(wait_stage(&socket, Stage::Notice).await.put_away);
    assert_eq!(asked(&path), 0);
    let to = socket.clone();
    ask(move || local::restart_now(&to)).await.unwrap();
    site.wait_status(MessageId::RestartBegun).await;
    wait_stage(&socket, Stage::Underway).await;
    for work in [local::snooze, local::restart_now] {
        let to = socket.clone();
        assert_eq!(ask(move || work(&to)).await, Err(Declined::TooLate));
    }
    running.stop().await;
    assert_eq!(asked(&path), 1);
    // The agent alone is started again, some hours later by its clock: the system is not asked twice.
    set(&site, &machine, machine.clock.now().plus(5 * HOUR));
    let (running, socket) = machine.run_for_users();
    wait_stage(&socket, Stage::Underway).await;
    running.stop().await;
    assert_eq!((asked(&path), count(&site, MessageId::Restarted)), (1, 0));
    // The machine is.
    machine.restart("second");
    let (running, socket) = machine.run_for_users();
    let proof = site.wait_status(MessageId::Restarted).await;
    assert_eq!((proof["left"].as_str(), proof["seconds"].as_str()), ("0", "18000"));
    site.wait_status(MessageId::RestartNotPending).await;
    assert_eq!(wait_stage(&socket, Stage::None).await.reasons, "");
    let to = socket.clone();
    assert_eq!(ask(move || local::restart_now(&to)).await, Err(Declined::NoRestart));
    running.stop().await;
    let (running, _) = machine.run_for_users();
    running.stop().await;
    assert_eq!((asked(&path), count(&site, MessageId::Restarted)), (1, 1), "proven once");
}

/// The row of the class that says whether a restart is needed, as it was told last, once it says that.
async fn told_pending(site: &Site, pending: bool) -> Row {
    site.wait("what the inventory says of a restart", |state| {
        let sections = state.messages.iter().rev().filter_map(|(_, _, message)| match &message.body {
            Body::Inventory(report) => report.sections.iter().find(|section| section.class == PENDING_RESTART),
            _ => None,
        });
        let full = |section: &Section| match &section.change {
            Change::Full { rows } => rows.first().cloned(),
            Change::Delta { upsert, .. } => upsert.first().cloned(),
        };
        let row = sections.filter_map(full).next()?;
        (row.get("Pending") == Some(&Value::Bool(pending))).then_some(row)
    })
    .await
}

#[tokio::test]
async fn the_inventory_says_what_needs_a_restart_and_which_programs_run_what_was_replaced() {
    let (site, machine) = enrolled().await;
    machine.restart("first");
    let replaced = "7f03-7f04 r-xp 00000000 08:01 7 /usr/lib/libssl.so.3 (deleted)\n";
    let program = |id: u32, name: &str, maps: &str| {
        let place = machine.place(&format!("tree/proc/{id}"));
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("maps"), maps).unwrap();
        std::fs::write(place.join("comm"), name).unwrap();
    };
    program(1, "init", "");
    program(40, "sshd", replaced);
    program(41, "nginx", replaced);
    let app = wants_restart(&site, &machine);
    assign(&site, &[], &[], &ClientSettings::default());
    let running = machine.run();
    // Programs can be started again: that alone needs no restart of the machine.
    let row = told_pending(&site, false).await;
    assert_eq!((row.get("Programs"), row.get("Reasons")), (Some(&Value::Int(2)), None));
    assert_eq!(row.get("ProgramNames"), Some(&Value::Text("nginx, sshd".into())));
    // What comes to need one is told when it does, and not with the next inventory. (Another policy makes the agent look.)
    assign(&site, &[], &[(policy(1), &app)], &ClientSettings::default());
    site.wait_end(policy(1).deployment).await;
    assign(&site, &[], &[(policy(1), &app)], &ClientSettings { heartbeat: DAY, ..ClientSettings::default() });
    let row = told_pending(&site, true).await;
    assert_eq!(row.get("Deployments"), Some(&Value::Int(1)));
    assert_eq!(count(&site, MessageId::RestartPending), 1);
    running.stop().await;
    // The first program of the system cannot be started again by itself.
    program(1, "init", replaced);
    machine.restart("second");
    let running = machine.run();
    let told = site.wait("the first program", |state| {
        let mut all = state.messages.iter().filter_map(|(_, _, message)| match &message.body {
            Body::Status(status) if status.id == MessageId::RestartPending => status.values.get("reasons").cloned(),
            _ => None,
        });
        all.find(|reasons| reasons.contains("first program"))
    });
    assert!(!told.await.contains("deployment"), "it was restarted");
    running.stop().await;
}

#[tokio::test]
async fn nobody_is_told_where_nobody_is_and_closed_windows_hold() {
    let (site, machine) = enrolled().await;
    machine.restart("first");
    session(&machine, "closing");
    let path = stand_in(&machine, 3);
    let (now, app) = (machine.clock.now(), wants_restart(&site, &machine));
    // It is installed in a window whose end leaves no room for the restart.

    let settings = |allowed| {
        let mut settings = ClientSettings::default();
        settings.restart.allowed = allowed;
        settings
    };
    assign(&site, &[window(now.plus(-HOUR), 120)], &[(policy(1), &app)], &settings(false));
    let (running, socket) = machine.run_for_users();
    site.wait_status(MessageId::RestartPending).await;
    assert_eq!(asked(&path), 0, "the settings forbid it");
    running.stop().await;
    set(&site, &machine, now.plus(3 * HOUR));
    assign(&site, &[window(now.plus(-HOUR), 120)], &[(policy(1), &app)], &settings(true));
    let (running, socket_now) = machine.run_for_users();
    assert_eq!(socket, socket_now);
    wait_notice(&socket, |notice| notice.waits == Some(WaitReason::Window)).await;
    assert_eq!(asked(&path), 0);
    running.stop().await;
    // The next day it is open, and nobody is there: the system is asked at once, and refuses.
    set(&site, &machine, now.plus(DAY));
    let (running, socket) = machine.run_for_users();
    let failed = site.wait_status(MessageId::RestartFailed).await;
    assert!(failed["reason"].ends_with("ended with 3"), "{failed:?}");
    wait_stage(&socket, Stage::Underway).await;
    assert_eq!(asked(&path), 1);
    running.stop().await;
}

#[tokio::test]
async fn without_a_program_nothing_is_restarted_and_that_is_said() {
    let (site, machine) = enrolled().await;
    machine.restart("first");
    session(&machine, "closing");
    let app = wants_restart(&site, &machine);
    assign(&site, &[], &[(policy(1), &app)], &ClientSettings::default());
    let running = machine.run();
    let failed = site.wait_status(MessageId::RestartFailed).await;
    assert!(failed["reason"].contains("agent.json"), "{failed:?}");
    running.stop().await;
    assert_eq!(count(&site, MessageId::RestartBegun), 0);
}
