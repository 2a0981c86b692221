//! What the agent keeps durably: messages that the site has not acknowledged, the inventory it last told, and how far each
//! deployment is. One SQLite file, so that a step of a deployment and its report are one transaction.

pub mod compliance;
pub mod deferrals;
pub mod deployments;
pub mod intents;
pub mod outbox;
pub mod programs;
pub mod restarts;
pub mod sections;

use crate::os::PrivateDirectory;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// The file in the state directory.
pub const FILE: &str = "agent.db";
/// The shape that this agent writes; a file of a later agent is refused and not touched.
const SCHEMA: i64 = 1;

/// Why nothing could be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; nothing was changed. It works again when there is space.
    #[error("the disk with the agent's state is full; free some space, the agent goes on by itself then")]
    DiskFull,
    /// The outbox has its most messages of value and takes no more until the site acknowledges some.
    #[error("the outbox is full of messages that must not be lost; they go out when the site can be reached")]
    OutboxFull,
    /// A later agent wrote the file.
    #[error("agent.db was written by a later version of the agent; install that version again")]
    Newer,
    /// The database failed otherwise.
    #[error("agent.db: {0}")]
    Database(rusqlite::Error),
    /// Its file cannot be opened.
    #[error("agent.db cannot be opened: {0}")]
    File(std::io::Error),
    /// What is kept does not parse.
    #[error("agent.db holds something that this agent did not write")]
    Damaged,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            // With a full disk the write-ahead log can fail before SQLite can tell why.
            Some(ErrorCode::SystemIoFailure) => Self::DiskFull,
            _ => Self::Database(error),
        }
    }
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    /// Told when there is something to send.
    pub(crate) more: Notify,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    size: outbox::Size,
    bounds: outbox::Bounds,
}

impl Store {
    /// Opens the file in the state directory, or makes it. A damaged one is put aside.
    ///
    /// `expected`: this client was active before, so a missing file means that messages may be lost, and the site is told.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(directory: &PrivateDirectory, expected: bool) -> Result<Self, StoreError> {
        let path = directory.path().join(FILE);
        let there = path.exists();
        // SQLite gives its other files the mode of this one.
        directory.edit_file(FILE).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => StoreError::DiskFull,
            _ => StoreError::File(error),
        })?;
        let connection = match Self::connect(&path) {
            Ok(connection) => connection,
            Err(StoreError::Database(error))
                if matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)) =>
            {
                tracing::error!(
                    "agent.db is damaged; it was put aside as agent.db.damaged, and messages in it are lost"
                );
                for tail in ["-wal", "-shm"] {
                    let _ = directory.remove(&format!("{FILE}{tail}"));
                }
                let _ = directory.rename(FILE, "agent.db.damaged");
                directory.edit_file(FILE).map_err(StoreError::File)?;
                return Self::start(Self::connect(&path)?, true);
            }
            Err(error) => return Err(error),
        };
        Self::start(connection, expected && !there)
    }

    fn connect(path: &Path) -> Result<Connection, StoreError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -256; \
             PRAGMA wal_autocheckpoint = 128; PRAGMA journal_size_limit = 1048576; PRAGMA foreign_keys = ON;",
        )?;
        let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check != "ok" {
            let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(corrupt, None).into());
        }
        Ok(connection)
    }

    fn start(mut connection: Connection, lost: bool) -> Result<Self, StoreError> {
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match version {
            0 => {
                let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                tx.execute_batch(include_str!("schema.sql"))?;
                outbox::create_channels(&tx, lost)?;
                tx.commit()?;
            }
            SCHEMA => {}
            _ => return Err(StoreError::Newer),
        }
        connection.execute_batch(include_str!("applying.sql"))?;
        let size = outbox::measure(&connection)?;
        let inner = Inner { connection, size, bounds: outbox::Bounds::default() };
        Ok(Self { inner: Mutex::new(inner), more: Notify::new() })
    }

    /// Opens it beside a running agent, to look.
    ///
    /// # Errors
    /// See [`StoreError`]. `None`: there is none yet.
    pub fn look(directory: &PrivateDirectory) -> Result<Option<Connection>, StoreError> {
        let path = directory.path().join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Some(connection))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in between rolled its transaction back; what is in the file is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction: all of it is on the disk when this returns, or nothing.
    fn run<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>, &mut outbox::Size, outbox::Bounds) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut inner = self.lock();
        let Inner { connection, size, bounds } = &mut *inner;
        let mut changed = *size;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&tx, &mut changed, *bounds)?;
        tx.commit()?;
        *size = changed;
        Ok(result)
    }

    /// A value that is kept under a name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn value(&self, key: &str) -> Result<Option<String>, StoreError> {
        value(&self.lock().connection, key)
    }

    /// Keeps a value under a name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set_value(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.run(|tx, _, _| set_value(tx, key, value))
    }
}

/// A value that is kept under a name.
///
/// # Errors
/// See [`StoreError`].
pub fn value(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?)
}

fn set_value(tx: &Transaction<'_>, key: &str, value: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        params![key, value],
    )?;
    Ok(())
}
