//! Sealed secrets and the keys that they are sealed to: ciphertext, and what devices signed.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed},
};
use muster_model::{
    api::{KeyProtection, PageQuery, SecretInfo},
    application::FileName,
    id::{ApplicationId, DeviceId, Hash},
    policy::{BodyKind, BodyRef},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row};

/// A secret of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// For which device.
    pub device: DeviceId,
    /// For which application.
    pub application: ApplicationId,
    /// Under which name.
    pub name: FileName,
    /// When it was sealed.
    pub version: UnixMillis,
    /// SHA-256 of the envelope.
    pub hash: Hash,
    /// The envelope.
    pub envelope: Vec<u8>,
}

/// A device that may get a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRow {
    /// The device.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// Its key, `SubjectPublicKeyInfo`.
    pub spki: Vec<u8>,
    /// Whether the key lives in a TPM that the site believes.
    pub protection: KeyProtection,
    /// Its statement of its sealing key.
    pub sealing_key: Option<Vec<u8>>,
}

/// What stands of one device before a secret is taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The device.
    pub device: DeviceId,
    /// The key to which secrets are sealed now.
    pub key: Option<Hash>,
    /// When the secret that it has under this name was sealed.
    pub version: Option<UnixMillis>,
}

/// Keeps a device's sealing key in the place of an earlier one. `false`: a later one is known.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_sealing_key(
    tx: &mut Tx,
    device: DeviceId,
    key: Hash,
    made: UnixMillis,
    envelope: &[u8],
) -> Result<bool, StoreError> {
    let statement = "INSERT INTO sealing_key (device, key_id, made, envelope) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (device) DO UPDATE SET key_id = excluded.key_id, made = excluded.made, \
         envelope = excluded.envelope WHERE sealing_key.made < excluded.made OR sealing_key.key_id = excluded.key_id";
    let query = sqlx::query(statement).bind(device.to_string()).bind(key.to_string()).bind(made.0);
    Ok(query.bind(envelope.to_vec()).execute(tx.conn()).await?.rows_affected() > 0)
}

/// Active devices to which an application is deployed, in whatever version; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn recipients(
    conn: &mut AnyConnection,
    application: ApplicationId,
    page: PageQuery,
) -> Result<(Vec<RecipientRow>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM device d WHERE d.state = 'active' AND EXISTS (SELECT 1 FROM deployment_device t \
         JOIN deployment p ON p.id = t.deployment JOIN application a ON (a.hash = p.application OR a.hash IN \
         (SELECT r.application FROM deployment_related r WHERE r.deployment = p.id)) WHERE t.device = d.id AND p.deleted IS NULL AND a.id = $1)",
    )
    .bind(application.to_string())
    .fetch_one(&mut *conn)
    .await?;
    let rows = sqlx::query(
        "SELECT d.id, d.name, d.spki, d.hardware, k.envelope FROM device d LEFT JOIN sealing_key k ON k.device = d.id \
         WHERE d.state = 'active' AND EXISTS (SELECT 1 FROM deployment_device t \
         JOIN deployment p ON p.id = t.deployment JOIN application a ON (a.hash = p.application OR a.hash IN \
         (SELECT r.application FROM deployment_related r WHERE r.deployment = p.id)) WHERE t.device = d.id AND p.deleted IS NULL AND a.id = $1) ORDER BY d.id LIMIT $2 OFFSET $3",
    )
    .bind(application.to_string())
    .bind(i64::from(page.limit))
    .bind(column::signed(page.offset))
    .fetch_all(conn)
    .await?;
    let recipient = |row: &sqlx::any::AnyRow| {
        let attested = row.try_get::<Option<String>, _>("hardware")?.is_some();
        Ok(RecipientRow {
            device: parsed(row, "id")?,
            name: row.try_get("name")?,
            spki: row.try_get("spki")?,
            protection: if attested { KeyProtection::Attested } else { KeyProtection::SoftwareKey },
            sealing_key: row.try_get("envelope")?,
        })
    };
    Ok((rows.iter().map(recipient).collect::<Result<_, StoreError>>()?, column::unsigned(total)))
}

