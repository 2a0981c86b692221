//! Software updates over all devices: counted from the rows of their scans, with the time at which each was first seen.

use super::{
    Dialect, StoreError, Tx,
    bulk::Bulk,
    column::{self, signed, unsigned},
    inventory_schema::each_row_id,
};
use muster_model::{
    api::{SoftwareUpdate, UpdateQuery},
    time::UnixMillis,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use std::collections::HashMap;

/// Which update it is: package, architecture, version, tool.
pub type UpdateKey = (String, String, String, String);

/// How many updates are looked at for a group.
const CURRENT: i64 = 50_000;

/// An update with what was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Which.
    pub key: UpdateKey,
    /// Where it comes from.
    pub origin: String,
    /// Whether it is a security update.
    pub security: bool,
    /// Active devices on which it is missing.
    pub devices: u64,
    /// The later version that replaces it.
    pub superseded_by: Option<String>,
}

fn counted_row(row: &AnyRow) -> Result<Counted, StoreError> {
    Ok(Counted {
        key: (row.try_get("package")?, row.try_get("architecture")?, row.try_get("version")?, row.try_get("tool")?),
        origin: row.try_get("origin")?,
        security: row.try_get::<i64, _>("security")? != 0,
        devices: column::count(row, "devices")?,
        superseded_by: None,
    })
}

/// Counts: how many active devices miss which update. Rows that devices share are counted by their number first, so that each list
/// of a device is read once and no text of it. Names are said by devices: at most `limit`, those that most devices miss first.
///
/// # Errors
/// When the database cannot be read.
pub async fn counted(conn: &mut AnyConnection, dialect: Dialect, limit: u64) -> Result<Vec<Counted>, StoreError> {
    let statement = format!(
        "SELECT r.\"Package\" AS package, COALESCE(r.\"Architecture\", '') AS architecture, \
         COALESCE(r.\"CandidateVersion\", '') AS version, COALESCE(r.\"Tool\", '') AS tool, \
         MAX(COALESCE(r.\"Origin\", '')) AS origin, MAX(COALESCE(r.\"Security\", 0)) AS security, \
         CAST(SUM(c.devices) AS BIGINT) AS devices FROM (SELECT CAST(e.value AS BIGINT) AS row_id, COUNT(*) AS devices \
         FROM device d JOIN device_section s ON s.device = d.id AND s.class = 'SoftwareUpdate' CROSS JOIN {} \
         WHERE d.state = 'active' GROUP BY 1) c JOIN inv_softwareupdate r ON r.row_id = c.row_id \
         WHERE r.\"Package\" IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 7 DESC, 1, 2, 3, 4 LIMIT $1",
        each_row_id(dialect)
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(signed(limit)).fetch_all(conn).await?;
    rows.iter().map(counted_row).collect()
}

/// What is stored.
///
/// # Errors
/// When the database cannot be read.
pub async fn stored(conn: &mut AnyConnection) -> Result<HashMap<UpdateKey, Counted>, StoreError> {
    let statement = "SELECT package, architecture, version, tool, origin, security, devices, superseded_by \
         FROM software_update";
    let rows = sqlx::query(statement).fetch_all(conn).await?;
    let row = |row: &AnyRow| {
        let counted = Counted { superseded_by: row.try_get("superseded_by")?, ..counted_row(row)? };
        Ok((counted.key.clone(), counted))
    };
    rows.iter().map(row).collect()
}

static PUT: Bulk = Bulk::new(
    "INSERT INTO software_update (package, architecture, version, tool, origin, security, devices, superseded_by, first_seen, last_seen)",
    10,
    "ON CONFLICT (package, architecture, version, tool) DO UPDATE SET origin = excluded.origin, security = excluded.security, \
     devices = excluded.devices, superseded_by = excluded.superseded_by, last_seen = excluded.last_seen",
);

/// Keeps what was counted. When each was first seen stays.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, rows: &[Counted], now: UnixMillis) -> Result<(), StoreError> {
    PUT.run(tx, rows, |query, row| {
        let (package, architecture, version, tool) = row.key.clone();
        query
            .bind(package)
            .bind(architecture)
            .bind(version)
            .bind(tool)
            .bind(row.origin.clone())
            .bind(i64::from(row.security))
            .bind(signed(row.devices))
            .bind(row.superseded_by.clone())
            .bind(now.0)
            .bind(now.0)
    })
    .await?;
    Ok(())
}

