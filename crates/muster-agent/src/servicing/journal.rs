//! What is kept of a servicing while it goes on, so that the next start of the agent ends it whatever happened.

use crate::os::PrivateDirectory;
use muster_model::{id::DeploymentId, time::UnixMillis};
use serde::{Deserialize, Serialize};
use std::{io, path::PathBuf};

/// The file in the state directory.
const FILE: &str = "servicing.json";
/// Bytes of it.
const BYTES: usize = 64 << 10;

/// A step, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing is done yet.
    Plan,
    /// The firewall is closed, and only administrators log on.
    Lock,
    /// The lower file system is opened.
    Open,
    /// Installers run.
    Install,
    /// The lower file system is made read-only again.
    Protect,
    /// It is looked at whether it is.
    Verify,
    /// Everybody may log on again, and the firewall opens.
    Unlock,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: &[Self] =
        &[Self::Plan, Self::Lock, Self::Open, Self::Install, Self::Protect, Self::Verify, Self::Unlock];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Lock => "lock",
            Self::Open => "open",
            Self::Install => "install",
            Self::Protect => "protect",
            Self::Verify => "verify",
            Self::Unlock => "unlock",
        }
    }
}

/// A servicing that goes on, or did when the agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// The step that was begun.
    pub step: Step,
    /// Since when, by the machine's clock.
    pub begun: UnixMillis,
    /// The run of the system.
    pub boot: String,
    /// The view in which commands run, where there is one.
    pub namespace: Option<String>,
    /// What is made read-only again: the lower file system first.
    pub file_systems: Vec<PathBuf>,
    /// For which deployments.
    pub deployments: Vec<DeploymentId>,
}

impl Journal {
    /// Keeps it, on the disk when this returns.
    pub(super) fn write(&self, directory: &PrivateDirectory) -> io::Result<()> {
        directory.write(FILE, &serde_json::to_vec(self)?)
    }

    /// What is kept. One that cannot be read says no more than that there was one.
    pub(super) fn read(directory: &PrivateDirectory) -> io::Result<Option<Result<Self, serde_json::Error>>> {
        Ok(directory.read(FILE, BYTES)?.map(|bytes| serde_json::from_slice(&bytes)))
    }

    /// It is over.
    pub(super) fn remove(directory: &PrivateDirectory) -> io::Result<()> {
        directory.remove(FILE)
    }
}
