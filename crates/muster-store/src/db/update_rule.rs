//! Rules that propose groups of updates, each with the draft that waits for a signature.

use super::{
    StoreError, Tx,
    column::{self, parsed, signed, time, unsigned},
};
use muster_model::{
    api::{PageQuery, UpdateDraft, UpdateRule, UpdateRuleInfo},
    id::UpdateRuleId,
    time::UnixMillis,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

const COLUMNS: &str = "id, definition, created, created_by, due, looked, drafted, changes";

fn info(row: &AnyRow) -> Result<UpdateRuleInfo, StoreError> {
    let definition: &str = row.try_get("definition")?;
    let rule: UpdateRule =
        serde_json::from_str(definition).map_err(|_| StoreError::Corrupt("column definition".to_owned()))?;
    Ok(UpdateRuleInfo {
        id: parsed(row, "id")?,
        rule,
        created: time(row, "created")?,
        created_by: parsed(row, "created_by")?,
        looked: row.try_get::<Option<i64>, _>("looked")?.map(UnixMillis),
        due: time(row, "due")?,
        drafted: row.try_get::<Option<i64>, _>("drafted")?.map(UnixMillis),
        changes: column::count(row, "changes")?,
    })
}

/// Adds a rule.
///
/// # Errors
/// [`StoreError::Exists`]: another one has the name.
pub async fn insert(tx: &mut Tx, row: &UpdateRuleInfo) -> Result<(), StoreError> {
    let definition = serde_json::to_string(&row.rule).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let statement = "INSERT INTO update_rule (id, name, definition, created, created_by, due) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.rule.name.as_str())
        .bind(definition)
        .bind(row.created.0)
        .bind(row.created_by.as_str())
        .bind(row.due.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Removes a rule and its draft.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(tx: &mut Tx, id: UpdateRuleId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM update_rule WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// A rule.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: UpdateRuleId) -> Result<Option<UpdateRuleInfo>, StoreError> {
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM update_rule WHERE id = $1"));
    sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?.as_ref().map(info).transpose()
}

/// The draft of a rule.
///
/// # Errors
/// When the database cannot be read.
pub async fn draft(conn: &mut AnyConnection, id: UpdateRuleId) -> Result<Option<UpdateDraft>, StoreError> {
    let statement = "SELECT draft FROM update_rule WHERE id = $1 AND draft IS NOT NULL";
    let text: Option<String> = sqlx::query_scalar(statement).bind(id.to_string()).fetch_optional(conn).await?;
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|_| StoreError::Corrupt("column draft".to_owned()))
}

/// A page of rules by name; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<UpdateRuleInfo>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM update_rule").fetch_one(&mut *conn).await?;
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM update_rule ORDER BY name LIMIT $1 OFFSET $2"));
    let rows = sqlx::query(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(conn).await?;
    Ok((rows.iter().map(info).collect::<Result<_, _>>()?, unsigned(total)))
}

/// The rule whose time has come first.
///
/// # Errors
/// When the database cannot be read.
pub async fn due(conn: &mut AnyConnection, now: UnixMillis) -> Result<Option<UpdateRuleInfo>, StoreError> {
    let statement =
        AssertSqlSafe(format!("SELECT {COLUMNS} FROM update_rule WHERE due <= $1 ORDER BY due, id LIMIT 1"));
    sqlx::query(statement).bind(now.0).fetch_optional(conn).await?.as_ref().map(info).transpose()
}

/// How many drafts wait for a signature.
///
/// # Errors
/// When the database cannot be read.
pub async fn drafts(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM update_rule WHERE drafted IS NOT NULL";
    Ok(unsigned(sqlx::query_scalar(statement).fetch_one(conn).await?))
}

/// Keeps what a look found: a draft, which waits since it first was this one, or none.
///
/// # Errors
/// When the database cannot be written.
pub async fn looked(
    tx: &mut Tx,
    id: UpdateRuleId,
    draft: Option<&UpdateDraft>,
    now: UnixMillis,
    due: UnixMillis,
) -> Result<(), StoreError> {
    let text = draft.map(serde_json::to_string).transpose().map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let statement = "UPDATE update_rule SET looked = CAST($3 AS BIGINT), due = $4, changes = $5, \
         drafted = CASE WHEN $2 = '' THEN NULL WHEN draft = $2 THEN drafted ELSE CAST($3 AS BIGINT) END, \
         draft = CASE WHEN $2 = '' THEN NULL ELSE $2 END WHERE id = $1";
    sqlx::query(statement)
        .bind(id.to_string())
        .bind(text.unwrap_or_default())
        .bind(now.0)
        .bind(due.0)
        .bind(signed(draft.map_or(0, |draft| draft.changes.len() as u64)))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Looks by a rule again at another time, and at nothing else.
///
/// # Errors
/// When the database cannot be written.
pub async fn put_off(tx: &mut Tx, id: UpdateRuleId, due: UnixMillis) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE update_rule SET due = $2 WHERE id = $1").bind(id.to_string()).bind(due.0);
    query.execute(tx.conn()).await?;
    Ok(())
}
