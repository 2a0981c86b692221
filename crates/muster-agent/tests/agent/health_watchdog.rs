//! A service manager that a test plays: it speaks the protocol of systemd's watchdog to the real agent, and starts it anew when it hangs.

use crate::actor::{Site, machine::Machine};
use muster_agent::enrol;
use muster_model::{report::Body, status::MessageId};
use std::{os::unix::net::UnixDatagram, time::Duration};
use tokio::process::Child;

/// What the agent may be silent for.
const PATIENCE: Duration = Duration::from_millis(600);

struct Manager {
    socket: tokio::net::UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn new(machine: &Machine) -> Self {
        let path = machine.place("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket: tokio::net::UnixDatagram::from_std(socket).unwrap(), path }
    }

    fn start(&self, machine: &Machine) -> Child {
        let mut command = machine.program(&["run"]);
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", PATIENCE.as_micros().to_string());
        command.spawn().unwrap()
    }

    /// The next word; `None`: nothing for so long.
    async fn word(&self, within: Duration) -> Option<String> {
        let mut bytes = [0; 256];
        let length = tokio::time::timeout(within, self.socket.recv(&mut bytes)).await.ok()?.unwrap();
        Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
    }

    async fn wait(&self, wanted: &str) {
        while self.word(Duration::from_secs(60)).await.unwrap() != wanted {}
    }
}

fn started(state: &crate::actor::State) -> usize {
    let is_start = |body: &Body| matches!(body, Body::Status(status) if status.id == MessageId::AgentStarted);
    state.messages.iter().filter(|(_, _, message)| is_start(&message.body)).count()
}

#[tokio::test]
async fn an_agent_that_waits_for_its_approval_is_up() {
    let (site, machine) = (Site::start().await, Machine::new());
    enrol::accept_token(&machine.directory(), &site.token(), false).unwrap();
    let manager = Manager::new(&machine);
    let mut agent = manager.start(&machine);
    manager.wait("READY=1").await;
    manager.wait("WATCHDOG=1").await;
    agent.kill().await.unwrap();
}

// proves P5
#[tokio::test]
async fn an_agent_that_hangs_is_started_anew_and_loses_nothing() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let manager = Manager::new(&machine);
    let mut agent = manager.start(&machine);
    manager.wait("READY=1").await;
    manager.wait("WATCHDOG=1").await;
    site.wait("the start", |state| (started(state) == 1).then_some(())).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(agent.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    // What was on its way may still come.
    while manager.word(PATIENCE).await.is_some() {}
    assert!(agent.try_wait().unwrap().is_none(), "it is there, and hangs");
    // As a service manager ends what does not answer.
    agent.kill().await.unwrap();
    let mut again = manager.start(&machine);
    manager.wait("READY=1").await;
    manager.wait("WATCHDOG=1").await;
    site.wait("the second start", |state| (started(state) == 2).then_some(())).await;
    {
        let state = site.state();
        assert!(state.lost.is_empty() && state.forks == 0, "nothing is lost");
        let mut numbers: Vec<_> = state.messages.iter().map(|(channel, number, _)| (*channel, *number)).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all, "and nothing came twice");
    }
    again.kill().await.unwrap();
}
