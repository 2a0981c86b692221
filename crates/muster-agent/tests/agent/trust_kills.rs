//! The real agent is killed with SIGKILL as it begins each system call that writes its trust store. What is there afterwards is
//! the old chain or the whole new one, and the next start goes on from it.

use crate::actor::{
    Site,
    machine::{Machine, skip},
};
use muster_agent::identity::{Identity, load_trust};
use muster_model::status::MessageId;
use std::{process::Stdio, time::Duration};
use tokio::process::Command;

/// The version that the disk has, verified from the pin.
fn kept(machine: &Machine) -> u64 {
    let directory = machine.directory();
    let identity = Identity::load(&directory).unwrap().unwrap();
    load_trust(&directory, &identity).unwrap().unwrap().bundle().version
}

/// The agent under `strace`, which kills it at the first `call` on `path`.
fn killed_at(machine: &Machine, call: &str, path: &str) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-P", path, "-P", &machine.state().join(path).display().to_string()])
        .args(["-e", &format!("inject={call}:signal=SIGKILL:when=1")])
        .arg(env!("CARGO_BIN_EXE_muster-agent"))
        .arg("--state")
        .arg(machine.state())
        .arg("run")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn can_trace() -> bool {
    let traced = std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    traced.is_ok_and(|status| status.success())
}

// Walks as section 5.3 says.
#[tokio::test]
async fn a_kill_at_any_write_of_the_trust_store_leaves_the_old_or_the_new_one() {
    if !can_trace() {
        skip("the kills at each write of the trust store", "strace is not there, or may not trace");
        return;
    }
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    // In the order of a write: make room, make the file, fill it, flush it, put it in its place, flush that.
    let state = machine.state().display().to_string();
    let beside = "trust-bundle.cose.new";
    let writes = [
        ("unlinkat", beside),
        ("openat", beside),
        ("write", beside),
        ("fsync", beside),
        ("/^rename", beside),
        ("fsync", &state),
    ];
    for (version, (call, path)) in (2..).zip(writes) {
        let before = kept(&machine);
        site.sign_bundle(|bundle| bundle.version = version);
        let mut assignment = site.next_assignment(Vec::new());
        assignment.trust_version = version;
        site.publish(&assignment);
        let mut agent = killed_at(&machine, call, path).spawn().unwrap();
        let status = tokio::time::timeout(Duration::from_secs(30), agent.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("{call} of {path} was never reached")).unwrap();
        assert!(!status.success(), "{call}: killed");
        let after = kept(&machine);
        // The directory is flushed for other files, too.
        assert!(after == before || (path == state && after == version), "{call} of {path}: {after}");
        // The next start goes on.
        let mut agent = machine.spawn();
        site.wait("the trust bundle after the kill", |state| {
            let has = |id| {
                state.messages.iter().any(|(_, _, message)| match &message.body {
                    muster_model::report::Body::Status(status) => {
                        status.id == id && status.values.values().any(|value| *value == assignment.version.to_string())
                    }
                    _ => false,
                })
            };
            has(MessageId::PolicyAccepted).then_some(())
        })
        .await;
        agent.kill().await.unwrap();
        assert_eq!(kept(&machine), version, "after {call} of {path}");
    }
}
