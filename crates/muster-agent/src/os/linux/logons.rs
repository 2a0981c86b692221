//! Who used the console: the record of logons (`wtmp`), or its successor `wtmpdb`.

use super::{
    files::{Files, unread},
    sqlite,
};
use crate::os::facts::{ConsoleUser, Gaps};
use std::{collections::BTreeMap, path::Path};

const WTMP: &str = "/var/log/wtmp";
const WTMPDB: &str = "/var/lib/wtmpdb/wtmp.db";
/// Bytes of the newest records that are looked at: 10,000 records.
const WTMP_BYTES: u64 = 4 << 20;
/// Sessions of `wtmpdb` that are looked at.
const SESSIONS: u32 = 10_000;
/// Users that are taken.
const USERS: usize = 1_000;

/// Everybody in the record; `None` when there is none.
pub fn console_users(files: &Files, machine: &str, gaps: &mut Gaps) -> Option<Vec<ConsoleUser>> {
    if files.size(WTMPDB).is_some_and(|size| size > 0) {
        match files.real_path(WTMPDB).map_err(|e| e.to_string()).and_then(|p| wtmpdb(&p).map_err(|e| e.to_string())) {
            Ok(sessions) => return Some(users(sessions)),
            Err(error) => gaps.push(format!("Console users are not known: {WTMPDB} could not be read ({error}).")),
        }
    }
    let layout = Layout::of(machine);
    match files.tail(WTMP, WTMP_BYTES, layout.record as u64) {
        Ok(bytes) => Some(users(sessions(&parse_utmp(&bytes, layout)))),
        Err(error) => {
            gaps.push(unread("Console users are not known", WTMP, &error));
            None
        }
    }
}

/// The layout of a record, which differs between instruction sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a record.
    pub record: usize,
    seconds_at: usize,
    wide: bool,
}

impl Layout {
    /// x86 and most others: 32-bit time.
    pub const SHORT: Self = Self { record: 384, seconds_at: 340, wide: false };
    /// 64-bit ARM, RISC-V, LoongArch: 64-bit time.
    pub const WIDE: Self = Self { record: 400, seconds_at: 344, wide: true };

    /// The layout of an instruction set.
    #[must_use]
    pub fn of(machine: &str) -> Self {
        match machine {
            "aarch64" | "riscv64" | "loongarch64" => Self::WIDE,
            _ => Self::SHORT,
        }
    }
}

/// One record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// 1 run level, 2 start of the system, 7 logon, 8 logoff.
    pub kind: i16,
    /// Terminal.
    pub line: String,
    /// Account.
    pub user: String,
    /// Where from.
    pub host: String,
    /// Unix seconds.
    pub seconds: i64,
}

/// Reads the records of a `utmp` or `wtmp` file; a cut one at the end is left out.
#[must_use]
pub fn parse_utmp(bytes: &[u8], layout: Layout) -> Vec<Record> {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    bytes
        .chunks_exact(layout.record)
        .filter_map(|record| {
            let at = layout.seconds_at;
            let seconds = match layout.wide {
                true => i64::from_le_bytes(record.get(at..at + 8)?.try_into().ok()?),
                false => i64::from(u32::from_le_bytes(record.get(at..at + 4)?.try_into().ok()?)),
            };
            Some(Record {
                kind: i16::from_le_bytes([record[0], record[1]]),
                line: text(record.get(8..40)?),
                user: text(record.get(44..76)?),
                host: text(record.get(76..332)?),
                seconds,
            })
        })
        .collect()
}

/// One use of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Account.
    pub user: String,
    /// Unix seconds.
    pub begin: i64,
    /// Unix seconds; `None` when it lasts or its end is not known.
    pub end: Option<i64>,
}

/// Finds the console's sessions in records that are in time order.
#[must_use]
pub fn sessions(records: &[Record]) -> Vec<Session> {
    let mut found: Vec<Session> = Vec::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        match record.kind {
            7 if is_console(&record.line, &record.host) && !record.user.is_empty() => {
                open.insert(&record.line, found.len());
                found.push(Session { user: record.user.clone(), begin: record.seconds, end: None });
            }
            8 => {
                if let Some(at) = open.remove(record.line.as_str()) {
                    found[at].end = Some(record.seconds);
                }
            }
            1 if record.user == "shutdown" => {
                for at in std::mem::take(&mut open).into_values() {
                    found[at].end = Some(record.seconds);
                }
            }
            // After a crash nobody knows how long the sessions lasted: they count, their minutes do not.
            2 => {
                for at in std::mem::take(&mut open).into_values() {
                    found[at].end = Some(found[at].begin);
                }
            }
            _ => {}
        }
    }
    found
}

