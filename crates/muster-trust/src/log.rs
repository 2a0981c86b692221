//! Lines of a client's log, each held against the one before it.

use crate::chain;
use muster_model::{
    id::Hash,
    limits::LOG_RECORD_BYTES,
    log::{LogFault, LogRecord},
};

/// Where a chain of lines stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Number of the last line; 0: none yet.
    pub sequence: u64,
    /// Head after it.
    pub head: Hash,
}

impl At {
    /// Before the first line of a log.
    pub const START: Self = Self { sequence: 0, head: Hash::ZERO };
}

/// Why a line does not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// What is wrong.
    pub fault: LogFault,
    /// The first line that is not as it was.
    pub sequence: u64,
    /// The line cannot be read at all, as one that was half written.
    pub unreadable: bool,
}

/// What a line says, and where the chain stands after it. `at`: where it stood before; `None`: the line is the first that is there.
///
/// # Errors
/// See [`Break`].
pub fn next(at: Option<At>, line: &[u8]) -> Result<(LogRecord, At), Break> {
    let expected = at.map_or(1, |at| at.sequence.saturating_add(1));
    let altered = |sequence, unreadable| Break { fault: LogFault::Altered, sequence, unreadable };
    if line.len() > LOG_RECORD_BYTES {
        return Err(altered(expected, true));
    }
    let record: LogRecord = serde_json::from_slice(line).map_err(|_| altered(expected, true))?;
    if let Some(at) = at {
        if record.sequence > expected {
            return Err(Break { fault: LogFault::Removed, sequence: expected, unreadable: false });
        }
        if record.sequence != expected {
            return Err(altered(expected, false));
        }
        if record.previous != at.head {
            // The line before is not the one that this one follows.
            return Err(altered(at.sequence, false));
        }
    }
    let head = chain(record.previous, line);
    let sequence = record.sequence;
    Ok((record, At { sequence, head }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{log::LogSeverity, time::UnixMillis};

    fn line(at: At, text: &str) -> (Vec<u8>, At) {
        let record = LogRecord {
            sequence: at.sequence + 1,
            previous: at.head,
            time: UnixMillis(1_000),
            severity: LogSeverity::Information,
            component: "run".to_owned(),
            id: "x".to_owned(),
            text: text.to_owned(),
            fields: Default::default(),
            cut: false,
        };
        let line = serde_json::to_vec(&record).unwrap();
        let head = chain(at.head, &line);
        (line, At { sequence: record.sequence, head })
    }

    #[test]
    fn a_line_follows_only_the_line_that_was_before_it() {
        let (one, after_one) = line(At::START, "one");
        let (two, after_two) = line(after_one, "two");
        let (three, _) = line(after_two, "three");
        let (_, at) = next(Some(At::START), &one).unwrap();
        assert_eq!(at, after_one);
        assert_eq!(next(Some(at), &two).unwrap().1, after_two);
        let fault = |broken: Break| (broken.fault, broken.sequence);
        // Left out, again, of another log, not a line.
        assert_eq!(fault(next(Some(at), &three).unwrap_err()), (LogFault::Removed, 2));
        assert_eq!(fault(next(Some(at), &one).unwrap_err()), (LogFault::Altered, 2));
        let other = At { head: Hash([7; 32]), ..after_one };
        assert_eq!(fault(next(Some(other), &two).unwrap_err()), (LogFault::Altered, 1));
        assert!(next(Some(at), &two[..two.len() - 1]).unwrap_err().unreadable);
        // A number that cannot go on does not overflow.
        let last = At { sequence: u64::MAX, head: Hash::ZERO };
        assert!(next(Some(last), &two).is_err());
    }
}
