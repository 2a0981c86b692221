//! Each check of the client is broken on purpose, seen to be mended, and seen again; and where nothing may be mended, nothing is.

use crate::{
    actor::{
        Site,
        machine::{Machine, skip},
    },
    update::Repository,
    window,
};
use muster_agent::{
    agent::Agent,
    collect::Collector,
    health::{Scene, check, check_one},
    log, policy,
    run::{follow, send},
    store::outbox,
    updates::{Scan, ScanState},
};
use muster_model::{
    health::{CHECKS, CheckOutcome, HealthCheck},
    report::{Body, Message},
    settings::{ClientSettings, HealthMode},
    status::{Component, MessageId, Severity},
    time::{DAY, HOUR, UnixMillis},
    update::UpdateTool,
};
use std::{
    future::pending,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// An active client whose parts do not run.
struct Client {
    policy: Mutex<Option<Arc<policy::Policy>>>,
    machine: Machine,
    site: Arc<Site>,
    agent: Arc<Agent>,
}

impl Client {
    async fn new() -> Self {
        Self::on(Machine::new()).await
    }

    async fn on(machine: Machine) -> Self {
        Self::at(machine, Site::start().await).await
    }

    async fn at(machine: Machine, site: Arc<Site>) -> Self {
        machine.enrol(&site).await;
        machine.install_packages(&["base"]);
        let collector = Collector::at(machine.place("tree"));
        let agent = Agent::open(machine.directory(), machine.clock.clone(), collector).unwrap();
        Self { machine, site, agent: Arc::new(agent), policy: Mutex::default() }
    }

    /// What the site assigned is in force.
    async fn has_policy(&self) {
        let mut policy = self.follow();
        policy.wait_for(Option::is_some).await.unwrap();
        *self.policy.lock().unwrap() = policy.borrow().clone();
        self.agent.health.parts.shutdown().await;
    }

    fn tree(&self) -> PathBuf {
        self.machine.place("tree")
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            root: self.agent.collector.root(),
            directory: &self.agent.directory,
            now: self.agent.clock.now(),
            settings: ClientSettings::default(),
            policy: self.policy.lock().unwrap().clone(),
            agent: Some(&self.agent),
            least_free: None,
        }
    }

    async fn mended(&self, name: &str) -> HealthCheck {
        check_one(&self.scene(), name, HealthMode::Remediate).await
    }

    async fn noticed(&self, name: &str) -> HealthCheck {
        check_one(&self.scene(), name, HealthMode::Notify).await
    }

    /// It is noticed and not touched where nothing may be mended; then it is mended; then nothing is wrong.
    async fn is_mended(&self, name: &str) {
        let noticed = self.noticed(name).await;
        assert_eq!(noticed.outcome, CheckOutcome::Failed, "{noticed:?}");
        assert!(noticed.done.contains("only says"), "{noticed:?}");
        let again = self.noticed(name).await;
        assert_eq!(again.outcome, CheckOutcome::Failed, "notifying mended it: {again:?}");
        let mended = self.mended(name).await;
        assert_eq!(mended.outcome, CheckOutcome::Remedied, "{mended:?}");
        assert_eq!(self.noticed(name).await.outcome, CheckOutcome::Passed);
    }

    fn follow(&self) -> watch::Receiver<Option<Arc<policy::Policy>>> {
        let (publish, policy) = watch::channel(None);
        let agent = self.agent.clone();
        let wake = Arc::new(Notify::new());
        let make = move || follow::policy(agent.clone(), publish.clone(), wake.clone());
        self.agent.health.parts.spawn("policy", make);
        policy
    }
}

fn is_root() -> bool {
    muster_agent::os::is_root()
}

