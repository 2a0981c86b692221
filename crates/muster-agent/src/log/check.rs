//! Whether the log on the disk is the one that was written: every record, the head that the store noted, and the beginning.

use super::{ALTERED, ALTERED_TOO, CONTINUED, DIRECTORY, REMOVED_SEGMENT, segment_first};
use crate::os::{DirectoryError, PrivateDirectory};
use muster_model::{
    id::Hash,
    limits::{LOG_SEGMENT_BYTES, LOG_SEGMENTS},
    log::{LogBreak, LogFault, LogRecord},
    time::UnixMillis,
};
use muster_trust::log::{At, next};
use rustix::io::Errno;
use serde_json::Value;
use std::{collections::VecDeque, io};

/// Bytes of one file that are read at most: what is larger, this agent did not write.
pub(super) const MOST: usize = 2 * LOG_SEGMENT_BYTES as usize;
/// Files that are looked at.
const FILES: usize = 2 * LOG_SEGMENTS;

/// A log that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Where it stands; sequence 0: it is empty.
    pub at: At,
    /// Its files: number of the first record, and the head before it. One is there at least, where a record is.
    pub files: VecDeque<(u64, Hash)>,
    /// Bytes of the last file that are records.
    pub bytes: u64,
    /// Bytes after them, of a record that was not written whole when the power went.
    pub torn: u64,
    /// A file that was to be removed and is there still.
    pub left: Option<u64>,
    /// It goes on after one that was altered, and a kill came before anybody was told.
    pub unsaid: Option<LogBreak>,
}

/// Why it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub fault: LogFault,
    /// The first record that is not as it was.
    pub sequence: u64,
    /// Time of the last record that is as it was.
    pub good: Option<UnixMillis>,
}

/// What the look came to.
pub type Checked = io::Result<Result<Whole, Fault>>;

/// The log's directory, where it is one of ours.
pub(super) fn directory(state: &PrivateDirectory) -> io::Result<Result<PrivateDirectory, Fault>> {
    match state.directory(DIRECTORY) {
        Ok(directory) => Ok(Ok(directory)),
        Err(error) => judge(error),
    }
}

/// What cannot be opened because of what it is was replaced. What the system refuses for want of space, memory, files or a working disk says
/// nothing of the log.
fn judge(error: DirectoryError) -> io::Result<Result<PrivateDirectory, Fault>> {
    let odd = [Errno::LOOP, Errno::NOTDIR].map(|errno| Some(errno.raw_os_error()));
    match error {
        DirectoryError::Io { error, .. } if !odd.contains(&error.raw_os_error()) => Err(error),
        // A link or a file in its place, of somebody else, or open to others.
        _ => Ok(Err(Fault { fault: LogFault::Replaced, sequence: 1, good: None })),
    }
}

/// Reads the whole log. `noted`: where it stood at some moment; it must have gone on from there.
pub(super) fn check(directory: &PrivateDirectory, noted: Option<At>) -> Checked {
    let mut firsts: Vec<u64> = directory.names()?.iter().filter_map(|name| segment_first(name)).collect();
    firsts.sort_unstable();
    let mut walk = Walk { noted, ..Walk::default() };
    if firsts.is_empty() {
        return Ok(match noted.filter(|noted| noted.sequence > 0) {
            Some(noted) => Err(walk.fault(LogFault::Missing, noted.sequence)),
            None => Ok(walk.whole()),
        });
    }
    if firsts.len() > FILES {
        return Ok(Err(walk.fault(LogFault::Replaced, 1)));
    }
    for (number, first) in firsts.iter().enumerate() {
        let bytes = match directory.read(&super::segment_name(*first), MOST) {
            Ok(bytes) => bytes.unwrap_or_default(),
            // Larger than this agent writes, a link, or of another user.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge || PrivateDirectory::is_foreign(&error) => {
                return Ok(Err(walk.fault(LogFault::Replaced, *first)));
            }
            Err(error) => return Err(error),
        };
        if let Err(fault) = walk.file(*first, &bytes, number + 1 == firsts.len()) {
            return Ok(Err(fault));
        }
    }
    Ok(walk.end())
}

#[derive(Default)]
struct Walk {
    noted: Option<At>,
    at: Option<At>,
    files: VecDeque<(u64, Hash)>,
    bytes: u64,
    torn: u64,
    /// The last record that says which records were removed: up to which, and the head there.
    removed: Option<At>,
    /// The first record says that it goes on after a log that was altered.
    continued: Option<LogBreak>,
    good: Option<UnixMillis>,
}

impl Walk {
    fn fault(&self, fault: LogFault, sequence: u64) -> Fault {
        Fault { fault, sequence, good: self.good }
    }

    fn whole(self) -> Whole {
        let at = self.at.unwrap_or(At::START);
        Whole { at, files: self.files, bytes: self.bytes, torn: self.torn, left: None, unsaid: None }
    }

    fn expected(&self) -> u64 {
        self.at.map_or(1, |at| at.sequence + 1)
    }

