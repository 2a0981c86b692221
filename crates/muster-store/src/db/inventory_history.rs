//! The history of inventory: how each section changed, and the rows that are not in any section any more.

use super::{
    Dialect, StoreError, Tx,
    bulk::Bulk,
    column::{self, parsed},
    inventory::{inventory_row, of, pairs},
    inventory_schema::Statement,
};
use muster_model::{
    api::{ChangeDay, SectionChange},
    catalogue::Class,
    id::DeviceId,
    inventory::Row as InventoryRow,
    time::{DAY, UnixMillis},
};
use sqlx::{AnyConnection, Row};
use std::collections::{BTreeMap, HashMap};

/// One change of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// The device.
    pub device: DeviceId,
    /// The class.
    pub class: String,
    /// When; never before the change before it.
    pub happened: UnixMillis,
    /// When the state before it began. `None`: there was no section.
    pub since: Option<UnixMillis>,
    /// Ids of the rows that came; of a section that begins, none.
    pub added: Vec<i64>,
    /// Ids of the rows that went.
    pub removed: Vec<i64>,
    /// How many came.
    pub count: u64,
}

static INSERT: Bulk = Bulk::new(
    "INSERT INTO section_change (device, class, happened, since, added, removed, added_count, removed_count)",
    8,
    "",
);

/// Keeps changes.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, rows: &[ChangeRow]) -> Result<(), StoreError> {
    INSERT
        .run(tx, rows, |query, row| {
            query
                .bind(row.device.to_string())
                .bind(row.class.clone())
                .bind(row.happened.0)
                .bind(row.since.map(|since| since.0))
                .bind(column::to_json(&row.added))
                .bind(column::to_json(&row.removed))
                .bind(column::signed(row.count))
                .bind(column::signed(row.removed.len() as u64))
        })
        .await?;
    Ok(())
}

/// A page of the changes of a device, the latest first, of one class or (empty) of all; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    conn: &mut AnyConnection,
    device: DeviceId,
    class: &str,
    offset: u64,
    limit: u32,
) -> Result<(Vec<SectionChange>, u64), StoreError> {
    let statement = "SELECT COUNT(*) FROM section_change WHERE device = $1 AND ($2 = '' OR class = $2)";
    let total: i64 = sqlx::query_scalar(statement).bind(device.to_string()).bind(class).fetch_one(&mut *conn).await?;
    let statement = "SELECT class, happened, since, added_count, removed_count FROM section_change \
         WHERE device = $1 AND ($2 = '' OR class = $2) ORDER BY id DESC LIMIT $3 OFFSET $4";
    let rows = sqlx::query(statement)
        .bind(device.to_string())
        .bind(class)
        .bind(i64::from(limit))
        .bind(column::signed(offset))
        .fetch_all(conn)
        .await?;
    let change = |row: &sqlx::any::AnyRow| {
        Ok(SectionChange {
            class: row.try_get("class")?,
            time: column::time(row, "happened")?,
            first: row.try_get::<Option<i64>, _>("since")?.is_none(),
            added: column::count(row, "added_count")?,
            removed: column::count(row, "removed_count")?,
        })
    };
    Ok((rows.iter().map(change).collect::<Result<_, StoreError>>()?, column::unsigned(total)))
}

/// How many changes a device had on each day since `from` on which it had any. A section that begins is none.
///
/// # Errors
/// When the database cannot be read.
pub async fn days(
    conn: &mut AnyConnection,
    device: DeviceId,
    class: &str,
    from: UnixMillis,
) -> Result<Vec<ChangeDay>, StoreError> {
    let statement = "SELECT happened / 86400000 AS day, COUNT(*) AS changes, \
         CAST(SUM(added_count + removed_count) AS BIGINT) AS changed_rows FROM section_change \
         WHERE device = $1 AND ($2 = '' OR class = $2) AND since IS NOT NULL AND happened >= $3 GROUP BY 1 ORDER BY 1";
    let rows = sqlx::query(statement).bind(device.to_string()).bind(class).bind(from.0).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(ChangeDay {
                day: UnixMillis(row.try_get::<i64, _>("day")?.saturating_mul(DAY)),
                changes: column::count(row, "changes")?,
                rows: column::count(row, "changed_rows")?,
            })
        })
        .collect()
}

/// A section as it is, and how it came to be so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// Ids of its rows, and since when it is so.
    pub now: Option<(Vec<i64>, UnixMillis)>,
    /// Its changes, the latest first.
    pub changes: Vec<PastChange>,
}

/// A change of a section, as what undoes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastChange {
    /// When.
    pub happened: UnixMillis,
    /// When the state before it began. `None`: there was no section.
    pub since: Option<UnixMillis>,
    /// Ids of the rows that came.
    pub added: Vec<i64>,
    /// Ids of the rows that went.
    pub removed: Vec<i64>,
}

