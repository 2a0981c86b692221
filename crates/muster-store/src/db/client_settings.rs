//! Client settings: the default for all, custom ones for collections, and their versions.

use super::{
    StoreError, Tx,
    bulk::{in_texts, json_texts},
    column::{self, json, parsed, signed, to_json, unsigned},
};
use muster_model::{
    api::{SettingsCollection, SettingsVersion},
    id::{CollectionId, DeviceId, Name, SettingsId},
    settings::SettingValues,
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A stored object.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsRow {
    /// Its id.
    pub id: SettingsId,
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub comment: String,
    /// Its priority: 0 is the default for all.
    pub place: u32,
    /// What it says.
    pub values: SettingValues,
    /// Grows with every change.
    pub version: u64,
    /// When it was changed last.
    pub changed: UnixMillis,
    /// Who changed it.
    pub changed_by: String,
}

fn place(row: &AnyRow) -> Result<u32, StoreError> {
    u32::try_from(column::count(row, "place")?).map_err(|_| StoreError::Corrupt("a place is no place".to_owned()))
}

fn settings(row: &AnyRow) -> Result<SettingsRow, StoreError> {
    Ok(SettingsRow {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        comment: row.try_get("comment")?,
        place: place(row)?,
        values: json::<SettingValues>(row, "definition")?.upgraded(),
        version: column::count(row, "version")?,
        changed: column::time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
    })
}

/// Every object, the default first and then by priority.
///
/// # Errors
/// When the database cannot be read.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<SettingsRow>, StoreError> {
    let statement = "SELECT id, name, comment, place, definition, version, changed, changed_by FROM client_settings \
         ORDER BY place, id";
    sqlx::query(statement).fetch_all(conn).await?.iter().map(settings).collect()
}

/// An object.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: SettingsId) -> Result<Option<SettingsRow>, StoreError> {
    let statement = "SELECT id, name, comment, place, definition, version, changed, changed_by FROM client_settings \
         WHERE id = $1";
    sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?.as_ref().map(settings).transpose()
}

/// Writes an object, new or in the place of what it was. Another one of that name must not be there.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, row: &SettingsRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO client_settings (id, name, comment, place, definition, version, changed, changed_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
         comment = excluded.comment, place = excluded.place, definition = excluded.definition, \
         version = excluded.version, changed = excluded.changed, changed_by = excluded.changed_by";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.name.as_str())
        .bind(&row.comment)
        .bind(i64::from(row.place))
        .bind(to_json(&row.values))
        .bind(signed(row.version))
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Gives an object a place among the others.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_place(tx: &mut Tx, id: SettingsId, place: u32) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE client_settings SET place = $2 WHERE id = $1");
    query.bind(id.to_string()).bind(i64::from(place)).execute(tx.conn()).await?;
    Ok(())
}

/// Removes an object. Its versions stay.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, id: SettingsId) -> Result<(), StoreError> {
    set_collections(tx, id, &[]).await?;
    sqlx::query("DELETE FROM client_settings WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// Whose members an object is for.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_collections(tx: &mut Tx, id: SettingsId, collections: &[CollectionId]) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM client_settings_collection WHERE settings = $1");
    query.bind(id.to_string()).execute(tx.conn()).await?;
    for collection in collections {
        let query = sqlx::query("INSERT INTO client_settings_collection (settings, collection) VALUES ($1, $2)");
        query.bind(id.to_string()).bind(collection.to_string()).execute(tx.conn()).await?;
    }
    Ok(())
}

/// A collection that an object is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The object.
    pub settings: SettingsId,
    /// The collection.
    pub collection: CollectionId,
    /// Its name.
    pub name: String,
    /// Whether it is protected.
    pub protected: bool,
    /// Whether nobody made it.
    pub built_in: bool,
}

/// The collections of all objects, in a fixed order.
///
/// # Errors
/// When the database cannot be read.
pub async fn targets(conn: &mut AnyConnection) -> Result<Vec<Target>, StoreError> {
    let statement = "SELECT s.settings, s.collection, c.name, c.protected, c.built_in FROM client_settings_collection s \
         JOIN collection c ON c.id = s.collection ORDER BY s.settings, c.name, c.id";
    let rows = sqlx::query(statement).fetch_all(conn).await?;
    let flag = |row: &AnyRow, column| row.try_get::<i64, _>(column).map(|flag| flag != 0);
    rows.iter()
        .map(|row| {
            Ok(Target {
                settings: parsed(row, "settings")?,
                collection: parsed(row, "collection")?,
                name: row.try_get("name")?,
                protected: flag(row, "protected")?,
                built_in: flag(row, "built_in")?,
            })
        })
        .collect()
}

/// The objects that are for a collection, by priority.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_collection(conn: &mut AnyConnection, id: CollectionId) -> Result<Vec<SettingsRow>, StoreError> {
    let statement = "SELECT s.id, s.name, s.comment, s.place, s.definition, s.version, s.changed, s.changed_by \
         FROM client_settings s JOIN client_settings_collection t ON t.settings = s.id WHERE t.collection = $1 \
         ORDER BY s.place, s.id";
    sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await?.iter().map(settings).collect()
}

