//! The few answers that no file gives: system calls on the running kernel, or the same answers recorded with a file tree.

use crate::os::facts::Space;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::Ipv4Addr, path::Path};

/// Bytes of a recording.
const RECORDING_BYTES: u64 = 1 << 20;
/// The file in a recorded tree that carries the answers.
const RECORDING: &str = "kernel.json";

/// Where the answers come from.
#[derive(Debug, Clone)]
pub enum Kernel {
    /// This machine's kernel.
    Running,
    /// A recording.
    Recorded(Answers),
}

/// The answers of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// `uname`: the instruction set.
    pub machine: String,
    /// `statvfs` by mount point.
    #[serde(default)]
    pub space: BTreeMap<String, Space>,
    /// IPv4 addresses: interface, address, prefix length.
    #[serde(default)]
    pub ipv4: Vec<(String, Ipv4Addr, u8)>,
}

impl Kernel {
    /// The running kernel for `/`, else the recording in the tree (an empty one when there is none).
    #[must_use]
    pub fn of(root: &Path) -> Self {
        if root == Path::new("/") {
            return Self::Running;
        }
        let answers = super::files::Files::open(root)
            .and_then(|files| files.bytes(RECORDING, RECORDING_BYTES))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self::Recorded(answers.unwrap_or_default())
    }

    /// The instruction set, as `uname -m` says.
    #[must_use]
    pub fn machine(&self) -> String {
        match self {
            Self::Running => rustix::system::uname().machine().to_string_lossy().into_owned(),
            Self::Recorded(answers) => answers.machine.clone(),
        }
    }

    /// Sizes of the file system that is mounted there.
    #[must_use]
    pub fn space(&self, mount_point: &str) -> Option<Space> {
        match self {
            Self::Running => {
                let answer = rustix::fs::statvfs(mount_point).ok()?;
                Some(Space {
                    block: answer.f_frsize,
                    blocks: answer.f_blocks,
                    available: answer.f_bavail,
                    name_max: answer.f_namemax,
                })
            }
            Self::Recorded(answers) => answers.space.get(mount_point).copied(),
        }
    }

    /// All IPv4 addresses: interface, address, prefix length.
    #[must_use]
    pub fn ipv4(&self) -> Vec<(String, Ipv4Addr, u8)> {
        match self {
            Self::Running => running_ipv4(),
            Self::Recorded(answers) => answers.ipv4.clone(),
        }
    }
}

fn running_ipv4() -> Vec<(String, Ipv4Addr, u8)> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    all.filter_map(|entry| {
        let address = entry.address?.as_sockaddr_in()?.ip();
        let mask = entry.netmask.and_then(|m| m.as_sockaddr_in().map(|m| u32::from(m.ip())));
        let prefix = u8::try_from(mask.unwrap_or(u32::MAX).count_ones()).unwrap_or(32);
        // An address with a label of its own ("eth0:1") belongs to the adapter before the colon.
        let name = entry.interface_name.split(':').next().unwrap_or_default().to_owned();
        Some((name, address, prefix))
    })
    .collect()
}
