//! The client's log: what the agent says, as lines of JSON that hang together by hash, in files that only root reads and writes.
//!
//! A record is written where it is said, so that a kill loses none. The head is noted in the store a little later, always after the file
//! is on the disk: so the file may be ahead of the store, and never behind it, unless somebody altered it. The site is told the head, too:
//! then also who alters the store is found out. Programs of users do not write here; the agent says what they asked for.

mod check;
mod layer;
mod redact;
pub mod run;
mod writer;

pub use check::{Checked, Fault, Whole};
pub use layer::Layer;
pub use writer::Bounds;

use crate::{clock::Clock, os::PrivateDirectory};
use muster_model::{
    id::Hash,
    log::{LogAnchor, LogBreak, LogFault, LogSeverity},
    time::UnixMillis,
};
use muster_trust::log::At;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;
use writer::Writer;

/// Its directory in the state directory.
pub const DIRECTORY: &str = "log";
/// Where what is left of an altered one is kept.
pub const ALTERED: &str = "log.altered";
/// Where a second one is kept, as long as nobody was told of the first.
pub const ALTERED_TOO: &str = "log.altered.too";
/// What was found altered, and not told to the site yet.
const UNSAID: &str = "log.unsaid";
/// Bytes of it.
const UNSAID_BYTES: usize = 4_096;
/// The record that says that the oldest ones were removed.
pub const REMOVED_SEGMENT: &str = "log_segment_removed";
/// The record with which a log goes on after an altered one.
pub const CONTINUED: &str = "log_continued";
/// Records that wait until the log is open.
const WAITING: usize = 500;

fn segment_name(first: u64) -> String {
    format!("{first:020}.jsonl")
}

/// Number of the first record of a file, by its name.
fn segment_first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl")?;
    (digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// What somebody says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) severity: LogSeverity,
    pub(crate) component: String,
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) fields: BTreeMap<String, Value>,
    pub(crate) cut: bool,
}

/// Where the log stood when it was last noted in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Number of the last record that was on the disk.
    pub sequence: u64,
    /// Head after it.
    pub head: Hash,
    /// When the whole log was last read and found as it was written; 0: never.
    pub whole: UnixMillis,
}

/// How the log stands, as the client's checks ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It waits in memory.
    Waiting,
    /// It is open; so many records could not be written since the last one that was.
    Open(u64),
}

#[derive(Debug)]
enum State {
    /// Before the state directory is held.
    Waiting {
        entries: VecDeque<(UnixMillis, Entry)>,
        lost: u64,
    },
    Open(Box<Writer>),
}

/// The log of a running agent. Copies are the same log.
#[derive(Debug, Clone)]
pub struct Log {
    state: Arc<Mutex<State>>,
    /// What was found altered, and not told to the site yet.
    unsaid: Arc<Mutex<Option<LogBreak>>>,
    clock: Clock,
    /// Told when something was written.
    written: Arc<Notify>,
}

impl Log {
    /// One that keeps what is said in memory until it is opened.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let state = State::Waiting { entries: VecDeque::new(), lost: 0 };
        Self { state: Arc::new(Mutex::new(state)), unsaid: Arc::default(), clock, written: Arc::default() }
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> Standing {
        match &*self.lock() {
            State::Waiting { .. } => Standing::Waiting,
            State::Open(writer) => Standing::Open(writer.lost()),
        }
    }

    fn lock_unsaid(&self) -> MutexGuard<'_, Option<LogBreak>> {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found altered, and not told to the site yet.
    #[must_use]
    pub fn unsaid(&self) -> Option<LogBreak> {
        self.lock_unsaid().clone()
    }

    /// The site is told of what was found altered: the message is kept.
    ///
    /// # Errors
    /// When the disk refuses; it is told once more then.
    pub fn said(&self, held: &PrivateDirectory) -> io::Result<()> {
        held.remove(UNSAID).or_else(|_| held.remove_directory(UNSAID))?;
        *self.lock_unsaid() = None;
        Ok(())
    }

    /// Remembers what was found, before anything is done about it: what follows may fail, and would look like another fault afterwards. What was
    /// found first, and not told yet, stays.
    fn keep(&self, held: &PrivateDirectory, found: LogBreak) -> io::Result<(LogBreak, bool)> {
        let mut unsaid = self.lock_unsaid();
        let before = unsaid.clone().map_or_else(|| kept_unsaid(held), |before| Ok(Some(before)))?;
        let is_new = before.is_none();
        let found = before.unwrap_or(found);
        *unsaid = Some(found.clone());
        if is_new || kept_unsaid(held)?.is_none() {
            held.write(UNSAID, &serde_json::to_vec(&found)?)?;
        }
        Ok((found, !is_new))
    }

