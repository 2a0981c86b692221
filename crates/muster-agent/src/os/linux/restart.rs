//! What a Linux system itself says of a restart that it needs, and who works at it.

use super::files::{Files, TEXT_BYTES};
use crate::os::facts::RestartSign;
use std::cmp::Ordering;

/// Where Debian and Ubuntu say that a restart is needed, and for which packages.
const REQUIRED: &[&str] = &["/run/reboot-required", "/var/run/reboot-required"];
/// Names of packages that are shown.
const PACKAGES: usize = 8;
const MODULES: &str = "/lib/modules";
/// Sessions, as logind keeps them: a file for each user.
const USERS: &str = "/run/systemd/users";

/// What the system says.
pub fn signs(files: &Files) -> Vec<RestartSign> {
    required(files).into_iter().chain(kernel(files)).collect()
}

fn required(files: &Files) -> Option<RestartSign> {
    let path = REQUIRED.iter().find(|path| files.exists(path))?;
    let bytes = files.bytes(&format!("{path}.pkgs"), TEXT_BYTES).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut names: Vec<_> = text.lines().map(str::trim).filter(|name| is_word(name)).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(PACKAGES);
    Some(RestartSign::Packages(names))
}

fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "+-._~:".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// A kernel of the same flavour that is newer than the one that runs, with an image to start. Where the kernel that runs is none of this
/// system, as in a container, nothing is said.
fn kernel(files: &Files) -> Option<RestartSign> {
    let running = files.line("/proc/sys/kernel/osrelease")?;
    let has_image = |release: &str| files.exists(&format!("/boot/vmlinuz-{release}"));
    let installed = files.names(MODULES).ok()?;
    if !is_word(&running) || !(installed.contains(&running) || has_image(&running)) {
        return None;
    }
    let newer = installed.into_iter().filter(|release| is_word(release) && is_newer(release, &running));
    let image = |release: &String| has_image(release) || files.exists(&format!("{MODULES}/{release}/vmlinuz"));
    let best = newer.filter(image).max_by(|a, b| compare(a, b))?;
    Some(RestartSign::Kernel { running, installed: best })
}

/// What stands behind the last number: `amd64`, `generic`, `cloud-amd64`.
fn flavour(release: &str) -> &str {
    let words = release.split('-').skip(1).find(|word| !word.starts_with(|c: char| c.is_ascii_digit()));
    words.and_then(|word| release.find(&format!("-{word}"))).map_or("", |at| &release[at..])
}

fn is_newer(release: &str, running: &str) -> bool {
    flavour(release) == flavour(running) && compare(release, running) == Ordering::Greater
}

/// By their numbers, one after the other.
fn compare(a: &str, b: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        let text = text.strip_suffix(flavour(text)).unwrap_or(text).to_owned();
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    numbers(a).cmp(&numbers(b))
}

/// Whether somebody works at the machine. Where nothing says who does, somebody might.
pub fn somebody(files: &Files) -> bool {
    match files.names(USERS) {
        Ok(users) => users.iter().any(|user| user.parse().is_ok_and(|user| has_session(files, user))),
        Err(_) => true,
    }
}

/// Whether this user has a session: at the machine, or from afar.
pub fn has_session(files: &Files, user: u32) -> bool {
    let bytes = files.bytes(&format!("{USERS}/{user}"), TEXT_BYTES).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().any(|line| matches!(line, "STATE=active" | "STATE=online"))
}

/// Whether this user sits at the machine, or works at it alone: then its restart takes nobody else's work.
pub fn may_end_all(files: &Files, user: u32) -> bool {
    let bytes = files.bytes(&format!("{USERS}/{user}"), TEXT_BYTES).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let has_seat = text.lines().filter_map(|line| line.strip_prefix("SEATS=")).any(|seats| !seats.trim().is_empty());
    let others = files.names(USERS).unwrap_or_default();
    let mut others = others.iter().filter_map(|name| name.parse().ok()).filter(|other| *other != user);
    has_session(files, user) && (has_seat || !others.any(|other| has_session(files, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let temp = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = temp.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let files = Files::open(temp.path()).unwrap();
        (temp, files)
    }

    #[test]
    fn packages_that_want_a_restart_are_named() {
        assert_eq!(signs(&tree(&[]).1), []);
        let required = ("run/reboot-required", "*** System restart required ***\n");
        assert_eq!(signs(&tree(&[required]).1), [RestartSign::Packages(vec![])]);
        let names = ("run/reboot-required.pkgs", "linux-base\nlibc6\n\x1b[2J\nlibc6\n\n");
        let found = signs(&tree(&[required, names]).1);
        assert_eq!(found, [RestartSign::Packages(vec!["libc6".into(), "linux-base".into()])]);
    }

    #[test]
    fn only_a_newer_kernel_of_the_same_flavour_that_can_start_counts() {
        let running = ("proc/sys/kernel/osrelease", "6.1.0-9-amd64\n");
        let own = ("lib/modules/6.1.0-9-amd64/modules.dep", "");
        let found = |more: &[&str]| {
            let more = more.iter().map(|name| (*name, ""));
            signs(&tree(&[running, own].into_iter().chain(more).collect::<Vec<_>>()).1)
        };
        assert_eq!(found(&[]), []);
        assert_eq!(found(&["lib/modules/6.1.0-18-amd64/modules.dep"]), [], "without an image");
        assert_eq!(found(&["lib/modules/6.1.0-8-amd64/x", "boot/vmlinuz-6.1.0-8-amd64"]), [], "older");
        assert_eq!(found(&["lib/modules/6.1.0-18-rt-amd64/x", "boot/vmlinuz-6.1.0-18-rt-amd64"]), [], "another");
        let newer = ["lib/modules/6.1.0-18-amd64/x", "boot/vmlinuz-6.1.0-18-amd64"];
        let sign = RestartSign::Kernel { running: "6.1.0-9-amd64".into(), installed: "6.1.0-18-amd64".into() };
        assert_eq!(found(&newer), [sign], "18 is more than 9");
        let foreign = tree(&[running, (newer[0], ""), (newer[1], "")]);
        assert_eq!(signs(&foreign.1), [], "the kernel that runs is none of this system");
    }

    #[test]
    fn who_has_a_session_works_at_the_machine() {
        assert!(somebody(&tree(&[]).1), "nobody knows");
        let closing = ("run/systemd/users/1000", "NAME=ada\nSTATE=closing\n");
        assert!(!somebody(&tree(&[closing]).1));
        let (_temp, files) = tree(&[closing, ("run/systemd/users/1001", "STATE=active\n")]);
        assert!(somebody(&files) && has_session(&files, 1001) && !has_session(&files, 1000) && !has_session(&files, 7));
    }

    #[test]
    fn who_came_from_afar_does_not_end_the_work_of_others() {
        let ada = ("run/systemd/users/1000", "STATE=active\nSEATS=\n");
        let bob = ("run/systemd/users/1001", "STATE=active\nSEATS=seat0\n");
        let (_temp, alone) = tree(&[ada, ("run/systemd/users/1002", "STATE=closing\n")]);
        assert!(may_end_all(&alone, 1000) && !may_end_all(&alone, 1002));
        let (_temp, both) = tree(&[ada, bob]);
        assert!(!may_end_all(&both, 1000) && may_end_all(&both, 1001));
    }
}
