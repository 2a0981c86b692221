//! Content files that are complete: their hashes and sizes. The bytes are in [`crate::content`].

use super::{
    StoreError, Tx,
    bulk::{in_texts, json_texts},
    column,
};
use muster_model::{id::Hash, time::UnixMillis};
use sqlx::{AnyConnection, Row};
use std::collections::HashMap;

/// Notes that a file is there. Nothing happens where it is noted already; the answer says whether it is new.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, hash: Hash, size: u64, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "INSERT INTO content (hash, size, created) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING";
    let done =
        sqlx::query(statement).bind(hash.to_string()).bind(column::signed(size)).bind(now.0).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// Size of a file in bytes, where it is there.
///
/// # Errors
/// When the database cannot be read.
pub async fn size(conn: &mut AnyConnection, hash: Hash) -> Result<Option<u64>, StoreError> {
    let size: Option<i64> = sqlx::query_scalar("SELECT size FROM content WHERE hash = $1")
        .bind(hash.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(size.map(column::unsigned))
}

/// Sizes of those of `hashes` that are there.
///
/// # Errors
/// When the database cannot be read.
pub async fn sizes(tx: &mut Tx, hashes: &[Hash]) -> Result<HashMap<Hash, u64>, StoreError> {
    let statement = tx.dialect().pick(in_texts!("SELECT hash, size FROM content WHERE hash", ""));
    let rows = sqlx::query(statement).bind(json_texts(hashes)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok((column::parsed(row, "hash")?, column::unsigned(row.try_get("size")?)))).collect()
}

/// Size of a file, where one of these applications names it, and which one that is.
///
/// # Errors
/// When the database cannot be read.
pub async fn size_in(
    conn: &mut AnyConnection,
    dialect: super::Dialect,
    content: Hash,
    applications: &[Hash],
) -> Result<Option<(Hash, u64)>, StoreError> {
    let statement = dialect.pick(in_texts!(
        "SELECT a.application, c.size FROM application_content a JOIN content c ON c.hash = a.content \
         WHERE a.application",
        "AND a.content = $2 LIMIT 1"
    ));
    let row =
        sqlx::query(statement).bind(json_texts(applications)).bind(content.to_string()).fetch_optional(conn).await?;
    row.map(|row| Ok((column::parsed(&row, "application")?, column::count(&row, "size")?))).transpose()
}

/// The chunk list of a file: how many bytes it has, and the file in its packed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkedRow {
    /// Chunks of the file.
    pub chunks: u64,
    /// Bytes of the list.
    pub list: u64,
    /// Bytes of the packed form; `None`: there is none, and the file is sent as it is.
    pub packed: Option<u64>,
}

/// Notes that a file has its chunk list. What was noted before stays.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert_chunks(tx: &mut Tx, hash: Hash, row: &ChunkedRow, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "INSERT INTO content_chunks (hash, chunks, list, packed, created) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (hash) DO NOTHING";
    let done = sqlx::query(statement)
        .bind(hash.to_string())
        .bind(column::signed(row.chunks))
        .bind(column::signed(row.list))
        .bind(row.packed.map(column::signed))
        .bind(now.0)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The chunk list of a file, where it has one.
///
/// # Errors
/// When the database cannot be read.
pub async fn chunks(conn: &mut AnyConnection, hash: Hash) -> Result<Option<ChunkedRow>, StoreError> {
    let query = sqlx::query("SELECT chunks, list, packed FROM content_chunks WHERE hash = $1").bind(hash.to_string());
    let Some(row) = query.fetch_optional(conn).await? else { return Ok(None) };
    let packed: Option<i64> = row.try_get("packed")?;
    Ok(Some(ChunkedRow {
        chunks: column::count(&row, "chunks")?,
        list: column::count(&row, "list")?,
        packed: packed.map(column::unsigned),
    }))
}

/// The next file after `after` of at least `least` bytes that has no chunk list, by its hash.
///
/// # Errors
/// When the database cannot be read.
pub async fn without_chunks(
    conn: &mut AnyConnection,
    after: Option<Hash>,
    least: u64,
) -> Result<Option<(Hash, u64)>, StoreError> {
    let statement = "SELECT c.hash, c.size FROM content c LEFT JOIN content_chunks k ON k.hash = c.hash \
                     WHERE k.hash IS NULL AND c.hash > $1 AND c.size >= $2 ORDER BY c.hash LIMIT 1";
    let row = sqlx::query(statement)
        .bind(after.map_or_else(String::new, |hash| hash.to_string()))
        .bind(column::signed(least))
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok((column::parsed(&row, "hash")?, column::count(&row, "size")?))).transpose()
}
