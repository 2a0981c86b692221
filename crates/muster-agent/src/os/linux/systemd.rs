//! Services of systemd: unit files by directory order, what is wanted at start, and what has processes now.

use super::{
    files::{Files, LINE_BYTES, TEXT_BYTES},
    sysv::pid_file,
    unit::Unit,
};
use crate::os::facts::{Gaps, Service, StartMode};
use std::collections::{BTreeMap, BTreeSet};

/// Where units are, the strongest first. Units below `/etc` and `/run` are the administrator's.
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Targets that are not reached when the system starts.
const NOT_AT_START: [&str; 10] =
    ["initrd", "reboot", "halt", "poweroff", "kexec", "shutdown", "final", "rescue", "emergency", "system-update"];
/// The control groups of services: version 2, then version 1.
const GROUPS: [&str; 3] =
    ["/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/unified/system.slice", "/sys/fs/cgroup/systemd/system.slice"];
/// Slices in slices that are followed.
const DEPTH: u32 = 4;
/// Services that are taken.
const SERVICES: usize = 5_000;

/// All services, and the names that belong to systemd (aliases and masked ones too).
#[derive(Debug, Default)]
pub struct Found {
    /// The services.
    pub services: Vec<Service>,
    /// Every name, without `.service`.
    pub names: BTreeSet<String>,
}

/// What the unit directories hold.
#[derive(Default)]
struct Index {
    /// Unit name (with `.service`) to its files, the strongest first.
    units: BTreeMap<String, Vec<String>>,
    /// Unit name to its drop-in directories, the weakest first.
    drop_ins: BTreeMap<String, Vec<String>>,
    /// Names that a target wants.
    wanted: BTreeSet<String>,
}

/// The services of this machine; `None` when it has no systemd units.
pub fn services(files: &Files, gaps: &mut Gaps) -> Option<Found> {
    let index = index(files);
    if index.units.is_empty() {
        return None;
    }
    let running = files.exists("/run/systemd/system").then(|| running(files)).flatten();
    let instances = index.wanted.iter().filter(|name| template_of(name).is_some_and(|t| index.units.contains_key(&t)));
    let names: BTreeSet<&String> = index.units.keys().chain(instances).collect();
    let mut found = Found::default();
    let mut unreadable = 0_usize;
    for name in names.into_iter().take(SERVICES) {
        let short = name.trim_end_matches(".service");
        found.names.insert(short.to_owned());
        if let Some((mut unit, masked)) = index.unit(files, name, &mut unreadable) {
            unit.name_is(short);
            let start = match (masked, index.wanted.contains(name)) {
                (true, _) => StartMode::Disabled,
                (false, true) => StartMode::Auto,
                (false, false) => StartMode::Manual,
            };
            let state = match &running {
                Some(running) => Some(running.contains(name)),
                None => pid_file(files, short, None),
            };
            found.services.push(Service {
                name: short.to_owned(),
                description: unit.description,
                command: unit.program,
                account: unit.user.or_else(|| (!masked).then(|| "root".to_owned())),
                start,
                running: state,
            });
        }
    }
    if unreadable > 0 {
        gaps.push(format!("{unreadable} unit files could not be read; run the agent as root."));
    }
    Some(found)
}

fn index(files: &Files) -> Index {
    let mut index = Index::default();
    // `/lib` is a link to `/usr/lib` on every recent system: the same files are not read twice.
    let merged = files.link("/lib").is_some();
    for directory in DIRECTORIES.into_iter().filter(|d| !(merged && d.starts_with("/lib/"))) {
        for name in files.names(directory).unwrap_or_default() {
            let path = format!("{directory}/{name}");
            if name.ends_with(".service") {
                index.units.entry(name).or_default().push(path);
            } else if let Some(unit) = name.strip_suffix(".d").filter(|n| n.ends_with(".service")) {
                index.drop_ins.entry(unit.to_owned()).or_default().insert(0, path);
            } else if let Some(target) = name.strip_suffix(".wants").or_else(|| name.strip_suffix(".requires"))
                && !NOT_AT_START.iter().any(|t| target.starts_with(t))
            {
                let wanted = files.names(&path).unwrap_or_default();
                index.wanted.extend(wanted.into_iter().filter(|n| n.ends_with(".service")));
            }
        }
    }
    index
}

/// `getty@tty1.service` is made from `getty@.service`.
fn template_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    (rest != ".service").then(|| format!("{prefix}@.service"))
}

impl Index {
    /// The unit and whether the administrator has masked it; `None` for what is no service of its own: a template,
    /// an alias, a name that the distribution has masked.
    fn unit(&self, files: &Files, name: &str, unreadable: &mut usize) -> Option<(Unit, bool)> {
        if name.ends_with("@.service") {
            return None;
        }
        let template = template_of(name);
        let own = self.units.get(name).map(Vec::as_slice).unwrap_or_default();
        let from_template = template.as_ref().and_then(|t| self.units.get(t)).map(Vec::as_slice).unwrap_or_default();
        let strongest = own.first().or(from_template.first())?;
        let target = files.link_name(strongest);
        let empty = files.size(strongest) == Some(0);
        let masked = target.as_deref() == Some("null") || empty;
        let by_administrator = strongest.starts_with("/etc/") || strongest.starts_with("/run/");
        if masked && !by_administrator {
            return None;
        }
        let alias = target.is_some_and(|t| t != "null" && t != name && Some(t.as_str()) != template.as_deref());
        if alias && !from_template.contains(strongest) {
            return None;
        }
        let mut unit = Unit::default();
        let text = own.iter().chain(from_template).nth(usize::from(masked));
        match text.map(|path| files.bytes(path, TEXT_BYTES)) {
            Some(Ok(bytes)) => unit.parse_over(&bytes),
            Some(Err(_)) => *unreadable += 1,
            None => {}
        }
        for directory in [template.as_deref(), Some(name)].into_iter().flatten().filter_map(|n| self.drop_ins.get(n)) {
            for drop_in in directory {
                for file in files.names(drop_in).unwrap_or_default().iter().filter(|f| f.ends_with(".conf")) {
                    if let Ok(bytes) = files.bytes(&format!("{drop_in}/{file}"), TEXT_BYTES) {
                        unit.parse_over(&bytes);
                    }
                }
            }
        }
        Some((unit, masked))
    }
}

/// Names of the services that have processes; `None` when the control groups cannot be seen.
fn running(files: &Files) -> Option<BTreeSet<String>> {
    let slice = GROUPS.into_iter().find(|path| files.exists(path))?;
    let mut found = BTreeSet::new();
    walk(files, slice, DEPTH, &mut found);
    Some(found)
}

fn walk(files: &Files, slice: &str, depth: u32, found: &mut BTreeSet<String>) {
    for name in files.names(slice).unwrap_or_default() {
        let path = format!("{slice}/{name}");
        if name.ends_with(".slice") && depth > 0 {
            walk(files, &path, depth - 1, found);
        } else if name.ends_with(".service") && populated(files, &path) {
            found.insert(name);
        }
    }
}

fn populated(files: &Files, group: &str) -> bool {
    match files.bytes(&format!("{group}/cgroup.events"), LINE_BYTES) {
        Ok(events) => events.split(|b| *b == b'\n').any(|line| line == b"populated 1"),
        Err(_) => files.line(&format!("{group}/cgroup.procs")).is_some(),
    }
}
