//! Servicing of a machine whose root has a write filter: the lower file system is opened for what is to be installed, guarded while it is
//! open, and protected again whatever happens.
//!
//! The filter itself stays on. Only commands of the servicing see a writable lower file system, in a mount namespace of their own
//! ([`crate::os::writable`]); the mount that users can reach is read-only at every moment. Each step is on the disk before it is done, and every
//! step can be undone more than once, so that a kill or a power loss anywhere ends protected at the next start.

mod firewall;
mod journal;
mod lock;
mod tool;
pub mod uwf;

pub use firewall::{Allowed, rules};
pub use journal::{Journal, Step};
pub use lock::message;

use crate::os::{
    PrivateDirectory, process,
    writable::{self, Inside, Writable},
    write_filter::{self, FilterState},
};
use muster_model::{id::DeploymentId, time::UnixMillis};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Where the lock-out is.
const RUN: &str = "/run";
/// Where the doors of the machine are.
const PAM: &str = "/etc/pam.d";
/// Where `pam_faillock` counts, unless its configuration says another place.
const FAILLOCK: &str = "/etc/security/faillock.conf";
/// Directories of the machine that an installer sees as they are.
const ALONG: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];
/// One servicing at a time.
const LOCK: &str = "servicing.lock";
/// How often, and after how long, it is tried again to protect what somebody still writes to.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// Why a machine is not serviced, or was not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServicingError {
    /// There is none, or none that can be opened from here.
    #[error("this machine has no write filter that can be serviced")]
    NotServiceable,
    /// Somebody else has it open.
    #[error("the lower file system is writable already; somebody else services this machine")]
    OpenAlready,
    /// Another servicing goes on, or one that was interrupted is not undone yet.
    #[error("another servicing of this machine is not over")]
    Busy,
    /// It could not be taken up after a power loss.
    #[error(
        "what the client keeps is on the overlay and is gone after a restart; put its state directory on a disk that is not filtered"
    )]
    StateVolatile,
    /// People could log on.
    #[error("people could log on by {0}, whose file in /etc/pam.d does not require pam_nologin")]
    DoorOpen(String),
    /// People are locked out already.
    #[error("people are locked out for another reason; the machine is on its way up or down")]
    LockedOut,
    /// A step failed.
    #[error("{}: {error}", step.as_str())]
    Failed {
        /// Which.
        step: Step,
        /// Why.
        error: io::Error,
    },
    /// It is open although it should not be.
    #[error("the lower file system is still writable")]
    NotProtected,
}

/// Is told each step, after it is kept and before it is done.
pub trait Watch: Send + Sync {
    /// A step begins.
    fn begins(&self, step: Step);
}

/// What is wanted.
pub struct Order<'a> {
    /// The state directory, on a disk that is not filtered.
    pub directory: &'a PrivateDirectory,
    /// Now, by the machine's clock.
    pub now: UnixMillis,
    /// How long it may take. Counted by a clock that nobody sets.
    pub longest: Duration,
    /// Until when, as people read it.
    pub until: String,
    /// Whom the machine may talk to meanwhile.
    pub allowed: Allowed,
    /// For which deployment.
    pub deployment: DeploymentId,
    /// Who is told.
    pub watch: &'a dyn Watch,
}

/// A servicing that goes on. Dropped, it is undone at once and counts as interrupted.
pub struct Open<'a> {
    directory: &'a PrivateDirectory,
    watch: &'a dyn Watch,
    journal: Journal,
    writable: Option<Writable>,
    ends: Instant,
    closed: bool,
    _lock: File,
}

impl std::fmt::Debug for Open<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Open").field("journal", &self.journal).finish_non_exhaustive()
    }
}

/// A servicing that the end of an agent, or of the machine's power, interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// In which step; `None`: what was kept of it cannot be read.
    pub step: Option<Step>,
    /// For which deployments.
    pub deployments: Vec<DeploymentId>,
    /// Whether the machine was started again since.
    pub restarted: bool,
}

impl ServicingError {
    /// Whether nothing was tried: something stands in the way that is not of the servicing's making.
    #[must_use]
    pub const fn is_obstacle(&self) -> bool {
        !matches!(self, Self::Failed { .. } | Self::NotProtected)
    }
}

