//! The open log: one file is written to, the older ones wait until they are too many.

use super::{
    CONTINUED, Entry, REMOVED_SEGMENT,
    check::{self, Fault, Whole},
    segment_name,
};
use crate::os::PrivateDirectory;
use muster_model::{
    id::Hash,
    limits::{LOG_RECORD_BYTES, LOG_SEGMENT_BYTES, LOG_SEGMENTS},
    log::{LogRecord, LogSeverity},
    time::UnixMillis,
};
use muster_trust::{chain, log::At};
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{self, Seek, SeekFrom, Write},
};

/// How large the log may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of one file, after which the next one begins.
    pub segment: u64,
    /// How many files there are.
    pub segments: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { segment: LOG_SEGMENT_BYTES, segments: LOG_SEGMENTS }
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) directory: PrivateDirectory,
    file: File,
    bytes: u64,
    files: VecDeque<(u64, Hash)>,
    pub(super) at: At,
    bounds: Bounds,
    /// Records that could not be written since the last one that was.
    lost: u64,
}

fn own(id: &str, severity: LogSeverity, text: &str, fields: Vec<(&str, Value)>) -> Entry {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entry { severity, component: "log".to_owned(), id: id.to_owned(), text: text.to_owned(), fields, cut: false }
}

impl Writer {
    /// Goes on with a log that is whole.
    pub(super) fn go_on(
        directory: PrivateDirectory,
        whole: Whole,
        bounds: Bounds,
        now: UnixMillis,
    ) -> io::Result<Self> {
        if let Some(left) = whole.left {
            directory.remove(&segment_name(left))?;
        }
        let mut files = whole.files;
        if files.is_empty() {
            files.push_back((whole.at.sequence + 1, whole.at.head));
        }
        let first = files.back().map_or(1, |(first, _)| *first);
        let mut file = directory.edit_file(&segment_name(first))?;
        if whole.torn > 0 {
            file.set_len(whole.bytes)?;
        }
        file.seek(SeekFrom::Start(whole.bytes))?;
        let mut writer = Self { directory, file, bytes: whole.bytes, files, at: whole.at, bounds, lost: 0 };
        if whole.torn > 0 {
            let text = "a record was not written whole when the agent or the machine was ended; it was cut off";
            let entry = own("log_torn", LogSeverity::Warning, text, vec![("bytes", whole.torn.into())]);
            writer.record(&entry, now)?;
        }
        Ok(writer)
    }

    /// Begins a log that goes on with the numbers and the head of one that was altered.
    pub(super) fn go_on_after(
        directory: PrivateDirectory,
        at: At,
        fault: Fault,
        whole: UnixMillis,
        bounds: Bounds,
        now: UnixMillis,
    ) -> io::Result<Self> {
        let first = at.sequence + 1;
        let file = directory.edit_file(&segment_name(first))?;
        file.set_len(0)?;
        let mut writer = Self { directory, file, bytes: 0, files: [(first, at.head)].into(), at, bounds, lost: 0 };
        let text = "the log was altered; what is left of it is kept beside, and this one goes on after it";
        let fields = vec![
            ("fault", fault.fault.as_str().into()),
            ("sequence", fault.sequence.into()),
            ("whole", whole.0.into()),
            ("last_good", fault.good.map_or(Value::Null, |time| time.0.into())),
        ];
        writer.record(&own(CONTINUED, LogSeverity::Error, text, fields), now)?;
        writer.file.sync_all()?;
        Ok(writer)
    }

    pub(super) const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Records that could not be written since the last one that was.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Number of the first record that is kept.
    pub(super) fn first(&self) -> u64 {
        self.files.front().map_or(1, |(first, _)| *first)
    }

    /// Writes a record. What cannot be written is counted, and said as soon as something can be.
    pub(super) fn write(&mut self, entry: &Entry, now: UnixMillis) -> bool {
        let lost = self.lost;
        let done = self.rotate(now).and_then(|()| {
            if lost > 0 {
                let text = "records could not be written, because the disk refused them";
                self.record(&own("log_lost", LogSeverity::Warning, text, vec![("count", lost.into())]), now)?;
                self.lost = 0;
            }
            self.record(entry, now)
        });
        if done.is_err() {
            self.lost += 1;
        }
        done.is_ok()
    }

    /// So many records were lost before the log was open.
    pub(super) fn lose(&mut self, count: u64) {
        self.lost += count;
    }

    fn record(&mut self, entry: &Entry, now: UnixMillis) -> io::Result<()> {
        let mut record = LogRecord {
            sequence: self.at.sequence + 1,
            previous: self.at.head,
            time: now,
            severity: entry.severity,
            component: entry.component.clone(),
            id: entry.id.clone(),
            text: entry.text.clone(),
            fields: entry.fields.clone(),
            cut: entry.cut,
        };
        let mut line = serde_json::to_vec(&record)?;
        if line.len() > LOG_RECORD_BYTES {
            (record.fields, record.cut) = (BTreeMap::new(), true);
            line = serde_json::to_vec(&record)?;
        }
        let head = chain(self.at.head, &line);
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // Half a record would be taken for an altered one.
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.at = At { sequence: record.sequence, head };
        Ok(())
    }

    /// Begins the next file where this one is full. That the oldest one goes is said before it goes, and on the disk.
    fn rotate(&mut self, now: UnixMillis) -> io::Result<()> {
        if self.bytes < self.bounds.segment {
            return Ok(());
        }
        self.file.sync_all()?;
        let first = self.at.sequence + 1;
        let file = self.directory.edit_file(&segment_name(first))?;
        file.set_len(0)?;
        (self.file, self.bytes) = (file, 0);
        self.files.push_back((first, self.at.head));
        while self.files.len() > self.bounds.segments.max(2) {
            let (Some((oldest, _)), Some((next, head))) = (self.files.front().copied(), self.files.get(1).copied())
            else {
                break;
            };
            let fields = vec![("first", oldest.into()), ("last", (next - 1).into()), ("head", head.to_string().into())];
            let text = "the oldest records were removed, because the log has its size";
            self.record(&own(REMOVED_SEGMENT, LogSeverity::Information, text, fields), now)?;
            self.file.sync_all()?;
            self.directory.remove(&segment_name(oldest))?;
            self.files.pop_front();
        }
        Ok(())
    }

    /// Everything that was written is on the disk when this returns.
    pub(super) fn sync(&self) -> io::Result<At> {
        self.file.sync_data()?;
        Ok(self.at)
    }

    /// Whether what is on the disk is what was written.
    pub(super) fn check(&self) -> io::Result<Result<(), Fault>> {
        // By name, not by the open file, which is there even where its name is gone.
        Ok(check::check(&self.directory, Some(self.at))?.map(drop))
    }

    /// The last records, at most so many and so many bytes, from a time on.
    pub(super) fn tail(&self, since: Option<UnixMillis>, records: usize, bytes: usize) -> io::Result<Vec<String>> {
        let (mut lines, mut total): (VecDeque<String>, usize) = (VecDeque::new(), 0);
        'files: for (first, _) in self.files.iter().rev() {
            let text = self.directory.read(&segment_name(*first), check::MOST)?.unwrap_or_default();
            for line in text.split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty()) {
                let old = since.is_some_and(|since| {
                    serde_json::from_slice::<LogRecord>(line).is_ok_and(|record| record.time < since)
                });
                total += line.len() + 1;
                if old || total > bytes || lines.len() == records {
                    break 'files;
                }
                lines.push_front(String::from_utf8_lossy(line).into_owned());
            }
        }
        Ok(lines.into())
    }
}
