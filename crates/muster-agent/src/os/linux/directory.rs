//! The agent's own directories: private to it, opened once, and everything in them reached from that handle without links.
//!
//! Whoever can put a link, a file or a parent directory in the agent's way could make it run or tell something else, so a
//! directory that others can change is refused at the start, and every file is opened by a plain name below a handle.

use rustix::{
    fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Why a directory is refused. The sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or opened.
    #[error("the directory {path} cannot be used: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// It is a symbolic link.
    #[error("{0} is a symbolic link; name the directory itself with --state")]
    Link(PathBuf),
    /// It belongs to another user.
    #[error(
        "{path} belongs to user {owner} and the agent runs as user {user}; give it a directory of its own with --state"
    )]
    Owner {
        /// Which.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs the agent.
        user: u32,
    },
    /// Others can reach into it.
    #[error("{path} has mode {mode:04o}, so others can reach the agent's keys; run: chmod 0700 {path}")]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others can rename or replace it through a directory above it.
    #[error(
        "others can replace the directory because they can write to {0}; keep the agent's state below directories that only root and its own user can write to, and name it with --state"
    )]
    Parent(PathBuf),
}

/// An open directory of mode 0700 that belongs to this process's user.
#[derive(Debug)]
pub struct PrivateDirectory {
    handle: OwnedFd,
    path: PathBuf,
}

