//! Maintenance windows of collections.

use super::{
    StoreError, Tx,
    bulk::{in_texts, json_texts},
    column::{self, json, parsed, signed, to_json, unsigned},
};
use muster_model::{
    id::{CollectionId, DeviceId, WindowId},
    time::UnixMillis,
    window::MaintenanceWindow,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::HashMap;

/// A stored window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRow {
    /// Its id.
    pub id: WindowId,
    /// Whose members it holds for.
    pub collection: CollectionId,
    /// What it is.
    pub window: MaintenanceWindow,
    /// When it was changed last.
    pub changed: UnixMillis,
    /// Who changed it.
    pub changed_by: String,
    /// Changes with the row.
    pub revision: u64,
}

fn window(row: &AnyRow) -> Result<WindowRow, StoreError> {
    Ok(WindowRow {
        id: parsed(row, "id")?,
        collection: parsed(row, "collection")?,
        window: json(row, "definition")?,
        changed: column::time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
        revision: column::count(row, "revision")?,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT w.id, w.collection, w.definition, w.changed, w.changed_by, w.revision FROM maintenance_window w ",
            $rest
        )
    };
}

/// The windows of a collection, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_collection(conn: &mut AnyConnection, id: CollectionId) -> Result<Vec<WindowRow>, StoreError> {
    let query = sqlx::query(select!("WHERE w.collection = $1 ORDER BY w.name, w.id")).bind(id.to_string());
    query.fetch_all(conn).await?.iter().map(window).collect()
}

/// A window of that collection.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(
    conn: &mut AnyConnection,
    collection: CollectionId,
    id: WindowId,
) -> Result<Option<WindowRow>, StoreError> {
    let query = sqlx::query(select!("WHERE w.collection = $1 AND w.id = $2"));
    let row = query.bind(collection.to_string()).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(window).transpose()
}

/// Writes a window, new or in the place of what it was. Another one of that name must not be there.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, row: &WindowRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO maintenance_window (id, collection, name, definition, changed, changed_by, revision) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
         definition = excluded.definition, changed = excluded.changed, changed_by = excluded.changed_by, \
         revision = excluded.revision";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.collection.to_string())
        .bind(row.window.name.as_str())
        .bind(to_json(&row.window))
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .bind(signed(row.revision))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Removes a window.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, id: WindowId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM maintenance_window WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// Whether the site has any window.
///
/// # Errors
/// When the database cannot be read.
pub async fn any(conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM maintenance_window").fetch_one(conn).await?;
    Ok(unsigned(count) > 0)
}

/// The collections with windows that each of these devices is in: one row per device and collection, in a fixed order.
///
/// # Errors
/// When the database cannot be read.
pub async fn collections(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<(DeviceId, CollectionId)>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT d.id AS device, m.collection FROM device d JOIN collection_member m ON m.resource_id = d.resource_id \
         WHERE m.collection IN (SELECT collection FROM maintenance_window) AND d.id",
        "ORDER BY d.id, m.collection"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok((parsed(row, "device")?, parsed(row, "collection")?))).collect()
}

/// The windows that hold for a device, by collection and name.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_device(conn: &mut AnyConnection, device: DeviceId) -> Result<Vec<WindowRow>, StoreError> {
    let query = sqlx::query(select!(
        "JOIN collection_member m ON m.collection = w.collection JOIN device d ON d.resource_id = m.resource_id \
         WHERE d.id = $1 ORDER BY w.collection, w.name, w.id"
    ));
    query.bind(device.to_string()).fetch_all(conn).await?.iter().map(window).collect()
}

/// Every window of the site, by collection and id.
///
/// # Errors
/// When the database cannot be read.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<WindowRow>, StoreError> {
    let rows = sqlx::query(select!("ORDER BY w.collection, w.id")).fetch_all(conn).await?;
    rows.iter().map(window).collect()
}

/// Who is in the collections that have windows: sets of collections, each with the numbers of the devices that are in those and in no
/// other. The database puts them together: a device in fifty of them is one number here, and not fifty rows.
///
/// # Errors
/// When the database cannot be read.
pub async fn memberships(
    conn: &mut AnyConnection,
    dialect: super::Dialect,
) -> Result<Vec<(Vec<CollectionId>, Vec<i64>)>, StoreError> {
    let statement = dialect.pick([
        "SELECT held, group_concat(resource_id, ',') AS devices FROM (SELECT resource_id, \
         group_concat(collection, ',') AS held FROM (SELECT resource_id, collection FROM collection_member \
         WHERE collection IN (SELECT collection FROM maintenance_window) ORDER BY resource_id, collection) \
         GROUP BY resource_id) GROUP BY held ORDER BY held",
        "SELECT held, string_agg(CAST(resource_id AS TEXT), ',') AS devices FROM (SELECT resource_id, \
         string_agg(collection, ',' ORDER BY collection) AS held FROM collection_member \
         WHERE collection IN (SELECT collection FROM maintenance_window) GROUP BY resource_id) AS sets \
         GROUP BY held ORDER BY held",
    ]);
    let set = |row: &AnyRow| {
        let (held, devices): (&str, &str) = (row.try_get("held")?, row.try_get("devices")?);
        // The same set is the same one whatever its order is.
        let mut held: Vec<CollectionId> =
            held.split(',').map(|id| column::parse(id, "held")).collect::<Result<_, StoreError>>()?;
        held.sort_unstable();
        let devices = devices.split(',').map(|number| column::parse(number, "devices"));
        Ok((held, devices.collect::<Result<_, StoreError>>()?))
    };
    sqlx::query(statement).fetch_all(conn).await?.iter().map(set).collect()
}

/// By how many minutes the clocks of those devices are ahead of UTC, as their inventories said last.
///
/// # Errors
/// When the database cannot be read.
pub async fn offsets(conn: &mut AnyConnection) -> Result<HashMap<i64, i64>, StoreError> {
    let statement = "SELECT ResourceID AS resource_id, CurrentTimeZone0 AS minutes FROM v_GS_OPERATING_SYSTEM \
         WHERE CurrentTimeZone0 IS NOT NULL AND ResourceID IN (SELECT m.resource_id FROM collection_member m \
         WHERE m.collection IN (SELECT collection FROM maintenance_window))";
    let rows = sqlx::query(statement).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("resource_id")?, row.try_get("minutes")?))).collect()
}
