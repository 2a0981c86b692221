//! Servicing on a machine whose root is really protected: an overlay over ext4, as the package overlayroot mounts it, with real PAM, nftables
//! and namespaces. A kill at every step, and a start with the same disks after it, end protected.

mod inside;
mod machine;
mod net;

use crate::actor::machine::skip;
use muster_agent::os::is_root;
use std::{path::Path, process::Command};

/// Programs without which there is no such machine.
const NEEDS: [&str; 7] = [
    "/usr/sbin/mkfs.ext4",
    "/usr/sbin/nft",
    "/usr/bin/pamtester",
    "/usr/sbin/faillock",
    "/usr/bin/nsenter",
    "/usr/sbin/pivot_root",
    "/usr/sbin/ip",
];

/// Users: ada is one, bob is an administrator. Their password is `right`.
const ETC: [(&str, &str); 9] = [
    (
        "passwd",
        "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/tmp:/bin/sh\nbob:x:1001:1001::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    ),
    ("group", "root:x:0:\nsudo:x:27:bob\nada:x:1000:\nbob:x:1001:\nnogroup:x:65534:\n"),
    // The hash of `openssl passwd -6 -salt muster right`.
    ("shadow", "root:*:19000::::::\nada:HASH:19000::::::\nbob:HASH:19000::::::\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n"),
    // As the guide says it.
    (
        "login",
        "auth required pam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so nodelay\nauth [default=die] pam_faillock.so authfail\n\
         auth sufficient pam_faillock.so authsucc\nauth required pam_permit.so\n\
         account [success=1 default=ignore] pam_succeed_if.so quiet user ingroup sudo\naccount requisite pam_nologin.so\n\
         account required pam_faillock.so\naccount required pam_unix.so\n",
    ),
    ("sshd", "account required pam_nologin.so\naccount required pam_unix.so\n"),
    ("faillock.conf", "deny = 3\nnodelay\nunlock_time = 600\ndir = /var/lib/faillock\n"),
    ("resolv.conf", "nameserver 192.0.2.53\n"),
    ("hostname", "kiosk\n"),
];

/// The disks of a machine, and the test that made them.
struct Lab(tempfile::TempDir, &'static str);

impl Lab {
    /// `None`: this machine cannot have one, and says so; or it is one, and the test's part was played.
    fn new(what: &'static str) -> Option<Self> {
        if let Ok(part) = std::env::var(inside::PART) {
            inside::play(&part);
            return None;
        }
        let missing = NEEDS.iter().find(|program| !Path::new(program).exists());
        if !is_root() || missing.is_some() {
            skip(what, &format!("it needs root, and {}", missing.unwrap_or(&"nothing else")));
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let etc = temp.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        let hash = Command::new("openssl").args(["passwd", "-6", "-salt", "muster", "right"]).output().unwrap();
        let hash = String::from_utf8(hash.stdout).unwrap();
        for (name, text) in ETC {
            std::fs::write(etc.join(name), text.replace("HASH", hash.trim())).unwrap();
        }
        std::fs::write(temp.path().join("lab.sh"), include_str!("lab.sh")).unwrap();
        std::fs::write(temp.path().join("disks.sh"), include_str!("disks.sh")).unwrap();
        Some(Self(temp, what))
    }

    /// Starts the machine and plays a part on it; `die`: in which step the one who services it is killed. What it said.
    fn start(&self, part: &str, die: &str) -> (bool, String) {
        let exe = std::env::current_exe().unwrap();
        let output = Command::new("/usr/bin/timeout")
            .args([
                "--signal=KILL",
                "30",
                "/usr/bin/unshare",
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "--propagation",
                "private",
                "/bin/sh",
            ])
            .args([self.0.path().join("lab.sh"), self.0.path().to_owned(), exe])
            .args([self.1, part, die])
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success() && said.contains("1 passed"), said)
    }

    fn play(&self, part: &str) {
        let (worked, said) = self.start(part, "");
        assert!(worked, "{part}: {said}");
    }
}

// proves S14 S16: a kill of the agent in each step ends protected at its next start, and what was installed is on the disk.
#[test]
fn a_kill_in_each_step_ends_protected() {
    let Some(lab) = Lab::new("a_kill_in_each_step_ends_protected") else { return };
    lab.play("steps");
}

// proves S16: the same when the whole machine is gone, with its disks as they were at that moment.
#[test]
fn a_power_loss_in_each_step_ends_protected() {
    let Some(lab) = Lab::new("a_power_loss_in_each_step_ends_protected") else { return };
    for step in ["lock", "open", "install", "protect", "verify", "unlock"] {
        let (worked, said) = lab.start("power", step);
        assert!(!worked && !said.contains("panicked"), "{step}: {said}");
        lab.play("after_power");
    }
}

// proves S16: the same with a kernel of its own, which takes with it what it had not written yet.
#[test]
fn a_virtual_machine_that_loses_its_power_in_each_step_starts_protected() {
    let Some(machine) = machine::Machine::new("a_virtual_machine_that_loses_its_power_in_each_step_starts_protected")
    else {
        return;
    };
    let mut part = "machine";
    for step in ["lock", "open", "install", "protect", "verify", "unlock"] {
        machine.start(part, step);
        part = "machine_again";
    }
    machine.start("machine_again", "");
}

// proves S15 I10
#[test]
fn only_administrators_log_on_and_failures_are_counted_once() {
    let Some(lab) = Lab::new("only_administrators_log_on_and_failures_are_counted_once") else { return };
    lab.play("logons");
}

// proves S15: shown with traffic.
#[test]
fn the_firewall_is_closed_but_for_the_site() {
    let Some(lab) = Lab::new("the_firewall_is_closed_but_for_the_site") else { return };
    lab.play("traffic");
}

// proves S14: what users and other programs try while it is open, and what it refuses.
#[test]
fn nobody_else_gets_in_while_it_is_open() {
    let Some(lab) = Lab::new("nobody_else_gets_in_while_it_is_open") else { return };
    lab.play("attacks");
}

// proves S14 S16: the whole way, from a signed policy to a report.
#[test]
fn an_agent_services_its_machine() {
    let Some(lab) = Lab::new("an_agent_services_its_machine") else { return };
    lab.play("agent");
}
