//! How much was reported, by hour: counted when it is committed, so that nobody has to count rows later.

use super::{StoreError, Tx, column};
use muster_model::time::{HOUR, UnixMillis};
use sqlx::{AnyConnection, Row};

/// What was accepted in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hour {
    /// Start of the hour.
    pub hour: UnixMillis,
    /// Reports.
    pub reports: u64,
    /// Status messages.
    pub messages: u64,
    /// Items put into quarantine.
    pub quarantined: u64,
}

/// The start of the hour of a moment.
#[must_use]
pub const fn hour_of(time: UnixMillis) -> UnixMillis {
    UnixMillis(time.0.div_euclid(HOUR) * HOUR)
}

/// Adds to the hour of `hour.hour`.
///
/// # Errors
/// When the database cannot be written.
pub async fn add(tx: &mut Tx, hour: Hour) -> Result<(), StoreError> {
    let statement = "INSERT INTO report_hour (hour, reports, messages, quarantined) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (hour) DO UPDATE SET reports = report_hour.reports + excluded.reports, \
         messages = report_hour.messages + excluded.messages, \
         quarantined = report_hour.quarantined + excluded.quarantined";
    sqlx::query(statement)
        .bind(hour_of(hour.hour).0)
        .bind(column::signed(hour.reports))
        .bind(column::signed(hour.messages))
        .bind(column::signed(hour.quarantined))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The hours from `from` on, in order; hours in which nothing came are absent.
///
/// # Errors
/// When the database cannot be read.
pub async fn since(conn: &mut AnyConnection, from: UnixMillis) -> Result<Vec<Hour>, StoreError> {
    let statement = "SELECT hour, reports, messages, quarantined FROM report_hour WHERE hour >= $1 ORDER BY hour";
    let rows = sqlx::query(statement).bind(from.0).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(Hour {
                hour: column::time(row, "hour")?,
                reports: column::unsigned(row.try_get("reports")?),
                messages: column::count(row, "messages")?,
                quarantined: column::count(row, "quarantined")?,
            })
        })
        .collect()
}