/// The sections of a device, of one class or (empty) of all, with their changes after a moment: as of one moment of the database.
///
/// # Errors
/// When the database cannot be read.
pub async fn past(
    conn: &mut AnyConnection,
    device: DeviceId,
    class: &str,
    after: UnixMillis,
) -> Result<BTreeMap<String, Past>, StoreError> {
    let statement = "SELECT class, 9223372036854775807 AS id, changed AS happened, CAST(NULL AS BIGINT) AS since, \
         row_ids AS added, '' AS removed FROM device_section WHERE device = $1 AND ($2 = '' OR class = $2) \
         UNION ALL SELECT class, id, happened, since, added, removed FROM section_change \
         WHERE device = $1 AND ($2 = '' OR class = $2) AND happened > $3 ORDER BY 1, 2 DESC";
    let rows = sqlx::query(statement).bind(device.to_string()).bind(class).bind(after.0).fetch_all(conn).await?;
    let mut all: BTreeMap<String, Past> = BTreeMap::new();
    for row in &rows {
        let past = all.entry(row.try_get("class")?).or_default();
        let happened = column::time(row, "happened")?;
        if row.try_get::<i64, _>("id")? == i64::MAX {
            past.now = Some((column::json(row, "added")?, happened));
        } else {
            let since = row.try_get::<Option<i64>, _>("since")?.map(UnixMillis);
            let (added, removed) = (column::json(row, "added")?, column::json(row, "removed")?);
            past.changes.push(PastChange { happened, since, added, removed });
        }
    }
    Ok(all)
}

/// The numbers of the key attributes of these rows, by row id.
///
/// # Errors
/// When the database cannot be read.
pub async fn keys(
    conn: &mut AnyConnection,
    dialect: Dialect,
    class: &Class,
    ids: &[i64],
) -> Result<HashMap<i64, i64>, StoreError> {
    let query = sqlx::query_scalar(of(dialect, class, Statement::Keys)).persistent(false);
    let found: String = query.bind(column::to_json(&ids)).fetch_one(conn).await?;
    Ok(pairs(&found).filter_map(|(id, key)| Some((id, key.parse().ok()?))).collect())
}

/// A page of these rows with their ids, in the order of their key.
///
/// # Errors
/// When the database cannot be read.
pub async fn rows(
    conn: &mut AnyConnection,
    dialect: Dialect,
    class: &Class,
    ids: &[i64],
    offset: u64,
    limit: u32,
) -> Result<Vec<(i64, InventoryRow)>, StoreError> {
    let query = sqlx::query(of(dialect, class, Statement::RowsOf)).persistent(false);
    let rows =
        query.bind(column::to_json(&ids)).bind(i64::from(limit)).bind(column::signed(offset)).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("row_id")?, inventory_row(class, row)?))).collect()
}

/// Removes changes from before `cutoff`, of the oldest `limit`. Returns how many went; none: there are no more.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_old(tx: &mut Tx, cutoff: UnixMillis, limit: u32) -> Result<u64, StoreError> {
    // Ids grow with time, so that the beginning of the table is looked at and nothing else.
    let statement = "DELETE FROM section_change WHERE happened < $1 AND id IN \
         (SELECT id FROM section_change ORDER BY id LIMIT $2)";
    let query = sqlx::query(statement).bind(cutoff.0).bind(i64::from(limit));
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

/// Some devices after this one that have changes, with how many rows their changes have.
///
/// # Errors
/// When the database cannot be read.
pub async fn sizes(conn: &mut AnyConnection, after: &str, limit: u32) -> Result<Vec<(DeviceId, u64)>, StoreError> {
    let statement = "SELECT device, CAST(SUM(1 + added_count + removed_count) AS BIGINT) AS size FROM section_change \
         WHERE device > $1 GROUP BY device ORDER BY device LIMIT $2";
    let rows = sqlx::query(statement).bind(after).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((parsed(row, "device")?, column::count(row, "size")?))).collect()
}

/// Removes the oldest changes of a device until the others have at most `most` rows. Returns how many went.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_over(tx: &mut Tx, device: DeviceId, most: u64) -> Result<u64, StoreError> {
    let statement = "DELETE FROM section_change WHERE device = $1 AND id <= (SELECT MAX(id) FROM (SELECT id, \
         SUM(1 + added_count + removed_count) OVER (ORDER BY id DESC) AS size FROM section_change WHERE device = $1) \
         AS summed WHERE size > $2)";
    let query = sqlx::query(statement).bind(device.to_string()).bind(column::signed(most));
    Ok(query.execute(tx.conn()).await?.rows_affected())
}
