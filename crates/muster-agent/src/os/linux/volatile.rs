//! Files that never reach a disk: private directories on a file system that lives in memory, one for each thing that needs some.
//!
//! Others can write where these are made, so a name is never known beforehand, and a directory is reached from its parent's handle only.

use crate::os::PrivateDirectory;
use std::{
    io,
    path::{Path, PathBuf},
};

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of `statfs(2)`.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A new private directory in memory for `what`, of the agent whose state directory is `state`.
///
/// # Errors
/// When the system has no file system in memory that this user can write to.
pub fn volatile_directory(state: &Path, what: &str) -> io::Result<PrivateDirectory> {
    let mut random = [0; 8];
    muster_trust::random(&mut random).map_err(io::Error::other)?;
    let name = format!("{}{what}-{:016x}", prefix(state), u64::from_le_bytes(random));
    let mut why = io::Error::other("this system has no file system in memory that the agent can use");
    for place in places() {
        match PrivateDirectory::make_below(&place, &name, in_memory) {
            Ok(directory) => return Ok(directory),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// What is there for `what`.
#[must_use]
pub fn volatile_find(state: &Path, what: &str) -> Option<PrivateDirectory> {
    all(state).into_iter().find(|(_, of)| of == what).map(|(directory, _)| directory)
}

/// Removes what is there for anything that is not to be kept.
///
/// # Errors
/// When the system refuses.
pub fn volatile_sweep(state: &Path, keep: impl Fn(&str) -> bool) -> io::Result<()> {
    for (directory, what) in all(state) {
        if !keep(&what) {
            std::fs::remove_dir_all(directory.path())?;
        }
    }
    Ok(())
}

/// Everything of this agent, and what it is for. What somebody else put there under such a name is not ours.
fn all(state: &Path) -> Vec<(PrivateDirectory, String)> {
    let prefix = prefix(state);
    let mut found = Vec::new();
    for place in places() {
        let names = std::fs::read_dir(&place).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        for name in names.filter(|name| name.starts_with(&prefix)) {
            let what = name[prefix.len()..].rsplit_once('-').map(|(what, _)| what.to_owned());
            let directory = PrivateDirectory::open_below(&place, &name, in_memory).ok();
            found.extend(directory.zip(what));
        }
    }
    found
}

fn prefix(state: &Path) -> String {
    let digest = muster_trust::sha256(state.as_os_str().as_encoded_bytes()).to_string();
    format!("muster-agent-{}-", &digest[..16])
}

fn places() -> impl Iterator<Item = PathBuf> {
    let own = match rustix::process::geteuid().as_raw() {
        0 => PathBuf::from("/run"),
        user => PathBuf::from(format!("/run/user/{user}")),
    };
    [own, PathBuf::from("/dev/shm")].into_iter()
}

fn in_memory(file_system: u64) -> bool {
    IN_MEMORY.contains(&file_system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_volatile_is_in_memory_and_goes_without_a_trace() {
        let state = tempfile::tempdir().unwrap();
        let one = volatile_directory(state.path(), "one").unwrap();
        let two = volatile_directory(state.path(), "two").unwrap();
        one.write("secret", b"x").unwrap();
        assert_eq!(volatile_find(state.path(), "one").unwrap().path(), one.path());
        let parent = one.path().parent().unwrap();
        let kind = rustix::fs::statfs(parent).unwrap().f_type;
        assert!(in_memory(u64::try_from(kind).unwrap()), "{parent:?}");

        // Others' names: a link to a directory of ours, and a directory that anybody can read.
        let elsewhere = PrivateDirectory::open(&state.path().join("elsewhere")).unwrap();
        let link = parent.join(format!("{}three-0000000000000000", prefix(state.path())));
        symlink(elsewhere.path(), &link).unwrap();
        assert!(volatile_find(state.path(), "three").is_none());
        volatile_sweep(state.path(), |what| what == "two").unwrap();
        assert!(!one.path().exists() && two.path().exists() && elsewhere.path().exists());
        std::fs::remove_file(link).unwrap();
        volatile_sweep(state.path(), |_| false).unwrap();
        assert!(volatile_find(state.path(), "two").is_none());
    }
}
