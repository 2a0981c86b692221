//! Files that never reach a disk: private directories on a file system that lives in memory.

use crate::os::PrivateDirectory;
use std::{
    io,
    path::{Path, PathBuf},
};

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of `statfs(2)`.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A private directory in memory for the agent whose state directory is `state`, made where it is not there.
///
/// # Errors
/// When the system has no file system in memory that this user can write to, or somebody stands in the way.
pub fn volatile_directory(state: &Path) -> io::Result<PrivateDirectory> {
    let mut why = io::Error::other("this system has no file system in memory that the agent can use");
    for path in places(state) {
        if !path.parent().is_some_and(in_memory) {
            continue;
        }
        match PrivateDirectory::open(&path) {
            Ok(directory) => return Ok(directory),
            Err(error) => why = io::Error::other(error),
        }
    }
    Err(why)
}

/// What is there under `name`. `None`: nothing.
///
/// # Errors
/// When somebody stands in the way.
pub fn volatile_find(state: &Path, name: &str) -> io::Result<Option<PrivateDirectory>> {
    let mut found = places(state).filter(|path| path.join(name).symlink_metadata().is_ok());
    let Some(path) = found.next() else { return Ok(None) };
    let directory = PrivateDirectory::open(&path).and_then(|directory| directory.directory(name));
    directory.map(Some).map_err(io::Error::other)
}

/// Removes what is there under `name`, and the directory when it is empty then.
///
/// # Errors
/// When the system refuses.
pub fn volatile_clean(state: &Path, name: &str) -> io::Result<()> {
    for path in places(state).filter(|path| path.symlink_metadata().is_ok_and(|found| found.is_dir())) {
        // Somebody else's is not ours to clean.
        let Ok(directory) = PrivateDirectory::open(&path) else { continue };
        directory.remove_directory(name)?;
        // Not empty: another installation's.
        let _ = std::fs::remove_dir(&path);
    }
    Ok(())
}

/// Removes everything that is there: the agent leaves its site, and nothing runs any more.
///
/// # Errors
/// When the system refuses.
pub fn volatile_forget(state: &Path) -> io::Result<()> {
    for path in places(state).filter(|path| path.symlink_metadata().is_ok_and(|found| found.is_dir())) {
        // Somebody else's is not ours to remove.
        if PrivateDirectory::open(&path).is_ok() {
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

fn places(state: &Path) -> impl Iterator<Item = PathBuf> {
    let digest = muster_trust::sha256(state.as_os_str().as_encoded_bytes()).to_string();
    let name = format!("muster-agent-{}", &digest[..16]);
    let own = match rustix::process::geteuid().as_raw() {
        0 => Some(PathBuf::from("/run")),
        user => Some(PathBuf::from(format!("/run/user/{user}"))),
    };
    own.into_iter().chain([PathBuf::from("/dev/shm")]).map(move |place| place.join(&name))
}

fn in_memory(place: &Path) -> bool {
    rustix::fs::statfs(place).is_ok_and(|found| IN_MEMORY.contains(&u64::try_from(found.f_type).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_volatile_is_in_memory_and_goes_without_a_trace() {
        let state = tempfile::tempdir().unwrap();
        let directory = volatile_directory(state.path()).unwrap();
        assert!(in_memory(directory.path()), "{:?}", directory.path());
        assert!(!in_memory(Path::new("/proc")));
        directory.directory("one").unwrap().write("secret", b"x").unwrap();
        volatile_clean(state.path(), "one").unwrap();
        assert!(!directory.path().exists());
        volatile_clean(state.path(), "one").unwrap();
    }
}