const fn at(step: Step) -> impl Fn(io::Error) -> ServicingError {
    move |error| ServicingError::Failed { step, error }
}

/// Locks the machine down and opens its lower file system.
///
/// # Errors
/// See [`ServicingError`]; the machine is as it was then.
pub fn begin<'a>(order: &Order<'a>) -> Result<Open<'a>, ServicingError> {
    let filter = write_filter::this_machine().ok_or(ServicingError::NotServiceable)?;
    let lower = filter.lower.ok_or(ServicingError::NotServiceable)?;
    if filter.state != FilterState::On || filter.half_open {
        return Err(ServicingError::OpenAlready);
    }
    if write_filter::is_volatile(order.directory.path()).map_err(at(Step::Plan))? {
        return Err(ServicingError::StateVolatile);
    }
    let lock = order.directory.lock(LOCK).map_err(at(Step::Plan))?.ok_or(ServicingError::Busy)?;
    if Journal::read(order.directory).map_err(at(Step::Plan))?.is_some() {
        return Err(ServicingError::Busy);
    }
    lock::check(Path::new(PAM)).map_err(ServicingError::DoorOpen)?;
    let file_systems: Vec<PathBuf> = std::iter::once(lower.clone()).chain(filter.below.iter().cloned()).collect();
    let journal = Journal {
        step: Step::Plan,
        begun: order.now,
        boot: boot(),
        namespace: None,
        file_systems,
        deployments: vec![order.deployment],
    };
    let ends = Instant::now() + order.longest;
    let (directory, watch) = (order.directory, order.watch);
    let mut open = Open { directory, watch, journal, writable: None, ends, closed: false, _lock: lock };
    match open.open(order, &lower, filter.below, filter.beside) {
        Ok(()) => Ok(open),
        Err(error) => {
            // As it was. Where that does not work, the journal stays and the next start tries again.
            open.undo()?;
            open.over()?;
            Err(error)
        }
    }
}

impl Open<'_> {
    fn step(&mut self, step: Step) -> Result<(), ServicingError> {
        self.journal.step = step;
        self.journal.write(self.directory).map_err(at(step))?;
        self.watch.begins(step);
        Ok(())
    }

    /// On the way back a full disk holds up nothing: what was kept before leads to the same end.
    fn note(&mut self, step: Step) {
        if let Err(error) = self.step(step) {
            tracing::warn!(%error, "a step of a servicing could not be kept");
            self.watch.begins(step);
        }
    }

    fn open(
        &mut self,
        order: &Order<'_>,
        lower: &Path,
        below: Vec<PathBuf>,
        beside: Vec<PathBuf>,
    ) -> Result<(), ServicingError> {
        self.step(Step::Plan)?;
        self.step(Step::Lock)?;
        lock::lock(Path::new(RUN), &message(&order.until)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => ServicingError::LockedOut,
            _ => ServicingError::Failed { step: Step::Lock, error },
        })?;
        firewall::close(&order.allowed).map_err(at(Step::Lock))?;
        self.step(Step::Open)?;
        let mut along: Vec<PathBuf> = ALONG.iter().map(PathBuf::from).collect();
        along.extend(beside);
        // Failed logons are counted in one place, whoever asks.
        along.extend(faillock().filter(|place| !place.starts_with(RUN) && place.is_dir()));
        along.push(order.directory.path().to_owned());
        let writable = Writable::open(lower, below, along).map_err(at(Step::Open))?;
        self.journal.namespace = Some(writable.inside().name.clone());
        self.writable = Some(writable);
        self.step(Step::Install)
    }

    /// Where commands are started that write to the lower file system.
    #[must_use]
    pub fn inside(&self) -> Option<Inside> {
        self.writable.as_ref().map(|writable| writable.inside().clone())
    }

    /// How much of its time is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// Another deployment is installed in it.
    ///
    /// # Errors
    /// When that cannot be kept.
    pub fn also(&mut self, deployment: DeploymentId) -> Result<(), ServicingError> {
        if !self.journal.deployments.contains(&deployment) {
            self.journal.deployments.push(deployment);
            self.journal.write(self.directory).map_err(at(Step::Install))?;
        }
        Ok(())
    }

    /// For which deployments it is.
    #[must_use]
    pub fn deployments(&self) -> &[DeploymentId] {
        &self.journal.deployments
    }

    /// Protects the machine, looks whether it is, and lets people log on again.
    ///
    /// # Errors
    /// When it is not protected: it stays locked then, and the next [`recover`] tries again.
    pub fn close(mut self) -> Result<(), ServicingError> {
        self.closed = true;
        self.note(Step::Protect);
        self.protect()?;
        self.note(Step::Verify);
        verify(&self.journal)?;
        self.note(Step::Unlock);
        unlock()?;
        self.over()
    }

    fn protect(&mut self) -> Result<(), ServicingError> {
        end(self.directory, &mut self.journal, self.writable.take())
    }

    fn undo(&mut self) -> Result<(), ServicingError> {
        self.closed = true;
        self.protect()?;
        unlock()
    }

    fn over(&self) -> Result<(), ServicingError> {
        Journal::remove(self.directory).map_err(at(Step::Unlock))
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        // The journal stays: the next start reports what was interrupted.
        if let Err(error) = self.undo() {
            tracing::error!(%error, "the write filter could not be closed; it is tried again");
        }
    }
}

