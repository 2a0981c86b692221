//! Which certificate of the enterprise a request, and the device that it became, talks with.

use super::{
    StoreError, Tx,
    column::{parse, parsed, time},
};
use muster_model::{
    api::DeviceState,
    id::{DeviceId, EnrolmentId, Hash},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A certificate of the enterprise, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnterpriseRow {
    /// SHA-256 of the certificate.
    pub fingerprint: Hash,
    /// The issuer.
    pub issuer: Hash,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its subject, for people.
    pub subject: String,
    /// Whom it names.
    pub named: Hash,
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub key: Hash,
    /// When it ends.
    pub expires: UnixMillis,
}

fn certificate(row: &AnyRow) -> Result<EnterpriseRow, StoreError> {
    Ok(EnterpriseRow {
        fingerprint: parsed(row, "fingerprint")?,
        issuer: parsed(row, "issuer")?,
        serial: row.try_get("serial")?,
        subject: row.try_get("subject")?,
        named: parsed(row, "named")?,
        key: parsed(row, "key")?,
        expires: time(row, "expires")?,
    })
}

/// Maps a request, and the device that it is or will be, to this certificate and no other.
///
/// # Errors
/// When the database cannot be written.
pub async fn set(tx: &mut Tx, owner: EnrolmentId, row: &EnterpriseRow, now: UnixMillis) -> Result<(), StoreError> {
    let statement = "INSERT INTO enterprise_certificate \
         (owner, fingerprint, issuer, serial, subject, named, key, expires, mapped) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (owner) DO UPDATE SET \
         fingerprint = excluded.fingerprint, issuer = excluded.issuer, serial = excluded.serial, \
         subject = excluded.subject, named = excluded.named, key = excluded.key, expires = excluded.expires, \
         mapped = excluded.mapped";
    sqlx::query(statement)
        .bind(owner.to_string())
        .bind(row.fingerprint.to_string())
        .bind(row.issuer.to_string())
        .bind(&row.serial)
        .bind(&row.subject)
        .bind(row.named.to_string())
        .bind(row.key.to_string())
        .bind(row.expires.0)
        .bind(now.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The certificate that a request or device is mapped to.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, owner: EnrolmentId) -> Result<Option<EnterpriseRow>, StoreError> {
    let statement = "SELECT fingerprint, issuer, serial, subject, named, key, expires \
         FROM enterprise_certificate WHERE owner = $1";
    let row = sqlx::query(statement).bind(owner.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(certificate).transpose()
}

/// The device that is mapped to the certificate with this fingerprint, and is active. There is at most one.
///
/// # Errors
/// When the database cannot be read.
pub async fn device(conn: &mut AnyConnection, fingerprint: &Hash) -> Result<Option<DeviceId>, StoreError> {
    let statement = "SELECT d.id FROM enterprise_certificate e JOIN device d ON d.id = e.owner \
         WHERE e.fingerprint = $1 AND d.state = 'active' ORDER BY d.id LIMIT 1";
    let id: Option<String> = sqlx::query_scalar(statement).bind(fingerprint.to_string()).fetch_optional(conn).await?;
    id.map(|id| parse(&id, "device id")).transpose()
}

/// Holds every mapping to this key or subject until the transaction ends, so that of two decisions at the same time the second
/// sees what the first made.
///
/// # Errors
/// When the database cannot be written.
pub async fn hold(tx: &mut Tx, row: &EnterpriseRow) -> Result<(), StoreError> {
    let statement = "UPDATE enterprise_certificate SET mapped = mapped WHERE key = $1 OR named = $2";
    sqlx::query(statement).bind(row.key.to_string()).bind(row.named.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// A device with the same certificate's key, or one for the same subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    /// The device.
    pub id: DeviceId,
    /// Its host name.
    pub name: String,
    /// Its state.
    pub state: DeviceState,
    /// Whether the key is the same, and not only the subject.
    pub same_key: bool,
}

/// Devices other than `but` that are not retired and whose certificate has this key or names the same subject; at most 10.
///
/// # Errors
/// When the database cannot be read.
pub async fn alike(conn: &mut AnyConnection, row: &EnterpriseRow, but: EnrolmentId) -> Result<Vec<Alike>, StoreError> {
    let statement = "SELECT d.id, d.name, d.state, e.key FROM enterprise_certificate e JOIN device d ON d.id = e.owner \
         WHERE (e.key = $1 OR e.named = $2) AND d.id <> $3 AND d.state <> 'retired' ORDER BY d.id DESC LIMIT 10";
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(statement)
        .bind(row.key.to_string())
        .bind(row.named.to_string())
        .bind(but.to_string())
        .fetch_all(conn)
        .await?;
    let alike = |(id, name, state, key): (String, String, String, String)| {
        let same_key = key == row.key.to_string();
        Ok(Alike { id: parse(&id, "device id")?, name, state: parse(&state, "state")?, same_key })
    };
    rows.into_iter().map(alike).collect()
}

/// Active devices that talk with certificates of this issuer, with the serial numbers.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_issuer(conn: &mut AnyConnection, issuer: &Hash) -> Result<Vec<(DeviceId, String)>, StoreError> {
    let statement = "SELECT d.id, e.serial FROM enterprise_certificate e JOIN device d ON d.id = e.owner \
         WHERE e.issuer = $1 AND d.state = 'active'";
    let rows: Vec<(String, String)> = sqlx::query_as(statement).bind(issuer.to_string()).fetch_all(conn).await?;
    rows.into_iter().map(|(id, serial)| Ok((parse(&id, "device id")?, serial))).collect()
}