/// Whether any object is for a collection.
///
/// # Errors
/// When the database cannot be read.
pub async fn any(conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM client_settings_collection").fetch_one(conn).await?;
    Ok(unsigned(count) > 0)
}

/// The collections with settings that each of these devices is in, in a fixed order.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_devices(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<(DeviceId, CollectionId)>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT DISTINCT d.id AS device, s.collection FROM client_settings_collection s \
         JOIN collection_member m ON m.collection = s.collection JOIN device d ON d.resource_id = m.resource_id WHERE d.id",
        "ORDER BY d.id, s.collection"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok((parsed(row, "device")?, parsed(row, "collection")?))).collect()
}

/// The collections with settings that a device is in, in a fixed order.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_device(conn: &mut AnyConnection, device: DeviceId) -> Result<Vec<CollectionId>, StoreError> {
    let statement = "SELECT DISTINCT s.collection FROM client_settings_collection s \
         JOIN collection_member m ON m.collection = s.collection JOIN device d ON d.resource_id = m.resource_id \
         WHERE d.id = $1 ORDER BY s.collection";
    let rows = sqlx::query(statement).bind(device.to_string()).fetch_all(conn).await?;
    rows.iter().map(|row| parsed(row, "collection")).collect()
}

/// Which active devices are members of collections with settings: their numbers, each with its collections in a fixed order.
///
/// # Errors
/// When the database cannot be read.
pub async fn memberships(conn: &mut AnyConnection) -> Result<Vec<(i64, CollectionId)>, StoreError> {
    let statement = "SELECT m.resource_id, m.collection FROM collection_member m \
         JOIN device d ON d.resource_id = m.resource_id WHERE d.state = 'active' \
         AND m.collection IN (SELECT collection FROM client_settings_collection) ORDER BY m.resource_id, m.collection";
    let rows = sqlx::query(statement).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("resource_id")?, parsed(row, "collection")?))).collect()
}

/// The numbers of the active devices that are members of a collection.
///
/// # Errors
/// When the database cannot be read.
pub async fn members(conn: &mut AnyConnection, id: CollectionId) -> Result<Vec<i64>, StoreError> {
    let statement = "SELECT m.resource_id FROM collection_member m JOIN device d ON d.resource_id = m.resource_id \
         WHERE d.state = 'active' AND m.collection = $1 ORDER BY m.resource_id";
    Ok(sqlx::query_scalar(statement).bind(id.to_string()).fetch_all(conn).await?)
}

/// How many devices are active.
///
/// # Errors
/// When the database cannot be read.
pub async fn active(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM device WHERE state = 'active'";
    Ok(unsigned(sqlx::query_scalar(statement).fetch_one(conn).await?))
}

/// The name of a device with this number.
///
/// # Errors
/// When the database cannot be read.
pub async fn device_name(conn: &mut AnyConnection, resource: i64) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT name FROM device WHERE resource_id = $1").bind(resource);
    Ok(query.fetch_optional(conn).await?)
}

/// Keeps what an object is as its version.
///
/// # Errors
/// When the database cannot be written.
pub async fn keep(tx: &mut Tx, row: &SettingsRow, collections: &[SettingsCollection]) -> Result<(), StoreError> {
    let statement = "INSERT INTO client_settings_version \
         (settings, version, name, comment, place, definition, collections, changed, changed_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(signed(row.version))
        .bind(row.name.as_str())
        .bind(&row.comment)
        .bind(i64::from(row.place))
        .bind(to_json(&row.values))
        .bind(to_json(&collections))
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A page of the versions of an object, the newest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn versions(
    conn: &mut AnyConnection,
    id: SettingsId,
    (offset, limit): (u64, u32),
) -> Result<(Vec<SettingsVersion>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM client_settings_version WHERE settings = $1")
        .bind(id.to_string())
        .fetch_one(&mut *conn)
        .await?;
    let statement = "SELECT version, name, comment, place, definition, collections, changed, changed_by \
         FROM client_settings_version WHERE settings = $1 ORDER BY version DESC LIMIT $2 OFFSET $3";
    let query = sqlx::query(statement).bind(id.to_string()).bind(i64::from(limit)).bind(signed(offset));
    let rows = query.fetch_all(conn).await?;
    let version = |row: &AnyRow| {
        Ok(SettingsVersion {
            version: column::count(row, "version")?,
            name: parsed(row, "name")?,
            comment: row.try_get("comment")?,
            priority: place(row)?,
            values: json::<SettingValues>(row, "definition")?.upgraded(),
            collections: json(row, "collections")?,
            changed: column::time(row, "changed")?,
            changed_by: row.try_get("changed_by")?,
        })
    };
    Ok((rows.iter().map(version).collect::<Result<_, StoreError>>()?, unsigned(total)))
}
