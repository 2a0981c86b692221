//! Hardware and software inventory: one file per class, from the facts of [`crate::os`] to rows of the class catalogue.
//!
//! Three rules hold for all classes. What changes by itself from minute to minute is left out or rounded, so that an idle
//! machine has the same inventory tomorrow: free memory, clocks, load, process ids and counts, the local time. What only
//! says which machine this is (`SystemName`) is left out as well, because the site knows it and equal rows of different
//! machines are stored once. And what could not be read is never an empty list: the class is absent, with the reason.

pub mod diff;
mod discovery;
mod row;

mod computer_system;
mod computer_system_product;
mod disk;
mod installed_software;
mod logical_disk;

mod network_adapter;
mod operating_system;
mod pc_bios;
mod pending_restart;
mod processor;
mod service;
mod software_file;
mod software_update;
mod system_console_user;
mod system_enclosure;
mod write_filter;
mod x86_pc_memory;

pub(crate) use pending_restart::reasons;
pub use software_file::Files;

use crate::os::{
    Machine,
    facts::{Gaps, RestartSign, Stale, System},
};
use jiff::tz::TimeZone;
use muster_model::{
    catalogue::{COLLECTED, Catalogue, Class},
    inventory::{Row, Unread},
    time::UnixMillis,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What was found: the rows of every class that could be read, and what could not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// Class to rows, which obey the catalogue and have different keys. A class that is not here could not be read, and
    /// the site keeps what it has.
    pub classes: BTreeMap<String, Vec<Row>>,
    /// Classes of administrators among them, which the catalogue that is built in does not have.
    pub own: BTreeMap<String, Arc<Class>>,
    /// What could not be read in full, with one sentence each.
    pub unread: Vec<Unread>,
}

/// Takes the inventory of one machine.
#[derive(Debug, Clone)]
pub struct Collector {
    root: PathBuf,
}

impl Collector {
    /// For this machine.
    #[must_use]
    pub fn this_machine() -> Self {
        Self::at("/")
    }

    /// For the machine whose files lie below `root`: `/`, or a recorded tree.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the files are read.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The time zone of this machine; UTC where it has none, or one that cannot be read.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        Machine::open(&self.root).ok().and_then(|machine| machine.zone()).unwrap_or(TimeZone::UTC)
    }

    /// What the kernel names this run of the system; another one with each restart.
    #[must_use]
    pub fn boot(&self) -> Option<String> {
        Machine::open(&self.root).ok()?.boot()
    }

    /// What the system itself says of a restart that it needs.
    #[must_use]
    pub fn restart_signs(&self) -> Vec<RestartSign> {
        Machine::open(&self.root).map(|machine| machine.restart_signs()).unwrap_or_default()
    }

    /// Programs that still run what an update replaced. It reads a table of each program: call it from a thread that may block.
    #[must_use]
    pub fn stale_programs(&self) -> Option<Stale> {
        Machine::open(&self.root).ok()?.stale_programs()
    }

    /// Whether somebody works at the machine; where that is not known, somebody might.
    #[must_use]
    pub fn somebody(&self) -> bool {
        Machine::open(&self.root).map_or(true, |machine| machine.somebody())
    }

    /// Whether this user has a session.
    #[must_use]
    pub fn has_session(&self, user: u32) -> bool {
        Machine::open(&self.root).is_ok_and(|machine| machine.has_session(user))
    }

    /// Whether this user may end the work of everybody: at the machine, or alone on it.
    #[must_use]
    pub fn may_end_all(&self, user: u32) -> bool {
        Machine::open(&self.root).is_ok_and(|machine| machine.may_end_all(user))
    }

    /// Takes the inventory. Reads files and asks the kernel, writes nothing, starts no program; takes some tens of
    /// milliseconds, so call it from a thread that may block. `now` decides about daylight saving time only.
    #[must_use]
    pub fn collect(&self, now: UnixMillis) -> Collected {
        self.collect_with(now, None)
    }

    /// The same, and the files that the client settings want, which may take as long as they say.
    #[must_use]
    pub fn collect_with(&self, now: UnixMillis, files: Option<Files<'_>>) -> Collected {
        let machine = match Machine::open(&self.root) {
            Ok(machine) => machine,
            Err(error) => {
                let reason = format!("{} could not be opened ({error}).", self.root.display());
                let unread = |class: &&str| Unread { class: (*class).to_owned(), reason: reason.clone() };
                return Collected { unread: COLLECTED.iter().map(unread).collect(), ..Collected::default() };
            }
        };
        let system = machine.system(now.0);
        let mut found = Collected::default();
        found.firmware_classes(&machine, &system);
        found.take("OPERATING_SYSTEM", |gaps| operating_system::rows(&machine, &system, gaps));
        found.take("PROCESSOR", |gaps| processor::rows(&machine, &system, gaps));
        found.take("X86_PC_MEMORY", |gaps| x86_pc_memory::rows(&machine, gaps));
        found.take("LOGICAL_DISK", |gaps| logical_disk::rows(&machine, gaps));
        found.take_pair(["DISK", "PARTITION"], |gaps| disk::rows(&machine, gaps));
        found.take_pair(["NETWORK_ADAPTER", "NETWORK_ADAPTER_CONFIGURATION"], |gaps| {
            network_adapter::rows(&machine, &system, gaps)
        });
        found.take("INSTALLED_SOFTWARE", |gaps| installed_software::rows(&machine, gaps));
        found.take("SERVICE", |gaps| service::rows(&machine, gaps));
        if let Some(files) = files {
            found.files(&machine, files, now);
        }
        found.take("SYSTEM_CONSOLE_USER", |gaps| system_console_user::rows(&machine, gaps));
        found.take_pair(["WRITE_FILTER_STATE", "MUSTER_WRITE_FILTER"], |gaps| write_filter::rows(&machine, gaps));
        found
    }
}

