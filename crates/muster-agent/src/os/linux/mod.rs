//! Linux: every fact comes from files below a root (`/`, or a recorded tree) and a few answers of the kernel.

pub mod account;
pub mod apk;
pub mod assignments;
pub mod block;
pub mod claims;
pub mod contents;
pub mod cpu;
pub mod directory;
pub mod dpkg;
pub mod files;
pub mod firmware;
pub mod identity;
pub mod kernel;
pub mod local_socket;
pub mod logons;
pub mod memory;
pub mod net;
pub mod network;
pub mod proc;
pub mod process;
pub mod restart;
pub mod rpm;
pub mod scan;
pub mod sqlite;
pub mod stale;
pub mod systemd;
pub mod sysv;
pub mod unit;
pub mod volatile;
pub mod workplace;
pub mod writable;
pub mod write_filter;

use crate::os::{
    facts::{
        Adapter, ConsoleUser, Disk, Gaps, Memory, OperatingSystem, Package, Processor, Resolver, RestartSign, Service,
        Stale, System, Volume,
    },
    smbios::Smbios,
};
use files::{Files, TABLE_BYTES, unread};
use kernel::Kernel;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
    path::Path,
};

/// Whether this process runs as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Lets this thread run behind everything else.
pub fn be_nice() {
    // Where that is not allowed the work is done all the same.
    let _ = rustix::process::setpriority_process(None, 10);
}

/// A Linux machine that can be asked. `None` from a method means: could not be read, and the gaps say why.
#[derive(Debug)]
pub struct Machine {
    files: Files,
    kernel: Kernel,
}

impl Machine {
    /// The machine whose files lie below `root`; `/` is this one.
    ///
    /// # Errors
    /// When `root` cannot be opened.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { files: Files::open(root)?, kernel: Kernel::of(root) })
    }

    /// Who the machine is. `now` in Unix milliseconds decides whether daylight saving time is in effect.
    #[must_use]
    pub fn system(&self, now: i64) -> System {
        identity::system(&self.files, &self.kernel, now)
    }

    /// What the kernel names this run of the system.
    #[must_use]
    pub fn boot(&self) -> Option<String> {
        let bytes = self.files.bytes("/proc/sys/kernel/random/boot_id", 64).ok()?;
        Some(String::from_utf8(bytes).ok()?.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// The time zone, where a file says it.
    #[must_use]
    pub fn zone(&self) -> Option<jiff::tz::TimeZone> {
        identity::zone(&self.files)
    }

    /// The operating system.
    #[must_use]
    pub fn operating_system(&self, gaps: &mut Gaps) -> Option<OperatingSystem> {
        identity::operating_system(&self.files, gaps)
    }

    /// Firmware, product and enclosure.
    #[must_use]
    pub fn firmware(&self, gaps: &mut Gaps) -> Option<Smbios> {
        firmware::firmware(&self.files, gaps)
    }

    /// Memory.
    #[must_use]
    pub fn memory(&self, gaps: &mut Gaps) -> Option<Memory> {
        match self.files.bytes("/proc/meminfo", TABLE_BYTES) {
            Ok(bytes) => proc::parse_meminfo(&bytes),
            Err(error) => {
                gaps.push(unread("The size of the memory is not known", "/proc/meminfo", &error));
                None
            }
        }
    }

    /// Processor packages.
    #[must_use]
    pub fn processors(&self, gaps: &mut Gaps) -> Option<Vec<Processor>> {
        cpu::processors(&self.files, gaps)
    }

    /// Disks with their partitions.
    #[must_use]
    pub fn disks(&self, gaps: &mut Gaps) -> Option<Vec<Disk>> {
        block::disks(&self.files, gaps)
    }

    /// Mounted volumes.
    #[must_use]
    pub fn volumes(&self, gaps: &mut Gaps) -> Option<Vec<Volume>> {
        block::volumes(&self.files, &self.kernel, gaps)
    }

    /// Network adapters.
    #[must_use]
    pub fn adapters(&self, gaps: &mut Gaps) -> Option<Vec<Adapter>> {
        net::adapters(&self.files, &self.kernel, gaps)
    }

    /// Name resolution.
    #[must_use]
    pub fn resolver(&self) -> Resolver {
        net::resolver(&self.files)
    }

    /// Which package each of these files is of, where a package database says so: its code. That of dpkg has no architecture where
    /// only one can be installed.
    #[must_use]
    pub fn owners(&self, wanted: &HashSet<String>) -> HashMap<String, String> {
        if wanted.is_empty() {
            return HashMap::new();
        }
        let mut found = dpkg::owners(&self.files, wanted);
        found.extend(rpm::owners(&self.files, wanted));
        found.extend(apk::owners(&self.files, wanted));
        found
    }

    /// Installed packages. When one of several package databases cannot be read this time, none is reported: the half
    /// would look as if everything else had been removed.
    #[must_use]
    pub fn packages(&self, gaps: &mut Gaps) -> Option<Vec<Package>> {
        let before = gaps.len();
        let sources = [dpkg::packages(&self.files), rpm::packages(&self.files, gaps), apk::packages(&self.files)];
        let (mut found, mut failed) = (None, false);
        for source in sources {
            match source {
                Ok(Some(packages)) => found.get_or_insert_with(Vec::new).extend(packages),
                Ok(None) => {}
                Err(reason) => {
                    failed = true;
                    gaps.push(reason);
                }
            }
        }
        if found.is_none() && gaps.len() == before {
            gaps.push("No package database of dpkg, rpm or apk was found.".to_owned());
        }
        found.filter(|_| !failed)
    }

    /// Services.
    #[must_use]
    pub fn services(&self, gaps: &mut Gaps) -> Option<Vec<Service>> {
        let systemd = systemd::services(&self.files, gaps);
        let known = systemd.as_ref().map_or_else(BTreeSet::new, |found| found.names.clone());
        let scripts = sysv::services(&self.files, &known);
        if systemd.is_none() && scripts.is_empty() {
            gaps.push("No services of systemd, System V init or OpenRC were found.".to_owned());
            return None;
        }
        Some(systemd.map(|found| found.services).unwrap_or_default().into_iter().chain(scripts).collect())
    }

    /// The write filter, and how it stands.
    #[must_use]
    pub fn write_filter(&self, gaps: &mut Gaps) -> Option<write_filter::WriteFilter> {
        write_filter::of(&self.files, gaps)
    }

    /// What the system itself says of a restart that it needs.
    #[must_use]
    pub fn restart_signs(&self) -> Vec<RestartSign> {
        restart::signs(&self.files)
    }

    /// Programs that still run what an update replaced. `None`: that is not known.
    #[must_use]
    pub fn stale_programs(&self) -> Option<Stale> {
        stale::stale(&self.files)
    }

    /// Whether somebody works at the machine.
    #[must_use]
    pub fn somebody(&self) -> bool {
        restart::somebody(&self.files)
    }

    /// Whether this user has a session.
    #[must_use]
    pub fn has_session(&self, user: u32) -> bool {
        restart::has_session(&self.files, user)
    }

    /// Whether this user may end the work of everybody: at the machine, or alone on it.
    #[must_use]
    pub fn may_end_all(&self, user: u32) -> bool {
        restart::may_end_all(&self.files, user)
    }

    /// Who used the console.
    #[must_use]
    pub fn console_users(&self, gaps: &mut Gaps) -> Option<Vec<ConsoleUser>> {
        logons::console_users(&self.files, &self.kernel.machine(), gaps)
    }
}
