//! Policy bodies: immutable bytes by hash. Objects of applications and baselines are bodies too, and stay where they are.

use super::{StoreError, Tx};
use muster_model::{id::Hash, policy::BodyKind, time::UnixMillis};
use sqlx::AnyConnection;

/// Keeps a body; nothing happens where it is kept already.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, hash: Hash, kind: BodyKind, bytes: &[u8], now: UnixMillis) -> Result<(), StoreError> {
    let statement = "INSERT INTO policy_body (hash, kind, bytes, created) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (hash) DO NOTHING";
    sqlx::query(statement)
        .bind(hash.to_string())
        .bind(kind.as_str())
        .bind(bytes.to_vec())
        .bind(now.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The bytes of a body, or of a signed object.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, hash: Hash) -> Result<Option<Vec<u8>>, StoreError> {
    let statement = "SELECT bytes FROM policy_body WHERE hash = $1 \
         UNION ALL SELECT object FROM application WHERE hash = $1 \
         UNION ALL SELECT object FROM baseline WHERE hash = $1";
    Ok(sqlx::query_scalar(statement).bind(hash.to_string()).fetch_optional(conn).await?)
}
