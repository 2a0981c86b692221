//! The log of the real program: kept through kills, told to the site, given to it where that is signed, and found altered.

use crate::actor::{
    Site,
    machine::{Machine, skip},
};
use muster_agent::log;
use muster_model::{
    id::LogRequestId,
    log::{LogAnchor, LogFault, LogPiece, LogRecord, LogRequest},
    policy::BodyKind,
    report::Body,
    status::MessageId,
    time::UnixMillis,
};
use muster_trust::log::{At, next};
use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, process::Command};

fn file(machine: &Machine) -> PathBuf {
    let entries = fs::read_dir(machine.state().join(log::DIRECTORY)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.pop().unwrap()
}

/// Waits for a head that was told after this one.
async fn anchor(site: &Site, after: u64) -> LogAnchor {
    site.wait("a head of the log", |state| {
        let mut anchors = state.messages.iter().filter_map(|(_, _, message)| match &message.body {
            Body::Log(anchor) if anchor.sequence > after => Some(anchor.clone()),
            _ => None,
        });
        anchors.next_back()
    })
    .await
}

async fn piece(site: &Site, limit: u32) -> LogPiece {
    let request = LogRequest { id: LogRequestId(uuid::Uuid::from_u128(u128::from(limit))), since: None, limit };
    let body = site.body(BodyKind::LogRequest, serde_json::to_vec(&request).unwrap());
    site.assign(vec![body]);
    site.wait("a piece of the log", |state| {
        state.messages.iter().find_map(|(_, _, message)| match &message.body {
            Body::LogPiece(piece) if piece.request == request.id => Some(piece.clone()),
            _ => None,
        })
    })
    .await
}

/// The records of a piece, which hang together up to where the log stood.
fn records(piece: &LogPiece) -> Vec<LogRecord> {
    let mut at: Option<At> = None;
    let mut records = Vec::new();
    for line in &piece.lines {
        let (record, after) = next(at, line.as_bytes()).unwrap();
        records.push(record);
        at = Some(after);
    }
    assert_eq!(at, Some(At { sequence: piece.anchor.sequence, head: piece.anchor.head }));
    records
}

// proves I3: only root reads and writes the log, a kill is no alteration, and an alteration is found and told
#[tokio::test]
async fn the_log_survives_kills_is_given_to_the_site_and_an_alteration_is_told() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let mut running = machine.spawn();
    let first = anchor(&site, 0).await;
    running.kill().await.unwrap();
    let mut running = machine.spawn();
    let second = anchor(&site, first.sequence).await;
    assert_eq!((second.first, &second.broken), (1, &None));

    let all = piece(&site, 20_000).await;
    let there = records(&all);
    assert_eq!(there[0].sequence, 1);
    assert_eq!(there.iter().filter(|record| record.id == "log_opened").count(), 2);
    assert!(there.iter().any(|record| record.text == "the agent runs" && record.component == "run"), "{there:?}");
    assert_eq!(records(&piece(&site, 2).await).len(), 2);
    running.kill().await.unwrap();

    let path = file(&machine);
    for at in [&path, &machine.state().join(log::DIRECTORY)] {
        assert_eq!(fs::metadata(at).unwrap().mode() & 0o077, 0);
    }
    let text = fs::read_to_string(&path).unwrap();
    let secret = serde_json::to_value(site.token()).unwrap()["secret"].as_str().unwrap().to_owned();
    assert!(!text.contains(&secret) && !text.contains("muster1."), "a secret is in the log");
    as_nobody(&path);

    // Somebody hides what happened first.
    fs::write(&path, text.replacen("log_opened", "log_ordered", 1)).unwrap();
    let mut running = machine.spawn();
    let values = site.wait_status(MessageId::LogAltered).await;
    assert_eq!((values["fault"].as_str(), values["sequence"].as_str()), (LogFault::Altered.as_str(), "1"));
    let told = site
        .wait("that it was altered", |state| {
            state.messages.iter().find_map(|(_, _, message)| match &message.body {
                Body::Log(LogAnchor { broken: Some(broken), .. }) => Some(broken.clone()),
                _ => None,
            })
        })
        .await;
    assert!(UnixMillis(0) < told.whole && told.whole < told.found, "{told:?}");
    // It goes on with the numbers, and what is left of the altered one is kept.
    let after = anchor(&site, second.sequence).await;
    assert!(after.first > second.sequence);
    let kept = records(&piece(&site, 1_000).await);
    assert_eq!(kept[0].id, log::CONTINUED);
    assert!(machine.state().join(log::ALTERED).join(path.file_name().unwrap()).exists());
    running.kill().await.unwrap();
}

/// Whoever is not root neither reads nor writes it.
fn as_nobody(path: &std::path::Path) {
    if !muster_agent::os::is_root() {
        skip("that a user without privileges does not reach the log", "only root can become such a user");
        return;
    }
    let before = fs::read(path).unwrap();
    for command in ["cat \"$1\"", "echo x >> \"$1\"", "rm -f \"$1\"", "ls \"$(dirname \"$1\")\""] {
        let done = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", command, "sh"])
            .arg(path)
            .output()
            .unwrap();
        assert!(!done.status.success() && done.stdout.is_empty(), "{command}: {done:?}");
    }
    assert_eq!(fs::read(path).unwrap(), before);
}
