//! Devices that are managed by foreign protocols: tokens, devices, certificates. To use a token is a single conditional update.

use super::{
    StoreError, Tx,
    column::{parsed, parsed_opt, signed, time, unsigned},
};
use muster_model::{
    api::{MobileClass, MobileDevice, PageQuery},
    id::{Hash, MobileId, Name, TokenId},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MobileTokenRow {
    /// The id.
    pub id: TokenId,
    /// What it is for.
    pub name: Name,
    /// For which class of devices.
    pub class: MobileClass,
    /// Whose the device is.
    pub user: Name,
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
    /// Who made it.
    pub created_by: Name,
    /// The device that used it.
    pub used_by: Option<MobileId>,
    /// When it was revoked.
    pub revoked: Option<UnixMillis>,
}

/// A certificate of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MobileCertificateRow {
    /// Serial number.
    pub serial: String,
    /// The device.
    pub device: MobileId,
    /// The class that stands in it.
    pub class: MobileClass,
    /// SHA-256 of its key.
    pub key: Hash,
    /// When it was issued.
    pub issued: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
    /// DER.
    pub certificate: Vec<u8>,
}

fn optional_time(row: &AnyRow, column: &str) -> Result<Option<UnixMillis>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(UnixMillis))
}

fn token(row: &AnyRow) -> Result<MobileTokenRow, StoreError> {
    Ok(MobileTokenRow {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        class: parsed(row, "class")?,
        user: parsed(row, "owner")?,
        created: time(row, "created")?,
        expires: time(row, "expires")?,
        created_by: parsed(row, "created_by")?,
        used_by: parsed_opt(row, "used_by")?,
        revoked: optional_time(row, "revoked")?,
    })
}

fn certificate(row: &AnyRow) -> Result<MobileCertificateRow, StoreError> {
    Ok(MobileCertificateRow {
        serial: row.try_get("serial")?,
        device: parsed(row, "device")?,
        class: parsed(row, "class")?,
        key: parsed(row, "key_id")?,
        issued: time(row, "issued")?,
        expires: time(row, "expires")?,
        certificate: row.try_get("certificate")?,
    })
}

fn device(row: &AnyRow) -> Result<MobileDevice, StoreError> {
    Ok(MobileDevice {
        id: parsed(row, "id")?,
        class: parsed(row, "class")?,
        user: parsed(row, "owner")?,
        created: time(row, "created")?,
        blocked: optional_time(row, "blocked")?,
        reason: row.try_get("blocked_reason")?,
        serial: row.try_get("serial")?,
        expires: optional_time(row, "expires")?,
    })
}

macro_rules! tokens {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, class, owner, created, expires, created_by, used_by, revoked FROM mobile_token ",
            $rest
        )
    };
}
macro_rules! devices {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, d.class, d.owner, d.created, d.blocked, d.blocked_reason, c.serial, c.expires FROM mobile_device d \
             LEFT JOIN mobile_certificate c ON c.device = d.id AND c.ended IS NULL ",
            $rest
        )
    };
}
macro_rules! certificates {
    ($rest:literal) => {
        concat!("SELECT serial, device, class, key_id, issued, expires, certificate FROM mobile_certificate ", $rest)
    };
}