/// Whether scans of devices changed between two changes of inventories.
///
/// # Errors
/// When the database cannot be read.
pub async fn has_changed(conn: &mut AnyConnection, after: i64, until: i64) -> Result<bool, StoreError> {
    let statement = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM section_change \
         WHERE id > $1 AND id <= $2 AND class = 'SoftwareUpdate' LIMIT 1) c";
    let found: i64 = sqlx::query_scalar(statement).bind(after).bind(until).fetch_one(conn).await?;
    Ok(found > 0)
}

/// Forgets what no device misses any more beyond the latest `keep`.
///
/// # Errors
/// When the database cannot be written.
pub async fn cap(tx: &mut Tx, keep: u64) -> Result<u64, StoreError> {
    let statement = "DELETE FROM software_update WHERE id IN (SELECT id FROM software_update WHERE devices = 0 \
         ORDER BY last_seen DESC, id DESC LIMIT 9223372036854775807 OFFSET $1)";
    Ok(sqlx::query(statement).bind(signed(keep)).execute(tx.conn()).await?.rows_affected())
}

/// Forgets updates that no device misses and whose count did not change since then.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, until: UnixMillis) -> Result<u64, StoreError> {
    let statement = "DELETE FROM software_update WHERE devices = 0 AND last_seen < $1";
    Ok(sqlx::query(statement).bind(until.0).execute(tx.conn()).await?.rows_affected())
}

// A device says itself where an update comes from: a security update that devices miss is shown whatever others say.
macro_rules! listed {
    ($what:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM software_update WHERE lower(package) LIKE $1 ESCAPE '!' AND security >= $2 \
             AND ($3 = 1 OR (devices > 0 AND (superseded_by IS NULL OR security = 1))) ",
            $rest
        )
    };
}

/// A page of the updates that are asked for, those that most devices miss first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    conn: &mut AnyConnection,
    wanted: &UpdateQuery,
    limit: u32,
) -> Result<(Vec<SoftwareUpdate>, u64), StoreError> {
    let pattern = column::contains(wanted.search.trim());
    let (security, superseded) = (i64::from(wanted.security), i64::from(wanted.superseded));
    let total: i64 = sqlx::query_scalar(listed!("COUNT(*)", ""))
        .bind(&pattern)
        .bind(security)
        .bind(superseded)
        .fetch_one(&mut *conn)
        .await?;
    let rows = sqlx::query(listed!("*", "ORDER BY devices DESC, security DESC, package, id LIMIT $4 OFFSET $5"))
        .bind(&pattern)
        .bind(security)
        .bind(superseded)
        .bind(i64::from(limit))
        .bind(signed(wanted.offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(update).collect::<Result<_, _>>()?, unsigned(total)))
}

fn update(row: &AnyRow) -> Result<SoftwareUpdate, StoreError> {
    Ok(SoftwareUpdate {
        id: column::count(row, "id")?,
        package: row.try_get("package")?,
        architecture: row.try_get("architecture")?,
        version: row.try_get("version")?,
        tool: row.try_get("tool")?,
        origin: row.try_get("origin")?,
        security: row.try_get::<i64, _>("security")? != 0,
        devices: column::count(row, "devices")?,
        first_seen: column::time(row, "first_seen")?,
        superseded_by: row.try_get("superseded_by")?,
    })
}

/// The updates that devices miss by one tool and that no later one replaced, by package. There is a row for each update and not for each
/// device; who would have more than this has the first of them.
///
/// # Errors
/// When the database cannot be read.
pub async fn current(conn: &mut AnyConnection, tool: &str) -> Result<Vec<SoftwareUpdate>, StoreError> {
    let statement = "SELECT * FROM software_update WHERE tool = $1 AND devices > 0 AND superseded_by IS NULL \
         ORDER BY package, id LIMIT $2";
    let rows = sqlx::query(statement).bind(tool).bind(CURRENT).fetch_all(conn).await?;
    rows.iter().map(update).collect()
}