/// A screen or a serial line at the machine, not a terminal from the network. A graphical logon writes two records; the
/// one of the greeter ("login screen") is not counted.
fn is_console(line: &str, host: &str) -> bool {
    let here = ["tty", "hvc", "console", ":"].iter().any(|prefix| line.starts_with(prefix));
    here && (host.is_empty() || host.starts_with(':') || host == line)
}

/// Reads the sessions that `wtmpdb` keeps. Its times are in microseconds.
fn wtmpdb(path: &Path) -> rusqlite::Result<Vec<Session>> {
    /// `USER_PROCESS` in that database.
    const LOGON: u32 = 3;
    sqlite::read(path, |database| {
        let mut statement = database.prepare(
            "SELECT User, Login, Logout, coalesce(TTY, ''), coalesce(RemoteHost, '') FROM wtmp \
             WHERE Type = ?1 ORDER BY ID DESC LIMIT ?2",
        )?;
        let mut rows = statement.query([LOGON, SESSIONS])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (line, host): (String, String) = (row.get(3)?, row.get(4)?);
            if is_console(&line, &host) {
                let end: Option<i64> = row.get(2)?;
                let begin: i64 = row.get(1)?;
                found.push(Session { user: row.get(0)?, begin: begin / 1_000_000, end: end.map(|e| e / 1_000_000) });
            }
        }
        Ok(found)
    })
}

fn users(sessions: Vec<Session>) -> Vec<ConsoleUser> {
    let mut found: BTreeMap<String, ConsoleUser> = BTreeMap::new();
    for Session { user, begin, end } in sessions {
        if found.len() >= USERS && !found.contains_key(&user) {
            continue;
        }
        let entry = found.entry(user.clone()).or_insert_with(|| ConsoleUser { name: user, ..ConsoleUser::default() });
        entry.logons += 1;
        entry.minutes += end.and_then(|end| u64::try_from(end.saturating_sub(begin) / 60).ok()).unwrap_or(0);
        entry.last = entry.last.max(end.unwrap_or(begin));
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: i16, line: &str, user: &str, host: &str, seconds: i64) -> Record {
        Record { kind, line: line.into(), user: user.into(), host: host.into(), seconds }
    }

    #[test]
    fn only_the_console_counts() {
        let records = [
            record(2, "~", "reboot", "6.1", 1_000),
            record(7, "tty1", "ada", "", 2_000),
            record(7, "pts/0", "eve", "192.0.2.7", 2_100),
            record(7, "seat0", "gdm", "login screen", 2_200),
            record(8, "tty1", "", "", 5_600),
            record(7, "tty2", "ada", "tty2", 6_000),
            record(1, "~", "shutdown", "6.1", 6_600),
            record(7, "tty1", "bob", "", 7_000),
            record(2, "~", "reboot", "6.1", 9_000),
            record(7, "tty1", "bob", "", 9_500),
        ];
        let found = users(sessions(&records));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], ConsoleUser { name: "ada".into(), logons: 2, minutes: 70, last: 6_600 });
        assert_eq!(found[1], ConsoleUser { name: "bob".into(), logons: 2, minutes: 0, last: 9_500 });
    }

    #[test]
    fn records_have_the_layout_of_the_machine() {
        for layout in [Layout::SHORT, Layout::WIDE] {
            let mut bytes = vec![0; layout.record];
            bytes[0] = 7;
            bytes[8..12].copy_from_slice(b"tty1");
            bytes[44..47].copy_from_slice(b"ada");
            bytes[layout.seconds_at..layout.seconds_at + 4].copy_from_slice(&1_700_000_000_u32.to_le_bytes());
            bytes.extend([7; 100]);
            assert_eq!(parse_utmp(&bytes, layout), [record(7, "tty1", "ada", "", 1_700_000_000)]);
        }
    }
}