/// Adds a token.
///
/// # Errors
/// When the database cannot be written.
pub async fn token_insert(tx: &mut Tx, token: &MobileTokenRow, secret_hash: &Hash) -> Result<(), StoreError> {
    let statement = "INSERT INTO mobile_token (id, name, secret_hash, class, owner, created, expires, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(statement)
        .bind(token.id.to_string())
        .bind(token.name.as_str())
        .bind(secret_hash.to_string())
        .bind(token.class.as_str())
        .bind(token.user.as_str())
        .bind(token.created.0)
        .bind(token.expires.0)
        .bind(token.created_by.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The token of an id.
///
/// # Errors
/// When the database cannot be read.
pub async fn token_get(conn: &mut AnyConnection, id: TokenId) -> Result<Option<MobileTokenRow>, StoreError> {
    let row = sqlx::query(tokens!("WHERE id = $1")).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(token).transpose()
}

/// The token of a secret's hash.
///
/// # Errors
/// When the database cannot be read.
pub async fn token_by_secret(conn: &mut AnyConnection, hash: &Hash) -> Result<Option<MobileTokenRow>, StoreError> {
    let row = sqlx::query(tokens!("WHERE secret_hash = $1")).bind(hash.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(token).transpose()
}

/// Marks an open token as used by a device, and returns it. `None` when it is not there, used, revoked or expired: of any number of
/// transactions at the same time one gets it.
///
/// # Errors
/// When the database cannot be written.
pub async fn token_take(
    tx: &mut Tx,
    hash: &Hash,
    device: MobileId,
    now: UnixMillis,
) -> Result<Option<MobileTokenRow>, StoreError> {
    let statement = "UPDATE mobile_token SET used_by = $2 \
         WHERE secret_hash = $1 AND used_by IS NULL AND revoked IS NULL AND expires > $3";
    let done =
        sqlx::query(statement).bind(hash.to_string()).bind(device.to_string()).bind(now.0).execute(tx.conn()).await?;
    if done.rows_affected() == 0 { Ok(None) } else { token_by_secret(tx.conn(), hash).await }
}

/// Revokes a token that was not used; whether there was such a one.
///
/// # Errors
/// When the database cannot be written.
pub async fn token_revoke(tx: &mut Tx, id: TokenId, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE mobile_token SET revoked = $2 WHERE id = $1 AND used_by IS NULL AND revoked IS NULL";
    let done = sqlx::query(statement).bind(id.to_string()).bind(now.0).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// A page of tokens, the newest first, and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn token_list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<MobileTokenRow>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mobile_token").fetch_one(&mut *conn).await?;
    let rows = sqlx::query(tokens!("ORDER BY created DESC, id DESC LIMIT $1 OFFSET $2"))
        .bind(i64::from(page.limit))
        .bind(signed(page.offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(token).collect::<Result<_, _>>()?, unsigned(total)))
}

/// Adds a device.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, id: MobileId, of: &MobileTokenRow, now: UnixMillis) -> Result<(), StoreError> {
    let statement = "INSERT INTO mobile_device (id, class, owner, created) VALUES ($1, $2, $3, $4)";
    sqlx::query(statement)
        .bind(id.to_string())
        .bind(of.class.as_str())
        .bind(of.user.as_str())
        .bind(now.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The device of an id.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: MobileId) -> Result<Option<MobileDevice>, StoreError> {
    let row = sqlx::query(devices!("WHERE d.id = $1")).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(device).transpose()
}

/// A page of devices, the newest first, and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<MobileDevice>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mobile_device").fetch_one(&mut *conn).await?;
    let rows = sqlx::query(devices!("ORDER BY d.created DESC, d.id DESC LIMIT $1 OFFSET $2"))
        .bind(i64::from(page.limit))
        .bind(signed(page.offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(device).collect::<Result<_, _>>()?, unsigned(total)))
}

/// Takes the row of a device for this transaction: what is decided about it is decided one after the other. Whether it is there.
///
/// # Errors
/// When the database cannot be written.
pub async fn touch(tx: &mut Tx, id: MobileId) -> Result<bool, StoreError> {
    let statement = "UPDATE mobile_device SET class = class WHERE id = $1";
    Ok(sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?.rows_affected() > 0)
}

/// Blocks a device, or takes that back.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_blocked(tx: &mut Tx, id: MobileId, blocked: Option<(UnixMillis, &str)>) -> Result<(), StoreError> {
    sqlx::query("UPDATE mobile_device SET blocked = $2, blocked_reason = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(blocked.map(|(at, _)| at.0))
        .bind(blocked.map(|(_, why)| why.to_owned()))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// How many devices of a user are not blocked.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_of_user(conn: &mut AnyConnection, user: &Name) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM mobile_device WHERE owner = $1 AND blocked IS NULL";
    Ok(unsigned(sqlx::query_scalar::<_, i64>(statement).bind(user.as_str()).fetch_one(conn).await?))
}

/// Whether a computer has this key, by its id, or asks to be enrolled with it.
///
/// # Errors
/// When the database cannot be read.
pub async fn is_key_of_computer(conn: &mut AnyConnection, key: &Hash) -> Result<bool, StoreError> {
    let statement = "SELECT (SELECT COUNT(*) FROM device WHERE key_id = $1) \
         + (SELECT COUNT(*) FROM enrolment WHERE key_id = $1 AND state = 'pending')";
    Ok(sqlx::query_scalar::<_, i64>(statement).bind(key.to_string()).fetch_one(conn).await? > 0)
}

/// Whether a certificate of a mobile device is at work for this key, by its id.
///
/// # Errors
/// When the database cannot be read.
pub async fn is_key_of_mobile(conn: &mut AnyConnection, key: &Hash) -> Result<bool, StoreError> {
    let statement = "SELECT COUNT(*) FROM mobile_certificate WHERE key_id = $1 AND ended IS NULL";
    Ok(sqlx::query_scalar::<_, i64>(statement).bind(key.to_string()).fetch_one(conn).await? > 0)
}

/// Adds a certificate that is at work.
///
/// # Errors
/// [`StoreError::Exists`] when the key has one of this class, or the device has one.
pub async fn certificate_insert(tx: &mut Tx, row: &MobileCertificateRow) -> Result<(), StoreError> {
    let ended = "UPDATE mobile_certificate SET ended = $3 \
         WHERE key_id = $1 AND class = $2 AND ended IS NULL AND expires <= $3";
    sqlx::query(ended).bind(row.key.to_string()).bind(row.class.as_str()).bind(row.issued.0).execute(tx.conn()).await?;
    let statement = "INSERT INTO mobile_certificate (serial, device, class, key_id, issued, expires, certificate) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(statement)
        .bind(row.serial.as_str())
        .bind(row.device.to_string())
        .bind(row.class.as_str())
        .bind(row.key.to_string())
        .bind(row.issued.0)
        .bind(row.expires.0)
        .bind(&row.certificate[..])
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Ends the certificate of a device that is at work.
///
/// # Errors
/// When the database cannot be written.
pub async fn certificate_end(tx: &mut Tx, device: MobileId, now: UnixMillis) -> Result<(), StoreError> {
    let statement = "UPDATE mobile_certificate SET ended = $2 WHERE device = $1 AND ended IS NULL";
    sqlx::query(statement).bind(device.to_string()).bind(now.0).execute(tx.conn()).await?;
    Ok(())
}

/// Ends this certificate, where it is at work.
///
/// # Errors
/// When the database cannot be written.
pub async fn certificate_end_one(tx: &mut Tx, serial: &str, now: UnixMillis) -> Result<(), StoreError> {
    let statement = "UPDATE mobile_certificate SET ended = $2 WHERE serial = $1 AND ended IS NULL";
    sqlx::query(statement).bind(serial).bind(now.0).execute(tx.conn()).await?;
    Ok(())
}

/// Whose a certificate is, at work or not.
///
/// # Errors
/// When the database cannot be read.
pub async fn device_of(conn: &mut AnyConnection, serial: &str) -> Result<Option<MobileId>, StoreError> {
    let query = sqlx::query("SELECT device FROM mobile_certificate WHERE serial = $1").bind(serial);
    query.fetch_optional(conn).await?.map(|row| parsed(&row, "device")).transpose()
}

/// The certificate of a device that is at work.
///
/// # Errors
/// When the database cannot be read.
pub async fn certificate_of(
    conn: &mut AnyConnection,
    device: MobileId,
) -> Result<Option<MobileCertificateRow>, StoreError> {
    let query = sqlx::query(certificates!("WHERE device = $1 AND ended IS NULL")).bind(device.to_string());
    query.fetch_optional(conn).await?.as_ref().map(certificate).transpose()
}

/// How many certificates a device was given since then.
///
/// # Errors
/// When the database cannot be read.
pub async fn certificates_since(
    conn: &mut AnyConnection,
    device: MobileId,
    since: UnixMillis,
) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM mobile_certificate WHERE device = $1 AND issued > $2";
    let query = sqlx::query_scalar::<_, i64>(statement).bind(device.to_string()).bind(since.0);
    Ok(unsigned(query.fetch_one(conn).await?))
}
