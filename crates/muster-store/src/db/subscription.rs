//! Who is told of which alerts.

use super::{
    StoreError, Tx,
    column::{self, parsed, signed, time, unsigned},
};
use muster_model::{
    api::{PageQuery, SubscriptionInfo},
    id::SubscriptionId,
};
use sqlx::{AnyConnection, AssertSqlSafe, any::AnyRow};

const COLUMNS: &str = "id, definition, created, created_by";

fn info(row: &AnyRow) -> Result<SubscriptionInfo, StoreError> {
    Ok(SubscriptionInfo {
        id: parsed(row, "id")?,
        subscription: column::json(row, "definition")?,
        created: time(row, "created")?,
        created_by: parsed(row, "created_by")?,
    })
}

/// Adds a subscription.
///
/// # Errors
/// [`StoreError::Exists`]: another one has the name.
pub async fn insert(tx: &mut Tx, row: &SubscriptionInfo) -> Result<(), StoreError> {
    let statement = "INSERT INTO subscription (id, name, definition, created, created_by) VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.subscription.name.as_str())
        .bind(column::to_json(&row.subscription))
        .bind(row.created.0)
        .bind(row.created_by.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Removes a subscription.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(tx: &mut Tx, id: SubscriptionId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM subscription WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// A subscription.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: SubscriptionId) -> Result<Option<SubscriptionInfo>, StoreError> {
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM subscription WHERE id = $1"));
    sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?.as_ref().map(info).transpose()
}

/// A page of subscriptions by name; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<SubscriptionInfo>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM subscription").fetch_one(&mut *conn).await?;
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM subscription ORDER BY name LIMIT $1 OFFSET $2"));
    let rows = sqlx::query(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(conn).await?;
    Ok((rows.iter().map(info).collect::<Result<_, _>>()?, unsigned(total)))
}
