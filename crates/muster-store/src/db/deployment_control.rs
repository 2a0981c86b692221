//! Deployments that are paused, ended, or tried again.

use super::{
    StoreError, Tx,
    column::{self, parsed},
};
use muster_model::{
    id::{DeploymentId, DeviceId, Hash},
    limits::DEPLOYMENT_ATTEMPTS,
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row};

/// Whether a deployment is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlRow {
    /// Its name.
    pub name: String,
    /// Since when it is paused.
    pub paused: Option<UnixMillis>,
    /// Who paused it; nobody: the site.
    pub paused_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When it was cancelled.
    pub cancelled: Option<UnixMillis>,
    /// When it was deleted; a cancelled one is.
    pub deleted: Option<UnixMillis>,
    /// The phase that began last; `None`: it has no phases.
    pub phase: Option<u32>,
}

/// What is known of a deployment's standing.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: DeploymentId) -> Result<Option<ControlRow>, StoreError> {
    let statement =
        "SELECT name, paused, paused_by, pause_reason, cancelled, deleted, phase FROM deployment WHERE id = $1";
    let row = sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?;
    row.map(|row| {
        let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(|time| time.map(UnixMillis));
        let phase: Option<i64> = row.try_get("phase")?;
        Ok(ControlRow {
            name: row.try_get("name")?,
            paused: time("paused")?,
            paused_by: row.try_get("paused_by")?,
            reason: row.try_get("pause_reason")?,
            cancelled: time("cancelled")?,
            deleted: time("deleted")?,
            phase: phase.and_then(|phase| u32::try_from(phase).ok()),
        })
    })
    .transpose()
}

/// Pauses a deployment in force. `false`: it is paused already, or over.
///
/// # Errors
/// When the database cannot be written.
pub async fn pause(
    tx: &mut Tx,
    id: DeploymentId,
    now: UnixMillis,
    by: Option<&str>,
    reason: &str,
) -> Result<bool, StoreError> {
    let statement = "UPDATE deployment SET paused = CAST($2 AS BIGINT), paused_by = $3, pause_reason = $4, \
         revision = revision + 1 WHERE id = $1 AND paused IS NULL AND deleted IS NULL";
    let query = sqlx::query(statement).bind(id.to_string()).bind(now.0).bind(by.map(str::to_owned));
    Ok(query.bind(reason.to_owned()).execute(tx.conn()).await?.rows_affected() > 0)
}

/// Lets a paused deployment go on. `false`: it is not paused, or over.
///
/// # Errors
/// When the database cannot be written.
pub async fn resume(tx: &mut Tx, id: DeploymentId) -> Result<bool, StoreError> {
    let statement = "UPDATE deployment SET paused = NULL, paused_by = NULL, pause_reason = NULL, \
         revision = revision + 1 WHERE id = $1 AND paused IS NOT NULL AND deleted IS NULL";
    Ok(sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?.rows_affected() > 0)
}

/// Ends a deployment for good. `false`: it is over already.
///
/// # Errors
/// When the database cannot be written.
pub async fn cancel(tx: &mut Tx, id: DeploymentId, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE deployment SET deleted = CAST($2 AS BIGINT), cancelled = CAST($2 AS BIGINT), \
         revision = revision + 1 WHERE id = $1 AND deleted IS NULL";
    let query = sqlx::query(statement).bind(id.to_string()).bind(now.0);
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// Has a deployment tried again where it failed: on one device (where it did not meet a requirement, too), in one phase, or
/// everywhere. Returns the devices with the numbers of their attempts; those that have tried too often are not among them.
///
/// # Errors
/// When the database cannot be written.
pub async fn retry(
    tx: &mut Tx,
    id: DeploymentId,
    device: Option<DeviceId>,
    phase: Option<u32>,
    now: UnixMillis,
) -> Result<Vec<(DeviceId, u32)>, StoreError> {
    let statement = "UPDATE deployment_device SET attempt = attempt + 1, state = 'targeted', reason = NULL, \
         exit_code = NULL, output = '', changed = CAST($2 AS BIGINT), waits = NULL, starts = NULL, restart = 0, \
         undone = 0, deployment_type = NULL WHERE deployment = $1 AND withdrawn IS NULL AND attempt < CAST($5 AS BIGINT) \
         AND (state = 'failed' OR (state = 'requirements_not_met' AND $3 <> '')) AND ($3 = '' OR device = $3) \
         AND (CAST($4 AS BIGINT) < 0 OR phase = CAST($4 AS BIGINT)) \
         AND EXISTS (SELECT 1 FROM device d WHERE d.id = deployment_device.device AND d.state = 'active') \
         RETURNING device, attempt";
    let rows = sqlx::query(statement)
        .bind(id.to_string())
        .bind(now.0)
        .bind(device.map(|device| device.to_string()).unwrap_or_default())
        .bind(phase.map_or(-1, i64::from))
        .bind(i64::from(DEPLOYMENT_ATTEMPTS))
        .fetch_all(tx.conn())
        .await?;
    let number = |row| column::count(row, "attempt").map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    rows.iter().map(|row| Ok((parsed(row, "device")?, number(row)?))).collect()
}

/// Notes the policy body of an attempt; nothing happens where it is noted already.
///
/// # Errors
/// When the database cannot be written.
pub async fn put_attempt(tx: &mut Tx, id: DeploymentId, attempt: u32, body: Hash, size: u64) -> Result<(), StoreError> {
    let statement = "INSERT INTO deployment_attempt (deployment, attempt, policy_body, policy_size) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (deployment, attempt) DO NOTHING";
    let query = sqlx::query(statement).bind(id.to_string()).bind(i64::from(attempt)).bind(body.to_string());
    query.bind(column::signed(size)).execute(tx.conn()).await?;
    Ok(())
}

/// Active devices of a deployment: on which it did not begin, on which it began and did not end, and on which it failed.
///
/// # Errors
/// When the database cannot be read.
pub async fn counts(conn: &mut AnyConnection, id: DeploymentId) -> Result<(u64, u64, u64), StoreError> {
    let statement = "SELECT COUNT(CASE WHEN t.state IN ('targeted', 'waiting', 'downloading') \
         AND COALESCE(t.waits, '') NOT IN ('restart', 'retry') THEN 1 END) AS open, \
         COUNT(CASE WHEN t.state = 'installing' OR (t.state = 'waiting' AND t.waits IN ('restart', 'retry')) \
         THEN 1 END) AS begun, COUNT(CASE WHEN t.state = 'failed' THEN 1 END) AS failed \
         FROM deployment_device t JOIN device d ON d.id = t.device \
         WHERE t.deployment = $1 AND t.withdrawn IS NULL AND d.state = 'active'";
    let row = sqlx::query(statement).bind(id.to_string()).fetch_one(conn).await?;
    Ok((column::count(&row, "open")?, column::count(&row, "begun")?, column::count(&row, "failed")?))
}
