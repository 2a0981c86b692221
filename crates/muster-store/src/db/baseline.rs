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

/// Adds a baseline, or brings back the same one that was deleted.
///
/// # Errors
/// When the database cannot be written; [`StoreError::Exists`] when this object is there already.
pub async fn insert(tx: &mut Tx, row: &BaselineRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO baseline (hash, id, name, version, object, authors, outline, created) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (hash) DO UPDATE SET deleted = NULL, \
         authors = excluded.authors, created = excluded.created WHERE baseline.deleted IS NOT NULL";
    let done = sqlx::query(statement)
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
    if done.rows_affected() == 0 { Err(StoreError::Exists) } else { Ok(()) }
}

/// Deletes a baseline; where it ever had a deployment, the row stays for its history. `false`: it was deleted before, or is not there.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(tx: &mut Tx, hash: Hash, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE baseline SET deleted = $2 WHERE hash = $1 AND deleted IS NULL";
    let done = sqlx::query(statement).bind(hash.to_string()).bind(now.0).execute(tx.conn()).await?.rows_affected() > 0;
    let unused = "DELETE FROM baseline WHERE hash = $1 AND deleted IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM baseline_deployment p WHERE p.baseline = baseline.hash)";
    sqlx::query(unused).bind(hash.to_string()).execute(tx.conn()).await?;
    Ok(done)
}

/// Whether a baseline is there; nobody deletes it before this transaction ends.
///
/// # Errors
/// When the database cannot be read.
pub async fn hold(tx: &mut Tx, hash: Hash) -> Result<bool, StoreError> {
    let statement = tx.dialect().pick([
        "SELECT hash FROM baseline WHERE hash = $1 AND deleted IS NULL",
        "SELECT hash FROM baseline WHERE hash = $1 AND deleted IS NULL FOR SHARE",
    ]);
    Ok(sqlx::query(statement).bind(hash.to_string()).fetch_optional(tx.conn()).await?.is_some())
}

/// The baseline with this object.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, hash: Hash) -> Result<Option<BaselineRow>, StoreError> {
    let row =
        sqlx::query(select!("WHERE hash = $1 AND deleted IS NULL")).bind(hash.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(from_row).transpose()
}

/// How many baselines the site has.
///
/// # Errors
/// When the database cannot be read.
pub async fn count(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM baseline WHERE deleted IS NULL").fetch_one(conn).await?;
    Ok(column::unsigned(count))
}

/// One page of all baselines, by name, the newest of one name first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, offset: u64, limit: u32) -> Result<(Vec<BaselineRow>, u64), StoreError> {
    let total = count(&mut *conn).await?;
    let rows = sqlx::query(select!("WHERE deleted IS NULL ORDER BY name, created DESC, hash LIMIT $1 OFFSET $2"))
        .bind(i64::from(limit))
        .bind(column::signed(offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(from_row).collect::<Result<_, _>>()?, total))
}
