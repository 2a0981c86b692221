//! Reading a SQLite database that another program owns and may be writing.

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::{path::Path, time::Duration};

/// How long to wait for another program's transaction.
const WAIT: Duration = Duration::from_secs(5);

/// Opens the database, never writing to it, and runs `query`, which may run twice.
///
/// # Errors
/// What SQLite says: it cannot be opened, it is damaged, it has another schema.
pub fn read<T>(path: &Path, query: impl Fn(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    match read_with(path, "mode=ro", &query) {
        // A database in WAL mode needs files beside it that an ordinary user may not make. While no transaction runs
        // there is no journal, and the file may be read as it is.
        Err(error) if matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) => {
            read_with(path, "immutable=1", &query)
        }
        other => other,
    }
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
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
