//! Alerts. Of each kind and subject there is one at most that is not closed.

use super::{
    StoreError, Tx,
    bulk::Bulk,
    column::{self, parsed},
    message,
};
use muster_model::{
    api::{Alert, AlertDevice, AlertKind, AlertQuery, AlertState, PageQuery},
    id::{AlertId, DeploymentId, DeviceId},
    status::Severity,
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// What is so now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// The id that it gets where it is new.
    pub id: AlertId,
    /// What it is about.
    pub kind: AlertKind,
    /// The id of the thing.
    pub subject: String,
    /// How serious it is.
    pub severity: Severity,
    /// A sentence.
    pub text: String,
    /// How many devices it concerns.
    pub devices: u64,
    /// The first of them.
    pub named: Vec<DeviceId>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, subject, severity, text, devices, opened, changed, acknowledged, acknowledged_by, closed, closed_by, postponed \
             FROM alert ",
            $rest
        )
    };
}

static DEVICES: Bulk =
    Bulk::new("INSERT INTO alert_device (alert, device)", 2, "ON CONFLICT (alert, device) DO NOTHING");

fn live(kind: AlertKind, subject: &str) -> String {
    format!("{kind} {subject}")
}

/// Says that something is so: a new alert, or the one that is there already with what changed. `true`: it is new.
///
/// # Errors
/// When the database cannot be written.
pub async fn raise(tx: &mut Tx, raised: &Raised, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "INSERT INTO alert (id, kind, subject, live, severity, text, devices, opened, changed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (live) DO UPDATE SET text = excluded.text, \
         severity = excluded.severity, devices = excluded.devices, changed = excluded.changed RETURNING id";
    let id: String = sqlx::query_scalar(statement)
        .bind(raised.id.to_string())
        .bind(raised.kind.as_str())
        .bind(raised.subject.clone())
        .bind(live(raised.kind, &raised.subject))
        .bind(message::level(raised.severity))
        .bind(raised.text.clone())
        .bind(column::signed(raised.devices))
        .bind(now.0)
        .fetch_one(tx.conn())
        .await?;
    sqlx::query("DELETE FROM alert_device WHERE alert = $1").bind(id.clone()).execute(tx.conn()).await?;
    DEVICES.run(tx, &raised.named, |query, device| query.bind(id.clone()).bind(device.to_string())).await?;
    Ok(id == raised.id.to_string())
}

