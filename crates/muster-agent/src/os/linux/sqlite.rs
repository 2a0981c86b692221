//! Reading a SQLite database that another program owns and may be writing.

use rusqlite::{Connection, OpenFlags};
use std::{
    path::Path,
    time::{Duration, SystemTime},
};

/// How long to wait for another program's transaction.
const WAIT: Duration = Duration::from_secs(5);

/// Opens the database and runs `query`, which may run twice. Nothing is written, also not beside the file.
///
/// # Errors
/// What SQLite says: it cannot be opened, it is damaged, it has another schema.
pub fn read<T>(path: &Path, query: impl Fn(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    // Opening a database in WAL mode makes files beside it, which an ordinary user may not do and an inventory should
    // not. While there is no journal, the file alone is the whole truth. If somebody wrote meanwhile, ask again.
    if let Some(before) = quiet(path) {
        let answer = read_with(path, "immutable=1", &query);
        if quiet(path) == Some(before) {
            return answer;
        }
    }
    read_with(path, "mode=ro", &query)
}

/// Size and time of a database that has nothing in a journal.
fn quiet(path: &Path) -> Option<(u64, SystemTime)> {
    let journal = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(name).is_ok_and(|meta| meta.len() > 0)
    };
    let meta = std::fs::metadata(path).ok().filter(|_| !journal("-wal") && !journal("-journal"))?;
    Some((meta.len(), meta.modified().ok()?))
}

fn read_with<T>(path: &Path, how: &str, query: &impl Fn(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(uri(path, how), flags)?;
    database.busy_timeout(WAIT)?;
    database.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA cache_size = -512;")?;
    query(&database)
}

fn uri(path: &Path, how: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    uri + "?" + how
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_any_character_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b?c#d%20ü.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(n); INSERT INTO t VALUES (7)").unwrap();
        let seven = read(&path, |db| db.query_row("SELECT n FROM t", [], |row| row.get::<_, i64>(0)));
        assert_eq!(seven, Ok(7));
    }

    #[test]
    fn nothing_is_made_or_written() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("none.db"), |db| db.execute_batch("SELECT 1")).is_err());
        let path = folder.path().join("x.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(n)").unwrap();
        assert!(read(&path, |db| db.execute_batch("INSERT INTO t VALUES (1)")).is_err());
        let wal = folder.path().join("wal.db");
        Connection::open(&wal).unwrap().execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(n)").unwrap();
        assert!(read(&wal, |db| db.execute_batch("SELECT n FROM t")).is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_only_in_the_journal_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(n); INSERT INTO t VALUES (7)").unwrap();
        assert_eq!(read(&path, |db| db.query_row("SELECT n FROM t", [], |row| row.get::<_, i64>(0))), Ok(7));
    }
}
