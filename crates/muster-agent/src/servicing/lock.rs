//! Who may log on while the write filter is off: administrators. Everybody else reads why not, and until when.
//!
//! `pam_nologin` does it, with `/run/nologin`, which is gone after a restart. Whether the machine's doors ask it is looked at before.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// How the message begins; a file that begins otherwise is somebody else's.
const HEAD: &str = "This computer is being serviced";
const NAME: &str = "nologin";
/// Where it is made.
const MADE: &str = "nologin.muster";
/// Services of PAM by which people log on.
const DOORS: [&str; 10] = [
    "login",
    "sshd",
    "remote",
    "gdm-password",
    "gdm-autologin",
    "lightdm",
    "lightdm-autologin",
    "sddm",
    "xdm",
    "cockpit",
];
/// Bytes of a file of PAM.
const PAM_BYTES: u64 = 64 << 10;

/// What people read who want to log on.
#[must_use]
pub fn message(until: &str) -> String {
    format!(
        "{HEAD} until {until} at the latest.\nOnly administrators can log on until then. Nothing is wrong with your password.\n"
    )
}

/// Looks whether every door of this machine asks `pam_nologin`. `Err`: the one that does not.
///
/// # Errors
/// The name of a door that would stay open.
pub(super) fn check(pam: &Path) -> Result<(), String> {
    for door in DOORS {
        let path = pam.join(door);
        if path.exists() && !asks(pam, &path, 4) {
            return Err(door.to_owned());
        }
    }
    Ok(())
}

fn asks(pam: &Path, path: &Path, depth: usize) -> bool {
    let Ok(file) = fs::File::open(path) else { return false };
    let mut text = String::new();
    if file.take(PAM_BYTES).read_to_string(&mut text).is_err() {
        return false;
    }
    text.lines().any(|line| {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_ascii_whitespace().collect();
        match words.as_slice() {
            ["@include", other] => depth > 0 && !other.contains('/') && asks(pam, &pam.join(other), depth - 1),
            ["auth" | "account", rest @ ..] => {
                // Where it may be skipped for administrators, the line before it says so and this one stays.
                let must = rest.first().is_some_and(|control| matches!(*control, "required" | "requisite"));
                must && rest.iter().any(|word| word.ends_with("pam_nologin.so"))
            }
            _ => false,
        }
    })
}

/// Locks everybody out but administrators.
///
/// # Errors
/// Also when they are locked out already, for another reason: the machine is on its way up or down.
pub(super) fn lock(run: &Path, message: &str) -> io::Result<()> {
    let whole = run.join(MADE);
    match fs::remove_file(&whole) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&whole)?;
    file.write_all(message.as_bytes())?;
    // There at once and whole: an empty one is somebody else's. A link takes nobody's place.
    let linked = fs::hard_link(&whole, run.join(NAME));
    fs::remove_file(&whole)?;
    linked
}

/// Lets them in again. What somebody else put there stays.
///
/// # Errors
/// When the system refuses.
pub(super) fn unlock(run: &Path) -> io::Result<()> {
    let path = run.join(NAME);
    match is_locked(run)? {
        true => fs::remove_file(path),
        false => Ok(()),
    }
}

/// Whether they are locked out by us.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn is_locked(run: &Path) -> io::Result<bool> {
    let mut start = vec![0; HEAD.len()];
    match fs::File::open(run.join(NAME)) {
        Ok(mut file) => match file.read_exact(&mut start) {
            Ok(()) => Ok(start == HEAD.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_locked_stays_locked() {
        let run = tempfile::tempdir().unwrap();
        lock(run.path(), &message("11:30")).unwrap();
        assert!(is_locked(run.path()).unwrap() && lock(run.path(), "x").is_err(), "once");
        unlock(run.path()).unwrap();
        unlock(run.path()).unwrap();
        fs::write(run.path().join(NAME), "System is going down.").unwrap();
        assert!(lock(run.path(), &message("11:30")).is_err());
        unlock(run.path()).unwrap();
        assert!(run.path().join(NAME).exists());
        fs::write(run.path().join(NAME), "").unwrap();
        assert!(lock(run.path(), &message("11:30")).is_err(), "an empty one locks as well");
        unlock(run.path()).unwrap();
        assert!(run.path().join(NAME).exists() && !run.path().join(MADE).exists());
    }

    #[test]
    fn a_door_that_does_not_ask_is_found() {
        let pam = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(pam.path().join(name), text).unwrap();
        assert_eq!(check(pam.path()), Ok(()), "there is no door");
        write("login", "auth required pam_unix.so\naccount requisite pam_nologin.so # all\n");
        write("common", "account required pam_nologin.so\n");
        write("sshd", "@include common\n");
        assert_eq!(check(pam.path()), Ok(()));
        for open in [
            "account required pam_unix.so\n# account required pam_nologin.so\n",
            "account optional pam_nologin.so\n",
            "@include sshd\n",
        ] {
            write("sshd", open);
            assert_eq!(check(pam.path()), Err("sshd".to_owned()), "{open}");
        }
    }
}
