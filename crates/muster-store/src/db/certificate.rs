//! Certificates that the site issued and that have not ended, with how they were revoked where they were.

use super::{
    StoreError, Tx,
    column::{parsed, parsed_opt, signed, time, unsigned},
};
use muster_model::{
    api::{Certificate, CertificateKind, CertificateQuery, Revocation, RevocationReason},
    id::{DeviceId, Hash},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT c.serial, c.kind, c.device, c.issued, c.expires, r.reason, r.revoked, r.revoked_by \
             FROM issued_certificate c LEFT JOIN revoked_certificate r ON r.serial = c.serial ",
            $rest
        )
    };
}

fn certificate(row: &AnyRow) -> Result<Certificate, StoreError> {
    let reason: Option<RevocationReason> = parsed_opt(row, "reason")?;
    let revocation = match reason {
        None => None,
        Some(reason) => {
            Some(Revocation { reason, revoked: time(row, "revoked")?, revoked_by: row.try_get("revoked_by")? })
        }
    };
    Ok(Certificate {
        serial: row.try_get("serial")?,
        kind: parsed(row, "kind")?,
        device: parsed_opt(row, "device")?,
        issued: time(row, "issued")?,
        expires: time(row, "expires")?,
        revocation,
    })
}

/// Notes that a certificate was issued.
///
/// # Errors
/// [`StoreError::Exists`] when there is one with this serial number.
pub async fn insert(
    tx: &mut Tx,
    issuer: &Hash,
    serial: &str,
    device: Option<DeviceId>,
    issued: UnixMillis,
    expires: UnixMillis,
) -> Result<(), StoreError> {
    let kind = if device.is_some() { CertificateKind::Client } else { CertificateKind::Server };
    insert_kind(tx, issuer, (serial, kind), device, issued, expires).await
}

/// Notes that a certificate for a mobile device was issued; whose it is, stands with that.
///
/// # Errors
/// [`StoreError::Exists`] when there is one with this serial number.
pub async fn insert_mobile(
    tx: &mut Tx,
    issuer: &Hash,
    serial: &str,
    issued: UnixMillis,
    expires: UnixMillis,
) -> Result<(), StoreError> {
    insert_kind(tx, issuer, (serial, CertificateKind::Mobile), None, issued, expires).await
}

async fn insert_kind(
    tx: &mut Tx,
    issuer: &Hash,
    (serial, kind): (&str, CertificateKind),
    device: Option<DeviceId>,
    issued: UnixMillis,
    expires: UnixMillis,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO issued_certificate (serial, kind, device, issued, expires, issuer) VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(statement)
        .bind(serial)
        .bind(kind.as_str())
        .bind(device.map(|id| id.to_string()))
        .bind(issued.0)
        .bind(expires.0)
        .bind(issuer.to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The certificate of a serial number.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, serial: &str) -> Result<Option<Certificate>, StoreError> {
    let row = sqlx::query(select!("WHERE c.serial = $1")).bind(serial).fetch_optional(conn).await?;
    row.as_ref().map(certificate).transpose()
}

/// Which issuing CA the certificate of a serial number is of; `None`: from before that was noted.
///
/// # Errors
/// When the database cannot be read.
pub async fn issuer(conn: &mut AnyConnection, serial: &str) -> Result<Option<Hash>, StoreError> {
    let statement = "SELECT issuer FROM issued_certificate WHERE serial = $1 AND issuer <> ''";
    let issuer: Option<String> = sqlx::query_scalar(statement).bind(serial).fetch_optional(conn).await?;
    issuer.map(|issuer| super::column::parse(&issuer, "issuer")).transpose()
}

/// A page of certificates, the newest first, and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, query: &CertificateQuery) -> Result<(Vec<Certificate>, u64), StoreError> {
    const ORDER: &str = " ORDER BY c.issued DESC, c.serial DESC LIMIT $1 OFFSET $2";
    const COUNT: &str = "SELECT COUNT(*) FROM issued_certificate c";
    const REVOKED: &str = "EXISTS (SELECT 1 FROM revoked_certificate x WHERE x.serial = c.serial)";
    let select = select!("");
    let (rows, total) = match (query.device.is_some(), query.revoked) {
        (false, false) => (format!("{select}{ORDER}"), COUNT.to_owned()),
        (false, true) => (format!("{select}WHERE {REVOKED}{ORDER}"), format!("{COUNT} WHERE {REVOKED}")),
        (true, false) => (format!("{select}WHERE c.device = $3{ORDER}"), format!("{COUNT} WHERE c.device = $1")),
        (true, true) => (
            format!("{select}WHERE c.device = $3 AND {REVOKED}{ORDER}"),
            format!("{COUNT} WHERE c.device = $1 AND {REVOKED}"),
        ),
    };
    // Both texts are made of constants alone.
    let mut counted = sqlx::query_scalar(sqlx::AssertSqlSafe(total));
    let mut read = sqlx::query(sqlx::AssertSqlSafe(rows)).bind(i64::from(query.limit)).bind(signed(query.offset));
    if let Some(device) = query.device {
        counted = counted.bind(device.to_string());
        read = read.bind(device.to_string());
    }
    let total: i64 = counted.fetch_one(&mut *conn).await?;
    let rows = read.fetch_all(conn).await?;
    Ok((rows.iter().map(certificate).collect::<Result<_, _>>()?, unsigned(total)))
}

/// Forgets certificates that ended before `before`, and their revocations; how many of these.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, before: UnixMillis) -> Result<u64, StoreError> {
    let revoked = sqlx::query("DELETE FROM revoked_certificate WHERE expires < $1").bind(before.0);
    let revoked = revoked.execute(tx.conn()).await?.rows_affected();
    sqlx::query("DELETE FROM issued_certificate WHERE expires < $1").bind(before.0).execute(tx.conn()).await?;
    sqlx::query("DELETE FROM mobile_certificate WHERE expires < $1").bind(before.0).execute(tx.conn()).await?;
    Ok(revoked)
}
