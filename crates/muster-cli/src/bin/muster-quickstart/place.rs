//! The directory that everything is in, what is remembered from one run to the next, and who may use it.

use muster_cli::files;
use muster_model::id::{DeviceId, Hash};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, Metadata},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What is remembered.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    /// The device that this machine became.
    pub(crate) device: Option<DeviceId>,
    /// The sample application.
    pub(crate) application: Option<Hash>,
}

/// The directory, held by a lock while this program runs.
pub(crate) struct Place {
    /// As the person names it.
    pub(crate) shown: PathBuf,
    dir: PathBuf,
    programs: PathBuf,
    _lock: File,
}

impl Place {
    /// Opens the directory, making it where it is not there.
    pub(crate) fn open(dir: Option<&Path>, check: bool, programs: Option<&Path>) -> Result<Self, String> {
        let shown = match dir {
            Some(dir) => dir.to_owned(),
            None if check => base().join(format!("check-{}", std::process::id())),
            None => base().join("quickstart"),
        };
        let say = |e: std::io::Error| format!("{}: {e}", shown.display());
        std::fs::create_dir_all(&shown).map_err(say)?;
        let dir = shown.canonicalize().map_err(say)?;
        let lock = File::create(dir.join("lock")).map_err(say)?;
        lock.try_lock().map_err(|_| format!("{} is in use: another quickstart runs there", shown.display()))?;
        for part in ["log", "sample"] {
            std::fs::create_dir_all(dir.join(part)).map_err(say)?;
        }
        let beside = || std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned()));
        let programs = programs.map(Path::to_owned).or_else(beside).unwrap_or_default();
        let programs = programs.canonicalize().map_err(|e| format!("{}: {e}", programs.display()))?;
        Ok(Self { shown, dir, programs, _lock: lock })
    }

    /// A path inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The log file of a program.
    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.dir.join("log").join(format!("{program}.log"))
    }

    /// One of the three programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// What the last run remembered.
    pub(crate) fn memory(&self) -> Memory {
        let bytes = files::read_small(&self.path("quickstart.json")).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Remembers for the next run.
    pub(crate) fn remember(&self, memory: &Memory) -> Result<(), String> {
        let json = serde_json::to_vec_pretty(memory).map_err(|e| e.to_string())?;
        files::write_private(&self.path("quickstart.json"), &json, false).map_err(|e| e.to_string())
    }

    /// Removes everything: after a check that went well.
    pub(crate) fn remove(&self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Where root keeps everything when others can change the directory that `./quickstart` stands in.
const OF_ROOT: &str = "/var/lib/muster-quickstart";

/// `var` beside `./quickstart`; for root in another person's clone a directory of its own: an agent that may do everything
/// keeps its state where nobody else can put something in its way, and refuses to start elsewhere.
fn base() -> PathBuf {
    let here = PathBuf::from("var");
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let clone = std::env::current_dir().unwrap_or_default();
    if root && clone.ancestors().any(|dir| std::fs::symlink_metadata(dir).is_ok_and(|dir| others_can_change(&dir))) {
        return PathBuf::from(OF_ROOT);
    }
    here
}

fn others_can_change(dir: &Metadata) -> bool {
    let (writable, sticky) = (dir.mode() & 0o022 != 0, dir.mode() & 0o1000 != 0);
    dir.uid() != 0 || (writable && !sticky)
}

/// Four ports that are free now. They are written into the site's configuration and kept.
pub(crate) fn free_ports() -> Result<[u16; 4], String> {
    // All are held until all are known, so that they differ.
    let held = [(); 4].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(&held) {
        let address = listener.as_ref().map_err(ToString::to_string)?.local_addr();
        *port = address.map_err(|e| e.to_string())?.port();
    }
    Ok(ports)
}
