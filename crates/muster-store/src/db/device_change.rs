//! What changed on which device: written in the transaction of the change, read and removed by whoever evaluates collections.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{json, parsed, to_json},
};
use muster_model::id::DeviceId;
use serde::Serialize;
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::BTreeSet;

/// The class of what stands in the device's own row and not in its inventory.
pub const SYSTEM: &str = "SMS_R_System";

/// The class of what is known of users.
pub const USER: &str = "SMS_R_User";
/// The class of what is known of groups of users.
pub const USER_GROUP: &str = "SMS_R_UserGroup";
/// The class of where a device is: what stands in its row of networks.
pub const NETWORK: &str = "device_network";
/// When a device's inventory was last taken in, the same or another.
pub const LAST_INVENTORY: &str = "last_inventory";
/// When a device was last in contact, where that was more than a day before.
pub const CAME_BACK: &str = "last_seen";
/// In the place of all classes: any change may matter.
pub const ANY: &str = "*";

/// Under this name stands what rules ask about: a JSON list of classes.
const ASKED: &str = "collection_asks";
/// So many evaluations a change is kept after it was dealt with, for what others have in memory: about a minute of the busiest ones.
const KEPT: i64 = 240;

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

/// The classes that rules ask about. Until the transaction ends, no rule comes that asks about others.
async fn asked(tx: &mut Tx) -> Result<BTreeSet<String>, StoreError> {
    let statement = tx
        .dialect()
        .pick(["SELECT value FROM setting WHERE name = $1", "SELECT value FROM setting WHERE name = $1 FOR SHARE"]);
    let value: Option<String> = sqlx::query_scalar(statement).bind(ASKED).fetch_optional(tx.conn()).await?;
    // Before anybody looked at the rules, all of them.
    let Some(value) = value else { return Ok(BTreeSet::from([ANY.to_owned()])) };
    serde_json::from_str(&value).map_err(|_| StoreError::Corrupt("the classes that rules ask about".to_owned()))
}

/// Says which classes rules ask about: changes of others are not noted from now on. Waits for those that note changes just now.
/// [`SYSTEM`] is always noted.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask(tx: &mut Tx, classes: &BTreeSet<String>) -> Result<(), StoreError> {
    let value = to_json(classes);
    if super::setting::get(tx.conn(), ASKED).await?.as_ref() != Some(&value) {
        super::setting::set(tx, ASKED, &value).await?;
    }
    Ok(())
}

/// Notes changes, one row for each device; nothing where no rule asks about what changed.
///
/// # Errors
/// When the database cannot be written.
pub async fn note<C: AsRef<str> + Serialize>(tx: &mut Tx, changes: &[(DeviceId, Vec<C>)]) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let asked = asked(tx).await?;
    let matters = |class: &C| class.as_ref() == SYSTEM || asked.contains(ANY) || asked.contains(class.as_ref());
    let of = |(device, classes): &(DeviceId, Vec<C>)| {
        let classes: Vec<String> =
            classes.iter().filter(|class| matters(class)).map(|class| class.as_ref().to_owned()).collect();
        (!classes.is_empty()).then_some((*device, classes))
    };
    let changes: Vec<(DeviceId, Vec<String>)> = changes.iter().filter_map(of).collect();
    NOTE.run(tx, &changes, |query, (device, classes)| query.bind(device.to_string()).bind(to_json(classes))).await?;
    Ok(())
}

/// Notes that the row of one device changed.
///
/// # Errors
/// When the database cannot be written.
pub async fn note_system(tx: &mut Tx, device: DeviceId) -> Result<(), StoreError> {
    note(tx, &[(device, vec![SYSTEM])]).await
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

fn change(row: &AnyRow) -> Result<Change, StoreError> {
    Ok(Change { id: row.try_get("id")?, resource_id: row.try_get("resource_id")?, classes: json(row, "classes")? })
}

/// The oldest changes that nobody dealt with, at most `limit`.
///
/// # Errors
/// When the database cannot be read.
pub async fn oldest(conn: &mut AnyConnection, limit: u32) -> Result<Vec<Change>, StoreError> {
    let statement = "SELECT c.id, COALESCE(c.resource_id, d.resource_id) AS resource_id, c.classes FROM device_change c \
         LEFT JOIN device d ON d.id = c.device WHERE c.done = 0 AND COALESCE(c.resource_id, d.resource_id) IS NOT NULL \
         ORDER BY c.id LIMIT $1";
    let rows = sqlx::query(statement).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter().map(change).collect()
}

/// Whether there is any that nobody dealt with.
///
/// # Errors
/// When the database cannot be read.
pub async fn is_any(conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let statement = "SELECT CASE WHEN EXISTS (SELECT 1 FROM device_change WHERE done = 0) THEN 1 ELSE 0 END";
    let any: i32 = sqlx::query_scalar(statement).fetch_one(conn).await?;
    Ok(any != 0)
}

/// Those of these devices of which something changed that nobody dealt with.
///
/// # Errors
/// When the database cannot be read.
pub async fn waiting(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<DeviceId>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT d.id FROM device d WHERE EXISTS (SELECT 1 FROM device_change c \
         WHERE c.done = 0 AND (c.device = d.id OR c.resource_id = d.resource_id)) AND d.id",
        "ORDER BY d.id"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| parsed(row, "id")).collect()
}

/// The changes that evaluations after that one dealt with; `None`: not all of them are there any more.
///
/// # Errors
/// When the database cannot be read.
pub async fn since(conn: &mut AnyConnection, evaluation: i64, now: i64) -> Result<Option<Vec<Change>>, StoreError> {
    if now - evaluation >= KEPT {
        return Ok(None);
    }
    let statement = "SELECT c.id, COALESCE(c.resource_id, d.resource_id) AS resource_id, c.classes FROM device_change c \
         LEFT JOIN device d ON d.id = c.device WHERE c.done > $1 AND COALESCE(c.resource_id, d.resource_id) IS NOT NULL \
         ORDER BY c.id";
    let rows = sqlx::query(statement).bind(evaluation).fetch_all(conn).await?;
    Ok(Some(rows.iter().map(change).collect::<Result<_, _>>()?))
}

/// Notes that the evaluation with this number, from 1 on, dealt with these changes; forgets those that were dealt with long ago.
///
/// # Errors
/// When the database cannot be written.
pub async fn done(tx: &mut Tx, ids: &[i64], evaluation: i64) -> Result<(), StoreError> {
    let statement = tx.dialect().pick([
        "UPDATE device_change SET done = $2 WHERE id IN (SELECT value FROM json_each($1))",
        "UPDATE device_change SET done = $2 WHERE id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e)",
    ]);
    if !ids.is_empty() {
        sqlx::query(statement).bind(to_json(&ids)).bind(evaluation).execute(tx.conn()).await?;
    }
    let statement = "DELETE FROM device_change WHERE done > 0 AND done <= $1";
    sqlx::query(statement).bind(evaluation - KEPT).execute(tx.conn()).await?;
    Ok(())
}
