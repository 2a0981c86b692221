//! A full disk, and a state directory that is not the agent's own.

use crate::actor::{
    Site, application,
    machine::{Machine, script, skip, wait_for_file},
    now,
};
use muster_model::{
    report::Channel,
    status::{DeploymentState, FailureReason, MessageId},
};
use std::process::Stdio;
use tokio::process::Command;

/// Mounts a small file system of its own over the state directory, with what was in it, runs the agent there, and fills and
/// frees the disk when the test says so.
const ON_A_SMALL_DISK: &str = r#"
set -e
state=$1 place=$2 agent=$3
cp -a "$state" "$place/copy"
mount -t tmpfs -o size=1500k,mode=0700 none "$state"
cp -a "$place/copy/." "$state/"
(
  while [ ! -e "$place/fill" ]; do sleep 0.05; done
  dd if=/dev/zero of="$state/filler" bs=4096 2>/dev/null || true
  touch "$place/filled"
  while [ ! -e "$place/free" ]; do sleep 0.05; done
  rm "$state/filler"
) &
exec "$agent" --state "$state" run
"#;

#[tokio::test]
async fn a_full_disk_loses_nothing_and_the_work_goes_on_when_there_is_space() {
    let mount = "mount -t tmpfs -o size=64k none /mnt";
    let able = Command::new("unshare").args(["-rm", "sh", "-c", mount]).stderr(Stdio::null()).status().await;
    if !able.is_ok_and(|status| status.success()) {
        return skip("the test of a full disk", "a file system of its own cannot be mounted here (unshare -rm)");
    }
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let mut agent = Command::new("unshare")
        .args(["-rm", "sh", "-c", ON_A_SMALL_DISK, "sh"])
        .args([machine.state(), machine.place(""), env!("CARGO_BIN_EXE_muster-agent").into()])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    site.wait_status(MessageId::PolicyAccepted).await;
    site.wait("an inventory", |state| state.chains.contains_key(&Channel::Inventory).then_some(())).await;
    std::fs::write(machine.place("fill"), "").unwrap();
    wait_for_file(&machine.place("filled")).await;
    let installer = site.content("setup.sh", &script("echo run >> \"$1.runs\"; touch \"$1\""));
    let small = application(installer, &machine.place("installed"), 60);
    let deployment = site.deploy(&[&site.keys.author], &small, now());
    let asked = site.state().requests;
    site.wait("the agent to ask", move |state| (state.requests > asked + 3).then_some(())).await;
    std::fs::write(machine.place("free"), "").unwrap();
    let steps = site.wait_end(deployment).await;
    assert_eq!(steps.last().unwrap().state, DeploymentState::Succeeded);
    assert_eq!(std::fs::read_to_string(machine.place("installed.runs")).unwrap(), "run\n");
    // Content that is larger than the cache may be here, a tenth of the disk, is a state with its reason, and nothing is fetched.
    let mut large = application(site.content("setup.sh", &script("touch \"$1\"")), &machine.place("never"), 60);
    large.content.push(site.content("large", &vec![7; 200_000]));
    let ranges = site.state().ranges.len();
    let steps = site.wait_end(site.deploy(&[&site.keys.author], &large, now())).await;
    let last = steps.last().unwrap();
    assert_eq!((last.state, last.reason), (DeploymentState::Failed, Some(FailureReason::CacheTooSmall)), "{last:?}");
    assert!(last.output.contains("200"), "{last:?}");
    assert_eq!(site.state().ranges.len(), ranges);
    agent.start_kill().unwrap();
    agent.wait().await.unwrap();
    let state = site.state();
    let numbers: Vec<u64> = state.messages.iter().filter(|m| m.0 == Channel::Status).map(|m| m.1).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!((state.forks, state.lost.len()), (0, 0));
}

#[tokio::test]
async fn a_directory_of_another_user_is_refused() {
    let machine = Machine::new();
    drop(machine.directory());
    if std::os::unix::fs::chown(machine.state(), Some(12_345), None).is_err() {
        return skip("the test of another user's directory", "only root can give a directory away");
    }
    let output = machine.program(&["run"]).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("belongs to user 12345"), "{text}");
}
