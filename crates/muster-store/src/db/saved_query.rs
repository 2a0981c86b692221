//! Queries that are kept.

use super::{
    StoreError, Tx,
    column::{count, parsed, signed, time, unsigned},
};
use muster_model::{
    api::{PageQuery, SavedQuery},
    id::SavedQueryId,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

const COLUMNS: &str = "id, name, language, query, comment, owner, changed, changed_by, revision";

fn saved(row: &AnyRow) -> Result<SavedQuery, StoreError> {
    Ok(SavedQuery {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        language: parsed(row, "language")?,
        query: row.try_get("query")?,
        comment: row.try_get("comment")?,
        owner: row.try_get("owner")?,
        changed: time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
        revision: count(row, "revision")?,
    })
}

/// A query by its id.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: SavedQueryId) -> Result<Option<SavedQuery>, StoreError> {
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM saved_query WHERE id = $1"));
    sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?.as_ref().map(saved).transpose()
}

/// A query by its name.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_name(conn: &mut AnyConnection, name: &str) -> Result<Option<SavedQuery>, StoreError> {
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM saved_query WHERE name = $1"));
    sqlx::query(statement).bind(name).fetch_optional(conn).await?.as_ref().map(saved).transpose()
}

/// Keeps a query: a new one, or in the place of the one with this id.
///
/// # Errors
/// [`StoreError::Exists`]: another one has the name.
pub async fn put(tx: &mut Tx, row: &SavedQuery) -> Result<(), StoreError> {
    let statement = "INSERT INTO saved_query (id, name, language, query, comment, owner, changed, changed_by, revision) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
         language = excluded.language, query = excluded.query, comment = excluded.comment, changed = excluded.changed, \
         changed_by = excluded.changed_by, revision = excluded.revision";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.name.as_str())
        .bind(row.language.as_str())
        .bind(&row.query)
        .bind(&row.comment)
        .bind(&row.owner)
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .bind(signed(row.revision))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Keeps a query no more.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(tx: &mut Tx, id: SavedQueryId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM saved_query WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// How many queries are kept.
///
/// # Errors
/// When the database cannot be read.
pub async fn total(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    Ok(unsigned(sqlx::query_scalar("SELECT COUNT(*) FROM saved_query").fetch_one(conn).await?))
}

/// A page of queries by name; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<SavedQuery>, u64), StoreError> {
    let total = total(&mut *conn).await?;
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM saved_query ORDER BY name LIMIT $1 OFFSET $2"));
    let rows = sqlx::query(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(conn).await?;
    Ok((rows.iter().map(saved).collect::<Result<_, _>>()?, total))
}
