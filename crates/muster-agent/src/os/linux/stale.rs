//! Programs that still run what an update replaced: their maps name files that are not there any more under their name.
//!
//! Root sees all programs of the machine; another user those of its own. Programs in a container have another root: the files of
//! their image are not this system's.

use super::files::{Files, TABLE_BYTES};
use crate::os::facts::Stale;
use std::collections::BTreeSet;

/// Programs that are looked at.
const PROGRAMS: usize = 32_768;
/// Names that are kept.
const NAMES: usize = 16;
/// Where a system keeps what its packages bring. What programs make for themselves lies elsewhere.
const SYSTEM: &[&str] = &["/usr/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/bin/", "/sbin/", "/opt/"];
/// What the kernel appends to the name of a file that is gone.
const GONE: &[u8] = b" (deleted)";

/// Looks at all of them. `None`: there is no list of them.
pub fn stale(files: &Files) -> Option<Stale> {
    let programs = files.names("/proc").ok()?.into_iter().filter_map(|name| name.parse::<u32>().ok());
    let root = files.identity("/");
    let (mut found, mut names) = (Stale::default(), BTreeSet::new());
    for program in programs.take(PROGRAMS) {
        let below = format!("/proc/{program}");
        // One that ended meanwhile, one of somebody else, and one with more maps than a kernel allows say nothing.
        let Ok(maps) = files.bytes(&format!("{below}/maps"), TABLE_BYTES) else { continue };
        if !maps.split(|byte| *byte == b'\n').any(is_replaced) {
            continue;
        }
        let own = files.identity(&format!("{below}/root/"));
        if own.is_some() && own != root {
            continue;
        }
        found.programs += 1;
        found.system |= program == 1;
        let name = files.line(&format!("{below}/comm")).unwrap_or_default();
        names.insert(name.chars().filter(|c| !c.is_control()).take(32).collect::<String>());
    }
    found.names = names.into_iter().filter(|name| !name.is_empty()).take(NAMES).collect();
    Some(found)
}

/// Whether a line of maps is code of the system that is not there any more: `7f0a..-7f0b.. r-xp 00000000 08:01 131 /usr/lib/libc.so.6 (deleted)`.
fn is_replaced(line: &[u8]) -> bool {
    let Some(line) = line.strip_suffix(GONE) else { return false };
    let Some(path) = line.iter().position(|byte| *byte == b'/').map(|at| &line[at..]) else { return false };
    let may = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    may.get(2) == Some(&b'x') && SYSTEM.iter().any(|place| path.starts_with(place.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::symlink, path::Path, process::Command};

    const GOOD: &str =
        "7f00-7f01 r-xp 00000000 08:01 131 /usr/lib/libssl.so.3\n7f01-7f02 rw-p 00000000 00:00 0 [heap]\n";

    fn program(root: &Path, id: &str, name: &str, maps: &str) {
        let place = root.join("proc").join(id);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("maps"), maps).unwrap();
        std::fs::write(place.join("comm"), format!("{name}\n")).unwrap();
    }

    #[test]
    fn code_of_the_system_that_was_replaced_is_found_and_nothing_else() {
        let line = |text: &str| is_replaced(text.as_bytes());
        assert!(line("7f00-7f01 r-xp 00000000 08:01 131    /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)"));
        assert!(line("7f00-7f01 r-xp 00000000 08:01 131 /usr/sbin/a name with spaces (deleted)"));
        assert!(line("7f00-7f01 r-xp 00000000 fd:00 9 /usr/lib64/libc.so.6;5f3a (deleted)"), "as rpm renames");
        for other in [
            "7f00-7f01 r-xp 00000000 08:01 131 /usr/lib/libssl.so.3",
            "7f00-7f01 r--p 00000000 08:01 131 /usr/share/locale.mo (deleted)",
            "7f00-7f01 rwxs 00000000 00:01 2 /memfd:jit (deleted)",
            "7f00-7f01 rw-s 00000000 00:01 2 /dev/zero (deleted)",
            "7f00-7f01 r-xp 00000000 08:01 131 /tmp/plugin.so (deleted)",
            "7f00-7f01 r-xp 00000000 08:01 131 /home/ada/usr/lib/x.so (deleted)",
            "7f00-7f01 r-xp 00000000 00:00 0 (deleted)",
            "(deleted)",
            "",
        ] {
            assert!(!line(other), "{other}");
        }
    }

    #[test]
    fn programs_are_counted_and_named_and_those_of_containers_are_not() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        let gone = format!("{GOOD}7f03-7f04 r-xp 00000000 08:01 7 /usr/lib/libssl.so.3 (deleted)\n");
        std::fs::create_dir(root.join("image")).unwrap();
        assert_eq!(stale(&Files::open(root).unwrap()), None, "nothing is known");
        program(root, "1", "systemd", GOOD);
        program(root, "20", "sshd", &gone);
        program(root, "21", "sshd", &gone);
        program(root, "300", "ng\x1binx", &gone);
        program(root, "301", "cron", GOOD);
        program(root, "400", "contained", &gone);
        symlink("/image", root.join("proc/400/root")).unwrap();
        symlink("/", root.join("proc/20/root")).unwrap();
        std::fs::create_dir_all(root.join("proc/500/maps")).unwrap();
        std::fs::write(root.join("proc/meminfo"), "").unwrap();
        let found = stale(&Files::open(root).unwrap()).unwrap();
        assert_eq!(found, Stale { programs: 3, names: vec!["nginx".into(), "sshd".into()], system: false });
        program(root, "1", "systemd", &gone);
        assert!(stale(&Files::open(root).unwrap()).unwrap().system);
    }

    #[test]
    fn maps_without_end_are_passed_over_and_names_are_few() {
        let temp = tempfile::tempdir().unwrap();
        let line = "7f03-7f04 r-xp 00000000 08:01 7 /usr/lib/libssl.so.3 (deleted)\n";
        program(temp.path(), "2", "huge", &line.repeat(usize::try_from(TABLE_BYTES).unwrap() / line.len() + 1));
        (10..40).for_each(|id| program(temp.path(), &id.to_string(), &format!("p{id}"), line));
        let found = stale(&Files::open(temp.path()).unwrap()).unwrap();
        assert_eq!((found.programs, found.names.len()), (30, NAMES));
    }

    // A real program of this machine whose file is replaced while it runs.
    #[test]
    fn a_program_that_runs_a_replaced_file_is_found_on_this_machine() {
        let place = Path::new("/usr/local/lib/muster-stale-test");
        if !crate::os::is_root() || std::fs::create_dir_all(place).is_err() {
            return;
        }
        let program = place.join(format!("sleeper{}", std::process::id()));
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program).arg("60").spawn().unwrap();
        let maps = |id: u32| std::fs::read(format!("/proc/{id}/maps")).unwrap();
        let before = maps(child.id()).split(|byte| *byte == b'\n').any(is_replaced);
        std::fs::remove_dir_all(place).unwrap();
        // What is renamed and mounted elsewhere meanwhile may hide a program from one look, and not from many.
        let looks = std::iter::repeat_with(|| stale(&Files::open(Path::new("/")).unwrap()).unwrap());
        let found = looks.take(50).find(|found| found.programs > 0).unwrap_or_default();
        let after = maps(child.id()).split(|byte| *byte == b'\n').any(is_replaced);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!before && after && found.programs > 0, "{found:?}");
    }
}
