//! The parts that are played on the protected machine: a test above starts itself again there, with the name of its part in the environment.

use super::{
    machine::WAITS,
    net::{HERE, Neighbour, reaches},
};
use crate::{
    actor::{
        Site, application,
        machine::{Machine, script, wait_for_file},
        now,
    },
    window::{assign, policy, waiting, window},
};
use muster_agent::{
    os::{
        PrivateDirectory,
        write_filter::{FilterState, this_machine},
    },
    servicing::{Allowed, Open, Order, ServicingError, Step, Watch, begin, recover},
};
use muster_model::{
    id::DeploymentId,
    policy::{ClientSettings, DeploymentPolicy},
    settings::ServicingSettings,
    status::{DeploymentState as State, FailureReason, MessageId, WaitReason},
    time::{HOUR, UnixMillis},
    window::WallTime,
};
use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

/// Where the machine's own program would install.
const BELOW: &str = "/media/root-ro/opt";

/// Names the part, on the protected machine alone.
pub(super) const PART: &str = "MUSTER_SERVICING_PART";

pub(super) fn play(part: &str) {
    match part {
        "driver" => driver(),
        "steps" => steps(),
        "power" => power(),
        "after_power" => after_power(),
        "machine" => driver(),
        "machine_again" => machine_again(),
        "logons" => logons(),
        "traffic" => traffic(),
        "attacks" => attacks(),
        "agent" => agent(),
        other => panic!("there is no part {other}"),
    }
}

fn state() -> PrivateDirectory {
    PrivateDirectory::open(Path::new("/var/lib/muster-agent/state")).unwrap()
}

/// Dies in the step that it was told.
struct Deadly;

impl Watch for Deadly {
    fn begins(&self, step: Step) {
        if std::env::var("MUSTER_SERVICING_DIE").is_ok_and(|name| name == step.as_str()) {
            die(step.as_str());
        }
    }
}

fn die(step: &str) {
    if std::env::var(PART).is_ok_and(|part| part.starts_with("machine")) {
        // The test hears it, and ends the whole machine.
        let mut console = std::fs::OpenOptions::new().write(true).open("/dev/console").unwrap();
        writeln!(console, "{WAITS} {step}").unwrap();
    } else {
        kill();
    }
    #[expect(clippy::disallowed_methods, reason = "until it is killed")]
    std::thread::sleep(Duration::from_secs(60));
}

fn kill() {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
}

fn order(directory: &PrivateDirectory) -> Order<'_> {
    Order {
        directory,
        now: UnixMillis(1),
        longest: Duration::from_secs(60),
        until: "12:30 (UTC)".to_owned(),
        allowed: Allowed::default(),
        deployment: DeploymentId(uuid::Uuid::from_u128(1)),
        watch: &Deadly,
    }
}

/// A command in the view of a servicing.
fn command(open: &Open<'_>, lines: &str) -> Command {
    let inside = open.inside().unwrap();
    let arguments = vec!["-c".to_owned(), lines.to_owned()];
    let (program, arguments) = inside.command(Path::new("/bin/sh"), arguments, Path::new("/opt")).unwrap();
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn install(open: &Open<'_>, lines: &str) {
    let output = command(open, lines).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Nothing reaches the lower file system, everybody may log on, and the firewall is open.
fn assert_protected() {
    let filter = this_machine().unwrap();
    assert_eq!(filter.state, FilterState::On, "{filter:?}");
    assert_unwritable();
    assert!(!Path::new("/run/nologin").exists());
    assert!(!is_closed());
    assert!(!Path::new("/var/lib/muster-agent/state/servicing.json").exists());
}

fn assert_unwritable() {
    let error = std::fs::write(format!("{BELOW}/mine"), "").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EROFS), "{error}");
}

fn is_closed() -> bool {
    let listed = Command::new("/usr/sbin/nft").args(["list", "table", "inet", "muster_servicing"]).output().unwrap();
    listed.status.success()
}

fn driver() {
    let directory = state();
    let open = begin(&order(&directory)).unwrap();
    // One that is still at it when its agent is killed.
    let held = command(&open, "exec 3>held; echo begun >&3; exec sleep 1000").spawn().unwrap();
    install(&open, "while [ ! -s held ]; do sleep 0.01; done; echo program > program");
    if std::env::var("MUSTER_SERVICING_DIE").is_ok_and(|name| name == "installed") {
        die("installed");
    }
    open.close().unwrap();
    drop(held);
}