/// Ends what still sees the writable view, closes it, and makes the file systems read-only.
fn end(directory: &PrivateDirectory, journal: &mut Journal, writable: Option<Writable>) -> Result<(), ServicingError> {
    if let Some(name) = &journal.namespace {
        writable::end_inside(name);
    }
    end_of(directory.path(), &journal.deployments);
    drop(writable);
    protect(&journal.file_systems)?;
    writable::forget_cached();
    Ok(())
}

/// Ends what installers of these deployments started, also what made a view of its own and so is not found by the name of ours.
fn end_of(directory: &Path, deployments: &[DeploymentId]) {
    let heads: Vec<String> = deployments.iter().map(|id| format!("{id} {}", directory.display())).collect();
    process::end_marked(&|mark| {
        let rest = heads.iter().find_map(|head| mark.strip_prefix(head.as_str()));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ' ']))
    });
}

#[expect(clippy::disallowed_methods, reason = "the kernel tells nobody when a file system is busy no more")]
fn protect(file_systems: &[PathBuf]) -> Result<(), ServicingError> {
    for file_system in file_systems.iter().rev() {
        let mut tries = 0;
        while let Err(error) = writable::protect(file_system) {
            if error.raw_os_error() == Some(nix::libc::EINVAL) {
                // Nothing is mounted there any more; whether the rest is protected is looked at afterwards.
                break;
            }
            tries += 1;
            // What was just killed may hold a file for a moment.
            if tries == TRIES || error.raw_os_error() != Some(nix::libc::EBUSY) {
                return Err(ServicingError::Failed { step: Step::Protect, error });
            }
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn verify(journal: &Journal) -> Result<(), ServicingError> {
    let filter = write_filter::this_machine().ok_or(ServicingError::NotProtected)?;
    let is_same = filter.lower.as_ref() == journal.file_systems.first();
    let all = filter.state == FilterState::On && is_same;
    let below = journal.file_systems.iter().skip(1).all(|one| filter.below.contains(one));
    if all && below { Ok(()) } else { Err(ServicingError::NotProtected) }
}

fn unlock() -> Result<(), ServicingError> {
    // The firewall opens last: until then nobody comes from outside.
    lock::unlock(Path::new(RUN)).map_err(at(Step::Unlock))?;
    firewall::open().map_err(at(Step::Unlock))
}

/// Since when a servicing goes on, by what is kept of it. `None`: none does.
#[must_use]
pub fn begun(directory: &PrivateDirectory) -> Option<UnixMillis> {
    Some(Journal::read(directory).ok()??.ok()?.begun)
}

/// Ends a servicing that was interrupted, wherever that was. `None`: there was none.
///
/// # Errors
/// When the machine cannot be protected; what was kept stays, and it stays locked.
pub fn recover(directory: &PrivateDirectory) -> Result<Option<Interrupted>, ServicingError> {
    let kept = match Journal::read(directory).map_err(at(Step::Plan))? {
        None => return Ok(None),
        Some(kept) => kept,
    };
    let filter = write_filter::this_machine();
    let mounted = |path: &PathBuf| {
        filter.as_ref().is_some_and(|f| f.lower.as_ref() == Some(path) || f.below.contains(path)) || path.is_dir()
    };
    let found = match kept {
        Ok(mut journal) => {
            let now = boot();
            let restarted = now.is_empty() || journal.boot != now;
            if restarted {
                // The kernel may have given the name of the view to another one.
                journal.namespace = None;
            }
            let (step, deployments) = (Some(journal.step), journal.deployments.clone());
            // After a restart without the filter there is nothing to protect: the root is not an overlay.
            let is_overlay = filter.as_ref().is_some_and(|filter| filter.state.is_overlay());
            journal.file_systems.retain(|path| is_overlay && mounted(path));
            end(directory, &mut journal, None)?;
            if is_overlay {
                verify_now()?;
            }
            Interrupted { step, deployments, restarted }
        }
        Err(error) => {
            tracing::error!(%error, "what was kept of a servicing cannot be read");
            if let Some(lower) = filter.and_then(|filter| filter.lower) {
                protect(&[lower])?;
                verify_now()?;
            }
            Interrupted { step: None, deployments: Vec::new(), restarted: false }
        }
    };
    unlock()?;
    Journal::remove(directory).map_err(at(Step::Unlock))?;
    Ok(Some(found))
}

fn verify_now() -> Result<(), ServicingError> {
    let filter = write_filter::this_machine().ok_or(ServicingError::NotProtected)?;
    if filter.state == FilterState::Servicing { Err(ServicingError::NotProtected) } else { Ok(()) }
}

/// What the kernel names this run of the system.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Where failed logons are counted, where a file says so.
fn faillock() -> Option<PathBuf> {
    let text = std::fs::read_to_string(FAILLOCK).ok()?;
    let mut place = text.lines().filter_map(|line| {
        let (name, value) = line.split('#').next()?.split_once('=')?;
        (name.trim() == "dir").then(|| PathBuf::from(value.trim()))
    });
    place.next_back().filter(|place| place.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    struct Deaf;

    impl Watch for Deaf {
        fn begins(&self, _step: Step) {}
    }

    #[test]
    fn a_step_that_cannot_be_kept_does_not_keep_it_from_being_closed() {
        let temp = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::open(&temp.path().join("state")).unwrap();
        let lock = directory.lock(LOCK).unwrap().unwrap();
        let journal = Journal {
            step: Step::Install,
            begun: UnixMillis(1),
            boot: String::new(),
            namespace: None,
            file_systems: Vec::new(),
            deployments: Vec::new(),
        };
        let ends = Instant::now();
        let open =
            Open { directory: &directory, watch: &Deaf, journal, writable: None, ends, closed: false, _lock: lock };
        // Nothing can be written there any more.
        std::fs::remove_dir_all(temp.path().join("state")).unwrap();
        assert!(
            matches!(open.close(), Err(ServicingError::NotProtected)),
            "it came as far as the look at what is protected"
        );
    }

    #[test]
    fn what_an_installer_started_is_ended_wherever_it_went_and_nothing_else() {
        let started = |mark: &str| {
            let mut sleep = Command::new("sleep");
            sleep.arg("60").env("MUSTER_RUN", mark).stdin(Stdio::null()).spawn().unwrap()
        };
        let of = |number: u128| DeploymentId(uuid::Uuid::from_u128(number << 64 | u128::from(std::process::id())));
        let (id, other) = (of(1), of(2));
        let mut ours = started(&format!("{id} /var/x/run 17"));
        let mut of_another_agent = started(&format!("{id} /var/xy/run 17"));
        let mut of_another = started(&format!("{other} /var/x/run 17"));
        end_of(Path::new("/var/x"), &[id]);
        assert!(!ours.wait().unwrap().success());
        for left in [&mut of_another_agent, &mut of_another] {
            assert!(left.try_wait().unwrap().is_none());
            left.kill().unwrap();
            left.wait().unwrap();
        }
    }
}
