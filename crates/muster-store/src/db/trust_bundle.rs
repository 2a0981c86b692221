//! Trust bundles as signed, one row per version.

use super::{
    StoreError, Tx,
    column::{count, signed},
};
use muster_model::time::UnixMillis;
use sqlx::AnyConnection;

/// The signed bytes of the newest bundle.
///
/// # Errors
/// When the database cannot be read.
pub async fn newest(conn: &mut AnyConnection) -> Result<Option<Vec<u8>>, StoreError> {
    let statement = "SELECT envelope FROM trust_bundle ORDER BY version DESC LIMIT 1";
    Ok(sqlx::query_scalar(statement).fetch_optional(conn).await?)
}

/// The version of the newest bundle; 0: there is none.
///
/// # Errors
/// When the database cannot be read.
pub async fn newest_version(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let statement = "SELECT COALESCE(MAX(version), 0) AS version FROM trust_bundle";
    count(&sqlx::query(statement).fetch_one(conn).await?, "version")
}

/// The signed bytes of the bundle of that version.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, version: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let statement = "SELECT envelope FROM trust_bundle WHERE version = $1";
    Ok(sqlx::query_scalar(statement).bind(signed(version)).fetch_optional(conn).await?)
}

/// The signed bytes of all bundles after that version, the oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn after(conn: &mut AnyConnection, version: u64) -> Result<Vec<Vec<u8>>, StoreError> {
    let statement = "SELECT envelope FROM trust_bundle WHERE version > $1 ORDER BY version";
    Ok(sqlx::query_scalar(statement).bind(signed(version)).fetch_all(conn).await?)
}

/// Keeps a bundle.
///
/// # Errors
/// [`StoreError::Exists`] when there is one of this version.
pub async fn insert(tx: &mut Tx, version: u64, expires: UnixMillis, envelope: &[u8]) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO trust_bundle (version, expires, envelope) VALUES ($1, $2, $3)")
        .bind(signed(version))
        .bind(expires.0)
        .bind(envelope)
        .execute(tx.conn())
        .await?;
    Ok(())
}
