//! A deployment gets another revision of what it deploys: each of its devices begins anew.

use super::{StoreError, Tx, column};
use muster_model::{
    id::{DeploymentId, Hash},
    time::UnixMillis,
};
use sqlx::Row;

/// An object by its hash, and its bytes.
pub type Object = (Hash, u64);

/// Puts another signed object and policy body in the place of those before. Returns on how many devices it begins anew.
///
/// # Errors
/// When the database cannot be written.
pub async fn replace(
    tx: &mut Tx,
    id: DeploymentId,
    application: Object,
    policy: Object,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let statement = "UPDATE deployment SET application = $2, application_size = $3, policy_body = $4, policy_size = $5, \
         revision = revision + 1 WHERE id = $1";
    sqlx::query(statement)
        .bind(id.to_string())
        .bind(application.0.to_string())
        .bind(column::signed(application.1))
        .bind(policy.0.to_string())
        .bind(column::signed(policy.1))
        .execute(tx.conn())
        .await?;
    let statement = "UPDATE deployment_device SET state = 'targeted', reason = NULL, exit_code = NULL, output = '', \
         changed = CAST($2 AS BIGINT), waits = NULL, starts = NULL, restart = 0, undone = 0, deferred = 0 \
         WHERE deployment = $1 AND withdrawn IS NULL";
    let query = sqlx::query(statement).bind(id.to_string()).bind(now.0);
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

/// The attempts that have a policy body of their own.
///
/// # Errors
/// When the database cannot be read.
pub async fn attempts(tx: &mut Tx, id: DeploymentId) -> Result<Vec<u32>, StoreError> {
    let statement = "SELECT attempt FROM deployment_attempt WHERE deployment = $1";
    let rows = sqlx::query(statement).bind(id.to_string()).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok(u32::try_from(row.try_get::<i64, _>("attempt")?).unwrap_or(u32::MAX))).collect()
}

/// Puts another policy body in the place of an attempt's.
///
/// # Errors
/// When the database cannot be written.
pub async fn put_attempt(tx: &mut Tx, id: DeploymentId, attempt: u32, policy: Object) -> Result<(), StoreError> {
    let statement =
        "UPDATE deployment_attempt SET policy_body = $3, policy_size = $4 WHERE deployment = $1 AND attempt = $2";
    sqlx::query(statement)
        .bind(id.to_string())
        .bind(i64::from(attempt))
        .bind(policy.0.to_string())
        .bind(column::signed(policy.1))
        .execute(tx.conn())
        .await?;
    Ok(())
}
