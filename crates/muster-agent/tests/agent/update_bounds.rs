//! Software updates with a tool that misbehaves: one that prints without end, asks, hangs, prints what nobody can read, or is taken by
//! another program at the wrong moment.

use super::update::{Repository, ends, group, rows, signed, text};
use crate::{
    actor::{Site, machine::Machine},
    application::{enrolled, policy},
    window,
};
use muster_model::{
    policy::DeploymentPolicy,
    schedule::Recurrence,
    status::{DeploymentState as State, FailureReason as Reason, WaitReason},
    time::HOUR,
    update::UpdateCriteria,
    window::{MaintenanceWindow, WallTime, WindowKind},
};
use std::{os::unix::fs::PermissionsExt, path::PathBuf};

/// A machine whose tool is a script of the test. `$*` are its arguments, and `$tree` is the machine's tree.
struct Scripted {
    tree: PathBuf,
}

const OFFER: &str = "echo 'Inst alpha [1.0] (1.1 Test:1/stable [all])'";

impl Scripted {
    fn new(machine: &Machine) -> Self {
        let tree = machine.place("tree");
        for path in ["etc/apt", "usr/bin", "var/lib/dpkg"] {
            std::fs::create_dir_all(tree.join(path)).unwrap();
        }
        std::fs::write(tree.join("etc/apt/sources.list"), "").unwrap();
        let this = Self { tree };
        this.holds("1.0");
        this
    }

    /// This version of its package is installed.
    fn holds(&self, version: &str) {
        let status = format!("Package: alpha\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n");
        std::fs::write(self.tree.join("var/lib/dpkg/status"), status).unwrap();
    }

    /// What it does when it is asked for updates, and when it is told to install.
    fn does(&self, asked: &str, told: &str) {
        let tree = self.tree.display();
        let text = format!(
            "#!/bin/sh\ntree={tree}\ncase \"$*\" in\n*' update') exit 0;;\n*--simulate*dist-upgrade) {asked};;\n\
             *--simulate*) {OFFER};;\n*) {told};;\nesac\n"
        );
        // Not over a script that runs.
        let (path, beside) = (self.tree.join("usr/bin/apt-get"), self.tree.join("usr/bin/new"));
        std::fs::write(&beside, text).unwrap();
        std::fs::set_permissions(&beside, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(beside, path).unwrap();
    }
}

#[tokio::test]
async fn a_gigabyte_of_output_is_cut_and_ends_as_what_it_is() {
    let (site, machine) = enrolled().await;
    let tool = Scripted::new(&machine);
    let gigabyte = "head -c 1000000000 /dev/zero";
    tool.does(gigabyte, "exit 1");
    let running = machine.run();
    let scan = &rows(&site, "LastUpdateScan").await[0];
    assert_eq!(text(scan, "State"), "failed");
    assert!(text(scan, "Reason").contains("printed more than 8388608 bytes"), "{scan:?}");
    let one = policy(1);
    let alpha = signed(&machine, 1, group(&[("alpha", "1.1", false)], None));
    site.assign_all(&[(one.clone(), &alpha, &[])]);
    let end = ends(&site, &one).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::UpdateRefused)), "{}", end.output);
    assert!(end.output.contains("printed more than"), "{}", end.output);
    // What installs is not ended in the middle for what it prints: the end of it is kept.
    tool.does(OFFER, &format!("{gigabyte}; echo the end; sed -i s/1.0/1.1/ $tree/var/lib/dpkg/status; exit 3"));
    let two = policy(2);
    site.assign_all(&[(two.clone(), &alpha, &[])]);
    let end = ends(&site, &two).await;
    assert_eq!((end.state, end.reason, end.exit_code), (State::Failed, Some(Reason::ExitCode), Some(3)));
    assert_eq!(end.output, "the end");
    running.stop().await;
}

#[tokio::test]
async fn a_tool_that_asks_gets_no_answer_and_one_that_hangs_is_ended() {
    let (site, machine) = enrolled().await;
    let tool = Scripted::new(&machine);
    // From its input, and from a terminal.
    tool.does(OFFER, "read answer && exit 5; echo nobody there; (read answer </dev/tty) && exit 6; exit 7");
    let running = machine.run();
    let mut alpha = signed(&machine, 1, group(&[("alpha", "1.1", false)], None));
    let asks = policy(1);
    site.assign_all(&[(asks.clone(), &alpha, &[])]);
    let end = ends(&site, &asks).await;
    assert_eq!((end.reason, end.exit_code), (Some(Reason::ExitCode), Some(7)), "{}", end.output);
    assert!(end.output.contains("nobody there"), "{}", end.output);

    tool.does(OFFER, "sleep 1000 & echo $! >$tree/child; wait");
    alpha.max_run_seconds = 1;
    let hangs = policy(2);
    site.assign_all(&[(hangs.clone(), &alpha, &[])]);
    let end = ends(&site, &hangs).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::TimedOut)), "{}", end.output);
    let child = std::fs::read_to_string(tool.tree.join("child")).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.trim())).unwrap_or_default();
    assert!(status.is_empty() || status.contains("State:\tZ"), "what it started is ended too: {status}");
    running.stop().await;
}

