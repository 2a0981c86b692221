//! Maintenance tasks: how each is set, their runs, and the removal of what is too old, a piece at a time.

use super::{
    StoreError, Tx,
    column::{self, signed, time},
};
use muster_model::{
    api::{MaintenanceRun, PageQuery, TaskName},
    time::UnixMillis,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

/// How a task is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Whether it runs by itself.
    pub enabled: bool,
    /// Days for which it keeps what it removes.
    pub keep_days: u32,
    /// Days between two runs.
    pub every_days: u32,
    /// When it may run.
    pub hours: String,
    /// When that was changed last.
    pub changed: UnixMillis,
    /// Who changed it.
    pub changed_by: String,
}

/// How a task is set, where somebody set it.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, name: TaskName) -> Result<Option<TaskRow>, StoreError> {
    let statement = "SELECT enabled, keep_days, every_days, hours, changed, changed_by FROM maintenance_task \
         WHERE name = $1";
    let row = sqlx::query(statement).bind(name.as_str()).fetch_optional(conn).await?;
    let days =
        |row: &AnyRow, name: &str| Ok::<_, StoreError>(u32::try_from(column::count(row, name)?).unwrap_or(u32::MAX));
    row.map(|row| {
        Ok(TaskRow {
            enabled: row.try_get::<i64, _>("enabled")? != 0,
            keep_days: days(&row, "keep_days")?,
            every_days: days(&row, "every_days")?,
            hours: row.try_get("hours")?,
            changed: time(&row, "changed")?,
            changed_by: row.try_get("changed_by")?,
        })
    })
    .transpose()
}

/// Keeps how a task is set.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, name: TaskName, row: &TaskRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO maintenance_task (name, enabled, keep_days, every_days, hours, changed, changed_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET enabled = excluded.enabled, \
         keep_days = excluded.keep_days, every_days = excluded.every_days, hours = excluded.hours, \
         changed = excluded.changed, changed_by = excluded.changed_by";
    sqlx::query(statement)
        .bind(name.as_str())
        .bind(i64::from(row.enabled))
        .bind(i64::from(row.keep_days))
        .bind(i64::from(row.every_days))
        .bind(&row.hours)
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .execute(tx.conn())
        .await?;
    Ok(())
}

const RUN: &str = "SELECT id, task, began, ended, cutoff, removed, pieces, longest, asked_by FROM maintenance_run";

fn run(row: &AnyRow) -> Result<MaintenanceRun, StoreError> {
    let task: String = row.try_get("task")?;
    Ok(MaintenanceRun {
        id: column::count(row, "id")?,
        task: task.parse().map_err(|_| StoreError::Corrupt("column task".to_owned()))?,
        began: time(row, "began")?,
        ended: row.try_get::<Option<i64>, _>("ended")?.map(UnixMillis),
        before: time(row, "cutoff")?,
        removed: column::count(row, "removed")?,
        pieces: column::count(row, "pieces")?,
        longest: column::count(row, "longest")?,
        asked_by: row.try_get("asked_by")?,
    })
}

/// Runs of a task, the latest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn runs(
    conn: &mut AnyConnection,
    name: TaskName,
    page: PageQuery,
) -> Result<(Vec<MaintenanceRun>, u64), StoreError> {
    let statement = "SELECT COUNT(*) FROM maintenance_run WHERE task = $1";
    let total: i64 = sqlx::query_scalar(statement).bind(name.as_str()).fetch_one(&mut *conn).await?;
    let statement = AssertSqlSafe(format!("{RUN} WHERE task = $1 ORDER BY id DESC LIMIT $2 OFFSET $3"));
    let query = sqlx::query(statement).bind(name.as_str()).bind(i64::from(page.limit)).bind(signed(page.offset));
    let rows = query.fetch_all(conn).await?;
    Ok((rows.iter().map(run).collect::<Result<_, _>>()?, column::unsigned(total)))
}

/// The run of a task that has not ended.
///
/// # Errors
/// When the database cannot be read.
pub async fn live(conn: &mut AnyConnection, name: TaskName) -> Result<Option<MaintenanceRun>, StoreError> {
    let statement = AssertSqlSafe(format!("{RUN} WHERE live = $1"));
    sqlx::query(statement).bind(name.as_str()).fetch_optional(conn).await?.as_ref().map(run).transpose()
}

