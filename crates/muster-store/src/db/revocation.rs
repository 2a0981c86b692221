//! What was revoked, and the signed lists that say so. A number counts the changes, so that whoever has read the table knows
//! whether it has to be read again.

use super::{
    StoreError, Tx,
    column::{count, parse, parsed, signed, time, unsigned},
};
use muster_model::{
    api::RevocationReason,
    id::{DeviceId, Hash, MobileId},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

/// A revoked certificate, as a list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedRow {
    /// Serial number.
    pub serial: String,
    /// Why.
    pub reason: RevocationReason,
    /// When.
    pub revoked: UnixMillis,
    /// The device, where it is a device's.
    pub device: Option<DeviceId>,
}

/// How a revocation came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause<'a> {
    /// Why.
    pub reason: RevocationReason,
    /// When.
    pub at: UnixMillis,
    /// Who did it.
    pub by: &'a str,
}

type Row = (String, String, i64, Option<String>);

fn revoked((serial, reason, at, device): Row) -> Result<RevokedRow, StoreError> {
    let device = device.map(|id| parse(&id, "device id")).transpose()?;
    Ok(RevokedRow { serial, reason: parse(&reason, "reason")?, revoked: UnixMillis(at), device })
}

/// A certificate on hold may be revoked for good; what is revoked for good stays as it is.
macro_rules! revoke {
    ($which:literal) => {
        concat!(
            "INSERT INTO revoked_certificate (serial, device, reason, revoked, revoked_by, expires) \
             SELECT serial, device, $2, CAST($3 AS BIGINT), $4, expires FROM issued_certificate WHERE ",
            $which,
            " AND expires > CAST($3 AS BIGINT) ON CONFLICT (serial) DO UPDATE SET reason = excluded.reason, \
             revoked = excluded.revoked, revoked_by = excluded.revoked_by \
             WHERE revoked_certificate.reason = 'certificate_hold' AND excluded.reason <> 'certificate_hold' \
             RETURNING serial, reason, revoked, device"
        )
    };
}

async fn insert(
    tx: &mut Tx,
    statement: &'static str,
    which: String,
    cause: Cause<'_>,
) -> Result<Vec<RevokedRow>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(statement)
        .bind(which)
        .bind(cause.reason.as_str())
        .bind(cause.at.0)
        .bind(cause.by)
        .fetch_all(tx.conn())
        .await?;
    rows.into_iter().map(revoked).collect()
}

/// Revokes every certificate of a device that has not ended; those that were not revoked (for good) before.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert_device(tx: &mut Tx, device: DeviceId, cause: Cause<'_>) -> Result<Vec<RevokedRow>, StoreError> {
    insert(tx, revoke!("device = $1"), device.to_string(), cause).await
}

/// Revokes every certificate of a mobile device that has not ended: the one at work, and those before it.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert_mobile(tx: &mut Tx, device: MobileId, cause: Cause<'_>) -> Result<Vec<RevokedRow>, StoreError> {
    let statement = revoke!("serial IN (SELECT serial FROM mobile_certificate WHERE device = $1)");
    insert(tx, statement, device.to_string(), cause).await
}

/// Revokes one certificate, where it is there, has not ended and was not revoked (for good) before.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert_one(tx: &mut Tx, serial: &str, cause: Cause<'_>) -> Result<Option<RevokedRow>, StoreError> {
    Ok(insert(tx, revoke!("serial = $1"), serial.to_owned(), cause).await?.pop())
}

/// Takes a device's certificates that are on hold from the list; which.
///
/// # Errors
/// When the database cannot be written.
pub async fn lift(tx: &mut Tx, device: DeviceId) -> Result<Vec<String>, StoreError> {
    let statement =
        "DELETE FROM revoked_certificate WHERE device = $1 AND reason = 'certificate_hold' RETURNING serial";
    Ok(sqlx::query_scalar(statement).bind(device.to_string()).fetch_all(tx.conn()).await?)
}

