//! What is sent to targets: written with what caused it, carried out afterwards.

use super::{
    StoreError, Tx,
    bulk::Bulk,
    column::{self, parsed, parsed_opt, signed, time, unsigned},
};
use muster_model::{
    api::{StatusAction, StatusActionQuery},
    id::{DeviceId, Name, StatusActionId},
    time::UnixMillis,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

/// Something to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// The id.
    pub id: StatusActionId,
    /// The rule or the subscription.
    pub name: String,
    /// The target.
    pub target: Name,
    /// The device that it is about.
    pub device: Option<DeviceId>,
    /// When it was caused.
    pub created: UnixMillis,
    /// A sentence.
    pub text: String,
    /// What is sent, as JSON.
    pub content: String,
}

/// Something that is being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// What is sent.
    pub new: New,
    /// The host name of the device.
    pub device_name: Option<String>,
    /// Which try this is, from 1.
    pub tries: u32,
}

static INSERT: Bulk =
    Bulk::new("INSERT INTO status_action (id, name, target, device, state, created, due, text, content)", 9, "");

/// Adds what is to be sent at once.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, rows: &[New]) -> Result<(), StoreError> {
    INSERT
        .run(tx, rows, |query, row| {
            query
                .bind(row.id.to_string())
                .bind(row.name.clone())
                .bind(row.target.as_str().to_owned())
                .bind(row.device.map(|device| device.to_string()))
                .bind("waiting")
                .bind(row.created.0)
                .bind(row.created.0)
                .bind(row.text.clone())
                .bind(row.content.clone())
        })
        .await?;
    Ok(())
}

/// How much waits; counted up to a limit.
///
/// # Errors
/// When the database cannot be read.
pub async fn waiting(conn: &mut AnyConnection, most: u64) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM status_action WHERE state = 'waiting' LIMIT $1) AS w";
    Ok(unsigned(sqlx::query_scalar::<_, i64>(statement).bind(signed(most)).fetch_one(conn).await?))
}

/// Targets for which something is due.
///
/// # Errors
/// When the database cannot be read.
pub async fn due(conn: &mut AnyConnection, now: UnixMillis) -> Result<Vec<Name>, StoreError> {
    let statement = "SELECT DISTINCT target FROM status_action WHERE state = 'waiting' AND due <= $1 ORDER BY target";
    let rows = sqlx::query(statement).bind(now.0).fetch_all(conn).await?;
    rows.iter().map(|row| parsed(row, "target")).collect()
}

/// Takes what is due for a target first. Until `until` it is this process's: where that dies, another one tries then.
///
/// # Errors
/// When the database cannot be written.
pub async fn claim(
    tx: &mut Tx,
    target: &Name,
    now: UnixMillis,
    until: UnixMillis,
) -> Result<Option<Claimed>, StoreError> {
    let statement = tx.dialect().pick([
        "UPDATE status_action SET tries = tries + 1, due = CAST($3 AS BIGINT) WHERE id = (SELECT id FROM status_action \
         WHERE state = 'waiting' AND target = $1 AND due <= CAST($2 AS BIGINT) ORDER BY due, id LIMIT 1) \
         RETURNING id, name, target, device, created, tries, text, content",
        "UPDATE status_action SET tries = tries + 1, due = CAST($3 AS BIGINT) WHERE id = (SELECT id FROM status_action \
         WHERE state = 'waiting' AND target = $1 AND due <= CAST($2 AS BIGINT) ORDER BY due, id LIMIT 1 \
         FOR UPDATE SKIP LOCKED) RETURNING id, name, target, device, created, tries, text, content",
    ]);
    let query = sqlx::query(statement).bind(target.as_str().to_owned()).bind(now.0).bind(until.0);
    let Some(row) = query.fetch_optional(tx.conn()).await? else { return Ok(None) };
    let device: Option<DeviceId> = parsed_opt(&row, "device")?;
    let device_name = match device {
        Some(id) => {
            let query = sqlx::query_scalar("SELECT name FROM device WHERE id = $1").bind(id.to_string());
            query.fetch_optional(tx.conn()).await?
        }
        None => None,
    };
    let new = New {
        id: parsed(&row, "id")?,
        name: row.try_get("name")?,
        target: parsed(&row, "target")?,
        device,
        created: time(&row, "created")?,
        text: row.try_get("text")?,
        content: row.try_get("content")?,
    };
    Ok(Some(Claimed { new, device_name, tries: tries(&row)? }))
}

