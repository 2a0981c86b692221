//! A writable view of a file system that everybody else sees read-only: in a mount namespace of its own, which only the commands see that
//! are started in it, and which is gone when nothing runs in it any more.
//!
//! So the mount that users can reach stays read-only at every moment, and a kill of the agent leaves no writable mount behind.

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use rustix::process::{Pid, Signal};
use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

/// How long it may take until the mounts are made.
const PATIENCE: Duration = Duration::from_secs(30);
/// Programs of every Debian: they bring a command into the view.
const ENTER: [&str; 3] = ["/usr/bin/nsenter", "/usr/sbin/chroot", "/usr/bin/env"];

const NOTHING: Option<&str> = None;

/// A writable view. It goes with this value.
#[derive(Debug)]
pub struct Writable {
    inside: Inside,
    stop: Option<mpsc::Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

/// Where commands are started that see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The file of the namespace.
    pub namespace: PathBuf,
    /// What the kernel calls it.
    pub name: String,
    /// Where the file system is mounted, there and (read-only) here.
    pub root: PathBuf,
}

impl Writable {
    /// Opens the view of the file system that is mounted at `root`. `below` are others that are mounted
    /// below it and are opened too, `along` directories of this machine that are seen in it under their own names.
    ///
    /// # Errors
    /// When the system refuses. Nothing stays open then, but the file system itself may have become writable to whoever can mount.
    pub fn open(root: &Path, below: Vec<PathBuf>, along: Vec<PathBuf>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let (ready, made) = mpsc::channel();
        let at = root.to_owned();
        // Only this thread goes into the namespace, and nothing else runs on it.
        let holder = std::thread::Builder::new().name("servicing".to_owned()).spawn(move || {
            let done = make(&at, &below, &along);
            let is_open = done.is_ok();
            if ready.send(done).is_ok() && is_open {
                let _ = stopped.recv();
            }
        })?;
        let inside = match made.recv_timeout(PATIENCE) {
            Ok(made) => made?,
            Err(_) => return Err(io::Error::other("the file system could not be opened in time")),
        };
        Ok(Self { inside, stop: Some(stop), holder: Some(holder) })
    }

    /// Where commands are started that see it.
    #[must_use]
    pub const fn inside(&self) -> &Inside {
        &self.inside
    }
}

impl Drop for Writable {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(holder) = self.holder.take() {
            let _ = holder.join();
        }
    }
}

fn make(root: &Path, below: &[PathBuf], along: &[PathBuf]) -> io::Result<Inside> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)?;
    mount(NOTHING, root, NOTHING, MsFlags::MS_REMOUNT, NOTHING)?;
    for other in below {
        mount(NOTHING, other, NOTHING, MsFlags::MS_REMOUNT, NOTHING)?;
    }
    for directory in along {
        let Ok(below) = directory.strip_prefix("/") else { continue };
        let place = root.join(below);
        std::fs::create_dir_all(&place)?;
        mount(Some(directory), &place, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)?;
    }
    let temporary = root.join("tmp");
    if temporary.is_dir() {
        mount(Some("tmpfs"), &temporary, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=1777"))?;
    }
    let thread = nix::unistd::gettid();
    let namespace = PathBuf::from(format!("/proc/{}/task/{thread}/ns/mnt", std::process::id()));
    let name = std::fs::read_link(&namespace)?.display().to_string();
    Ok(Inside { namespace, name, root: root.to_owned() })
}

impl Inside {
    /// The command that runs a program in the view.
    ///
    /// # Errors
    /// When the program's name can be read in another way.
    pub fn command(
        &self,
        program: &Path,
        arguments: Vec<String>,
        directory: &Path,
    ) -> io::Result<(PathBuf, Vec<String>)> {
        let name = program.display().to_string();
        if name.contains('=') || name.starts_with('-') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a program with such a name cannot be serviced"));
        }
        let [enter, root, environment] = ENTER;
        let mut all = vec![format!("--mount={}", self.namespace.display()), "--".to_owned()];
        all.extend([root.to_owned(), self.root.display().to_string()]);
        all.extend([environment.to_owned(), "-C".to_owned(), directory.display().to_string(), name]);
        all.extend(arguments);
        Ok((enter.into(), all))
    }
}

/// Makes the file system that is mounted at `root` read-only again, for everybody, with all that was written on the disk.
///
/// # Errors
/// When somebody still writes to it, or the system refuses.
pub fn protect(root: &Path) -> io::Result<()> {
    mount(NOTHING, root, NOTHING, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, NOTHING)?;
    Ok(())
}

/// Lets the kernel forget what it knew of the overlay, so that what was written below is seen.
pub fn forget_cached() {
    // A view that is a little old is no reason to fail: it is right after a restart.
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "2");
}

/// Ends everything that sees the view of this name. Services that an installer started are among it: they start again with the machine.
#[expect(clippy::disallowed_methods, reason = "the kernel tells nobody when the last of them has gone")]
pub fn end_inside(name: &str) {
    // As in `process::end_marked`: a few rounds come to an end.
    for _ in 0..20 {
        let found = inside(name);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn inside(name: &str) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let sees =
        |pid: &i32| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|found| found.as_os_str() == name);
    pids.filter(|pid| *pid != own).filter(sees).filter_map(Pid::from_raw).collect()
}