/// Has the machine serviced by a process that is killed in that step.
fn drive(step: Option<&str>) -> ExitStatus {
    let mut driver = Command::new("/test/exe");
    driver.args(std::env::args().skip(1)).env(PART, "driver").stdout(Stdio::null());
    if let Some(step) = step {
        driver.env("MUSTER_SERVICING_DIE", step);
    }
    driver.status().unwrap()
}

fn steps() {
    assert_protected();
    let directory = state();
    let die: Vec<&str> = Step::ALL.iter().map(|step| step.as_str()).chain(["installed"]).collect();
    for step in die {
        assert_eq!(drive(Some(step)).signal(), Some(9), "{step}");
        // Before anybody takes it up: users reach no writable mount.
        assert_unwritable();
        assert!(matches!(begin(&order(&directory)), Err(ServicingError::Busy | ServicingError::OpenAlready)), "{step}");
        let interrupted = recover(&directory).unwrap().unwrap();
        let in_step = if step == "installed" { "install" } else { step };
        assert_eq!(interrupted.step.map(Step::as_str), Some(in_step));
        assert_eq!(interrupted.deployments, [DeploymentId(uuid::Uuid::from_u128(1))]);
        assert_protected();
        assert_eq!(recover(&directory).unwrap(), None);
    }
    // To the end.
    let _ = std::fs::remove_file("/opt/program");
    let open = begin(&order(&directory)).unwrap();
    assert!(is_closed() && Path::new("/run/nologin").exists());
    install(&open, "rm -f program; echo whole > program; test \"$(pwd)\" = /opt; grep -q ' /proc ' /proc/mounts");
    open.close().unwrap();
    assert_protected();
    assert_eq!(std::fs::read_to_string(format!("{BELOW}/program")).unwrap(), "whole\n");
    // What is dropped on the way is undone at once.
    let open = begin(&order(&directory)).unwrap();
    drop(open);
    assert_eq!(this_machine().unwrap().state, FilterState::On);
    assert!(!is_closed());
    assert_eq!(recover(&directory).unwrap().unwrap().step, Some(Step::Install));
    assert_protected();
}

fn power() {
    // With the first process of the machine everything ends at once.
    assert_eq!(drive(None).signal(), Some(9));
    std::process::exit(9);
}

fn after_power() {
    assert_eq!(this_machine().unwrap().state, FilterState::On, "before the agent is started");
    assert!(!Path::new("/run/nologin").exists() && !is_closed());
    assert!(recover(&state()).unwrap().is_some());
    assert_protected();
}

/// A start after the power went; then it is serviced once more.
fn machine_again() {
    after_power();
    if std::env::var("MUSTER_SERVICING_DIE").is_ok_and(|step| !step.is_empty()) {
        driver();
    }
}

/// Logs on with a password, and says what PAM did.
fn logon(user: &str, password: &str, inside: Option<&Open<'_>>) -> (bool, String) {
    let line = format!("pamtester login {user} authenticate acct_mgmt");
    let mut command = match inside {
        Some(open) => command(open, &line),
        None => {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &line]);
            command
        }
    };
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

