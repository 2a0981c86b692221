//! Hardware identities that somebody decided about.

use super::{
    StoreError, Tx,
    column::{parse, parsed, signed, time, unsigned},
};
use muster_model::{
    api::{Hardware, HardwareStanding, PageQuery},
    id::{DeviceId, Hash},
};
use sqlx::{AnyConnection, Row, any::AnyRow};

fn hardware(row: &AnyRow) -> Result<Hardware, StoreError> {
    Ok(Hardware {
        id: parsed(row, "id")?,
        standing: parse(row.try_get("standing")?, "standing")?,
        note: row.try_get("note")?,
        changed: time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
    })
}

/// From here to the end of the transaction nobody else decides who comes in and who is locked out. To be asked for before
/// anything else is read or written: PostgreSQL would let two transactions each miss what the other one writes. (SQLite has
/// one writer.)
///
/// # Errors
/// When the database cannot be read.
pub async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    // The number stands for this lock and no other: "muster" in ASCII.
    let statement = tx
        .dialect()
        .pick(["SELECT CAST(1 AS BIGINT)", "SELECT CAST(1 AS BIGINT) FROM pg_advisory_xact_lock(120351215609202)"]);
    let _: i64 = sqlx::query_scalar(statement).fetch_one(tx.conn()).await?;
    Ok(())
}

/// What was decided about a hardware identity, where anything was.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: &Hash) -> Result<Option<Hardware>, StoreError> {
    let statement = "SELECT id, standing, note, changed, changed_by FROM hardware WHERE id = $1";
    let row = sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(hardware).transpose()
}

/// Decides about a hardware identity, whatever was decided before.
///
/// # Errors
/// When the database cannot be written.
pub async fn set(tx: &mut Tx, row: &Hardware) -> Result<(), StoreError> {
    let statement = "INSERT INTO hardware (id, standing, note, changed, changed_by) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET standing = excluded.standing, note = excluded.note, \
         changed = excluded.changed, changed_by = excluded.changed_by";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.standing.as_str())
        .bind(&row.note)
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// An awaited hardware identity came: it is allowed from now on. Whether it was awaited.
///
/// # Errors
/// When the database cannot be written.
pub async fn arrived(tx: &mut Tx, id: &Hash) -> Result<bool, StoreError> {
    let (awaited, allowed) = (HardwareStanding::Awaited.as_str(), HardwareStanding::Allowed.as_str());
    let statement = "UPDATE hardware SET standing = $3 WHERE id = $1 AND standing = $2";
    let done = sqlx::query(statement).bind(id.to_string()).bind(awaited).bind(allowed).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets what was decided; whether anything was.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, id: &Hash) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM hardware WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// A page of hardware identities, the latest decision first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<Hardware>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM hardware").fetch_one(&mut *conn).await?;
    let statement = "SELECT id, standing, note, changed, changed_by FROM hardware \
         ORDER BY changed DESC, id DESC LIMIT $1 OFFSET $2";
    let rows = sqlx::query(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(conn).await?;
    Ok((rows.iter().map(hardware).collect::<Result<_, _>>()?, unsigned(total)))
}

/// The devices that proved this hardware identity and are active, or quarantined; at most 10.
///
/// # Errors
/// When the database cannot be read.
pub async fn devices(conn: &mut AnyConnection, id: &Hash) -> Result<Vec<(DeviceId, String)>, StoreError> {
    let statement = "SELECT id, name FROM device WHERE hardware = $1 AND state IN ('active', 'quarantined') ORDER BY id DESC LIMIT 10";
    let rows: Vec<(String, String)> = sqlx::query_as(statement).bind(id.to_string()).fetch_all(conn).await?;
    rows.into_iter().map(|(id, name)| Ok((parse(&id, "device id")?, name))).collect()
}
