//! Counts for the dashboard, each by an index.

use super::{Dialect, StoreError, column, inventory_schema::each_row_id};
use muster_model::{
    api::{Count, ModelCount},
    time::UnixMillis,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row};
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

/// Active devices by manufacturer and model, the most frequent first. It reads one short list for each device.
///
/// # Errors
/// When the database cannot be read.
pub async fn models(conn: &mut AnyConnection, dialect: Dialect, limit: u32) -> Result<Vec<ModelCount>, StoreError> {
    let statement = format!(
        "SELECT COALESCE(r.\"Manufacturer\", '') AS manufacturer, COALESCE(r.\"Model\", '') AS model, COUNT(*) AS devices \
         FROM device d JOIN device_section s ON s.device = d.id AND s.class = 'COMPUTER_SYSTEM' CROSS JOIN {} \
         JOIN inv_computer_system r ON r.row_id = CAST(e.value AS BIGINT) WHERE d.state = 'active' \
         GROUP BY 1, 2 ORDER BY COUNT(*) DESC, 1, 2 LIMIT $1",
        each_row_id(dialect)
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(i64::from(limit)).fetch_all(conn).await?;
    let model = |row| {
        let (manufacturer, model) = (Row::try_get(row, "manufacturer")?, Row::try_get(row, "model")?);
        Ok(ModelCount { manufacturer, model, count: column::count(row, "devices")? })
    };
    rows.iter().map(model).collect()
}

/// Active devices whose machine needs a restart, as they say. It reads one short list for each device.
///
/// # Errors
/// When the database cannot be read.
pub async fn restart_pending(conn: &mut AnyConnection, dialect: Dialect) -> Result<u64, StoreError> {
    let statement = format!(
        "SELECT COUNT(*) AS devices FROM device d \
         JOIN device_section s ON s.device = d.id AND s.class = 'MUSTER_PENDING_RESTART' CROSS JOIN {} \
         JOIN inv_muster_pending_restart r ON r.row_id = CAST(e.value AS BIGINT) \
         WHERE d.state = 'active' AND r.\"Pending\" = 1",
        each_row_id(dialect)
    );
    column::count(&sqlx::query(AssertSqlSafe(statement)).fetch_one(conn).await?, "devices")
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
