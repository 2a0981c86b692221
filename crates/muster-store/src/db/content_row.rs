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

/// Size of a file, where one of these applications names it.
///
/// # Errors
/// When the database cannot be read.
pub async fn size_in(
    conn: &mut AnyConnection,
    dialect: super::Dialect,
    content: Hash,
    applications: &[Hash],
) -> Result<Option<u64>, StoreError> {
    let statement = dialect.pick(in_texts!(
        "SELECT c.size FROM application_content a JOIN content c ON c.hash = a.content \
         WHERE a.application",
        "AND a.content = $2 LIMIT 1"
    ));
    let size: Option<i64> = sqlx::query_scalar(statement)
        .bind(json_texts(applications))
        .bind(content.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(size.map(column::unsigned))
}