fn failures(user: &str) -> usize {
    let output =
        Command::new("/usr/sbin/faillock").args(["--dir", "/var/lib/faillock", "--user", user]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().filter(|line| line.trim_end().ends_with('V')).count()
}

fn logons() {
    let directory = state();
    for user in ["ada", "bob"] {
        let (on, said) = logon(user, "right", None);
        assert!(on, "{user}: {said}");
        assert!(!logon(user, "wrong", None).0);
        assert_eq!(failures(user), 1, "{user}");
    }
    let open = begin(&order(&directory)).unwrap();
    let (on, said) = logon("ada", "right", None);
    assert!(!on && said.contains("being serviced until 12:30 (UTC)"), "{said}");
    // Who is refused for the servicing alone did not fail, and who knew the password begins anew.
    assert_eq!(failures("ada"), 0);
    assert!(logon("bob", "right", None).0, "an administrator: {:?}", logon("bob", "right", None));
    // Once before, once outside and once inside of what is serviced: three, and not two or four.
    assert!(!logon("ada", "wrong", None).0);
    assert!(!logon("ada", "wrong", Some(&open)).0);
    assert_eq!(failures("ada"), 2);
    open.close().unwrap();
    assert_eq!(failures("ada"), 2);
    assert!(!logon("ada", "wrong", None).0);
    assert_eq!(failures("ada"), 3);
    let (on, said) = logon("ada", "right", None);
    assert!(!on && !said.contains("serviced"), "locked after three and not before: {said}");
    // And somebody with two failures still may.
    assert!(!logon("bob", "wrong", None).0 && !logon("bob", "wrong", None).0);
    let open = begin(&order(&directory)).unwrap();
    assert!(logon("bob", "right", None).0);
    open.close().unwrap();
    assert_protected();
}

fn traffic() {
    let (directory, neighbour) = (state(), Neighbour::connect());
    let (site, other) = (neighbour.listen(), neighbour.listen());
    let (site_at, other_at) = (site.local_addr().unwrap(), other.local_addr().unwrap());
    let own = TcpListener::bind((HERE, 0)).unwrap();
    let own_at = own.local_addr().unwrap();
    let loopback = TcpListener::bind("127.0.0.1:0").unwrap();
    let all = |open: bool| {
        assert!(reaches(site_at), "the site");
        assert!(reaches(loopback.local_addr().unwrap()), "the machine itself");
        assert_eq!(reaches(other_at), open, "another port of the same address");
        assert_eq!(neighbour.there(|| reaches(own_at)), open, "from outside");
    };
    neighbour.settle(site_at);
    all(true);
    // One that was there before is closed too: nobody keeps a way in.
    let mut kept = neighbour.there(|| std::net::TcpStream::connect(own_at).unwrap());
    let from = kept.local_addr().unwrap();
    let mut accepted = own.incoming().flatten().find(|one| one.peer_addr().is_ok_and(|peer| peer == from)).unwrap();
    accepted.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let allowed = Allowed { site: vec![SocketAddr::new(site_at.ip(), site_at.port())], resolvers: Vec::new() };
    let open = begin(&Order { allowed, ..order(&directory) }).unwrap();
    all(false);
    kept.write_all(b"x").unwrap();
    assert!(std::io::Read::read(&mut accepted, &mut [0]).is_err(), "nothing of it arrives");
    open.close().unwrap();
    all(true);
    assert_protected();
}

fn attacks() {
    let directory = state();
    // Somebody else locks people out: the machine goes down.
    std::fs::write("/run/nologin", "System is going down.").unwrap();
    assert!(matches!(begin(&order(&directory)), Err(ServicingError::LockedOut)));
    assert!(Path::new("/run/nologin").exists() && !is_closed());
    std::fs::remove_file("/run/nologin").unwrap();
    assert_protected();
    // A door that stays open.
    let sshd = std::fs::read("/etc/pam.d/sshd").unwrap();
    std::fs::write("/etc/pam.d/sshd", "account required pam_permit.so\n").unwrap();
    assert!(matches!(begin(&order(&directory)), Err(ServicingError::DoorOpen(door)) if door == "sshd"));
    std::fs::write("/etc/pam.d/sshd", sshd).unwrap();
    // What would be gone after a power loss keeps nothing.
    let gone = PrivateDirectory::open(Path::new("/opt/state")).unwrap();
    assert!(matches!(begin(&order(&gone)), Err(ServicingError::StateVolatile)));
    assert_protected();

    let open = begin(&order(&directory)).unwrap();
    assert!(
        matches!(begin(&order(&directory)), Err(ServicingError::OpenAlready | ServicingError::Busy)),
        "two at once"
    );
    assert_unwritable();
    for user in [0, 1000] {
        let lines = "echo evil > /media/root-ro/opt/evil || mount -o remount,bind,rw /media/root-ro/usr 2>/dev/null && exit 1; exit 7";
        let mut shell = Command::new("/bin/sh");
        let shell = shell.args(["-c", lines]).stderr(Stdio::null());
        let status = if user == 0 { shell.args(["x"]).status() } else { shell.uid(user).gid(user).status() };
        assert_eq!(status.unwrap().code(), if user == 0 { Some(1) } else { Some(7) }, "only root mounts");
    }
    // A user does not get into the view: neither by its file nor by the root of what runs there.
    let mut held = command(&open, "exec sleep 100").spawn().unwrap();
    let inside = open.inside().unwrap();
    let lines = format!(
        "nsenter --mount={} true || ls /proc/{}/root/ && exit 1; exit 7",
        inside.namespace.display(),
        held.id()
    );
    let status = Command::new("/bin/sh").args(["-c", &lines]).uid(1000).gid(1000).stderr(Stdio::null()).status();
    assert_eq!(status.unwrap().code(), Some(7));
    // What an installer leaves running does not keep it open.
    install(&open, "(exec 3>left; setsid sleep 1000 >/dev/null 2>&1 & ) ; echo done > program");
    open.close().unwrap();
    held.wait().unwrap();
    assert_protected();
    assert!(!Path::new("/media/root-ro/opt/evil").exists());
}

fn agent() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(service());
}