    /// Puts an altered log aside, and begins one that goes on after it.
    fn begin_again(&self, held: &PrivateDirectory, go: GoOn) -> io::Result<(Writer, LogBreak)> {
        let GoOn { at, fault, whole, bounds, now } = go;
        let found = LogBreak { fault: fault.fault, sequence: fault.sequence, whole, found: now };
        let (found, is_unsaid) = self.keep(held, found)?;
        check::put_aside(held, is_unsaid)?;
        let directory = held.directory(DIRECTORY).map_err(io::Error::other)?;
        Ok((Writer::go_on_after(directory, at, fault, whole, bounds, now)?, found))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a record. Says nothing itself by `tracing`: it is called from there.
    pub(crate) fn write(&self, entry: Entry) {
        let now = self.clock.now();
        match &mut *self.lock() {
            State::Waiting { entries, lost } => {
                if entries.len() == WAITING {
                    entries.pop_front();
                    *lost += 1;
                }
                entries.push_back((now, entry));
            }
            // Nobody is woken to note what the disk refused.
            State::Open(writer) => {
                if !writer.write(&entry, now) {
                    return;
                }
            }
        }
        self.written.notify_one();
    }

    /// Opens the log in a state directory that this process holds, and reads it whole. `noted`: what the store says of it. An altered one
    /// is put aside, and goes on in another; what was wrong is returned.
    ///
    /// # Errors
    /// When the disk refuses; what is said waits in memory.
    pub fn open(&self, held: &PrivateDirectory, noted: Option<Noted>, bounds: Bounds) -> io::Result<Option<LogBreak>> {
        let now = self.clock.now();
        let mut state = self.lock();
        if matches!(*state, State::Open(_)) {
            return Ok(None);
        }
        let at = noted.map(|noted| At { sequence: noted.sequence, head: noted.head });
        let checked = match check::directory(held)? {
            Ok(directory) => check::check(&directory, at)?.map(|whole| (directory, whole)),
            Err(fault) => Err(fault),
        };
        let (mut writer, broken) = match checked {
            Ok((directory, whole)) => {
                let unsaid = kept_unsaid(held)?.or_else(|| whole.unsaid.clone());
                *self.lock_unsaid() = unsaid.clone();
                (Writer::go_on(directory, whole, bounds, now)?, unsaid)
            }
            Err(fault) => {
                let whole = noted.map_or(UnixMillis(0), |noted| noted.whole);
                let at = at.unwrap_or(At::START);
                let (writer, broken) = self.begin_again(held, GoOn { at, fault, whole, bounds, now })?;
                (writer, Some(broken))
            }
        };
        if let State::Waiting { entries, lost } = &mut *state {
            writer.lose(*lost);
            for (time, entry) in entries.drain(..) {
                writer.write(&entry, time);
            }
        }
        *state = State::Open(Box::new(writer));
        drop(state);
        self.written.notify_one();
        Ok(broken)
    }

    /// Reads the whole log once more. `whole`: when it was last found as it was written. An altered one is put aside, as by [`Self::open`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn look(&self, held: &PrivateDirectory, whole: UnixMillis) -> io::Result<Option<LogBreak>> {
        let now = self.clock.now();
        let mut state = self.lock();
        let State::Open(writer) = &mut *state else { return Ok(None) };
        let found = match check::directory(held)? {
            // Not by the directory that is open: another one may have its name.
            Ok(directory) => {
                writer.directory = directory;
                writer.check()?
            }
            Err(fault) => Err(fault),
        };
        let Err(fault) = found else { return Ok(None) };
        let (at, bounds) = (writer.at, writer.bounds());
        match self.begin_again(held, GoOn { at, fault, whole, bounds, now }) {
            Ok((again, broken)) => {
                **writer = again;
                Ok(Some(broken))
            }
            Err(error) => {
                // The open file may be in what was put aside, where nothing may come to it any more.
                *state = State::Waiting { entries: VecDeque::new(), lost: 0 };
                Err(error)
            }
        }
    }

    /// Brings what was written to the disk, and says where the log stands there, as the site is told: never of a record that a loss of power
    /// would take back. `None`: it is not open. Sequence 0: it is empty.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> io::Result<Option<LogAnchor>> {
        match &*self.lock() {
            State::Open(writer) => anchor(writer).map(Some),
            State::Waiting { .. } => Ok(None),
        }
    }

    /// The last records, from a time on, and where the log stands after them.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn tail(
        &self,
        since: Option<UnixMillis>,
        records: usize,
        bytes: usize,
    ) -> io::Result<Option<(Vec<String>, LogAnchor)>> {
        let state = self.lock();
        let State::Open(writer) = &*state else { return Ok(None) };
        if writer.at.sequence == 0 {
            return Ok(None);
        }
        let anchor = anchor(writer)?;
        Ok(Some((writer.tail(since, records, bytes)?, anchor)))
    }

    async fn wait_for_more(&self) {
        self.written.notified().await;
    }
}

/// Where a log goes on after one that was altered.
struct GoOn {
    at: At,
    fault: Fault,
    whole: UnixMillis,
    bounds: Bounds,
    now: UnixMillis,
}

fn anchor(writer: &Writer) -> io::Result<LogAnchor> {
    let At { sequence, head } = writer.sync()?;
    Ok(LogAnchor { sequence, head, first: writer.first(), after: None, broken: None })
}

/// What an agent before found altered, and did not come to tell.
fn kept_unsaid(held: &PrivateDirectory) -> io::Result<Option<LogBreak>> {
    let bytes = match held.read(UNSAID, UNSAID_BYTES) {
        Ok(None) => return Ok(None),
        Ok(Some(bytes)) => bytes,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge || PrivateDirectory::is_foreign(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    // Half of it, or what somebody wrote there: something was found, that much is known.
    let unknown = LogBreak { fault: LogFault::Replaced, sequence: 1, whole: UnixMillis(0), found: UnixMillis(0) };
    Ok(Some(serde_json::from_slice(&bytes).unwrap_or(unknown)))
}

#[cfg(test)]
mod tests;
