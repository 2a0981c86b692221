//! A client that a test plays with: in this process, or as the real program that can be killed.

use super::Site;
use muster_agent::{
    clock::Clock,
    collect::Collector,
    enrol::{self, Enrolment, Progress},
    identity::Identity,
    os::PrivateDirectory,
    run,
};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};
use tokio::{
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

/// A machine with a state directory; its inventory is that of an empty tree.
pub(crate) struct Machine {
    temp: tempfile::TempDir,
    pub(crate) clock: Clock,
}

/// A running agent in this process.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), run::RunError>>,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self::at(&std::env::temp_dir())
    }

    /// On the file system of that directory.
    pub(crate) fn at(place: &Path) -> Self {
        let temp = tempfile::tempdir_in(place).unwrap();
        // As below `/var/lib`: others may pass the directory that the state is in, and not the state.
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o711)).unwrap();
        Self { temp, clock: Clock::System }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.temp.path().join("state")
    }

    /// A path outside the state directory.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn directory(&self) -> PrivateDirectory {
        PrivateDirectory::open(&self.state()).unwrap()
    }

    pub(crate) fn token_file(&self, site: &Site) -> PathBuf {
        let path = self.place("token");
        std::fs::write(&path, site.token().to_text()).unwrap();
        path
    }

    /// Enrols, and the administrator approves.
    pub(crate) async fn enrol(&self, site: &Arc<Site>) {
        let directory = self.directory();
        enrol::accept_token(&directory, &site.token(), false).unwrap();
        let identity = Identity::load(&directory).unwrap().unwrap();
        let mut enrolment = Enrolment::new(&directory, &self.clock, identity).unwrap();
        assert!(matches!(enrolment.step().await.unwrap(), Progress::Pending { .. }));
        site.state().request.as_mut().unwrap().1 = true;
        assert_eq!(enrolment.step().await.unwrap(), Progress::Active(site.device));
    }

    /// Runs the agent in this process.
    pub(crate) fn run(&self) -> Running {
        let held = run::hold(&self.state()).unwrap();
        let (stop, stopped) = watch::channel(false);
        let collector = Collector::at(self.tree());
        let task = tokio::spawn(run::run(held, self.clock.clone(), collector, stopped));
        Running { stop, task }
    }

    /// Runs the agent in this process, and lets users of this machine ask it for software.
    pub(crate) fn run_for_users(&self) -> (Running, PathBuf) {
        let (mut held, socket) = (run::hold(&self.state()).unwrap(), self.place("runtime/software.sock"));
        held.software = Some(socket.clone());
        let (stop, stopped) = watch::channel(false);
        let collector = Collector::at(self.tree());
        let task = tokio::spawn(run::run(held, self.clock.clone(), collector, stopped));
        (Running { stop, task }, socket)
    }

    /// The machine is started again: the kernel gives this run another name.
    pub(crate) fn restart(&self, boot: &str) {
        let random = self.tree().join("proc/sys/kernel/random");
        std::fs::create_dir_all(&random).unwrap();
        std::fs::write(random.join("boot_id"), boot).unwrap();
    }

    fn tree(&self) -> PathBuf {
        let tree = self.place("tree");
        std::fs::create_dir_all(tree.join("var/lib/dpkg")).unwrap();
        if !tree.join("var/lib/dpkg/status").exists() {
            self.install_packages(&["base"]);
        }
        tree
    }

    /// The packages that the inventory finds from now on.
    pub(crate) fn install_packages(&self, names: &[&str]) {
        let tree = self.place("tree/var/lib/dpkg");
        std::fs::create_dir_all(&tree).unwrap();
        let stanza =
            |name: &&str| format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n");
        let status: Vec<_> = names.iter().map(stanza).collect();
        std::fs::write(tree.join("status"), status.join("\n")).unwrap();
    }

    /// The real program.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster-agent"));
        command.arg("--state").arg(self.state()).args(arguments).kill_on_drop(true).stdin(Stdio::null());
        command
    }

    /// The real program, running.
    pub(crate) fn spawn(&self) -> Child {
        self.program(&["run"]).spawn().unwrap()
    }
}

/// Says loudly, where `./test` counts it, that a test could not run; with `CI=true` that is a failure.
pub(crate) fn skip(what: &str, why: &str) {
    assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1"), "{what} was not run: {why}");
    eprintln!("SKIPPED {what}: {why}");
    if let Some(path) = std::env::var_os("MUSTER_SKIP_LOG") {
        use std::io::Write;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = log.and_then(|mut log| writeln!(log, "SKIPPED {what}: {why}"));
    }
}

/// Writes a shell script's bytes.
pub(crate) fn script(lines: &str) -> Vec<u8> {
    format!("#!/bin/sh\n{lines}\n").into_bytes()
}

/// Waits for a file that a script writes.
pub(crate) async fn wait_for_file(path: &Path) {
    let waiting = async {
        while !path.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.unwrap();
}
