//! Client logs on the disk and on the wire: records that hang together by hash, the heads that a client tells its site, and pieces that
//! the site asked for.
//!
//! A log is lines of JSON. Each names its number and the head before it; `head(n) = SHA-256(head(n-1) || SHA-256(line n))`, over the line's
//! exact bytes without its end. Whoever alters, removes or inserts a line has to write all that follow anew, and then the heads are others
//! than those that the site was told.

use crate::{
    id::{Hash, LogRequestId},
    limits,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How serious a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSeverity {
    /// Something failed.
    Error,
    /// Something to look at; the work goes on.
    Warning,
    /// For the record.
    Information,
    /// For whoever looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogSeverity {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRecord {
    /// Its number; the first is 1.
    pub sequence: u64,
    /// The head before it.
    pub previous: Hash,
    /// When, by the client's clock.
    pub time: UnixMillis,
    /// How serious it is.
    pub severity: LogSeverity,
    /// The part of the agent that speaks.
    pub component: String,
    /// Which message it is: the words of its sentence, so that equal messages have equal ids.
    pub id: String,
    /// The sentence.
    pub text: String,
    /// Values, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Something of it was left out, because it was too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// What is wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LogFault {
    /// There is none any more.
    Missing,
    /// Its end is not there.
    Shortened,
    /// Records are not there, and no record says that they were removed for their age.
    Removed,
    /// A record is not what it was.
    Altered,
    /// It hangs together, and it is not the log that was.
    Replaced,
    /// It is a log of before: what the site was told of it came later.
    SetBack,
}

impl LogFault {
    /// Every fault.
    pub const ALL: &[Self] =
        &[Self::Missing, Self::Shortened, Self::Removed, Self::Altered, Self::Replaced, Self::SetBack];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Shortened => "shortened",
            Self::Removed => "removed",
            Self::Altered => "altered",
            Self::Replaced => "replaced",
            Self::SetBack => "set_back",
        }
    }

    /// A sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Missing => "The log was deleted.",
            Self::Shortened => "The end of the log was cut off.",
            Self::Removed => "Records were removed from the log.",
            Self::Altered => "A record of the log was altered.",
            Self::Replaced => "The log was replaced by another one.",
            Self::SetBack => "The log was set back to an older state.",
        }
    }
}

/// That a client found its own log altered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogBreak {
    /// What is wrong.
    pub fault: LogFault,
    /// The first record that is not as it was.
    pub sequence: u64,
    /// When the log was last found whole, by the client's clock; 0: never.
    pub whole: UnixMillis,
    /// When it was found altered.
    pub found: UnixMillis,
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPoint {
    /// Number of a record.
    pub sequence: u64,
    /// Head after it.
    pub head: Hash,
}

/// Where a client's log stands. What the site was told is not to be unsaid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogAnchor {
    /// Number of the last record.
    pub sequence: u64,
    /// Head after it.
    pub head: Hash,
    /// Number of the first record that is kept.
    pub first: u64,
    /// What the site was told before, as the client remembers it; absent: this client never told anything, or its store was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<LogPoint>,
    /// The client found that its log had been altered since it said so the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<LogBreak>,
}

impl LogAnchor {
    /// Whether its numbers fit each other.
    #[must_use]
    pub const fn is_well_formed(&self) -> bool {
        self.first >= 1 && self.first <= self.sequence && self.sequence <= MOST
    }
}

/// No log has more records; databases count no further.
const MOST: u64 = i64::MAX.unsigned_abs();

/// What the site wants of a log. Part of the signed assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRequest {
    /// Names it.
    pub id: LogRequestId,
    /// Records from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMillis>,
    /// So many records at most, the last ones.
    pub limit: u32,
}

/// A piece of a log, as the site asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPiece {
    /// The request that it answers.
    pub request: LogRequestId,
    /// Where the log stood then.
    pub anchor: LogAnchor,
    /// Lines, in order, without gap; the last is the log's last.
    pub lines: Vec<String>,
}

impl LogPiece {
    /// Whether it obeys its limits.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let short = |line: &String| line.len() <= limits::LOG_RECORD_BYTES && !line.contains('\n');
        self.lines.len() <= limits::LOG_PIECE_RECORDS as usize
            && self.lines.iter().all(short)
            && self.lines.iter().map(|line| line.len() + 1).sum::<usize>() <= limits::LOG_PIECE_BYTES
            && self.anchor.is_well_formed()
    }
}
