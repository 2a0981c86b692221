//! Work that follows a change, noted in the transaction of the change. At most one of a kind and subject waits at a time.
//!
//! Who does the work takes the job away in the transaction of the work: when that fails, the job is still there; when the
//! same job is asked for again meanwhile, that asks anew.

use super::{StoreError, Tx};
use muster_model::time::UnixMillis;
use sqlx::AnyConnection;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The number.
    pub id: i64,
    /// What is to be done, for example `policy_compile`.
    pub kind: String,
    /// About what: an id.
    pub subject: String,
    /// How often it failed.
    pub attempts: i64,
}

/// Asks for work. Where the same waits already, it is due at `due` too.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, kind: &str, subject: &str, due: UnixMillis) -> Result<(), StoreError> {
    let statement = "INSERT INTO job (kind, subject, due, attempts) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, attempts = 0";
    sqlx::query(statement).bind(kind).bind(subject).bind(due.0).execute(tx.conn()).await?;
    Ok(())
}

/// Jobs that are due, the oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn due(conn: &mut AnyConnection, now: UnixMillis, limit: u32) -> Result<Vec<JobRow>, StoreError> {
    let statement = "SELECT id, kind, subject, attempts FROM job WHERE due <= $1 ORDER BY due, id LIMIT $2";
    let rows: Vec<(i64, String, String, i64)> =
        sqlx::query_as(statement).bind(now.0).bind(i64::from(limit)).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id, kind, subject, attempts)| JobRow { id, kind, subject, attempts }).collect())
}

/// When the next job is due.
///
/// # Errors
/// When the database cannot be read.
pub async fn next_due(conn: &mut AnyConnection) -> Result<Option<UnixMillis>, StoreError> {
    let due: Option<i64> = sqlx::query_scalar("SELECT MIN(due) FROM job").fetch_one(conn).await?;
    Ok(due.map(UnixMillis))
}

/// Takes a job, in the transaction that does its work; `false` when another has it.
///
/// # Errors
/// When the database cannot be written.
pub async fn take(tx: &mut Tx, id: i64) -> Result<bool, StoreError> {
    Ok(sqlx::query("DELETE FROM job WHERE id = $1").bind(id).execute(tx.conn()).await?.rows_affected() > 0)
}

/// Notes that a job failed; it is due again at `due`.
///
/// # Errors
/// When the database cannot be written.
pub async fn failed(tx: &mut Tx, id: i64, due: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("UPDATE job SET attempts = attempts + 1, due = $2 WHERE id = $1")
        .bind(id)
        .bind(due.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}
