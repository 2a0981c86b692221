//! Configuration baselines: the signed objects as their authors made them.

use super::{
    StoreError, Tx,
    column::{self, parsed},
};
use muster_model::{
    compliance::SettingOutline,
    id::{BaselineId, Hash},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A stored baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineRow {
    /// SHA-256 of the object.
    pub hash: Hash,
    /// The baseline, over all of its versions.
    pub id: BaselineId,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The signed object.
    pub object: Vec<u8>,
    /// Key ids of the authors whose signatures were valid when it was added.
    pub authors: Vec<Hash>,
    /// What the site has to know of its settings.
    pub outline: Vec<SettingOutline>,
    /// When it was added.
    pub created: UnixMillis,
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT hash, id, name, version, object, authors, outline, created FROM baseline ", $rest)
    };
}

fn from_row(row: &AnyRow) -> Result<BaselineRow, StoreError> {
    Ok(BaselineRow {
        hash: parsed(row, "hash")?,
        id: parsed(row, "id")?,
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        object: row.try_get("object")?,
        authors: column::json(row, "authors")?,
        outline: column::json(row, "outline")?,
        created: column::time(row, "created")?,
    })
}

/// Adds a baseline.
///
/// # Errors
/// [`StoreError::Exists`] when this object is there already.
pub async fn insert(tx: &mut Tx, row: &BaselineRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO baseline (hash, id, name, version, object, authors, outline, created) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(statement)
        .bind(row.hash.to_string())
        .bind(row.id.to_string())
        .bind(row.name.clone())
        .bind(row.version.clone())
        .bind(row.object.clone())
        .bind(column::to_json(&row.authors))
        .bind(column::to_json(&row.outline))
        .bind(row.created.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The baseline with this object.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, hash: Hash) -> Result<Option<BaselineRow>, StoreError> {
    let row = sqlx::query(select!("WHERE hash = $1")).bind(hash.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(from_row).transpose()
}

/// How many baselines the site has.
///
/// # Errors
/// When the database cannot be read.
pub async fn count(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM baseline").fetch_one(conn).await?;
    Ok(column::unsigned(count))
}

/// One page of all baselines, by name, the newest of one name first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, offset: u64, limit: u32) -> Result<(Vec<BaselineRow>, u64), StoreError> {
    let total = count(&mut *conn).await?;
    let rows = sqlx::query(select!("ORDER BY name, created DESC, hash LIMIT $1 OFFSET $2"))
        .bind(i64::from(limit))
        .bind(column::signed(offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(from_row).collect::<Result<_, _>>()?, total))
}
