//! Trust bundles as signed, one row per version.

use super::{StoreError, Tx, column::signed};
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