fn tries(row: &AnyRow) -> Result<u32, StoreError> {
    Ok(u32::try_from(column::count(row, "tries")?).unwrap_or(u32::MAX))
}

/// Says what a try came to: it is over, or tried again at `again`.
///
/// # Errors
/// When the database cannot be written.
pub async fn end(
    tx: &mut Tx,
    id: StatusActionId,
    done: bool,
    again: Option<UnixMillis>,
    outcome: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let (state, ended) = match (done, again) {
        (true, _) => ("done", Some(now.0)),
        (false, None) => ("failed", Some(now.0)),
        (false, Some(_)) => ("waiting", None),
    };
    let statement = "UPDATE status_action SET state = $2, ended = $3, due = $4, outcome = $5 \
         WHERE id = $1 AND state = 'waiting'";
    sqlx::query(statement)
        .bind(id.to_string())
        .bind(state)
        .bind(ended)
        .bind(again.unwrap_or(now).0)
        .bind(outcome.to_owned())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Tries again at once what was given up. `false`: it was not given up.
///
/// # Errors
/// When the database cannot be written.
pub async fn retry(tx: &mut Tx, id: StatusActionId, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE status_action SET state = 'waiting', ended = NULL, tries = 0, due = CAST($2 AS BIGINT) \
         WHERE id = $1 AND state = 'failed'";
    let query = sqlx::query(statement).bind(id.to_string()).bind(now.0);
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

fn action(row: &AnyRow) -> Result<StatusAction, StoreError> {
    Ok(StatusAction {
        id: parsed(row, "id")?,
        name: row.try_get("name")?,
        target: parsed(row, "target")?,
        state: parsed(row, "state")?,
        created: time(row, "created")?,
        tries: tries(row)?,
        due: time(row, "due")?,
        ended: row.try_get::<Option<i64>, _>("ended")?.map(UnixMillis),
        outcome: row.try_get("outcome")?,
        device: parsed_opt(row, "device")?,
        text: row.try_get("text")?,
    })
}

const COLUMNS: &str = "id, name, target, state, created, tries, due, ended, outcome, device, text";

/// Something that is or was sent.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: StatusActionId) -> Result<Option<StatusAction>, StoreError> {
    let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM status_action WHERE id = $1"));
    sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?.as_ref().map(action).transpose()
}

/// A page of what is or was sent, the latest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, query: &StatusActionQuery) -> Result<(Vec<StatusAction>, u64), StoreError> {
    let state = query.state.map_or("", muster_model::api::ActionState::as_str);
    let statement = "SELECT COUNT(*) FROM status_action WHERE ($1 = '' OR state = $1)";
    let total: i64 = sqlx::query_scalar(statement).bind(state).fetch_one(&mut *conn).await?;
    // Ids grow with time.
    let statement = AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM status_action WHERE ($1 = '' OR state = $1) ORDER BY id DESC LIMIT $2 OFFSET $3"
    ));
    let query = sqlx::query(statement).bind(state).bind(i64::from(query.limit)).bind(signed(query.offset));
    let rows = query.fetch_all(conn).await?;
    Ok((rows.iter().map(action).collect::<Result<_, _>>()?, unsigned(total)))
}

/// Removes what was over before a moment, at most so many; how many they were.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, before: UnixMillis, most: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM status_action WHERE id IN (SELECT id FROM status_action WHERE ended < $1 ORDER BY ended, id LIMIT $2)";
    Ok(sqlx::query(statement).bind(before.0).bind(i64::from(most)).execute(tx.conn()).await?.rows_affected())
}