/// Counts a change; the number after it.
///
/// # Errors
/// When the database cannot be written.
pub async fn bump(tx: &mut Tx) -> Result<u64, StoreError> {
    let statement = "UPDATE revocation_change SET number = number + 1 WHERE id = 1 RETURNING number";
    Ok(unsigned(sqlx::query_scalar(statement).fetch_one(tx.conn()).await?))
}

/// The number of the last change.
///
/// # Errors
/// When the database cannot be read.
pub async fn change(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let number = sqlx::query_scalar("SELECT number FROM revocation_change WHERE id = 1").fetch_one(conn).await?;
    Ok(unsigned(number))
}

/// Everything that is revoked.
///
/// # Errors
/// When the database cannot be read.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<RevokedRow>, StoreError> {
    let statement = "SELECT serial, reason, revoked, device FROM revoked_certificate ORDER BY revoked, serial";
    let rows: Vec<Row> = sqlx::query_as(statement).fetch_all(conn).await?;
    rows.into_iter().map(revoked).collect()
}

/// What is revoked of an issuing CA, and of what was issued before it was noted by which.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_issuer(conn: &mut AnyConnection, issuer: &Hash) -> Result<Vec<RevokedRow>, StoreError> {
    let statement = "SELECT r.serial, r.reason, r.revoked, r.device FROM revoked_certificate r \
         JOIN issued_certificate c ON c.serial = r.serial WHERE c.issuer IN ('', $1) ORDER BY r.revoked, r.serial";
    let rows: Vec<Row> = sqlx::query_as(statement).bind(issuer.to_string()).fetch_all(conn).await?;
    rows.into_iter().map(revoked).collect()
}

/// A signed list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRow {
    /// Key id of the CA that signed it.
    pub issuer: Hash,
    /// Its number.
    pub number: u64,
    /// The number of the last change that it has.
    pub covers: u64,
    /// When it was signed.
    pub signed: UnixMillis,
    /// Until when it is believed.
    pub next_update: UnixMillis,
    /// How many certificates it has.
    pub entries: u64,
    /// The list, DER.
    pub list: Vec<u8>,
}

fn list(row: &AnyRow) -> Result<ListRow, StoreError> {
    Ok(ListRow {
        issuer: parsed(row, "issuer")?,
        number: count(row, "number")?,
        covers: count(row, "covers")?,
        signed: time(row, "signed")?,
        next_update: time(row, "next_update")?,
        entries: count(row, "entries")?,
        list: row.try_get("list")?,
    })
}

/// Every signed list.
///
/// # Errors
/// When the database cannot be read.
pub async fn lists(conn: &mut AnyConnection) -> Result<Vec<ListRow>, StoreError> {
    let statement =
        "SELECT issuer, number, covers, signed, next_update, entries, list FROM revocation_list ORDER BY issuer";
    sqlx::query(statement).fetch_all(conn).await?.iter().map(list).collect()
}

/// Keeps a list in the place of the one before; `false` when its number is not higher than that one's: another process was
/// faster.
///
/// # Errors
/// When the database cannot be written.
pub async fn put_list(tx: &mut Tx, row: &ListRow) -> Result<bool, StoreError> {
    let statement = "INSERT INTO revocation_list (issuer, number, covers, signed, next_update, entries, list) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (issuer) DO UPDATE SET number = excluded.number, \
         covers = excluded.covers, signed = excluded.signed, next_update = excluded.next_update, \
         entries = excluded.entries, list = excluded.list WHERE revocation_list.number < excluded.number";
    let done = sqlx::query(statement)
        .bind(row.issuer.to_string())
        .bind(signed(row.number))
        .bind(signed(row.covers))
        .bind(row.signed.0)
        .bind(row.next_update.0)
        .bind(signed(row.entries))
        .bind(&row.list[..])
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() > 0)
}
