//! Directories in which is looked, and how far that is.

use super::{
    StoreError, Tx,
    column::{count, json, time, to_json},
};
use muster_model::{
    api::{DirectorySettings, DiscoverySource},
    discovery::{Reached, Resume},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A source with what only the site's own work needs.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRow {
    /// As people see it.
    pub source: DiscoverySource,
    /// Until when a process works on it.
    pub claimed: UnixMillis,
    /// How far the last whole run came.
    pub reached: Option<Reached>,
    /// Where a full run goes on that was cut off.
    pub resume: Option<Resume>,
}

fn row(row: &AnyRow) -> Result<SourceRow, StoreError> {
    let moment = |column| Ok::<_, StoreError>(row.try_get::<Option<i64>, _>(column)?.map(UnixMillis));
    let optional = |column: &str| Ok::<_, StoreError>(row.try_get::<Option<String>, _>(column)?);
    let corrupt = |_| StoreError::Corrupt("the state of a source of discovery".to_owned());
    let reached = optional("reached")?.map(|text| serde_json::from_str(&text)).transpose().map_err(corrupt)?;
    let resume = optional("resume")?.map(|text| serde_json::from_str(&text)).transpose().map_err(corrupt)?;
    Ok(SourceRow {
        source: DiscoverySource {
            name: row.try_get("name")?,
            settings: json::<DirectorySettings>(row, "settings")?,
            changed: time(row, "changed")?,
            changed_by: row.try_get("changed_by")?,
            asked: optional("asked")?,
            running: false,
            full_ended: moment("full_ended")?,
            delta_ended: moment("delta_ended")?,
            failed: moment("failed")?,
            error: optional("error")?,
            seen: count(row, "seen")?,
            altered: count(row, "altered")?,
            refused: count(row, "refused")?,
        },
        claimed: time(row, "claimed")?,
        reached,
        resume,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT name, settings, changed, changed_by, asked, claimed, reached, resume, full_ended, delta_ended, failed, \
             error, seen, altered, refused FROM discovery_source ",
            $rest
        )
    };
}

/// Every source, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<SourceRow>, StoreError> {
    sqlx::query(select!("ORDER BY name")).fetch_all(conn).await?.iter().map(row).collect()
}

/// One source.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, name: &str) -> Result<Option<SourceRow>, StoreError> {
    let found = sqlx::query(select!("WHERE name = $1")).bind(name.to_owned()).fetch_optional(conn).await?;
    found.as_ref().map(row).transpose()
}

/// Writes what is wanted of a source. What was found with other settings is looked for anew.
///
/// # Errors
/// When the database cannot be written.
pub async fn set(
    tx: &mut Tx,
    name: &str,
    settings: &DirectorySettings,
    now: UnixMillis,
    by: &str,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO discovery_source (name, settings, changed, changed_by, claimed, seen, altered, refused) \
         VALUES ($1, $2, $3, $4, 0, 0, 0, 0) ON CONFLICT (name) DO UPDATE SET settings = excluded.settings, \
         changed = excluded.changed, changed_by = excluded.changed_by, reached = NULL, resume = NULL, full_ended = NULL";
    sqlx::query(statement)
        .bind(name.to_owned())
        .bind(to_json(settings))
        .bind(now.0)
        .bind(by.to_owned())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Asks for a run; `false`: there is no such source.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask(tx: &mut Tx, name: &str, full: bool) -> Result<bool, StoreError> {
    let statement = "UPDATE discovery_source SET asked = $2 WHERE name = $1";
    let query = sqlx::query(statement).bind(name.to_owned()).bind(if full { "full" } else { "delta" });
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// Removes a source.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM discovery_source WHERE name = $1").bind(name.to_owned()).execute(tx.conn()).await?;
    Ok(())
}

/// Takes a source to work on, until a moment; `false`: another process has it.
///
/// # Errors
/// When the database cannot be written.
pub async fn claim(tx: &mut Tx, name: &str, now: UnixMillis, until: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE discovery_source SET claimed = $3, asked = NULL WHERE name = $1 AND claimed <= $2";
    let query = sqlx::query(statement).bind(name.to_owned()).bind(now.0).bind(until.0);
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// Notes how far a run is, and goes on holding it; `false`: it was changed or taken by others meanwhile.
///
/// # Errors
/// When the database cannot be written.
pub async fn go_on(
    tx: &mut Tx,
    name: &str,
    claimed: UnixMillis,
    until: UnixMillis,
    resume: Option<&Resume>,
    changed: UnixMillis,
) -> Result<bool, StoreError> {
    let statement =
        "UPDATE discovery_source SET claimed = $3, resume = $4 WHERE name = $1 AND claimed = $2 AND changed = $5";
    let query = sqlx::query(statement).bind(name.to_owned()).bind(claimed.0).bind(until.0);
    let query = query.bind(resume.map(to_json)).bind(changed.0);
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// Whether it was a full one.
    pub full: bool,
    /// How far it came, where it came to its end.
    pub reached: Option<Reached>,
    /// Why it failed.
    pub error: Option<String>,
    /// Objects that were seen, that changed something, and that were refused.
    pub counts: [u64; 3],
}

/// Ends a run.
///
/// # Errors
/// When the database cannot be written.
pub async fn end(tx: &mut Tx, name: &str, end: &RunEnd, now: UnixMillis) -> Result<(), StoreError> {
    let [seen, altered, refused] = end.counts.map(super::column::signed);
    let statement = "UPDATE discovery_source SET claimed = 0, seen = $2, altered = $3, refused = $4, error = $5, \
         failed = CASE WHEN CAST($5 AS TEXT) IS NULL THEN failed ELSE CAST($6 AS BIGINT) END, \
         reached = COALESCE($7, reached), resume = CASE WHEN CAST($5 AS TEXT) IS NULL THEN NULL ELSE resume END, \
         full_ended = CASE WHEN CAST($5 AS TEXT) IS NULL AND $8 = 1 THEN CAST($6 AS BIGINT) ELSE full_ended END, \
         delta_ended = CASE WHEN CAST($5 AS TEXT) IS NULL THEN CAST($6 AS BIGINT) ELSE delta_ended END WHERE name = $1";
    sqlx::query(statement)
        .bind(name.to_owned())
        .bind(seen)
        .bind(altered)
        .bind(refused)
        .bind(end.error.clone())
        .bind(now.0)
        .bind(end.reached.as_ref().map(to_json))
        .bind(i64::from(end.full))
        .execute(tx.conn())
        .await?;
    Ok(())
}
