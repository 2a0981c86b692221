//! What changed on which device: written in the transaction of the change, read and removed by whoever evaluates collections.

use super::{
    StoreError, Tx,
    bulk::Bulk,
    column::{json, to_json},
};
use muster_model::id::DeviceId;
use sqlx::{AnyConnection, Row};

/// The class of what stands in the device's own row and not in its inventory.
pub const SYSTEM: &str = "SMS_R_System";

/// The class of what is known of users.
pub const USER: &str = "SMS_R_User";
/// The class of what is known of groups of users.
pub const USER_GROUP: &str = "SMS_R_UserGroup";

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number, by which it is removed.
    pub id: i64,
    /// The device, as resource.
    pub resource_id: i64,
    /// Classes: [`SYSTEM`], or names of inventory classes.
    pub classes: Vec<String>,
}

static NOTE: Bulk = Bulk::new("INSERT INTO device_change (device, classes)", 2, "");

static NOTE_RESOURCE: Bulk = Bulk::new("INSERT INTO device_change (device, classes, resource_id)", 3, "");

/// Notes changes, one row for each device.
///
/// # Errors
/// When the database cannot be written.
pub async fn note<C: serde::Serialize>(tx: &mut Tx, changes: &[(DeviceId, C)]) -> Result<(), StoreError> {
    NOTE.run(tx, changes, |query, (device, classes)| query.bind(device.to_string()).bind(to_json(classes))).await?;
    Ok(())
}

/// Notes that the row of one device changed.
///
/// # Errors
/// When the database cannot be written.
pub async fn note_system(tx: &mut Tx, device: DeviceId) -> Result<(), StoreError> {
    note(tx, &[(device, [SYSTEM])]).await
}

/// Notes that what is said of resources changed on which no client runs.
///
/// # Errors
/// When the database cannot be written.
pub async fn note_resources(tx: &mut Tx, resources: &[i64], class: &str) -> Result<(), StoreError> {
    NOTE_RESOURCE
        .run(tx, resources, |query, number| query.bind(None::<String>).bind(to_json(&[class])).bind(*number))
        .await?;
    Ok(())
}

/// The oldest changes, at most `limit`.
///
/// # Errors
/// When the database cannot be read.
pub async fn oldest(conn: &mut AnyConnection, limit: u32) -> Result<Vec<Change>, StoreError> {
    let statement = "SELECT c.id, COALESCE(c.resource_id, d.resource_id) AS resource_id, c.classes FROM device_change c \
         LEFT JOIN device d ON d.id = c.device WHERE COALESCE(c.resource_id, d.resource_id) IS NOT NULL ORDER BY c.id LIMIT $1";
    let rows = sqlx::query(statement).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(Change {
                id: row.try_get("id")?,
                resource_id: row.try_get("resource_id")?,
                classes: json(row, "classes")?,
            })
        })
        .collect()
}

/// Removes changes, by number.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, ids: &[i64]) -> Result<(), StoreError> {
    let statement = tx.dialect().pick([
        "DELETE FROM device_change WHERE id IN (SELECT value FROM json_each($1))",
        "DELETE FROM device_change WHERE id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e)",
    ]);
    sqlx::query(statement).bind(to_json(&ids)).execute(tx.conn()).await?;
    Ok(())
}