/// Closes what is so no longer. `false`: there was none.
///
/// # Errors
/// When the database cannot be written.
pub async fn close(tx: &mut Tx, kind: AlertKind, subject: &str, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE alert SET live = NULL, closed = CAST($2 AS BIGINT), changed = CAST($2 AS BIGINT) \
         WHERE live = $1";
    let query = sqlx::query(statement).bind(live(kind, subject)).bind(now.0);
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// Notes that somebody has looked. `false`: somebody had, or it is over.
///
/// # Errors
/// When the database cannot be written.
pub async fn acknowledge(tx: &mut Tx, id: AlertId, now: UnixMillis, by: &str) -> Result<bool, StoreError> {
    let statement = "UPDATE alert SET acknowledged = CAST($2 AS BIGINT), acknowledged_by = $3 \
         WHERE id = $1 AND acknowledged IS NULL AND closed IS NULL";
    let query = sqlx::query(statement).bind(id.to_string()).bind(now.0).bind(by.to_owned());
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// Notes that somebody wants to hear nothing of it until a moment. `false`: it is over.
///
/// # Errors
/// When the database cannot be written.
pub async fn postpone(tx: &mut Tx, id: AlertId, until: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE alert SET postponed = CAST($2 AS BIGINT) WHERE id = $1 AND closed IS NULL";
    let query = sqlx::query(statement).bind(id.to_string()).bind(until.0);
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// Closes what somebody says is over. `false`: it was.
///
/// # Errors
/// When the database cannot be written.
pub async fn close_by_hand(tx: &mut Tx, id: AlertId, now: UnixMillis, by: &str) -> Result<bool, StoreError> {
    let statement = "UPDATE alert SET live = NULL, closed = CAST($2 AS BIGINT), changed = CAST($2 AS BIGINT), \
         closed_by = $3 WHERE id = $1 AND closed IS NULL";
    let query = sqlx::query(statement).bind(id.to_string()).bind(now.0).bind(by.to_owned());
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// Opens again what was postponed until now.
///
/// # Errors
/// When the database cannot be written.
pub async fn wake(tx: &mut Tx, now: UnixMillis) -> Result<Vec<Alert>, StoreError> {
    let statement = select!("WHERE live IS NOT NULL AND postponed <= $1 ORDER BY id");
    let rows = sqlx::query(statement).bind(now.0).fetch_all(tx.conn()).await?;
    let statement = "UPDATE alert SET postponed = NULL, acknowledged = NULL, acknowledged_by = NULL \
         WHERE live IS NOT NULL AND postponed <= $1";
    sqlx::query(statement).bind(now.0).execute(tx.conn()).await?;
    rows.iter().map(alert).collect()
}

fn alert(row: &AnyRow) -> Result<Alert, StoreError> {
    let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(|time| time.map(UnixMillis));
    let (acknowledged, closed) = (time("acknowledged")?, time("closed")?);
    let postponed = time("postponed")?;
    let state = match (closed, postponed, acknowledged) {
        (Some(_), ..) => AlertState::Closed,
        (None, Some(_), _) => AlertState::Postponed,
        (None, None, Some(_)) => AlertState::Acknowledged,
        (None, None, None) => AlertState::Open,
    };
    Ok(Alert {
        id: parsed(row, "id")?,
        kind: parsed(row, "kind")?,
        subject: row.try_get("subject")?,
        state,
        severity: message::severity(row.try_get("severity")?),
        text: row.try_get("text")?,
        devices: column::count(row, "devices")?,
        opened: column::time(row, "opened")?,
        changed: column::time(row, "changed")?,
        acknowledged,
        acknowledged_by: row.try_get("acknowledged_by")?,
        closed,
        closed_by: row.try_get("closed_by")?,
        postponed,
    })
}

/// An alert.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: AlertId) -> Result<Option<Alert>, StoreError> {
    let row = sqlx::query(select!("WHERE id = $1")).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(alert).transpose()
}

/// One page of alerts, the latest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, query: &AlertQuery) -> Result<(Vec<Alert>, u64), StoreError> {
    let all = i64::from(query.all);
    let statement = "SELECT COUNT(*) FROM alert WHERE (CAST($1 AS BIGINT) = 1 OR live IS NOT NULL)";
    let total: i64 = sqlx::query_scalar(statement).bind(all).fetch_one(&mut *conn).await?;
    let statement =
        select!("WHERE (CAST($1 AS BIGINT) = 1 OR live IS NOT NULL) ORDER BY opened DESC, id DESC LIMIT $2 OFFSET $3");
    let query = sqlx::query(statement).bind(all).bind(i64::from(query.limit)).bind(column::signed(query.offset));
    let rows = query.fetch_all(conn).await?;
    Ok((rows.iter().map(alert).collect::<Result<_, _>>()?, column::unsigned(total)))
}

/// Every alert that is not closed.
///
/// # Errors
/// When the database cannot be read.
pub async fn all_live(conn: &mut AnyConnection) -> Result<Vec<Alert>, StoreError> {
    let rows = sqlx::query(select!("WHERE live IS NOT NULL ORDER BY id")).fetch_all(conn).await?;
    rows.iter().map(alert).collect()
}

/// How many alerts nobody has looked at.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_open(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM alert WHERE live IS NOT NULL AND acknowledged IS NULL AND postponed IS NULL";
    Ok(column::unsigned(sqlx::query_scalar::<_, i64>(statement).fetch_one(conn).await?))
}

/// One page of the devices of an alert that are kept, by name; and how many they are.
///
/// # Errors
/// When the database cannot be read.
pub async fn devices(
    conn: &mut AnyConnection,
    id: AlertId,
    page: PageQuery,
) -> Result<(Vec<AlertDevice>, u64), StoreError> {
    let statement = "SELECT COUNT(*) FROM alert_device WHERE alert = $1";
    let total: i64 = sqlx::query_scalar(statement).bind(id.to_string()).fetch_one(&mut *conn).await?;
    let statement = "SELECT d.id, d.name FROM alert_device t JOIN device d ON d.id = t.device WHERE t.alert = $1 \
         ORDER BY d.name, d.id LIMIT $2 OFFSET $3";
    let query = sqlx::query(statement).bind(id.to_string()).bind(i64::from(page.limit));
    let rows = query.bind(column::signed(page.offset)).fetch_all(conn).await?;
    let device = |row: &AnyRow| Ok(AlertDevice { device: parsed(row, "id")?, name: row.try_get("name")? });
    Ok((rows.iter().map(device).collect::<Result<_, StoreError>>()?, column::unsigned(total)))
}

/// Removes alerts that were over before a moment, at most so many; how many they were.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, before: UnixMillis, most: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM alert_device WHERE alert IN \
         (SELECT id FROM alert WHERE closed < $1 ORDER BY closed, id LIMIT $2)";
    sqlx::query(statement).bind(before.0).bind(i64::from(most)).execute(tx.conn()).await?;
    let statement =
        "DELETE FROM alert WHERE id IN (SELECT id FROM alert WHERE closed < $1 ORDER BY closed, id LIMIT $2)";
    Ok(sqlx::query(statement).bind(before.0).bind(i64::from(most)).execute(tx.conn()).await?.rows_affected())
}

