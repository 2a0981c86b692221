//! `trust reset`: this machine leaves its site for another hierarchy. Pin, keys, certificate, assignment, policy, content and messages go;
//! what the machine's administrator configured stays. A kill in the middle leaves a mark, by which whoever comes next ends the work
//! before anything else.

use crate::{
    agent::StartError,
    identity::{self, Identity, IdentityError, Stage},
    image::wipe,
    os::{PrivateDirectory, volatile_sweep},
    run,
};
use muster_model::id::{Hash, SiteCode};
use serde::Serialize;
use std::{io, path::Path};

/// The mark of a reset that has begun.
const MARK: &str = "reset.begun";
/// What stays: the administrator's configuration, the machine's own id, the lock, and the mark until the end.
const STAYS: [&str; 4] = ["agent.json", "hardware.id", run::LOCK, MARK];

/// Why nothing was reset, or not everything. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The state directory cannot be held: the agent runs, or others can reach into it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The identity on disk.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Only root changes whom this machine obeys.
    #[error("only root may change whom this machine obeys; run this command as root")]
    NotRoot,
    /// There is nothing to reset.
    #[error("this client has no pinned site; there is nothing to reset")]
    NotPinned,
    /// Something that the old site wanted still runs.
    #[error("an installation of the site that is to be left still runs ({0}); wait for its end")]
    Installing(String),
    /// Whether something still runs cannot be told.
    #[error("whether an installation still runs cannot be told ({name}: {error}); nothing was changed")]
    Unknown {
        /// Its lock.
        name: String,
        /// The system's reason.
        error: io::Error,
    },
    /// The disk.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// Nobody agreed.
    #[error("{0}\nNothing was changed. To do that: muster-agent trust reset --yes")]
    Unasked(Box<Plan>),
}

/// The disk refused in the middle of a reset.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} could not be removed: {error}; run `muster-agent trust reset` again, nothing runs before it has succeeded"
)]
pub struct RemoveError {
    /// What.
    name: String,
    /// The system's reason.
    error: io::Error,
}

fn failed(name: &str) -> impl FnOnce(io::Error) -> RemoveError {
    let name = name.to_owned();
    move |error| RemoveError { name, error }
}

/// What will be lost.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The site; `None`: what is kept of it is damaged.
    pub site: Option<SiteCode>,
    /// Fingerprint of the pinned root.
    pub root: Option<Hash>,
    /// How far enrolment is, with the id that the site gave.
    pub enrolment: String,
    /// The client's key.
    pub key: Option<Hash>,
    /// Files and directories that go.
    pub removed: Vec<String>,
    /// Those that stay.
    pub kept: Vec<String>,
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.site, self.root) {
            (Some(site), Some(root)) => {
                writeln!(f, "This machine leaves site {site} ({}).", self.enrolment)?;
                writeln!(f, "It no longer believes the root key {root}.")?;
            }
            _ => writeln!(f, "This machine leaves its site, which it does not know any more ({}).", self.enrolment)?,
        }
        if let Some(key) = self.key {
            writeln!(f, "Its key {key} is overwritten; retire its device at the site.")?;
        }
        writeln!(f, "Removed: {}.", self.removed.join(", "))?;
        write!(f, "Kept: {}.", if self.kept.is_empty() { "nothing".to_owned() } else { self.kept.join(", ") })
    }
}

/// Says what a reset does, and does it where `yes` says so.
///
/// # Errors
/// See [`ResetError`].
pub fn reset(state: &Path, yes: bool, is_root: bool) -> Result<Plan, ResetError> {
    if !is_root {
        return Err(ResetError::NotRoot);
    }
    let held = run::hold(state)?;
    let directory = &held.directory;
    let identity = match Identity::load(directory) {
        Ok(None) => return Err(ResetError::NotPinned),
        Ok(identity) => identity,
        // To leave a site that cannot be read any more is what a reset is for.
        Err(IdentityError::Damaged(_)) => None,
        Err(error) => return Err(error.into()),
    };
    still_installing(directory)?;
    let plan = plan(directory, identity.as_ref())?;
    if !yes {
        return Err(ResetError::Unasked(Box::new(plan)));
    }
    directory.write(MARK, b"").map_err(failed(MARK))?;
    resume(directory)?;
    Ok(plan)
}

fn plan(directory: &PrivateDirectory, identity: Option<&Identity>) -> Result<Plan, ResetError> {
    let names = names(directory)?;
    let (kept, removed) = names.into_iter().partition(|name| STAYS.contains(&name.as_str()));
    let enrolment = match identity.map(|identity| &identity.stage) {
        None => "identity.json is damaged".to_owned(),
        Some(Stage::Assigned) => "assigned".to_owned(),
        Some(Stage::Requesting { .. }) => "asking to be enrolled".to_owned(),
        Some(Stage::Pending { enrolment }) => format!("waiting for approval as {enrolment}"),
        Some(Stage::Active { device, .. }) => format!("device {device}"),
    };
    // A key that cannot be read is removed as well.
    let key = identity::key_id(directory).unwrap_or_default();
    let (site, root) = (identity.map(|identity| identity.site), identity.map(|identity| identity.root));
    Ok(Plan { site, root, enrolment, key, removed, kept })
}

fn names(directory: &PrivateDirectory) -> Result<Vec<String>, RemoveError> {
    let mut names = directory.names().map_err(failed("."))?;
    // Keys first: whatever stops this in between, nothing can speak as the device any more. Then who it was, and the rest.
    names.sort_by_key(|name| (!name.contains("key"), !name.contains("identity"), name.clone()));
    Ok(names)
}