/// Begins a run. `false`: one goes on.
///
/// # Errors
/// When the database cannot be written.
pub async fn begin(
    tx: &mut Tx,
    name: TaskName,
    cutoff: UnixMillis,
    asked_by: Option<&str>,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let statement = "INSERT INTO maintenance_run (task, live, began, cutoff, asked_by) VALUES ($1, $1, $2, $3, $4) \
         ON CONFLICT (live) DO NOTHING";
    let query = sqlx::query(statement).bind(name.as_str()).bind(now.0).bind(cutoff.0).bind(asked_by);
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// Somebody asks for a run that waits for its hours.
///
/// # Errors
/// When the database cannot be written.
pub async fn press(tx: &mut Tx, name: TaskName, asked_by: &str) -> Result<(), StoreError> {
    let statement = "UPDATE maintenance_run SET asked_by = $2 WHERE live = $1";
    sqlx::query(statement).bind(name.as_str()).bind(asked_by).execute(tx.conn()).await?;
    Ok(())
}

/// Takes a run for one piece of work, and keeps others away from it. `false`: another process works on it, or it has ended.
///
/// # Errors
/// When the database cannot be written.
pub async fn hold(tx: &mut Tx, id: u64, holder: &str, now: UnixMillis, until: UnixMillis) -> Result<bool, StoreError> {
    // One that is held for longer than anybody holds it is of a clock that was wrong.
    let statement = "UPDATE maintenance_run SET holder = $2, held = $4 WHERE id = $1 AND ended IS NULL \
         AND (holder = $2 OR held <= $3 OR held > $4)";
    let query = sqlx::query(statement).bind(signed(id)).bind(holder).bind(now.0).bind(until.0);
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// What a piece of a run came to. `ended`: nothing is left.
///
/// # Errors
/// When the database cannot be written.
pub async fn note(tx: &mut Tx, id: u64, removed: u64, ended: Option<UnixMillis>) -> Result<(), StoreError> {
    let statement = "UPDATE maintenance_run SET removed = removed + $2, pieces = pieces + $3, \
         ended = CAST($4 AS BIGINT), live = CASE WHEN CAST($4 AS BIGINT) IS NULL THEN live ELSE NULL END WHERE id = $1";
    sqlx::query(statement)
        .bind(signed(id))
        .bind(signed(removed))
        .bind(i64::from(removed > 0))
        .bind(ended.map(|at| at.0))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Keeps how long the longest transaction of a run took, in microseconds.
///
/// # Errors
/// When the database cannot be written.
pub async fn took(tx: &mut Tx, id: u64, longest: u64) -> Result<(), StoreError> {
    let statement = "UPDATE maintenance_run SET longest = $2 WHERE id = $1 AND longest < $2";
    sqlx::query(statement).bind(signed(id)).bind(signed(longest)).execute(tx.conn()).await?;
    Ok(())
}

/// Tables that a task removes from, each with the column of its time. Ids grow with time, so that only the beginning of a table is looked at.
const fn tables(name: TaskName) -> &'static [(&'static str, &'static str)] {
    match name {
        TaskName::StatusMessages => &[("message", "received")],
        TaskName::DeviceHistory => &[("timeline", "happened")],
        TaskName::DeploymentHistory => &[("deployment_event", "received"), ("deployment_act", "happened")],
        TaskName::InventoryHistory => &[("section_change", "happened")],
        TaskName::Quarantine => &[("quarantine", "received")],
        TaskName::MaintenanceHistory => &[("maintenance_run", "ended")],
        TaskName::ClosedAlerts => &[("alert", "closed")],
        TaskName::AuditLog => &[("audit", "happened")],
        TaskName::DiscoveryData => &[("discovery_record", "found")],
    }
}

/// What a task leaves alone: a filter rule may have messages kept for longer or shorter, and has them removed itself.
const fn spared(name: TaskName) -> &'static str {
    match name {
        TaskName::StatusMessages => " AND expires IS NULL",
        _ => "",
    }
}

/// How far a removal is: the id up to which each table was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place([i64; 2]);

/// Removes some rows from before a moment, of at most the oldest `most` of each table. Returns how many went, and whether there may be more.
/// The audit log and discovery have removals of their own.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(
    tx: &mut Tx,
    name: TaskName,
    (before, now): (UnixMillis, UnixMillis),
    place: &mut Place,
    most: u32,
) -> Result<(u64, bool), StoreError> {
    match name {
        TaskName::ClosedAlerts => {
            let gone = super::alert::purge(tx, before, most).await?;
            return Ok((gone, gone > 0));
        }
        TaskName::AuditLog | TaskName::DiscoveryData => return Ok((0, false)),
        _ => {}
    }
    let (mut gone, mut more) = (0, false);
    for ((table, at), place) in tables(name).iter().zip(&mut place.0) {
        let statement = AssertSqlSafe(format!(
            "SELECT MAX(id) AS last, MAX({at}) AS latest FROM (SELECT id, {at} FROM {table} WHERE id > $1 \
             ORDER BY id LIMIT $2) AS piece"
        ));
        let row = sqlx::query(statement).bind(*place).bind(i64::from(most)).fetch_one(tx.conn()).await?;
        let Some(last) = row.try_get::<Option<i64>, _>("last")? else { continue };
        let spared = spared(name);
        let statement = AssertSqlSafe(format!("DELETE FROM {table} WHERE id > $1 AND id <= $2 AND {at} < $3{spared}"));
        let query = sqlx::query(statement).bind(*place).bind(last).bind(before.0);
        let removed = query.execute(tx.conn()).await?.rows_affected();
        gone += removed;
        // What a wrong clock dated into the future hides nothing behind it, and neither does what stays for longer.
        let latest = row.try_get::<Option<i64>, _>("latest")?;
        let is_odd = removed == 0 && latest.is_some_and(|latest| latest > now.0 || latest < before.0);
        if is_odd {
            *place = last;
        }
        more |= removed > 0 || is_odd;
    }
    Ok((gone, more))
}

/// What a removal would find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Rows that would go.
    pub rows: u64,
    /// Rows that there are.
    pub total: u64,
    /// The oldest of them.
    pub oldest: Option<UnixMillis>,
}

/// What a removal would find now.
///
/// # Errors
/// When the database cannot be read.
pub async fn found(conn: &mut AnyConnection, name: TaskName, before: UnixMillis) -> Result<Found, StoreError> {
    let mut found = Found::default();
    for (table, at) in tables(name) {
        let spared = spared(name);
        let statement = AssertSqlSafe(format!(
            "SELECT COUNT(*) AS total, COUNT(CASE WHEN {at} < $1{spared} THEN 1 END) AS gone, MIN({at}) AS oldest \
             FROM {table}"
        ));
        let row = sqlx::query(statement).bind(before.0).fetch_one(&mut *conn).await?;
        found.rows += column::count(&row, "gone")?;
        found.total += column::count(&row, "total")?;
        let oldest = row.try_get::<Option<i64>, _>("oldest")?.map(UnixMillis);
        found.oldest = found.oldest.into_iter().chain(oldest).min();
    }
    Ok(found)
}