/// A deployment that may need somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The deployment.
    pub id: DeploymentId,
    /// Its name.
    pub name: String,
    /// Whether the site itself paused it, and why.
    pub stopped: Option<String>,
    /// Whether it may be held by maintenance windows.
    pub held: bool,
    /// When clients begin by themselves.
    pub deadline: UnixMillis,
    /// Whether they do.
    pub required: bool,
}

/// Deployments in force, by id, after one of them.
///
/// # Errors
/// When the database cannot be read.
pub async fn watched(conn: &mut AnyConnection, after: &str, limit: u32) -> Result<Vec<Watched>, StoreError> {
    let statement = "SELECT id, name, paused, paused_by, pause_reason, outside_windows, purpose, deadline \
         FROM deployment WHERE deleted IS NULL AND id > $1 ORDER BY id LIMIT $2";
    let rows = sqlx::query(statement).bind(after.to_owned()).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let paused: Option<i64> = row.try_get("paused")?;
            let by: Option<String> = row.try_get("paused_by")?;
            let why: Option<String> = row.try_get("pause_reason")?;
            let required = row.try_get::<&str, _>("purpose")? == "required";
            Ok(Watched {
                id: parsed(row, "id")?,
                name: row.try_get("name")?,
                stopped: (paused.is_some() && by.is_none()).then(|| why.unwrap_or_default()),
                held: required && paused.is_none() && row.try_get::<i64, _>("outside_windows")? == 0,
                deadline: column::time(row, "deadline")?,
                required: required && paused.is_none(),
            })
        })
        .collect()
}

macro_rules! standing {
    ($what:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM deployment_device t JOIN deployment p ON p.id = t.deployment JOIN device d ON d.id = t.device \
             LEFT JOIN deployment_phase f ON f.deployment = t.deployment AND f.phase = t.phase \
             WHERE t.deployment = $1 AND d.state = 'active' \
             AND (t.withdrawn IS NULL OR t.state IN ('succeeded', 'failed', 'requirements_not_met')) \
             AND (p.phase IS NULL OR (t.phase <= p.phase AND f.begun < CAST($2 AS BIGINT))) ",
            $rest
        )
    };
}

/// Active devices of a deployment that failed, or that did not come to an end: how many they are, of how many, and the first of them.
/// Devices of phases that did not begin before that moment do not count.
///
/// # Errors
/// When the database cannot be read.
pub async fn standing(
    conn: &mut AnyConnection,
    id: DeploymentId,
    failed: bool,
    begun: UnixMillis,
    limit: u32,
) -> Result<(u64, u64, Vec<DeviceId>), StoreError> {
    let statement = standing!(
        "COUNT(*) AS devices, COUNT(CASE WHEN t.state = 'failed' THEN 1 END) AS failed, \
         COUNT(CASE WHEN t.state IN ('targeted', 'waiting', 'downloading', 'installing') THEN 1 END) AS open",
        ""
    );
    let row = sqlx::query(statement).bind(id.to_string()).bind(begun.0).fetch_one(&mut *conn).await?;
    let of = column::count(&row, if failed { "failed" } else { "open" })?;
    let all = column::count(&row, "devices")?;
    let statement = standing!(
        "t.device",
        "AND ((CAST($3 AS BIGINT) = 1 AND t.state = 'failed') \
         OR (CAST($3 AS BIGINT) = 0 AND t.state IN ('targeted', 'waiting', 'downloading', 'installing'))) \
         ORDER BY t.device LIMIT $4"
    );
    let query = sqlx::query(statement).bind(id.to_string()).bind(begun.0).bind(i64::from(failed));
    let rows = query.bind(i64::from(limit)).fetch_all(conn).await?;
    Ok((of, all, rows.iter().map(|row| parsed(row, "device")).collect::<Result<_, _>>()?))
}

/// What decides whether windows fit: it is another one whenever windows, members of collections, the devices of a deployment, or its
/// phase changed. How many devices is the fourth.
///
/// # Errors
/// When the database cannot be read.
pub async fn fingerprint(conn: &mut AnyConnection, id: DeploymentId) -> Result<[i64; 5], StoreError> {
    let statement = "SELECT (SELECT members FROM collection_state WHERE id = 1) AS members, \
         (SELECT COUNT(*) FROM maintenance_window) AS windows, \
         (SELECT COALESCE(MAX(changed), 0) FROM maintenance_window) AS changed, \
         (SELECT COUNT(*) FROM deployment_device WHERE deployment = $1 AND withdrawn IS NULL) AS devices, \
         (SELECT COALESCE(MAX(phase), -1) FROM deployment WHERE id = $1) AS phase";
    let row = sqlx::query(statement).bind(id.to_string()).fetch_one(conn).await?;
    let number = |column: &str| row.try_get::<i64, _>(column);
    Ok([number("members")?, number("windows")?, number("changed")?, number("devices")?, number("phase")?])
}