#[tokio::test]
async fn a_line_that_cannot_be_read_hides_no_other() {
    let (site, machine) = enrolled().await;
    let tool = Scripted::new(&machine);
    tool.does(&format!("echo 'Inst odd* [1] (2 x [all])'; {OFFER}"), "sed -i s/1.0/1.1/ $tree/var/lib/dpkg/status");
    let running = machine.run();
    let scan = &rows(&site, "LastUpdateScan").await[0];
    assert_eq!(text(scan, "State"), "partial");
    assert!(text(scan, "Reason").starts_with("1 line(s) of the tool's output cannot be read"), "{scan:?}");
    let found = rows(&site, "SoftwareUpdate").await;
    assert_eq!(found.iter().map(|row| text(row, "Package")).collect::<Vec<_>>(), ["alpha"]);
    // What is installed is judged by a simulation of its own, which has no such line: it goes on.
    let one = policy(1);
    let named = signed(&machine, 1, group(&[("alpha", "1.1", false)], None));
    tool.does(
        &format!("echo 'Inst odd*'; grep -q 1.1 $tree/var/lib/dpkg/status || {OFFER}"),
        "sed -i s/1.0/1.1/ $tree/var/lib/dpkg/status",
    );
    site.assign_all(&[(one.clone(), &named, &[])]);
    let end = ends(&site, &one).await;
    assert_eq!(end.state, State::Succeeded, "{end:?}");
    running.stop().await;
}

#[tokio::test]
async fn what_is_offered_and_not_allowed_stays_away() {
    let (site, machine) = enrolled().await;
    let Some(mut repository) = Repository::new(&machine, &[("alpha", "1.0"), ("beta", "1.0")]) else { return };
    // It brings along an update of something that the group does not name.
    repository.add("alpha", "1.2", "Depends: beta (>= 2.0)\n");
    repository.add("beta", "2.0", "");
    repository.publish("Test");
    let running = machine.run();
    for (number, packages, criteria, said) in [
        // A later one than the one that authors signed.
        (1, vec![("alpha", "1.1", true)], None, "Version '1.1' for 'alpha' was not found"),
        (2, vec![("alpha", "1.2", false)], None, "beta 2.0 would be installed, which the signed group does not allow"),
        (
            3,
            vec![],
            Some(UpdateCriteria { names: vec!["al*".to_owned()], ..UpdateCriteria::default() }),
            "beta 2.0 would be installed",
        ),
    ] {
        let one = policy(number);
        let signed = signed(&machine, number, group(&packages, criteria));
        site.assign_all(&[(one.clone(), &signed, &[])]);
        let end = ends(&site, &one).await;
        assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::UpdateRefused)), "{}", end.output);
        assert!(end.output.contains(said), "{number}: {}", end.output);
    }
    assert_eq!(["alpha", "beta"].map(|name| repository.version(name).unwrap()), ["1.0", "1.0"]);
    running.stop().await;
}

#[tokio::test]
async fn a_lock_that_is_taken_after_the_plan_is_waited_for() {
    let (site, machine) = enrolled().await;
    let Some(mut repository) = Repository::new(&machine, &[("alpha", "1.0")]) else { return };
    repository.add("alpha", "1.1", "");
    repository.publish("Test");
    // Sources can be asked and a simulation made while another program has the packages.
    let path = repository.tree.join("var/lib/dpkg/lock-frontend");
    let lock = std::fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
    rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let running = machine.run();
    let alpha = signed(&machine, 1, group(&[("alpha", "1.1", false)], None));
    let busy = policy(1);
    site.assign_all(&[(busy.clone(), &alpha, &[])]);
    let steps = site
        .wait("it waits", |state| {
            let steps = Site::steps(state, busy.deployment);
            steps.last().is_some_and(|step| step.waits == Some(WaitReason::PackageManager)).then_some(steps)
        })
        .await;
    assert!(steps.iter().any(|step| step.state == State::Installing), "it was told to install: {steps:?}");
    assert_eq!(repository.version("alpha").as_deref(), Some("1.0"));
    drop(lock);
    // Five minutes pass, or somebody asks that it be tried again.
    let again = DeploymentPolicy { attempt: 1, ..busy };
    site.assign_all(&[(again.clone(), &alpha, &[])]);
    assert_eq!(ends(&site, &again).await.state, State::Succeeded);
    assert_eq!(repository.version("alpha").as_deref(), Some("1.1"));
    running.stop().await;
}

#[tokio::test]
async fn a_closed_window_for_updates_keeps_a_group_waiting_and_its_opening_lets_it_go() {
    let (site, machine) = window::enrolled().await;
    let tool = Scripted::new(&machine);
    tool.does(
        &format!("grep -q 1.1 $tree/var/lib/dpkg/status || {OFFER}"),
        "sed -i s/1.0/1.1/ $tree/var/lib/dpkg/status; echo told >>$tree/told",
    );
    let opens = WallTime::of_utc(machine.clock.now().plus(3 * HOUR)).as_utc();
    let every = Recurrence::Interval { days: 1, hours: 0, minutes: 0 };
    let start = WallTime::of_utc(opens);
    let name = "Updates".parse().unwrap();
    let only = MaintenanceWindow { name, kind: WindowKind::Updates, start, every, minutes: 60, utc: true };
    let one = DeploymentPolicy { software_update: true, ..window::policy(1) };
    let alpha = signed(&machine, 1, group(&[("alpha", "1.1", false)], None));
    window::assign(&site, &[only], &[(one.clone(), &alpha)], &muster_model::policy::ClientSettings::default());
    let running = machine.run();
    let steps = window::waiting(&site, one.deployment, WaitReason::Window).await;
    assert_eq!(steps.last().unwrap().starts, Some(opens));
    assert!(!tool.tree.join("told").exists());
    running.stop().await;
    window::set(&site, &machine, opens.plus(1_000));
    let running = machine.run();
    assert_eq!(ends(&site, &one).await.state, State::Succeeded);
    assert!(tool.tree.join("told").exists());
    running.stop().await;
}
