//! An agent that does not run as root reports what it can, and one sentence for each thing that it cannot.

use super::{assert_sound, skip};
use crate::tree::Tree;
use muster_agent::collect::{Collected, Collector};
use muster_model::time::UnixMillis;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// The folder that the child process takes its inventory of.
const ROOT: &str = "MUSTER_TEST_ORDINARY_ROOT";
const CHILD: &str = "collect::ordinary_user::child";
const NOBODY: u32 = 65_534;

/// What only root may read on a hardened machine.
const SECRET: [&str; 5] = [
    "sys/firmware/dmi/tables/DMI",
    "var/lib/dpkg/status",
    "usr/lib/systemd/system/ssh.service",
    "proc/self/mountinfo",
    "var/log/wtmp",
];

#[test]
fn unreadable_files_are_named_and_stop_nothing() {
    let tree = Tree::unpack("debian-12");
    tree.write("sys/firmware/dmi/tables/DMI", [127, 4, 0, 0, 0, 0]);
    tree.write("sys/class/dmi/id/sys_vendor", "Dell Inc.\n");
    tree.write("var/log/wtmp", []);
    fs::set_permissions(tree.root(), fs::Permissions::from_mode(0o755)).unwrap();
    for path in SECRET {
        fs::set_permissions(tree.at(path), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let Some(found) = collect_as_ordinary_user(tree.root()) else {
        return skip(
            "unreadable_files_are_named_and_stop_nothing",
            "as root it needs setpriv and a test binary that others may run",
        );
    };
    assert_sound(&found);
    for class in ["INSTALLED_SOFTWARE", "LOGICAL_DISK", "SYSTEM_CONSOLE_USER"] {
        assert!(!found.classes.contains_key(class), "{class} must not look empty");
        assert!(found.unread.iter().any(|u| u.class == class && u.reason.contains("run the agent as root")), "{class}");
    }
    let reasons: Vec<&str> = found.unread.iter().map(|u| u.reason.as_str()).collect();
    assert!(reasons.iter().any(|r| r.starts_with("Serial numbers and UUID are not known")), "{reasons:?}");
    assert!(reasons.contains(&"1 unit files could not be read; run the agent as root."), "{reasons:?}");
    for class in ["COMPUTER_SYSTEM", "OPERATING_SYSTEM", "PROCESSOR", "SERVICE", "DISK", "NETWORK_ADAPTER"] {
        assert!(!found.classes[class].is_empty(), "{class}");
    }
}

fn collect_as_ordinary_user(root: &Path) -> Option<Collected> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if !is_root {
        return Some(Collector::at(root).collect(UnixMillis(0)));
    }
    let child = std::env::current_exe().unwrap();
    let answer = root.join("answer.json");
    fs::write(&answer, "").unwrap();
    fs::set_permissions(&answer, fs::Permissions::from_mode(0o666)).unwrap();
    let status = Command::new("setpriv")
        .args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"])
        .arg(child)
        .args([CHILD, "--exact", "--quiet"])
        .env(ROOT, root)
        .output()
        .ok()?;
    let text = fs::read_to_string(answer).unwrap();
    (status.status.success() && !text.is_empty()).then(|| {
        let (classes, unread) = serde_json::from_str(&text).unwrap();
        Collected { classes, unread, ..Collected::default() }
    })
}

/// Runs in a process of its own, started by the test above; does nothing otherwise.
#[test]
fn child() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let root = Path::new(&root);
    let found = Collector::at(root).collect(UnixMillis(0));
    fs::write(root.join("answer.json"), serde_json::to_vec(&(found.classes, found.unread)).unwrap()).unwrap();
}