/// What stands of those of `devices` that are active.
///
/// # Errors
/// When the database cannot be read.
pub async fn standing(
    tx: &mut Tx,
    devices: &[DeviceId],
    application: ApplicationId,
    name: &FileName,
) -> Result<Vec<Standing>, StoreError> {
    // Without COALESCE, SQLite walks all that are active instead of these.
    let statement = tx.dialect().pick(in_texts!(
        "SELECT d.id, k.key_id, s.version FROM device d LEFT JOIN sealing_key k ON k.device = d.id \
         LEFT JOIN sealed_secret s ON s.device = d.id AND s.application = $2 AND s.name = $3 \
         WHERE COALESCE(d.state, '') = 'active' AND d.id",
        ""
    ));
    let query = sqlx::query(statement).bind(json_texts(devices)).bind(application.to_string()).bind(name.as_str());
    let rows = query.fetch_all(tx.conn()).await?;
    rows.iter()
        .map(|row| {
            let key: Option<String> = row.try_get("key_id")?;
            Ok(Standing {
                device: parsed(row, "id")?,
                key: key.map(|key| column::parse(&key, "key id")).transpose()?,
                version: row.try_get::<Option<i64>, _>("version")?.map(UnixMillis),
            })
        })
        .collect()
}

static PUT: Bulk = Bulk::new(
    "INSERT INTO sealed_secret (device, application, name, version, hash, size, envelope)",
    7,
    "ON CONFLICT (device, application, name) DO UPDATE SET version = excluded.version, hash = excluded.hash, \
     size = excluded.size, envelope = excluded.envelope",
);

/// Keeps secrets, each in the place of the earlier one of its name.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, rows: &[SecretRow]) -> Result<(), StoreError> {
    PUT.run(tx, rows, |query, row| {
        query
            .bind(row.device.to_string())
            .bind(row.application.to_string())
            .bind(row.name.as_str().to_owned())
            .bind(row.version.0)
            .bind(row.hash.to_string())
            .bind(column::signed(row.envelope.len() as u64))
            .bind(row.envelope.clone())
    })
    .await?;
    Ok(())
}

/// The secrets of these devices, in a fixed order: also of an application that is not deployed to them now, because what a device is not told of
/// it never opens again.
///
/// # Errors
/// When the database cannot be read.
pub async fn wanted(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<(DeviceId, BodyRef)>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT device, hash, size FROM sealed_secret WHERE device",
        "ORDER BY device, application, name"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter()
        .map(|row| {
            let body =
                BodyRef { kind: BodyKind::Secret, hash: parsed(row, "hash")?, size: column::count(row, "size")? };
            Ok((parsed(row, "device")?, body))
        })
        .collect()
}

/// The envelope of one of a device's secrets.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, device: DeviceId, hash: Hash) -> Result<Option<Vec<u8>>, StoreError> {
    let statement = "SELECT envelope FROM sealed_secret WHERE device = $1 AND hash = $2";
    Ok(sqlx::query_scalar(statement).bind(device.to_string()).bind(hash.to_string()).fetch_optional(conn).await?)
}

/// A page of secrets by application and name; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<SecretInfo>, u64), StoreError> {
    let total: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM (SELECT DISTINCT application, name FROM sealed_secret) AS secrets")
            .fetch_one(&mut *conn)
            .await?;
    let statement = "SELECT s.application, s.name, COUNT(*) AS devices, MAX(s.version) AS sealed, \
         COALESCE((SELECT MAX(a.name) FROM application a WHERE a.id = s.application), '') AS application_name \
         FROM sealed_secret s GROUP BY s.application, s.name ORDER BY s.application, s.name LIMIT $1 OFFSET $2";
    let rows =
        sqlx::query(statement).bind(i64::from(page.limit)).bind(column::signed(page.offset)).fetch_all(conn).await?;
    let info = |row: &sqlx::any::AnyRow| {
        Ok(SecretInfo {
            application: parsed(row, "application")?,
            application_name: row.try_get("application_name")?,
            name: parsed(row, "name")?,
            devices: column::count(row, "devices")?,
            sealed: column::time(row, "sealed")?,
        })
    };
    Ok((rows.iter().map(info).collect::<Result<_, StoreError>>()?, column::unsigned(total)))
}

/// The secrets of an application: for how many devices each is sealed.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_application(
    conn: &mut AnyConnection,
    application: ApplicationId,
) -> Result<Vec<(FileName, u64, UnixMillis)>, StoreError> {
    let statement = "SELECT name, COUNT(*) AS devices, MAX(version) AS sealed FROM sealed_secret \
         WHERE application = $1 GROUP BY name ORDER BY name";
    let rows = sqlx::query(statement).bind(application.to_string()).fetch_all(conn).await?;
    rows.iter()
        .map(|row| Ok((parsed(row, "name")?, column::count(row, "devices")?, column::time(row, "sealed")?)))
        .collect()
}

/// Forgets a secret of all devices; which devices had it.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, application: ApplicationId, name: &FileName) -> Result<Vec<DeviceId>, StoreError> {
    let statement = "DELETE FROM sealed_secret WHERE application = $1 AND name = $2 RETURNING device";
    let query = sqlx::query(statement).bind(application.to_string()).bind(name.as_str());
    query.fetch_all(tx.conn()).await?.iter().map(|row| parsed(row, "device")).collect()
}