#[tokio::test]
async fn a_service_that_is_not_started_with_the_machine_is_enabled_and_a_masked_one_is_left() {
    let client = Client::new().await;
    assert_eq!(client.mended("service").await.outcome, CheckOutcome::NotApplicable);
    if !Path::new("/usr/bin/systemctl").exists() {
        return skip("the test of the service", "systemctl is missing; install the Debian package systemd");
    }
    let units = client.tree().join("usr/lib/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    let unit = "[Service]\nExecStart=/usr/bin/muster-agent run\n[Install]\nWantedBy=multi-user.target\n";
    std::fs::write(units.join("muster-agent.service"), unit).unwrap();
    let list = units.join("multi-user.target.wants");
    std::fs::create_dir_all(&list).unwrap();
    std::os::unix::fs::symlink("../muster-agent.service", list.join("muster-agent.service")).unwrap();
    assert_eq!(client.noticed("service").await.outcome, CheckOutcome::Passed, "the package's own list wants it");
    std::fs::remove_dir_all(&list).unwrap();
    client.is_mended("service").await;
    let own = client.tree().join("etc/systemd/system");
    let wanted = own.join("multi-user.target.wants/muster-agent.service");
    assert!(wanted.symlink_metadata().is_ok());
    std::os::unix::fs::symlink("/dev/null", own.join("muster-agent.service")).unwrap();
    let masked = client.mended("service").await;
    assert_eq!(masked.outcome, CheckOutcome::Failed);
    assert!(own.join("muster-agent.service").is_symlink(), "what somebody did on purpose stays");
}

#[tokio::test]
async fn an_altered_file_is_told_and_never_replaced() {
    let client = Client::new().await;
    assert_eq!(client.mended("files").await.outcome, CheckOutcome::NotApplicable);
    if !Path::new("/usr/bin/dpkg").exists() {
        return skip("the test of altered files", "dpkg is missing");
    }
    let info = client.tree().join("var/lib/dpkg/info");
    std::fs::create_dir_all(&info).unwrap();
    std::fs::create_dir_all(client.tree().join("usr/bin")).unwrap();
    client.machine.install_packages(&["muster-agent"]);
    let program = client.tree().join("usr/bin/muster-agent");
    std::fs::write(&program, "hello\n").unwrap();
    std::fs::write(info.join("muster-agent.list"), "/usr/bin/muster-agent\n").unwrap();
    let sums = "b1946ac92492d2347c6235b4d2611184  usr/bin/muster-agent\n";
    std::fs::write(info.join("muster-agent.md5sums"), sums).unwrap();
    let sound = client.mended("files").await;
    assert_eq!(sound.outcome, CheckOutcome::Passed, "{sound:?}");
    std::fs::write(&program, "other\n").unwrap();
    let found = client.mended("files").await;
    assert_eq!(found.outcome, CheckOutcome::Failed);
    assert!(found.found.contains("/usr/bin/muster-agent") && found.done.contains("--reinstall"), "{found:?}");
    assert_eq!(std::fs::read_to_string(&program).unwrap(), "other\n");
}

// proves P5
#[tokio::test]
async fn what_dpkg_left_half_done_is_ended_by_dpkg() {
    if !is_root() || !Path::new("/usr/bin/dpkg").exists() {
        return skip("the test of packages", "it needs root and dpkg");
    }
    let client = Client::new().await;
    client.site.assign(Vec::new());
    let dpkg = client.tree().join("var/lib/dpkg");
    for name in ["info", "updates", "triggers"] {
        std::fs::create_dir_all(dpkg.join(name)).unwrap();
    }
    let stanza = |state: &str| {
        format!(
            "Package: half\nStatus: install ok {state}\nMaintainer: T <t@example.org>\nArchitecture: all\nVersion: 1\nDescription: t\n"
        )
    };
    std::fs::write(dpkg.join("available"), "").unwrap();
    std::fs::write(dpkg.join("info/half.list"), "").unwrap();
    std::fs::write(dpkg.join("status"), stanza("unpacked")).unwrap();
    let unknown = client.mended("packages").await;
    assert!(unknown.outcome == CheckOutcome::Failed && unknown.done.contains("No policy"), "{unknown:?}");
    // Not outside of maintenance windows, and not beside a servicing.
    let night = window::window(client.agent.clock.now().plus(6 * HOUR), 60);
    window::assign(&client.site, &[night], &[], &ClientSettings::default());
    client.has_policy().await;
    let early = client.mended("packages").await;
    assert!(early.outcome == CheckOutcome::Failed && early.done.contains("window"), "{early:?}");
    client.site.assign(Vec::new());
    client.has_policy().await;
    client.agent.directory.write("servicing.json", servicing(client.agent.clock.now()).as_bytes()).unwrap();
    let beside = client.mended("packages").await;
    assert!(beside.outcome == CheckOutcome::Failed && beside.done.contains("worked on"), "{beside:?}");
    client.agent.directory.remove("servicing.json").unwrap();
    assert!(std::fs::read_to_string(dpkg.join("status")).unwrap().contains("ok unpacked"));
    client.is_mended("packages").await;
    assert_eq!(std::fs::read_to_string(dpkg.join("status")).unwrap().matches("install ok installed").count(), 1);
    // Killed in the middle: what it was about to write lies there.
    std::fs::write(dpkg.join("updates/0000"), stanza("half-configured")).unwrap();
    client.is_mended("packages").await;
    assert_eq!(std::fs::read_dir(dpkg.join("updates")).unwrap().count(), 0);
    // What dpkg cannot end is not said to be mended.
    let lacking = stanza("unpacked").replace("Version: 1", "Version: 1\nDepends: nowhere");
    std::fs::write(dpkg.join("status"), lacking).unwrap();
    let failed = client.mended("packages").await;
    assert_eq!(failed.outcome, CheckOutcome::Failed);
    assert!(failed.done.contains("ended with"), "{failed:?}");
}

// proves P5
#[tokio::test]
async fn messages_that_wait_are_sent_over_a_new_connection_without_waiting_longer() {
    let client = Client::new().await;
    let body = |id| outbox::status(Component::Agent, Severity::Warning, id, &[]);
    let time = client.agent.clock.now().plus(-2 * DAY);
    client.agent.store.push(&Message { time, body: body(MessageId::AgentStarted) }).unwrap();
    let sender = client.agent.clone();
    client.site.state().mischief.away = true;
    client.agent.health.parts.spawn("send", move || send::run(sender.clone()));
    let failed = client.mended("outbox").await;
    assert_eq!(failed.outcome, CheckOutcome::Failed, "the site is away: {failed:?}");
    client.site.state().mischief.away = false;
    let mended = client.mended("outbox").await;
    assert_eq!(mended.outcome, CheckOutcome::Remedied, "{mended:?}");
    assert_eq!(client.site.state().messages.len(), 1, "and each came once");
    client.agent.health.parts.shutdown().await;
}

#[tokio::test]
async fn a_stale_policy_is_fetched() {
    let client = Client::new().await;
    client.site.assign(Vec::new());
    client.agent.store.set_value("policy_fetched", "1").unwrap();
    let noticed = client.noticed("policy").await;
    assert_eq!(noticed.outcome, CheckOutcome::Failed);
    let _policy = client.follow();
    let fetched = client.mended("policy").await;
    // The part may have fetched by itself meanwhile.
    assert!(matches!(fetched.outcome, CheckOutcome::Remedied | CheckOutcome::Passed), "{fetched:?}");
    client.agent.store.set_value("policy_fetched", "1").unwrap();
    client.is_mended("policy").await;
    client.agent.health.parts.shutdown().await;
}

// proves P5
#[tokio::test]
async fn a_certificate_that_nobody_renewed_is_renewed() {
    let site = Site::start_at(crate::actor::now().plus(-25 * DAY)).await;
    let client = Client::at(Machine::new(), site).await;
    let noticed = client.noticed("identity").await;
    assert!(noticed.found.contains("ends in"), "{noticed:?}");
    client.is_mended("identity").await;
}

#[tokio::test]
async fn a_part_that_ended_or_hangs_is_taken_up_again() {
    let client = Client::new().await;
    let parts = &client.agent.health.parts;
    let first = Arc::new(AtomicBool::new(true));
    let ends = first.clone();
    parts.spawn("ends", move || {
        let ends = ends.swap(false, Ordering::SeqCst);
        async move { if ends { panic!("on purpose") } else { pending().await } }
    });
    while parts.ended().is_empty() {
        tokio::task::yield_now().await;
    }
    client.is_mended("work").await;
    let (agent, hangs) = (Arc::downgrade(&client.agent), Arc::new(AtomicBool::new(true)));
    parts.spawn("hangs", move || {
        let (agent, hangs) = (agent.clone(), hangs.swap(false, Ordering::SeqCst));
        async move {
            let agent = agent.upgrade().unwrap();
            let _busy = hangs.then(|| agent.health.busy.begin("hangs", hours_ago(7)));
            pending::<()>().await;
        }
    });
    tokio::task::yield_now().await;
    // The wall clock says nothing of that.
    client.machine.clock.set(client.machine.clock.now().plus(2 * DAY));
    client.is_mended("work").await;
    parts.shutdown().await;
}

fn hours_ago(hours: u64) -> tokio::time::Instant {
    tokio::time::Instant::now() - Duration::from_secs(hours * 3_600)
}

#[tokio::test]
async fn a_part_whose_thread_does_not_return_is_not_begun_a_second_time() {
    let client = Client::new().await;
    let (parts, busy) = (&client.agent.health.parts, &client.agent.health.busy);
    let begun = Arc::new(AtomicUsize::new(0));
    let (wakes, waits) = std::sync::mpsc::channel::<()>();
    let waits = Arc::new(std::sync::Mutex::new(waits));
    let (counter, of) = (begun.clone(), busy.clone());
    parts.spawn("disk", move || {
        counter.fetch_add(1, Ordering::SeqCst);
        let (guard, waits) = (of.begin_on_thread("disk", hours_ago(7)), waits.clone());
        async move {
            // As a file system that does not answer.
            let work = move || drop((waits.lock().unwrap().recv(), guard));
            tokio::task::spawn_blocking(work).await.unwrap();
            pending::<()>().await;
        }
    });
    tokio::task::yield_now().await;
    for _ in 0..2 {
        let found = client.mended("work").await;
        assert_eq!(found.outcome, CheckOutcome::Failed, "{found:?}");
        assert!(found.done.contains("restart the agent"), "nobody watches this process: {found:?}");
    }
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    wakes.send(()).unwrap();
    while busy.holds_thread("disk") {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.noticed("work").await.outcome, CheckOutcome::Passed);
    parts.shutdown().await;
}

#[tokio::test]
async fn a_disk_with_too_little_space_gets_it_from_the_cache() {
    let memory = Path::new("/dev/shm");
    let client = Client::on(if memory.is_dir() { Machine::at(memory) } else { Machine::new() }).await;
    client.site.assign(Vec::new());
    let mut policy = client.follow();
    policy.wait_for(Option::is_some).await.unwrap();
    let policy = policy.borrow().clone();
    const SIZE: u64 = 4 << 20;
    let bytes = vec![7; SIZE as usize];
    let cached = client.machine.state().join("content").join(muster_trust::sha256(&bytes).to_string());
    std::fs::write(&cached, &bytes).unwrap();
    let free = client.agent.directory.space().unwrap().1;
    let scene = Scene { policy, least_free: Some(free + SIZE / 2), ..client.scene() };
    assert_eq!(check_one(&scene, "disk", HealthMode::Notify).await.outcome, CheckOutcome::Failed);
    assert!(cached.exists());
    let unknown = Scene { policy: None, ..scene.clone() };
    assert_eq!(check_one(&unknown, "disk", HealthMode::Remediate).await.outcome, CheckOutcome::Failed);
    assert!(cached.exists(), "without a policy nobody knows what is needed");
    let mended = check_one(&scene, "disk", HealthMode::Remediate).await;
    assert_eq!(mended.outcome, CheckOutcome::Remedied, "{mended:?}");
    assert!(!cached.exists());
    client.agent.health.parts.shutdown().await;
}

#[tokio::test]
async fn a_log_that_could_not_be_opened_is_begun_anew_and_the_old_one_kept() {
    let client = Client::new().await;
    // What the log needs to begin anew cannot be kept: it is not opened at the start.
    let logs = client.machine.state().join(log::DIRECTORY);
    std::fs::write(&logs, "in the way").unwrap();
    let obstacle = client.machine.state().join("log.unsaid.new");
    std::fs::create_dir(&obstacle).unwrap();
    client.agent.open_log();
    let failed = client.mended("logs").await;
    assert_eq!(failed.outcome, CheckOutcome::Failed, "{failed:?}");
    std::fs::remove_dir(&obstacle).unwrap();
    client.is_mended("logs").await;
    assert!(logs.is_dir());
    assert_eq!(std::fs::read_to_string(client.machine.state().join(log::ALTERED)).unwrap(), "in the way");
}

#[tokio::test]
async fn a_tool_for_updates_that_did_not_answer_is_asked_again() {
    let machine = Machine::new();
    let Some(mut repository) = Repository::new(&machine, &[("tool", "1")]) else { return };
    repository.add("tool", "2", "");
    repository.publish("Test");
    let site = Site::start().await;
    machine.enrol(&site).await;
    let agent = Agent::open(machine.directory(), machine.clock.clone(), Collector::at(&repository.tree)).unwrap();
    let client = Client { machine, site, agent: Arc::new(agent), policy: Mutex::default() };
    assert_eq!(client.mended("updates").await.outcome, CheckOutcome::NotApplicable, "it never looked");
    let scan = Scan {
        time: client.agent.clock.now(),
        tool: UpdateTool::Apt,
        state: ScanState::Failed,
        reason: "It did not answer.".to_owned(),
        updates: Vec::new(),
    };
    client.agent.directory.write("updates.json", &serde_json::to_vec(&scan).unwrap()).unwrap();
    client.is_mended("updates").await;
}

/// What is kept of a servicing.
fn servicing(begun: UnixMillis) -> String {
    format!(r#"{{"step":"install","begun":{},"boot":"","namespace":null,"file_systems":[],"deployments":[]}}"#, begun.0)
}

#[tokio::test]
async fn what_only_a_person_can_mend_is_said_to_be_so() {
    let client = Client::new().await;
    assert_eq!(client.mended("clock").await.outcome, CheckOutcome::Passed);
    client.agent.raise_floor(client.agent.clock.now().plus(3 * DAY));
    let clock = client.mended("clock").await;
    assert!(clock.outcome == CheckOutcome::Failed && clock.done.contains("Set the clock"), "{clock:?}");
    assert_eq!(client.mended("provisioning").await.outcome, CheckOutcome::Passed);
    let journal = servicing(client.agent.clock.now().plus(-DAY));
    client.agent.directory.write("servicing.json", journal.as_bytes()).unwrap();
    let open = client.noticed("provisioning").await;
    assert!(open.outcome == CheckOutcome::Failed && open.found.contains("24 hours"), "{open:?}");
    // Only the part that applies deployments knows whether it goes on; without it nobody ends it.
    let waiting = tokio::time::timeout(Duration::from_millis(300), client.mended("provisioning")).await;
    assert!(waiting.is_err() && client.machine.state().join("servicing.json").exists(), "{waiting:?}");
    let report = check(&client.scene(), HealthMode::Notify).await;
    assert_eq!(report.checks.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), CHECKS);
    assert!(report.is_well_formed() && !report.remediates);
}

#[tokio::test]
async fn checks_that_are_wanted_are_made_and_reach_the_site() {
    let client = Client::new().await;
    let (_publish, policy) = watch::channel(None);
    // Nobody here fetches a policy: mending that would take its time.
    client.agent.store.set_value("policy_fetched", &client.agent.clock.now().0.to_string()).unwrap();
    let (checker, sender) = (client.agent.clone(), client.agent.clone());
    client.agent.health.parts.spawn("health", move || muster_agent::health::run(checker.clone(), policy.clone()));
    client.agent.health.parts.spawn("send", move || send::run(sender.clone()));
    client.agent.health.wanted.notify_one();
    let report = client
        .site
        .wait("the checks", |state| {
            state.messages.iter().find_map(|(_, _, message)| match &message.body {
                Body::Health(report) => Some(report.clone()),
                _ => None,
            })
        })
        .await;
    assert!(report.remediates && report.checks.len() == CHECKS.len(), "{report:?}");
    client.agent.health.parts.shutdown().await;
}

#[tokio::test]
async fn checks_whose_report_cannot_be_kept_are_not_made_again_at_once() {
    let client = Client::new().await;
    let (_publish, policy) = watch::channel(None);
    client.agent.store.set_bounds(outbox::Bounds { low: 0, all: 0 });
    let checker = client.agent.clone();
    client.agent.health.parts.spawn("health", move || muster_agent::health::run(checker.clone(), policy.clone()));
    client.agent.health.wanted.notify_one();
    let checked = || client.agent.store.value("health_checked").unwrap();
    while checked().is_none() {
        tokio::task::yield_now().await;
    }
    client.agent.health.parts.shutdown().await;
}

#[tokio::test]
async fn the_command_prints_every_check_and_its_code_says_whether_all_is_well() {
    let client = Client::new().await;
    let output = client.machine.program(&["health", "--json"]).output().await.unwrap();
    let report: muster_model::health::HealthReport = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.checks.len(), CHECKS.len());
    let of = |name: &str| report.checks.iter().find(|one| one.name == name).unwrap().outcome;
    // It was never told a policy.
    assert_eq!((of("policy"), of("identity")), (CheckOutcome::Failed, CheckOutcome::Passed));
    assert_eq!(output.status.code(), Some(7));
    let table = client.machine.program(&["health"]).output().await.unwrap();
    assert_eq!(String::from_utf8(table.stdout).unwrap().lines().count(), CHECKS.len());
}