    fn file(&mut self, first: u64, bytes: &[u8], is_last: bool) -> Result<(), Fault> {
        if self.at.is_some_and(|at| first != at.sequence + 1) {
            let fault = if first > self.expected() { LogFault::Removed } else { LogFault::Altered };
            return Err(self.fault(fault, self.expected()));
        }
        let (mut start, mut empty) = (0, true);
        while start < bytes.len() {
            let end = bytes[start..].iter().position(|byte| *byte == b'\n').map(|at| start + at);
            let line = &bytes[start..end.unwrap_or(bytes.len())];
            let read = next(self.at, line);
            // The last line of all, that nobody has noted: the power went while it was written.
            let is_end = is_last && end.is_none_or(|end| end + 1 == bytes.len());
            let expected = self.at.map_or(first, |at| at.sequence + 1);
            let unnoted = self.noted.is_none_or(|noted| expected > noted.sequence);
            let half = end.is_none() || matches!(&read, Err(broken) if broken.unreadable);
            if is_end && unnoted && half {
                self.torn = (bytes.len() - start) as u64;
                break;
            }
            let (record, at) =
                read.map_err(|broken| self.fault(broken.fault, broken.sequence.max(first.min(expected))))?;
            let Some(end) = end else { return Err(self.fault(LogFault::Altered, expected)) };
            if empty {
                if record.sequence != first {
                    return Err(self.fault(LogFault::Altered, first));
                }
                self.files.push_back((first, record.previous));
            }
            self.record(&record, at)?;
            (start, empty) = (end + 1, false);
        }
        self.bytes = (bytes.len() as u64) - self.torn;
        if empty && !is_last {
            return Err(self.fault(LogFault::Removed, first));
        }
        if empty {
            // A file was begun, and the power went before its first record.
            self.files.push_back((first, self.at.unwrap_or(At::START).head));
        }
        Ok(())
    }

    fn record(&mut self, record: &LogRecord, at: At) -> Result<(), Fault> {
        if self.at.is_none() && record.id == CONTINUED {
            self.continued = Some(said(record));
        }
        if record.id == REMOVED_SEGMENT {
            let through = record.fields.get("last").and_then(Value::as_u64);
            let head = record.fields.get("head").and_then(Value::as_str).and_then(|text| text.parse().ok());
            if let (Some(sequence), Some(head)) = (through, head) {
                self.removed = Some(At { sequence, head });
            }
        }
        self.at = Some(at);
        if self.noted.is_some_and(|noted| noted.sequence == at.sequence && noted.head != at.head) {
            return Err(self.fault(LogFault::Replaced, at.sequence));
        }
        self.good = Some(record.time);
        Ok(())
    }

    fn end(mut self) -> Result<Whole, Fault> {
        let last = self.at.unwrap_or(At::START);
        if let Some(noted) = self.noted.filter(|noted| last.sequence < noted.sequence) {
            let fault = if last.sequence == 0 { LogFault::Missing } else { LogFault::Shortened };
            return Err(self.fault(fault, if last.sequence == 0 { noted.sequence } else { last.sequence + 1 }));
        }
        let (first, before) = self.files.front().copied().unwrap_or((1, Hash::ZERO));
        let begins = first == 1 && before == Hash::ZERO;
        let follows = self.removed.is_some_and(|gone| gone.sequence + 1 == first && gone.head == before);
        let mut left = None;
        if let Some(gone) = self.removed.filter(|gone| gone.sequence >= first) {
            // It was said and not done yet.
            match self.files.get(1) {
                Some((second, head)) if *second == gone.sequence + 1 && *head == gone.head => {
                    left = Some(first);
                    self.files.pop_front();
                }
                _ => return Err(self.fault(LogFault::Removed, first)),
            }
        } else if !(begins || follows || self.continued.is_some() && self.removed.is_none()) {
            return Err(self.fault(LogFault::Removed, self.removed.map_or(1, |gone| gone.sequence + 1)));
        }
        let (first, before) = self.files.front().copied().unwrap_or((1, Hash::ZERO));
        let mut unsaid = None;
        if let Some(noted) = self.noted.filter(|noted| noted.sequence < first && noted.sequence > 0) {
            if noted.sequence + 1 < first {
                return Err(self.fault(LogFault::Removed, noted.sequence + 1));
            }
            if noted.head != before {
                return Err(self.fault(LogFault::Replaced, first));
            }
            unsaid = self.continued.take();
        }
        Ok(Whole { left, unsaid, ..self.whole() })
    }
}

/// What the first record of a log says of the one that was altered.
fn said(record: &LogRecord) -> LogBreak {
    let text = |name: &str| record.fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let fault = LogFault::ALL.iter().find(|fault| fault.as_str() == text("fault")).copied();
    LogBreak {
        fault: fault.unwrap_or(LogFault::Replaced),
        sequence: record.fields.get("sequence").and_then(Value::as_u64).unwrap_or(record.sequence),
        whole: UnixMillis(record.fields.get("whole").and_then(Value::as_i64).unwrap_or(0)),
        found: record.time,
    }
}

/// Keeps an altered log beside, for whoever looks into it; the one before that goes. `is_unsaid`: nobody was told yet of what was put aside
/// before, and that stays as it is.
pub(super) fn put_aside(state: &PrivateDirectory, is_unsaid: bool) -> io::Result<()> {
    let is_there = |name: &str| state.names().map(|names| names.iter().any(|there| there == name));
    if !is_there(DIRECTORY)? {
        return Ok(());
    }
    let name = if is_unsaid && is_there(ALTERED)? { ALTERED_TOO } else { ALTERED };
    if is_there(name)? {
        state.remove_directory(name).or_else(|_| state.remove(name))?;
    }
    state.rename(DIRECTORY, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_is_no_alteration() {
        let judged = |number| {
            let error = io::Error::from_raw_os_error(number);
            judge(DirectoryError::Io { path: "log".into(), error }).map(|judged| judged.unwrap_err().fault)
        };
        use nix::libc::{EACCES, EDQUOT, EIO, ELOOP, EMFILE, ENOMEM, ENOSPC, ENOTDIR};
        for number in [EIO, EMFILE, ENOMEM, EDQUOT, ENOSPC, EACCES] {
            assert_eq!(judged(number).unwrap_err().raw_os_error(), Some(number));
        }
        for number in [ELOOP, ENOTDIR] {
            assert_eq!(judged(number).unwrap(), LogFault::Replaced);
        }
    }
}