impl PrivateDirectory {
    /// Opens `path`, making it where it is not there, and refuses it when others could change what is in it.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let io = |error: io::Error| DirectoryError::Io { path: path.to_owned(), error };
        let path = std::path::absolute(path).map_err(io)?;
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.file_type().is_symlink() => return Err(DirectoryError::Link(path)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(io)?;
                }
                match rustix::fs::mkdir(&path, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(io(error.into())),
                }
            }
            Err(error) => return Err(io(error)),
        }
        let path = path.canonicalize().map_err(io)?;
        check_parents(&path)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| io(error.into()))?;
        Self::checked(handle, path)
    }

    /// Makes the directory `name` in one that others can write to as well, on a file system that `fits`. It must not be there yet.
    ///
    /// # Errors
    /// When it is there, the place is not fit, or the system refuses.
    pub fn make_below(place: &Path, name: &str, fits: impl Fn(u64) -> bool) -> io::Result<Self> {
        let parent = shared(place, fits)?;
        plain(name)?;
        rustix::fs::mkdirat(&parent, name, Mode::RWXU)?;
        Self::below(&parent, place, name)
    }

    /// Opens the directory `name` in one that others can write to as well.
    ///
    /// # Errors
    /// When it is not there or not private to this user, or the place is not fit.
    pub fn open_below(place: &Path, name: &str, fits: impl Fn(u64) -> bool) -> io::Result<Self> {
        plain(name)?;
        Self::below(&shared(place, fits)?, place, name)
    }

    fn below(parent: &OwnedFd, place: &Path, name: &str) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        Self::checked(handle, place.join(name)).map_err(io::Error::other)
    }

    fn checked(handle: OwnedFd, path: PathBuf) -> Result<Self, DirectoryError> {
        let stat = rustix::fs::fstat(&handle)
            .map_err(|error| DirectoryError::Io { path: path.clone(), error: error.into() })?;
        let user = rustix::process::geteuid().as_raw();
        if stat.st_uid != user {
            return Err(DirectoryError::Owner { path, owner: stat.st_uid, user });
        }
        let mode = stat.st_mode & 0o7777;
        if mode & 0o077 != 0 {
            return Err(DirectoryError::Mode { path, mode });
        }
        Ok(Self { handle, path })
    }

    /// The directory `name` in this one, made where it is not there; just as private.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn directory(&self, name: &str) -> Result<Self, DirectoryError> {
        let path = self.path.join(name);
        let io = |error: io::Error| DirectoryError::Io { path: path.clone(), error };
        plain(name).map_err(io)?;
        match rustix::fs::mkdirat(&self.handle, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(io(error.into())),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.handle, name, flags, Mode::empty()).map_err(|e| io(e.into()))?;
        Self::checked(handle, path)
    }

    /// Where it is, for a child process's working directory and for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn at(&self, name: &str, flags: OFlags, mode: u32) -> io::Result<File> {
        plain(name)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::from_raw_mode(mode))?;
        let stat = rustix::fs::fstat(&file)?;
        check_file(&stat)?;
        Ok(File::from(file))
    }

    /// Opens a file to read it. `None`: there is none.
    ///
    /// # Errors
    /// When it is not a regular file of ours with one name, or cannot be opened.
    pub fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        match self.at(name, OFlags::RDONLY, 0) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether an error of [`Self::open_file`] says that something else lies there than a file of ours with one name.
    #[must_use]
    pub fn is_foreign(error: &io::Error) -> bool {
        // A link; a socket, or a device that is not there.
        let odd = [Errno::LOOP, Errno::NXIO].map(|errno| Some(errno.raw_os_error()));
        // And what `check_file` refuses: the system's own refusal says nothing of the file, and has a number.
        let refused = error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none();
        refused || odd.contains(&error.raw_os_error())
    }

    /// Bytes of the disk that it is on: all, and those that are free for this process.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn space(&self) -> io::Result<(u64, u64)> {
        let disk = rustix::fs::fstatvfs(&self.handle)?;
        Ok((disk.f_blocks.saturating_mul(disk.f_frsize), disk.f_bavail.saturating_mul(disk.f_frsize)))
    }

    /// Opens a file to read it and write to it, making it (mode 0600) where it is not there.
    ///
    /// # Errors
    /// As [`Self::open_file`].
    pub fn edit_file(&self, name: &str) -> io::Result<File> {
        self.at(name, OFlags::RDWR | OFlags::CREATE, 0o600)
    }

    /// Makes a file that must not be there yet.
    ///
    /// # Errors
    /// Also when it is there.
    pub fn new_file(&self, name: &str, mode: u32) -> io::Result<File> {
        self.at(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode)
    }

    /// The whole file, at most `limit` bytes. `None`: there is none.
    ///
    /// # Errors
    /// When it cannot be read or is larger.
    pub fn read(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{name} has more than {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Writes a file (mode 0600) whole or not at all: beside it, to the disk, then renamed, then the directory to the disk.
    ///
    /// # Errors
    /// When the disk refuses; the old file is still there then.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = format!("{name}.new");
        self.remove(&beside)?;
        let mut file = self.new_file(&beside, 0o600)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| self.rename(&beside, name)) {
            let _ = self.remove(&beside);
            return Err(error);
        }
        Ok(())
    }

    /// Renames a file inside the directory, and the directory to the disk.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        plain(from)?;
        plain(to)?;
        rustix::fs::renameat_with(&self.handle, from, &self.handle, to, RenameFlags::empty())?;
        rustix::fs::fsync(&self.handle)?;
        Ok(())
    }

    /// Removes a file; it is no error when there is none.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        plain(name)?;
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Overwrites a file with zeros before it goes, so that a disk that keeps files in place keeps nothing of it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn destroy(&self, name: &str) -> io::Result<()> {
        let file = match self.at(name, OFlags::WRONLY, 0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        io::copy(&mut io::repeat(0).take(file.metadata()?.len()), &mut &file)?;
        file.sync_all()?;
        self.remove(name)?;
        Ok(rustix::fs::fsync(&self.handle)?)
    }

    /// Removes a directory in this one with everything in it, without following links.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove_directory(&self, name: &str) -> io::Result<()> {
        plain(name)?;
        match std::fs::remove_dir_all(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Names of everything in it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Takes the lock file `name`; held as long as the file (or a copy of its handle in a child) is open.
    /// `None`: somebody else holds it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn lock(&self, name: &str) -> io::Result<Option<File>> {
        let file = self.edit_file(name)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A directory of the system in which others can make entries, but not rename or remove ours.
fn shared(place: &Path, fits: impl Fn(u64) -> bool) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let handle = rustix::fs::open(place, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&handle)?;
    let ours = stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw();
    let sticky = stat.st_mode & 0o022 == 0 || stat.st_mode & 0o1000 != 0;
    let kind = u64::try_from(rustix::fs::fstatfs(&handle)?.f_type).unwrap_or(0);
    if ours && sticky && fits(kind) {
        return Ok(handle);
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} is not fit for private files", place.display())))
}

/// Opens a file that is not the agent's own, to read it. A pipe in its place does not stop the agent.
///
/// # Errors
/// When it cannot be opened.
pub fn open_foreign(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// A name is one component, so that it can never lead out of the directory.
fn plain(name: &str) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file name"));
    }
    Ok(())
}

