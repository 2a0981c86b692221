//! The audit log: numbered without gap, chained by hash. The chain is computed above; here its rows are kept.

use super::{
    StoreError, Tx,
    column::{bytes32, signed, unsigned},
};
use muster_model::{
    api::{AuditEntry, PageQuery},
    id::Hash,
    time::UnixMillis,
};
use sqlx::AnyConnection;

type Row = (i64, i64, String, String, String, String, Vec<u8>);

fn entry((number, time, actor, action, object, detail, head): Row) -> Result<AuditEntry, StoreError> {
    let time = UnixMillis(time);
    Ok(AuditEntry { number: unsigned(number), time, actor, action, object, detail, head: bytes32(&head)? })
}

/// Number and head of the last entry; (0, zero) before the first. It waits for every other transaction that holds it and
/// keeps them waiting until this one ends: ask for it last.
///
/// # Errors
/// When the database cannot be written.
pub async fn lock(tx: &mut Tx) -> Result<(u64, Hash), StoreError> {
    let statement = "INSERT INTO audit_head (id, number, head) VALUES (1, 0, $1) \
         ON CONFLICT (id) DO UPDATE SET number = audit_head.number RETURNING number, head";
    let (number, head): (i64, Vec<u8>) = sqlx::query_as(statement).bind(&Hash::ZERO.0[..]).fetch_one(tx.conn()).await?;
    Ok((unsigned(number), bytes32(&head)?))
}

/// Adds the entry after the last one, under its lock.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, entry: &AuditEntry) -> Result<(), StoreError> {
    let statement = "INSERT INTO audit (number, happened, actor, action, object, detail, head) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(statement)
        .bind(signed(entry.number))
        .bind(entry.time.0)
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.object)
        .bind(&entry.detail)
        .bind(&entry.head.0[..])
        .execute(tx.conn())
        .await?;
    sqlx::query("UPDATE audit_head SET number = $1, head = $2 WHERE id = 1")
        .bind(signed(entry.number))
        .bind(&entry.head.0[..])
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Number and head of the last entry, as noted beside the log.
///
/// # Errors
/// When the database cannot be read.
pub async fn head(conn: &mut AnyConnection) -> Result<(u64, Hash), StoreError> {
    let row: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT number, head FROM audit_head WHERE id = 1").fetch_optional(conn).await?;
    row.map_or(Ok((0, Hash::ZERO)), |(number, head)| Ok((unsigned(number), bytes32(&head)?)))
}

/// A page of entries, the newest first, and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<AuditEntry>, u64), StoreError> {
    let (last, _) = head(&mut *conn).await?;
    let total = last.saturating_sub(base(&mut *conn).await?.0);
    let statement = "SELECT number, happened, actor, action, object, detail, head FROM audit \
         ORDER BY number DESC LIMIT $1 OFFSET $2";
    let rows: Vec<Row> =
        sqlx::query_as(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(conn).await?;
    Ok((rows.into_iter().map(entry).collect::<Result<_, _>>()?, total))
}

/// The entries after `number`, in order, at most `limit`.
///
/// # Errors
/// When the database cannot be read.
pub async fn after(conn: &mut AnyConnection, number: u64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
    let statement = "SELECT number, happened, actor, action, object, detail, head FROM audit \
         WHERE number > $1 ORDER BY number LIMIT $2";
    let rows: Vec<Row> = sqlx::query_as(statement).bind(signed(number)).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.into_iter().map(entry).collect()
}

/// Number and head of the last entry that was removed because it had been kept for long enough; (0, zero): none was.
///
/// # Errors
/// When the database cannot be read.
pub async fn base(conn: &mut AnyConnection) -> Result<(u64, Hash), StoreError> {
    let row: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT number, head FROM audit_base WHERE id = 1").fetch_optional(conn).await?;
    row.map_or(Ok((0, Hash::ZERO)), |(number, head)| Ok((unsigned(number), bytes32(&head)?)))
}

/// The last of the oldest entries that are all from before a moment and before the entry `end`, of at most `most`; and how many they are.
/// `None`: there is none.
///
/// # Errors
/// When the database cannot be read.
pub async fn aged(
    conn: &mut AnyConnection,
    (before, end): (UnixMillis, u64),
    most: u32,
) -> Result<Option<(AuditEntry, u64)>, StoreError> {
    let (base, _) = base(&mut *conn).await?;
    let entries = after(&mut *conn, base, most).await?;
    let old = entries.into_iter().take_while(|entry| entry.time < before && entry.number < end);
    Ok(old.fold(None, |last, entry| Some((entry, last.map_or(0, |(_, count)| count) + 1))))
}

/// Removes entries from the beginning of the log, up to this one.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_until(tx: &mut Tx, last: &AuditEntry) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM audit WHERE number <= $1").bind(signed(last.number)).execute(tx.conn()).await?;
    let statement = "INSERT INTO audit_base (id, number, head) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET number = excluded.number, head = excluded.head";
    sqlx::query(statement).bind(signed(last.number)).bind(&last.head.0[..]).execute(tx.conn()).await?;
    Ok(())
}
