//! Serial numbers that the site expects.

use super::{
    StoreError, Tx,
    column::{signed, time, unsigned},
};
use muster_model::api::{PageQuery, Serial};
use sqlx::{AnyConnection, Row, any::AnyRow};

fn serial(row: &AnyRow) -> Result<Serial, StoreError> {
    Ok(Serial {
        serial: row.try_get("serial")?,
        note: row.try_get("note")?,
        changed: time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
    })
}

/// An expected serial number.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, number: &str) -> Result<Option<Serial>, StoreError> {
    let statement = "SELECT serial, note, changed, changed_by FROM expected_serial WHERE serial = $1";
    sqlx::query(statement).bind(number).fetch_optional(conn).await?.as_ref().map(serial).transpose()
}

/// Expects a serial number, or gives it another note.
///
/// # Errors
/// When the database cannot be written.
pub async fn set(tx: &mut Tx, row: &Serial) -> Result<(), StoreError> {
    let statement = "INSERT INTO expected_serial (serial, note, changed, changed_by) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (serial) DO UPDATE SET note = excluded.note, changed = excluded.changed, \
         changed_by = excluded.changed_by";
    sqlx::query(statement)
        .bind(&row.serial)
        .bind(&row.note)
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Expects a serial number no more; whether it was expected.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, number: &str) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM expected_serial WHERE serial = $1").bind(number).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// A page of serial numbers, the latest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<Serial>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM expected_serial").fetch_one(&mut *conn).await?;
    let statement = "SELECT serial, note, changed, changed_by FROM expected_serial \
         ORDER BY changed DESC, serial LIMIT $1 OFFSET $2";
    let rows = sqlx::query(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(conn).await?;
    Ok((rows.iter().map(serial).collect::<Result<_, _>>()?, unsigned(total)))
}