fn check_file(stat: &Stat) -> io::Result<()> {
    let refuse = |reason| Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return refuse("not a regular file");
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return refuse("the file belongs to another user");
    }
    if stat.st_nlink != 1 {
        return refuse("the file has a second name");
    }
    if stat.st_mode & 0o022 != 0 {
        return refuse("others can write to the file");
    }
    Ok(())
}

/// Every directory above must belong to root or to us, and nobody else may rename what is in it.
fn check_parents(path: &Path) -> Result<(), DirectoryError> {
    let user = rustix::process::geteuid().as_raw();
    for parent in path.ancestors().skip(1) {
        let stat = rustix::fs::lstat(parent)
            .map_err(|error| DirectoryError::Io { path: parent.to_owned(), error: error.into() })?;
        let sticky = stat.st_mode & 0o1000 != 0;
        // A group of its own is usual for a user's directories; for root it is a way in.
        let others = if user == 0 { 0o022 } else { 0o002 };
        let foreign = stat.st_uid != 0 && stat.st_uid != user;
        if foreign || (stat.st_mode & others != 0 && !sticky) {
            return Err(DirectoryError::Parent(parent.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_reach_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let state = temp.path().join("state");
        PrivateDirectory::open(&state).unwrap();
        for bad in [0o750, 0o705, 0o777, 0o710] {
            mode(&state, bad);
            let error = PrivateDirectory::open(&state).unwrap_err();
            assert!(
                matches!(error, DirectoryError::Mode { .. }) && error.to_string().contains("chmod 0700"),
                "{error}"
            );
        }
        mode(&state, 0o700);
        symlink(&state, temp.path().join("link")).unwrap();
        assert!(matches!(PrivateDirectory::open(&temp.path().join("link")), Err(DirectoryError::Link(_))));
        // A parent that others can write to would let them put another directory in its place.
        mode(temp.path(), 0o777);
        assert!(matches!(PrivateDirectory::open(&state), Err(DirectoryError::Parent(_))));
        mode(temp.path(), 0o1777);
        assert!(PrivateDirectory::open(&state).is_ok(), "sticky: only the owner renames");
    }

    #[test]
    fn links_and_second_names_are_not_opened() {
        let temp = tempfile::tempdir().unwrap();
        let dir = PrivateDirectory::open(&temp.path().join("state")).unwrap();
        let outside = temp.path().join("outside");
        std::fs::write(&outside, "secret").unwrap();
        symlink(&outside, dir.path().join("soft")).unwrap();
        std::fs::hard_link(&outside, dir.path().join("hard")).unwrap();
        rustix::fs::mkfifoat(&dir.handle, "fifo", Mode::RWXU).unwrap();
        for name in ["soft", "hard", "fifo"] {
            assert!(dir.read(name, 100).is_err(), "{name}");
            assert!(dir.edit_file(name).is_err(), "{name}");
        }
        for name in ["../outside", "a/b", "", "..", "a\0"] {
            assert!(dir.open_file(name).is_err(), "{name:?}");
        }
        // Writing replaces the link and not what it points to.
        dir.write("soft", b"ours").unwrap();
        assert_eq!(std::fs::read(&outside).unwrap(), b"secret");
        assert_eq!(dir.read("soft", 100).unwrap().unwrap(), b"ours");
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let temp = tempfile::tempdir().unwrap();
        let dir = PrivateDirectory::open(&temp.path().join("state")).unwrap();
        dir.write("a", b"one").unwrap();
        std::fs::write(dir.path().join("a.new"), b"left by a kill").unwrap();
        dir.write("a", b"two").unwrap();
        assert_eq!(dir.read("a", 3).unwrap().unwrap(), b"two");
        assert!(dir.read("a", 2).is_err(), "over its limit");
        assert_eq!(dir.names().unwrap(), ["a"]);
        assert_eq!(std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o600);
        let held = dir.lock("lock").unwrap();
        assert!(held.is_some() && dir.lock("lock").unwrap().is_none());
        drop(held);
        assert!(dir.lock("lock").unwrap().is_some());
    }
}
