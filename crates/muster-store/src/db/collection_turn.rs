//! Whose turn it is to evaluate collections, where several servers work on one database. No clock is compared: who waits sees whether
//! the count goes on.

use super::{StoreError, Tx};
use sqlx::{AnyConnection, Row};

/// Who evaluates, and how often it said that it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The process; empty: nobody.
    pub worker: String,
    /// Goes on while it works.
    pub beat: i64,
}

/// Whose turn it is.
///
/// # Errors
/// When the database cannot be read.
pub async fn turn(conn: &mut AnyConnection) -> Result<Turn, StoreError> {
    let row = sqlx::query("SELECT worker, beat FROM collection_state WHERE id = 1").fetch_one(conn).await?;
    Ok(Turn { worker: row.try_get("worker")?, beat: row.try_get("beat")? })
}

/// Gives the turn to `worker` (empty: to whoever comes), where nothing changed since it was `seen`; whether it did.
///
/// # Errors
/// When the database cannot be written.
pub async fn give(tx: &mut Tx, worker: &str, seen: &Turn) -> Result<bool, StoreError> {
    let statement =
        "UPDATE collection_state SET worker = $1, beat = beat + 1 WHERE id = 1 AND worker = $2 AND beat = $3";
    let done =
        sqlx::query(statement).bind(worker.to_owned()).bind(seen.worker.clone()).bind(seen.beat).execute(tx.conn());
    Ok(done.await?.rows_affected() > 0)
}
