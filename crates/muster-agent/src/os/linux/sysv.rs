//! Services that start by script: System V init, and OpenRC, which is what Alpine has.

use super::files::{Files, TEXT_BYTES};
use crate::os::facts::{Service, StartMode};
use std::collections::BTreeSet;

/// Scripts that are no services.
const NO_SERVICES: [&str; 12] = [
    "README",
    "skeleton",
    "functions",
    "functions.sh",
    "rc",
    "rcS",
    "halt",
    "reboot",
    "single",
    "sendsigs",
    "umountfs",
    "umountroot",
];
/// Services that are taken.
const SERVICES: usize = 2_000;
/// Lines of a script's head that are looked at.
const HEAD_LINES: usize = 100;

/// The services of this machine that `known` does not have already.
pub fn services(files: &Files, known: &BTreeSet<String>) -> Vec<Service> {
    let scripts = files.names("/etc/init.d").unwrap_or_default();
    let starts = starts(files);
    let open_rc = files.exists("/run/openrc/softlevel");
    let mut found = Vec::new();
    for script in scripts.iter().take(SERVICES) {
        let name = script.strip_suffix(".sh").unwrap_or(script);
        if NO_SERVICES.contains(&script.as_str()) || script.contains(".dpkg-") || known.contains(name) {
            continue;
        }
        let Ok(bytes) = files.bytes(&format!("/etc/init.d/{script}"), TEXT_BYTES) else { continue };
        if !bytes.starts_with(b"#!") {
            continue;
        }
        let head = parse_script(&bytes);
        found.push(Service {
            name: name.to_owned(),
            running: match open_rc {
                true => Some(files.link(&format!("/run/openrc/started/{script}")).is_some()),
                false => pid_file(files, name, head.pid_file.as_deref()),
            },
            description: head.description,
            command: head.command,
            account: None,
            start: if starts.contains(script) { StartMode::Auto } else { StartMode::Manual },
        });
    }
    found
}

/// The scripts that a run level starts.
fn starts(files: &Files) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for level in ["S", "2", "3", "4", "5"] {
        for link in files.names(&format!("/etc/rc{level}.d")).unwrap_or_default() {
            // S01name
            if let Some(name) = link.strip_prefix('S').and_then(|l| l.get(2..)) {
                found.insert(name.to_owned());
                found.insert(format!("{name}.sh"));
            }
        }
    }
    for level in ["sysinit", "boot", "default"] {
        found.extend(files.names(&format!("/etc/runlevels/{level}")).unwrap_or_default());
    }
    found
}

/// Whether the process named in a service's PID file lives; `None` when there is no such file.
pub(super) fn pid_file(files: &Files, name: &str, stated: Option<&str>) -> Option<bool> {
    let usual = [format!("/run/{name}.pid"), format!("/run/{name}/{name}.pid"), format!("/var/run/{name}.pid")];
    let pid = stated.into_iter().chain(usual.iter().map(String::as_str)).find_map(|path| files.number(path))?;
    Some(files.exists(&format!("/proc/{pid}")))
}

/// What a start script says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// What it starts, for people.
    pub description: Option<String>,
    /// The program.
    pub command: Option<String>,
    /// Where the process id is kept.
    pub pid_file: Option<String>,
}

/// Reads the comments at the top of a System V script, and the variables of an OpenRC script.
#[must_use]
pub fn parse_script(bytes: &[u8]) -> Script {
    let mut script = Script::default();
    for line in String::from_utf8_lossy(bytes).lines().take(HEAD_LINES) {
        let (comment, text) = match line.strip_prefix('#') {
            Some(comment) => (true, comment.trim()),
            None => (false, line.trim()),
        };
        let Some((name, value)) = text.split_once(if comment { ':' } else { '=' }) else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        // A value with a variable in it would have to be run to be known.
        if value.is_empty() || value.contains(['$', '`']) {
            continue;
        }
        let slot = match (comment, name) {
            (true, "Short-Description") | (false, "description") => &mut script.description,
            (true, "processname") | (false, "command" | "DAEMON") => &mut script.command,
            (true, "pidfile") | (false, "pidfile" | "PIDFILE") => &mut script.pid_file,
            _ => continue,
        };
        if slot.is_none() {
            *slot = Some(value.to_owned());
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_script_say_what_they_start() {
        let lsb = parse_script(
            b"#!/bin/sh\n### BEGIN INIT INFO\n# Provides: dbus\n# Short-Description: D-Bus daemon\n### END INIT INFO\n\
              DAEMON=/usr/bin/dbus-daemon\nPIDFILE=/run/dbus/pid\nPARAMS=\"$X\"\n",
        );
        assert_eq!(lsb.description.as_deref(), Some("D-Bus daemon"));
        assert_eq!(lsb.pid_file.as_deref(), Some("/run/dbus/pid"));
        let open_rc = parse_script(
            b"#!/sbin/openrc-run\ndescription=\"Cron daemon\"\ncommand=\"/usr/sbin/crond\"\npidfile=\"/run/$RC_SVCNAME.pid\"\n",
        );
        assert_eq!(open_rc.command.as_deref(), Some("/usr/sbin/crond"));
        assert_eq!(open_rc.pid_file, None);
    }
}
