//! `prepare-image`: before an image of this machine is taken, everything that makes it one client is removed, and it is shown
//! that nothing is left. Machines that start from the image enrol by themselves, each with a key of its own.

use crate::{
    agent::StartError,
    identity::{self, IdentityError},
    run,
};
use muster_model::id::Hash;
use serde::Serialize;
use std::{
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

/// `O_NOFOLLOW`.
const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Why the image is not prepared.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The state directory cannot be held: the agent runs, or others can reach into it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The identity on disk.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Something could not be removed.
    #[error("{name} in {directory} could not be removed: {error}; take no image before this command succeeds")]
    Remove {
        /// The state directory.
        directory: String,
        /// What.
        name: String,
        /// The system's reason.
        error: io::Error,
    },
    /// Something is there after everything was removed.
    #[error("{} is in the state directory again; stop what writes there, and take no image before this command succeeds", .0.join(", "))]
    Left(Vec<String>),
    /// Nobody agreed.
    #[error(
        "nothing was removed. This machine stops being a client of its site: its key, certificate, waiting messages, policy and cache go. To do that: muster-agent prepare-image --yes"
    )]
    Unasked,
}

/// What was removed.
#[derive(Debug, Serialize)]
pub struct Prepared {
    /// The key that this machine gave up; a site can retire its device.
    pub key: Option<Hash>,
    /// What was removed from the state directory.
    pub removed: Vec<String>,
    /// What is left there: nothing, or this would be an error.
    pub left: Vec<String>,
    /// What else makes copies of this machine look alike, and what to do about it.
    pub advice: Vec<String>,
}

/// Removes key, certificate, identity, outbox, policy and cache, and looks again whether all is gone.
///
/// # Errors
/// See [`ImageError`].
pub fn prepare(state: &Path, yes: bool, machine_id: &Path) -> Result<Prepared, ImageError> {
    if !yes {
        return Err(ImageError::Unasked);
    }
    let held = run::hold(state)?;
    let directory = &held.directory;
    let enterprise = identity::Identity::load(directory).ok().flatten().and_then(|identity| identity.enterprise);
    // A key that cannot be read is removed as well.
    let key = identity::key_id(directory).unwrap_or_default();
    let fail = |name: &str| {
        let (directory, name) = (directory.path().display().to_string(), name.to_owned());
        move |error| ImageError::Remove { directory, name, error }
    };
    let mut removed = directory.names().map_err(fail("."))?;
    removed.sort_unstable();
    // The key first: whatever stops this in between, nothing can speak as this machine any more. The lock last, so that no agent starts.
    removed.sort_by_key(|name| (name == run::LOCK, !name.contains("key")));
    crate::os::volatile_sweep(&directory.path().join("run"), |_| false).map_err(fail("run"))?;
    for name in &removed {
        wipe(&directory.path().join(name)).map_err(fail(name))?;
    }
    std::fs::File::open(directory.path()).and_then(|handle| handle.sync_all()).map_err(fail("."))?;
    let left = directory.names().map_err(fail("."))?;
    if !left.is_empty() {
        return Err(ImageError::Left(left));
    }
    let mut advice = advice(machine_id);
    if let Some(enterprise) = enterprise {
        advice.push(format!(
            "The enterprise's certificates and keys in {} are not this client's to remove: take the machine's own away before the image \
             is taken",
            enterprise.path.display()
        ));
    }
    Ok(Prepared { key, removed, left, advice })
}

/// Removes a file, link or directory with everything in it. The bytes of files are overwritten before their names go, so that they are not
/// in an image of the disk's blocks. Nobody else reaches into the state directory, so paths in it mean what they say.
pub(crate) fn wipe(path: &Path) -> io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    if found.is_dir() {
        for entry in std::fs::read_dir(path)? {
            wipe(&entry?.path())?;
        }
        return std::fs::remove_dir(path);
    }
    if found.is_file() {
        if found.nlink() != 1 {
            return Err(io::Error::other("it has a second name somewhere else, under which its bytes would stay"));
        }
        let file = std::fs::File::options().write(true).custom_flags(NOFOLLOW).open(path)?;
        io::copy(&mut io::Read::take(io::repeat(0), found.len()), &mut &file)?;
        file.sync_all()?;
    }
    // What a link leads to is not ours.
    std::fs::remove_file(path)
}

fn advice(machine_id: &Path) -> Vec<String> {
    let mut advice = vec![
        "Take the image of the files, or trim the disk first: file systems keep old blocks of files that were rewritten before."
            .to_owned(),
    ];
    let id = std::fs::read_to_string(machine_id).unwrap_or_default();
    if !matches!(id.trim(), "" | "uninitialized") {
        advice.push(format!(
            "{0} is not empty, so machines from this image would have one hardware id; run: truncate -s 0 {0}, and remove \
             /var/lib/dbus/machine-id where that is a file of its own",
            machine_id.display()
        ));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::PrivateDirectory;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_left_and_nothing_else_is_touched() {
        // proves S8: no key, certificate, identity, message or cached file goes into an image.
        let temp = tempfile::tempdir().unwrap();
        let (state, outside) = (temp.path().join("state"), temp.path().join("outside"));
        let machine_id = temp.path().join("machine-id");
        std::fs::write(&machine_id, "0123\n").unwrap();
        std::fs::write(&outside, "not ours").unwrap();
        let directory = PrivateDirectory::open(&state).unwrap();
        for name in ["device.key", "identity.json", "agent.db", "agent.db-wal"] {
            directory.write(name, b"secret of this machine").unwrap();
        }
        let cache = directory.directory("cache").unwrap();
        cache.write("0a1b", b"content").unwrap();
        symlink(&outside, state.join("link")).unwrap();
        // The bytes of a file are seen through a second handle, after its name is gone.
        let cached = std::fs::File::open(state.join("cache/0a1b")).unwrap();

        assert!(matches!(prepare(&state, false, &machine_id), Err(ImageError::Unasked)));
        assert_eq!(directory.read("device.key", 100).unwrap().unwrap(), b"secret of this machine");
        let running = directory.lock("lock").unwrap().unwrap();
        assert!(matches!(prepare(&state, true, &machine_id), Err(ImageError::Start(StartError::Running(_)))));
        drop(running);

        // A second name would keep the bytes: that is said, and nothing is called removed.
        std::fs::hard_link(state.join("agent.db"), temp.path().join("second")).unwrap();
        let error = prepare(&state, true, &machine_id).unwrap_err().to_string();
        assert!(error.contains("agent.db") && error.contains("second name"), "{error}");
        std::fs::remove_file(temp.path().join("second")).unwrap();
        directory.write("device.key", b"secret of this machine").unwrap();
        let key = std::fs::File::open(state.join("device.key")).unwrap();

        let prepared = prepare(&state, true, &machine_id).unwrap();
        assert_eq!(prepared.removed.first().map(String::as_str), Some("device.key"));
        assert!(prepared.left.is_empty() && directory.names().unwrap().is_empty());
        assert_eq!(std::fs::read(&outside).unwrap(), b"not ours");
        assert!(prepared.advice.iter().any(|sentence| sentence.contains("truncate")), "{prepared:?}");
        for file in [key, cached] {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut &file, &mut bytes).unwrap();
            assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 0), "overwritten, not only unnamed");
        }
        // Again: there is nothing to do, and that is no error.
        assert_eq!(prepare(&state, true, &machine_id).unwrap().removed, ["lock"]);
    }
}