fn app(site: &Site, name: &str, lines: &str) -> muster_model::application::Application {
    let installer = site.content(&format!("{name}.sh"), &script(lines));
    application(installer, Path::new(&format!("/opt/{name}")), 30)
}

async fn service() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let settings = |allowed, max_minutes| ClientSettings {
        servicing: ServicingSettings { allowed, max_minutes },
        ..ClientSettings::default()
    };
    let one = app(&site, "one", "echo one; echo one > \"$1\"");
    let two = app(&site, "two", "test -e /opt/one && echo two > \"$1\"");
    let three = app(&site, "three", "echo three > \"$1\"");
    let volatile = DeploymentPolicy { volatile: true, ..policy(3) };
    let all = [(policy(1), &one), (volatile, &three)];

    // By default nothing is opened: it waits, and what goes into the overlay is known as such.
    assign(&site, &[], &all, &ClientSettings::default());
    let running = machine.run();
    waiting(&site, policy(1).deployment, WaitReason::Servicing).await;
    assert_eq!(site.wait_end(policy(3).deployment).await.last().unwrap().state, State::Succeeded);
    site.wait_status(MessageId::OverlayInstalled).await;
    assert!(Path::new("/opt/three").exists() && !Path::new("/media/root-ro/opt/three").exists());
    assert!(!Path::new("/opt/one").exists());

    // Allowed, and outside of the window: it stays closed.
    site.state().date = Some(now());
    let opens = WallTime::of_utc(now().plus(3 * HOUR)).as_utc();
    assign(&site, &[window(opens, 60)], &[(policy(1), &one)], &settings(true, 10));
    let steps = waiting(&site, policy(1).deployment, WaitReason::Window).await;
    assert_eq!(steps.last().unwrap().starts, Some(opens));
    assert!(!Path::new("/media/root-ro/opt/one").exists());
    assert_protected();

    assign(&site, &[], &[(policy(1), &one), (policy(2), &two)], &settings(true, 10));
    for number in [1, 2] {
        let steps = site.wait_end(policy(number).deployment).await;
        assert_eq!(steps.last().unwrap().state, State::Succeeded, "{steps:?}");
    }
    let ended = site.wait_status(MessageId::ServicingEnded).await;
    assert!(["1", "2"].contains(&ended["deployments"].as_str()), "{ended:?}");
    let said = site.said();
    for step in Step::ALL {
        assert!(
            said.iter().any(|line| line.contains(&format!("\"step\": \"{}\"", step.as_str()))),
            "{step:?} {said:#?}"
        );
    }
    for name in ["one", "two"] {
        assert_eq!(std::fs::read_to_string(format!("{BELOW}/{name}")).unwrap().trim(), name);
    }
    // What takes longer than a servicing may last is not begun.
    let mut long = app(&site, "long", "touch \"$1\"");
    long.max_run_seconds = 600;
    assign(&site, &[], &[(policy(4), &long)], &settings(true, 10));
    let steps = site.wait_end(policy(4).deployment).await;
    assert_eq!(steps.last().unwrap().reason, Some(FailureReason::Servicing));
    // An agent that is stopped in the middle leaves nothing open, and says so at its next start.
    let slow = app(&site, "slow", "touch /opt/began; sleep 100; touch \"$1\"");
    assign(&site, &[], &[(policy(5), &slow)], &settings(true, 10));
    wait_for_file(Path::new("/media/root-ro/opt/began")).await;
    assert!(is_closed() && Path::new("/run/nologin").exists());
    running.stop().await;
    assert_protected();
    let running = machine.run();
    assert_eq!(site.wait_status(MessageId::ServicingInterrupted).await["step"], "install");
    let steps = site.wait_end(policy(5).deployment).await;
    assert_eq!(steps.last().unwrap().reason, Some(FailureReason::Interrupted), "{steps:?}");
    running.stop().await;
    assert_protected();
}
