//! Whether the database of packages can be read, and nothing in it was left half done.
//!
//! Locks of dpkg end with their process, so that a dead one holds none; what it leaves is half done, and `dpkg --configure -a` ends it.

use super::{Finding, Scene, is_at_work, root_argument, tool_in};
use crate::{
    agent::Agent,
    apply::allows_updates,
    os::{Machine, facts::Gaps},
    policy::Policy,
};
use std::{
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

const STATUS: &str = "var/lib/dpkg/status";
const UPDATES: &str = "var/lib/dpkg/updates";
const LOCKS: [&str; 2] = ["var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock"];
const STATUS_BYTES: u64 = 64 << 20;
/// How long dpkg is waited for.
const WAITS: Duration = Duration::from_secs(900);
/// And how long it may run.
const NEVER: Duration = Duration::from_secs(30 * 86_400);
/// States in which `dpkg --configure -a` has something to do.
const HALF: [&str; 4] = ["unpacked", "half-configured", "triggers-pending", "triggers-awaited"];

/// Whether a living process holds a lock of dpkg.
fn is_in_use(root: &Path) -> bool {
    let held = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let inodes = LOCKS.iter().filter_map(|lock| Some(std::fs::metadata(root.join(lock)).ok()?.ino()));
    let of_lines: Vec<u64> = held
        .lines()
        .filter_map(|line| {
            line.split_whitespace().find(|word| word.matches(':').count() == 2)?.rsplit(':').next()?.parse().ok()
        })
        .collect();
    inodes.into_iter().any(|inode| of_lines.contains(&inode))
}

/// Packages that were left half done.
fn half_done(root: &Path) -> std::io::Result<usize> {
    let path = root.join(STATUS);
    if std::fs::metadata(&path)?.len() > STATUS_BYTES {
        return Err(std::io::Error::other("it is too large"));
    }
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    let state = |line: &str| line.strip_prefix("Status: ").and_then(|rest| rest.split(' ').nth(2).map(str::to_owned));
    Ok(text.lines().filter_map(state).filter(|state| HALF.contains(&state.as_str())).count())
}

/// Whether dpkg ended in the middle of writing.
fn is_interrupted(root: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(root.join(UPDATES)) else { return false };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit())))
}

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let root = scene.root;
    if !root.join(STATUS).exists() {
        let mut gaps = Gaps::default();
        let packages = Machine::open(root).ok().and_then(|machine| machine.packages(&mut gaps));
        return match packages {
            Some(_) => Finding::Sound,
            None => Finding::Nothing("No database of packages can be read on this machine.".to_owned()),
        };
    }
    if is_in_use(root) {
        return Finding::Nothing(
            "Another program works on the packages now; it is looked at again next time.".to_owned(),
        );
    }
    if is_interrupted(root) {
        return Finding::Wrong("dpkg was interrupted, and left its work half done.".to_owned());
    }
    match half_done(root) {
        Ok(0) => Finding::Sound,
        Ok(count) => Finding::Wrong(format!("{count} package(s) are unpacked and not configured.")),
        Err(error) => Finding::Beyond(
            format!("The database of packages cannot be read: {error}."),
            "Restore var/lib/dpkg/status from var/lib/dpkg/status-old, or from a backup.".to_owned(),
        ),
    }
}

/// Whether maintenance windows let packages be worked on now.
pub(super) fn may_begin(agent: &Agent, policy: &Policy) -> bool {
    allows_updates(agent, policy, WAITS.as_secs().try_into().unwrap_or(u32::MAX))
}

/// What the packages' own scripts do has no end that could be known: they are waited for, and never ended in the middle.
pub(super) async fn mend(scene: &Scene<'_>, agent: &Arc<Agent>) -> Result<String, String> {
    let Some(policy) = scene.policy.as_deref() else {
        return Err("No policy says when packages may be worked on.".to_owned());
    };
    if is_at_work(agent) {
        return Err("A deployment is worked on; packages are looked at again next time.".to_owned());
    }
    let waits = !may_begin(agent, policy);
    agent.health.packages_wait.store(waits, Ordering::Release);
    if waits {
        return Err("It waits for a maintenance window in which updates may be installed.".to_owned());
    }
    let mut arguments: Vec<String> = root_argument(scene.root).into_iter().collect();
    // What the administrator changed in configuration files stays.
    arguments.extend(["--force-confdef", "--force-confold", "--configure", "-a"].map(str::to_owned));
    let owner = agent.clone();
    // A task of its own: it reads on where nobody waits any more.
    let running = tokio::spawn(async move {
        tool_in(&owner.directory, "health.configure", "/usr/bin/dpkg", arguments, NEVER, true).await
    });
    match tokio::time::timeout(WAITS, running).await {
        Ok(Ok(done)) => match done? {
            (0, _) => Ok("dpkg --configure -a ended what was half done.".to_owned()),
            (code, text) => Err(format!("dpkg --configure -a ended with {code}: {text}")),
        },
        Ok(Err(_)) => Err("dpkg --configure -a was not waited for to its end.".to_owned()),
        Err(_) => Err(format!(
            "dpkg --configure -a runs for more than {} minutes; it goes on, and is not ended.",
            WAITS.as_secs() / 60
        )),
    }
}
