//! Status filter rules, in their order.

use super::{
    StoreError, Tx,
    bulk::{in_texts, json_texts},
    column::{self, parsed, signed, time, unsigned},
    report_hour::hour_of,
};
use muster_model::{
    api::{PageQuery, StatusRuleInfo},
    id::{CollectionId, DeviceId, StatusRuleId},
    time::UnixMillis,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use std::collections::HashSet;

const COLUMNS: &str = "id, place, definition, created, created_by, matched, fired, dropped, last";

fn info(row: &AnyRow) -> Result<StatusRuleInfo, StoreError> {
    Ok(StatusRuleInfo {
        id: parsed(row, "id")?,
        place: column::count(row, "place")?,
        rule: column::json(row, "definition")?,
        created: time(row, "created")?,
        created_by: parsed(row, "created_by")?,
        matched: column::count(row, "matched")?,
        fired: column::count(row, "fired")?,
        dropped: column::count(row, "dropped")?,
        last: row.try_get::<Option<i64>, _>("last")?.map(UnixMillis),
    })
}

/// Which version the rules have. Whoever stores messages asks it in the transaction that stores them.
///
/// # Errors
/// When the database cannot be read.
pub async fn version(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let statement = "SELECT version FROM status_rule_state WHERE id = 1";
    Ok(unsigned(sqlx::query_scalar::<_, i64>(statement).fetch_one(conn).await?))
}

/// Says that rules change. It holds the rules for this transaction: places are given one after the other.
///
/// # Errors
/// When the database cannot be written.
pub async fn change(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("UPDATE status_rule_state SET version = version + 1 WHERE id = 1").execute(tx.conn()).await?;
    Ok(())
}

/// Adds a rule.
///
/// # Errors
/// [`StoreError::Exists`]: another one has the name.
pub async fn insert(tx: &mut Tx, row: &StatusRuleInfo) -> Result<(), StoreError> {
    let statement = "INSERT INTO status_rule (id, name, place, definition, created, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.rule.name.as_str())
        .bind(signed(row.place))
        .bind(column::to_json(&row.rule))
        .bind(row.created.0)
        .bind(row.created_by.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Writes place and definition of a rule.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, row: &StatusRuleInfo) -> Result<(), StoreError> {
    let statement = "UPDATE status_rule SET place = $2, definition = $3 WHERE id = $1";
    let query = sqlx::query(statement).bind(row.id.to_string()).bind(signed(row.place));
    query.bind(column::to_json(&row.rule)).execute(tx.conn()).await?;
    Ok(())
}

/// Removes a rule.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(tx: &mut Tx, id: StatusRuleId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM status_rule WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// A rule.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: StatusRuleId) -> Result<Option<StatusRuleInfo>, StoreError> {
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM status_rule WHERE id = $1"));
    sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?.as_ref().map(info).transpose()
}

/// A page of rules in their order; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<StatusRuleInfo>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM status_rule").fetch_one(&mut *conn).await?;
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM status_rule ORDER BY place, id LIMIT $1 OFFSET $2"));
    let rows = sqlx::query(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(conn).await?;
    Ok((rows.iter().map(info).collect::<Result<_, _>>()?, unsigned(total)))
}

/// Counts messages that met a rule, and asks how often it may act on them: at most `per_hour` times in the hour of `now`. The row is held
/// until the transaction ends, so that servers together do not act more often.
///
/// # Errors
/// When the database cannot be written.
pub async fn meet(
    tx: &mut Tx,
    id: StatusRuleId,
    matched: u64,
    wanted: u64,
    per_hour: u32,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    // Every expression sees the row as it was. In an hour that is over nothing is used.
    let statement = "UPDATE status_rule SET matched = matched + CAST($2 AS BIGINT), last = CAST($5 AS BIGINT), \
         granted = CASE WHEN hour = CAST($6 AS BIGINT) THEN \
             CASE WHEN CAST($4 AS BIGINT) - used < CAST($3 AS BIGINT) THEN CAST($4 AS BIGINT) - used \
             ELSE CAST($3 AS BIGINT) END \
             ELSE CASE WHEN CAST($4 AS BIGINT) < CAST($3 AS BIGINT) THEN CAST($4 AS BIGINT) \
             ELSE CAST($3 AS BIGINT) END END, \
         used = CASE WHEN hour = CAST($6 AS BIGINT) THEN used ELSE 0 END, hour = CAST($6 AS BIGINT) WHERE id = $1";
    sqlx::query(statement)
        .bind(id.to_string())
        .bind(signed(matched))
        .bind(signed(wanted))
        .bind(i64::from(per_hour))
        .bind(now.0)
        .bind(hour_of(now).0)
        .execute(tx.conn())
        .await?;
    let statement = "UPDATE status_rule SET granted = CASE WHEN granted < 0 THEN 0 ELSE granted END, \
         used = used + CASE WHEN granted < 0 THEN 0 ELSE granted END, \
         fired = fired + CASE WHEN granted < 0 THEN 0 ELSE granted END, \
         dropped = dropped + CAST($2 AS BIGINT) - CASE WHEN granted < 0 THEN 0 ELSE granted END \
         WHERE id = $1 RETURNING granted";
    let granted: Option<i64> =
        sqlx::query_scalar(statement).bind(id.to_string()).bind(signed(wanted)).fetch_optional(tx.conn()).await?;
    Ok(granted.map_or(0, unsigned))
}

/// Counts what was not sent although the rule had leave.
///
/// # Errors
/// When the database cannot be written.
pub async fn drop_more(tx: &mut Tx, id: StatusRuleId, dropped: u64) -> Result<(), StoreError> {
    let statement = "UPDATE status_rule SET dropped = dropped + CAST($2 AS BIGINT) WHERE id = $1";
    sqlx::query(statement).bind(id.to_string()).bind(signed(dropped)).execute(tx.conn()).await?;
    Ok(())
}

/// Which of these devices are in which collections that rules name.
///
/// # Errors
/// When the database cannot be read.
pub async fn members(
    tx: &mut Tx,
    devices: &[DeviceId],
    collections: &HashSet<CollectionId>,
) -> Result<HashSet<(DeviceId, CollectionId)>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT d.id, m.collection FROM device d JOIN collection_member m ON m.resource_id = d.resource_id WHERE d.id",
        ""
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    let mut found = HashSet::new();
    for row in &rows {
        let pair: (DeviceId, CollectionId) = (parsed(row, "id")?, parsed(row, "collection")?);
        if collections.contains(&pair.1) {
            found.insert(pair);
        }
    }
    Ok(found)
}
