//! Counts of status messages by part, severity and hour, kept as messages come; and from how many on a part does not do well.

use super::{StoreError, Tx, column, message, report_hour::hour_of};
use muster_model::{
    api::{StatusHour, StatusThreshold},
    status::{Component, Severity},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::BTreeMap;

/// Adds to the hour of `now`.
///
/// # Errors
/// When the database cannot be written.
pub async fn add(
    tx: &mut Tx,
    now: UnixMillis,
    counts: &BTreeMap<(Component, Severity), u64>,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO status_hour (hour, component, severity, messages) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (hour, component, severity) DO UPDATE SET messages = status_hour.messages + excluded.messages";
    for ((component, severity), count) in counts {
        sqlx::query(statement)
            .bind(hour_of(now).0)
            .bind(component.as_str())
            .bind(message::level(*severity))
            .bind(column::signed(*count))
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

fn component(row: &AnyRow) -> Result<Option<Component>, StoreError> {
    let text: &str = row.try_get("component")?;
    Ok(Component::ALL.iter().copied().find(|known| known.as_str() == text))
}

/// The counts from a moment on, by hour and part. Hours in which a part said nothing are absent.
///
/// # Errors
/// When the database cannot be read.
pub async fn since(conn: &mut AnyConnection, from: UnixMillis) -> Result<Vec<StatusHour>, StoreError> {
    let statement = "SELECT hour, component, severity, messages FROM status_hour WHERE hour >= $1 \
         ORDER BY hour, component, severity";
    let rows = sqlx::query(statement).bind(from.0).fetch_all(conn).await?;
    let mut all: BTreeMap<(UnixMillis, Component), StatusHour> = BTreeMap::new();
    for row in &rows {
        let Some(component) = component(row)? else { continue };
        let hour = column::time(row, "hour")?;
        let empty = StatusHour { hour, component, information: 0, warning: 0, error: 0 };
        let counts = all.entry((hour, component)).or_insert(empty);
        let count = column::count(row, "messages")?;
        match message::severity(row.try_get("severity")?) {
            Severity::Information => counts.information = count,
            Severity::Warning => counts.warning = count,
            Severity::Error => counts.error = count,
        }
    }
    Ok(all.into_values().collect())
}

/// Removes hours before a moment.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, before: UnixMillis) -> Result<u64, StoreError> {
    let query = sqlx::query("DELETE FROM status_hour WHERE hour < $1").bind(before.0);
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

/// From how many on parts do not do well, where somebody said it.
///
/// # Errors
/// When the database cannot be read.
pub async fn thresholds(conn: &mut AnyConnection) -> Result<Vec<StatusThreshold>, StoreError> {
    let statement = "SELECT component, warning, critical FROM status_threshold ORDER BY component";
    let mut all = Vec::new();
    for row in &sqlx::query(statement).fetch_all(conn).await? {
        let Some(component) = component(row)? else { continue };
        let number = |column: &str| row.try_get::<Option<i64>, _>(column).map(|number| number.map(column::unsigned));
        all.push(StatusThreshold { component, warning: number("warning")?, critical: number("critical")? });
    }
    Ok(all)
}

/// Says from how many on a part does not do well.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_threshold(tx: &mut Tx, threshold: StatusThreshold) -> Result<(), StoreError> {
    let statement = "INSERT INTO status_threshold (component, warning, critical) VALUES ($1, $2, $3) \
         ON CONFLICT (component) DO UPDATE SET warning = excluded.warning, critical = excluded.critical";
    sqlx::query(statement)
        .bind(threshold.component.as_str())
        .bind(threshold.warning.map(column::signed))
        .bind(threshold.critical.map(column::signed))
        .execute(tx.conn())
        .await?;
    Ok(())
}