/// An installer outlives its agent, and holds its lock as long as it runs.
fn still_installing(directory: &PrivateDirectory) -> Result<(), ResetError> {
    if !directory.path().join("run").exists() {
        return Ok(());
    }
    let runs = directory.directory("run").map_err(StartError::from)?;
    for name in names(&runs)? {
        // What is no file has no lock.
        if !runs.path().join(&name).is_file() {
            continue;
        }
        match runs.lock(&name) {
            Ok(Some(_)) => {}
            Ok(None) => return Err(ResetError::Installing(name)),
            Err(error) => return Err(ResetError::Unknown { name, error }),
        }
    }
    Ok(())
}

/// Ends a reset that has begun; nothing where none has.
///
/// # Errors
/// [`RemoveError`]: the mark stays, and nothing may run.
pub fn resume(directory: &PrivateDirectory) -> Result<(), RemoveError> {
    if directory.read(MARK, 16).map_err(failed(MARK))?.is_none() {
        return Ok(());
    }
    volatile_sweep(&directory.path().join("run"), |_| false).map_err(failed("run"))?;
    for name in names(directory)?.iter().filter(|name| !STAYS.contains(&name.as_str())) {
        wipe(&directory.path().join(name)).map_err(failed(name))?;
    }
    std::fs::File::open(directory.path()).and_then(|handle| handle.sync_all()).map_err(failed("."))?;
    directory.remove(MARK).map_err(failed(MARK))?;
    std::fs::File::open(directory.path()).and_then(|handle| handle.sync_all()).map_err(failed("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// A client of some site, with a file of each kind.
    fn client(state: &Path) -> PrivateDirectory {
        let directory = PrivateDirectory::open(state).unwrap();
        let identity = Identity {
            site: "OLD".parse().unwrap(),
            root: Hash([7; 32]),
            enrol: "https://old.example:8441".to_owned(),
            trust_version: 1,
            enterprise: None,
            refused: false,
            stage: Stage::Requesting { secret: "x".to_owned() },
        };
        identity.store(&directory).unwrap();
        identity::device_key(&directory).unwrap();
        drop(Store::open(&directory, false).unwrap());
        directory.write("trust-bundle.cose", b"trust").unwrap();
        directory.write("agent.json", br#"{"tpm": "off"}"#).unwrap();
        directory.directory("policy").unwrap().write("assignment.cose", b"policy").unwrap();
        directory.directory("run").unwrap().write("1.lock", b"").unwrap();
        directory
    }

    fn is_gone(directory: &PrivateDirectory) {
        let mut left = directory.names().unwrap();
        left.sort_unstable();
        assert_eq!(left, ["agent.json", "lock"]);
        assert!(Identity::load(directory).unwrap().is_none());
    }

    #[test]
    fn a_reset_says_what_it_does_and_then_does_it() {
        // proves S12: root and a clear yes; the plan first; nothing of the old site is left, and the configuration is.
        let temp = tempfile::tempdir().unwrap();
        let state = temp.path().join("state");
        let directory = client(&state);
        assert!(matches!(reset(&state, true, false), Err(ResetError::NotRoot)));
        let said = reset(&state, false, true).unwrap_err().to_string();
        for part in ["site OLD", &"07".repeat(32), "identity.json", "device.key", "Kept: agent.json", "--yes"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(Identity::load(&directory).unwrap().is_some(), "nothing was changed");
        let running = directory.directory("run").unwrap().lock("1.lock").unwrap().unwrap();
        assert!(matches!(reset(&state, true, true), Err(ResetError::Installing(name)) if name == "1.lock"));
        drop(running);
        let agent = directory.lock("lock").unwrap().unwrap();
        assert!(matches!(reset(&state, true, true), Err(ResetError::Start(StartError::Running(_)))));
        drop(agent);
        let plan = reset(&state, true, true).unwrap();
        assert_eq!(plan.removed[..2], ["device.key", "identity.json"]);
        is_gone(&directory);
        assert!(matches!(reset(&state, true, true), Err(ResetError::NotPinned)));
    }

    #[test]
    fn a_machine_leaves_a_site_that_it_cannot_read_any_more() {
        // proves S12: a reset is the way out of a damaged identity.
        let temp = tempfile::tempdir().unwrap();
        let state = temp.path().join("state");
        let directory = client(&state);
        directory.write("identity.json", b"{").unwrap();
        let said = reset(&state, false, true).unwrap_err().to_string();
        assert!(said.contains("does not know any more") && said.contains("device.key"), "{said}");
        let plan = reset(&state, true, true).unwrap();
        assert_eq!((plan.site, plan.root), (None, None));
        is_gone(&directory);
    }

    #[test]
    fn a_kill_at_any_moment_is_followed_by_the_rest() {
        // proves S12: crash-safe; whoever opens the directory next ends the reset first.
        let count = {
            let temp = tempfile::tempdir().unwrap();
            let directory = client(&temp.path().join("state"));
            names(&directory).unwrap().len()
        };
        for removed in 0..=count {
            let temp = tempfile::tempdir().unwrap();
            let state = temp.path().join("state");
            let directory = client(&state);
            directory.write(MARK, b"").unwrap();
            for name in names(&directory).unwrap().iter().filter(|n| !STAYS.contains(&n.as_str())).take(removed) {
                wipe(&state.join(name)).unwrap();
            }
            // A second one, and an agent that starts, both end it before they look at anything.
            drop(run::hold(&state).unwrap());
            is_gone(&directory);
        }
    }
}
