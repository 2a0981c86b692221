//! Reading files below a root, with limits. A symbolic link cannot lead out of a root that is not `/`.

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read, Seek},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Bytes of a one-line file in `/proc` or `/sys`; the kernel writes at most a page.
pub const LINE_BYTES: u64 = 4 << 10;
/// Bytes of a small text file: configuration, unit, lease.
pub const TEXT_BYTES: u64 = 256 << 10;
/// Bytes of a file that grows with the machine: `/proc/cpuinfo` of 1,024 threads has 2 MB.
pub const TABLE_BYTES: u64 = 8 << 20;
/// Entries of one directory that are looked at.
pub const DIRECTORY_ENTRIES: usize = 50_000;

/// How often a path is looked up anew below a root before that counts as failed.
const ROOT_TRIES: usize = 64;

/// Opens a path as if `root` were the root of the machine; no name and no link leads out of it.
///
/// Where the path goes up (`..`), the kernel cannot say that it stayed below the root if anything anywhere on the machine was renamed or
/// mounted meanwhile, and says "try again": that says nothing of the path, and is tried again.
///
/// # Errors
/// When the path cannot be opened, or the machine renames without a pause.
pub fn open_in_root(root: impl AsFd, path: &str, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = resolve | ResolveFlags::IN_ROOT;
    for _ in 1..ROOT_TRIES {
        match rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => std::thread::yield_now(),
            opened => return opened,
        }
    }
    rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), resolve)
}

/// A file tree: the machine's own, or a recorded one.
#[derive(Debug)]
pub struct Files {
    root: Option<OwnedFd>,
}

impl Files {
    /// The tree below `path`; `/` is the machine itself.
    ///
    /// # Errors
    /// When `path` is not a directory that can be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = match path == Path::new("/") {
            true => None,
            false => Some(rustix::fs::open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?),
        };
        Ok(Self { root })
    }

    fn at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        Ok(match &self.root {
            None => rustix::fs::openat(CWD, path, flags, Mode::empty())?,
            Some(root) => open_in_root(root, path, flags, ResolveFlags::empty())?,
        })
    }

    /// The whole file.
    ///
    /// # Errors
    /// When it cannot be read, is not a regular file, or has more than `limit` bytes.
    pub fn bytes(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        // NONBLOCK: a FIFO that somebody put in the place of a file must not stop the agent.
        let file = File::from(self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(limit)).unwrap_or(0) + 1);
        file.take(limit + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > limit {
            true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes"))),
            false => Ok(bytes),
        }
    }

    /// The last `limit` bytes of a file, starting at a multiple of `record` bytes.
    ///
    /// # Errors
    /// When it cannot be read or is not a regular file.
    pub fn tail(&self, path: &str, limit: u64, record: u64) -> io::Result<Vec<u8>> {
        let mut file = File::from(self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let start = meta.len().saturating_sub(limit).next_multiple_of(record.max(1));
        file.seek(io::SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Where a file really lies, behind all links, for libraries that open by path.
    ///
    /// # Errors
    /// When it is not there.
    pub fn real_path(&self, path: &str) -> io::Result<PathBuf> {
        if self.root.is_none() {
            return std::fs::canonicalize(path);
        }
        let file = self.at(path, OFlags::PATH)?;
        std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }

    /// The one line of a small file, without blanks at the ends; `None` when there is nothing to read.
    #[must_use]
    pub fn line(&self, path: &str) -> Option<String> {
        let bytes = self.bytes(path, LINE_BYTES).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The number in a small file.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<u64> {
        self.line(path)?.parse().ok()
    }

    /// The names in a directory, sorted, without `.` and `..`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let directory = self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)?.take(DIRECTORY_ENTRIES) {
            if let Ok(name) = entry?.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Where a symbolic link points, as it is written; `None` when it is no link.
    #[must_use]
    pub fn link(&self, path: &str) -> Option<String> {
        let link = self.at(path, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
        rustix::fs::readlinkat(&link, "", Vec::new()).ok()?.into_string().ok()
    }

    /// The last part of where a symbolic link points.
    #[must_use]
    pub fn link_name(&self, path: &str) -> Option<String> {
        self.link(path)?.rsplit('/').next().map(str::to_owned)
    }

    fn stat(&self, path: &str) -> Option<Stat> {
        match &self.root {
            None => rustix::fs::stat(path).ok(),
            Some(_) => rustix::fs::statat(self.at(path, OFlags::PATH).ok()?, "", AtFlags::EMPTY_PATH).ok(),
        }
    }

    /// Whether something is there (behind links).
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        self.stat(path).is_some()
    }

    /// What a file is, behind links, whatever name it is reached by: its file system and its number there.
    #[must_use]
    pub fn identity(&self, path: &str) -> Option<(u64, u64)> {
        self.stat(path).map(|stat| (stat.st_dev, stat.st_ino))
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self, path: &str) -> Option<u64> {
        u64::try_from(self.stat(path)?.st_size).ok()
    }

    /// When the contents were last written, Unix seconds.
    #[must_use]
    pub fn modified(&self, path: &str) -> Option<i64> {
        Some(self.stat(path)?.st_mtime)
    }
}

/// One sentence about a file that could not be read.
#[must_use]
pub fn unread(what: &str, path: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{what}: {path} may only be read by root; run the agent as root."),
        io::ErrorKind::NotFound => format!("{what}: {path} is not there."),
        _ => format!("{what}: {path} could not be read ({error})."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        os::unix::fs::symlink,
        sync::atomic::{AtomicBool, Ordering},
    };

    /// Renames, elsewhere on the machine, while `work` runs.
    fn while_something_is_renamed(work: impl FnOnce()) {
        let elsewhere = tempfile::tempdir().unwrap();
        let (one, other, stop) = (elsewhere.path().join("one"), elsewhere.path().join("other"), AtomicBool::new(false));
        std::fs::write(&one, "").unwrap();
        std::thread::scope(|scope| {
            let renames = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::fs::rename(&one, &other).unwrap();
                    std::fs::rename(&other, &one).unwrap();
                }
            });
            // A failed assertion must not leave the other thread running for ever.
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            stop.store(true, Ordering::Relaxed);
            renames.join().unwrap();
            if let Err(panic) = worked {
                std::panic::resume_unwind(panic);
            }
        });
    }

    #[test]
    fn a_rename_elsewhere_on_the_machine_keeps_no_file_from_being_read() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("a/b/c/d")).unwrap();
        std::fs::write(temp.path().join("a/file"), "read").unwrap();
        // The kernel gives up where the way goes upwards.
        symlink("../../../b/c/d/../../../b/../file", temp.path().join("a/b/c/d/link")).unwrap();
        let files = Files::open(temp.path()).unwrap();
        while_something_is_renamed(|| {
            for _ in 0..5_000 {
                assert_eq!(files.bytes("/a/b/c/d/link", LINE_BYTES).unwrap(), b"read");
            }
        });
    }
}
