//! Counts for the dashboard, each by an index.

use super::{StoreError, column};
use muster_model::{api::Count, time::UnixMillis};
use sqlx::{AnyConnection, Row};
use std::collections::BTreeMap;

/// How many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Devices by state.
    pub devices: BTreeMap<String, u64>,
    /// Requests that wait for approval.
    pub pending: u64,
}

/// Devices by state, and requests that wait.
///
/// # Errors
/// When the database cannot be read.
pub async fn counts(conn: &mut AnyConnection) -> Result<Counts, StoreError> {
    let statement = "SELECT state, COUNT(*) AS devices FROM device GROUP BY state";
    let mut devices = BTreeMap::new();
    for row in sqlx::query(statement).fetch_all(&mut *conn).await? {
        devices.insert(row.try_get("state")?, column::count(&row, "devices")?);
    }
    let statement = "SELECT COUNT(*) FROM enrolment WHERE state = 'pending'";
    let pending: i64 = sqlx::query_scalar(statement).fetch_one(conn).await?;
    Ok(Counts { devices, pending: column::unsigned(pending) })
}

/// Active devices by operating system, the most frequent first.
///
/// # Errors
/// When the database cannot be read.
pub async fn operating_systems(conn: &mut AnyConnection, limit: u32) -> Result<Vec<Count>, StoreError> {
    let statement = "SELECT operating_system, COUNT(*) AS devices FROM device WHERE state = 'active' \
         GROUP BY operating_system ORDER BY COUNT(*) DESC, operating_system LIMIT $1";
    let rows = sqlx::query(statement).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter()
        .map(|row| Ok(Count { label: row.try_get("operating_system")?, count: column::count(row, "devices")? }))
        .collect()
}

/// Devices by the hour of their last contact, from `from` on.
///
/// # Errors
/// When the database cannot be read.
pub async fn seen(conn: &mut AnyConnection, from: UnixMillis) -> Result<BTreeMap<UnixMillis, u64>, StoreError> {
    let statement = "SELECT (last_seen / 3600000) * 3600000 AS hour, COUNT(*) AS devices FROM device \
         WHERE last_seen >= $1 GROUP BY 1 ORDER BY 1";
    let mut seen = BTreeMap::new();
    for row in sqlx::query(statement).bind(from.0).fetch_all(conn).await? {
        seen.insert(column::time(&row, "hour")?, column::count(&row, "devices")?);
    }
    Ok(seen)
}