impl Collected {
    /// The classes that the firmware's table says something about; the table is read once.
    fn firmware_classes(&mut self, machine: &Machine, system: &System) {
        let mut gaps = Gaps::new();
        let firmware = machine.firmware(&mut gaps);
        self.note("COMPUTER_SYSTEM_PRODUCT", gaps);
        let known = firmware.as_ref();
        self.take("COMPUTER_SYSTEM_PRODUCT", |_| known.map(computer_system_product::rows));
        self.take("PC_BIOS", |_| known.map(pc_bios::rows));
        self.take("SYSTEM_ENCLOSURE", |_| known.map(system_enclosure::rows));
        let firmware = firmware.unwrap_or_default();
        self.take("COMPUTER_SYSTEM", |gaps| computer_system::rows(machine, system, &firmware, gaps));
    }

    fn take(&mut self, class: &str, collect: impl FnOnce(&mut Gaps) -> Option<Vec<Row>>) {
        let mut gaps = Gaps::new();
        let rows = collect(&mut gaps);
        self.note(class, gaps);
        if let Some(rows) = rows {
            self.keep(class, rows);
        }
    }

    fn take_pair(&mut self, pair: [&str; 2], collect: impl FnOnce(&mut Gaps) -> Option<[Vec<Row>; 2]>) {
        let mut gaps = Gaps::new();
        let rows = collect(&mut gaps);
        pair.iter().for_each(|class| self.note(class, gaps.clone()));
        for (class, rows) in pair.into_iter().zip(rows.into_iter().flatten()) {
            self.keep(class, rows);
        }
    }

    /// The class of this name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Arc<Class>> {
        Catalogue::built_in().class(name).or_else(|| self.own.get(name))
    }

    fn note(&mut self, class: &str, gaps: Gaps) {
        self.unread.extend(gaps.into_iter().map(|reason| Unread { class: class.to_owned(), reason }));
    }

    fn keep(&mut self, class: &str, rows: Vec<Row>) {
        let (rows, refused) = row::obey(class, rows);
        if refused > 0 {
            self.note(
                class,
                vec![format!("{refused} entries were left out: their key is missing or over the limits.")],
            );
        }
        self.classes.insert(class.to_owned(), rows);
    }
}
