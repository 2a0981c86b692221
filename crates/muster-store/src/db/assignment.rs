//! Assignments: per device, the signed bytes as sent and the list of bodies in them.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed, parsed_opt},
};
use muster_model::{
    id::{CollectionId, DeploymentId, DeviceId, Hash},
    policy::BodyRef,
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A stored assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignmentRow {
    /// The device.
    pub device: DeviceId,
    /// Its version.
    pub version: u64,
    /// When it was signed.
    pub issued: UnixMillis,
    /// When it stops being believed.
    pub expires: UnixMillis,
    /// Version of the trust bundle under which it was signed.
    pub trust_version: u64,
    /// What it lists.
    pub bodies: Vec<BodyRef>,
    /// The signed bytes.
    pub envelope: Vec<u8>,
    /// When the device last said that it has it. Not stored by [`put`].
    pub confirmed: Option<UnixMillis>,
}

/// What a device shall have by one of its deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The device.
    pub device: DeviceId,
    /// The deployment's policy body.
    pub policy: Hash,
    /// Its bytes.
    pub policy_size: u64,
    /// The application object.
    pub application: Hash,
    /// Its bytes.
    pub application_size: u64,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The signed approval, and its bytes.
    pub approval: Option<(Hash, u64)>,
}

fn from_row(row: &AnyRow) -> Result<AssignmentRow, StoreError> {
    Ok(AssignmentRow {
        device: parsed(row, "device")?,
        version: column::count(row, "version")?,
        issued: column::time(row, "issued")?,
        expires: column::time(row, "expires")?,
        trust_version: column::count(row, "trust_version")?,
        bodies: column::json(row, "bodies")?,
        envelope: row.try_get("envelope")?,
        confirmed: row.try_get::<Option<i64>, _>("confirmed")?.map(UnixMillis),
    })
}

/// A device's assignment, and whether the device is active. `None`: there is no such device.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(
    conn: &mut AnyConnection,
    device: DeviceId,
) -> Result<Option<(bool, Option<AssignmentRow>)>, StoreError> {
    let statement = "SELECT d.state, d.id AS device, a.version, a.issued, a.expires, a.trust_version, a.bodies, a.envelope, a.confirmed \
         FROM device d LEFT JOIN assignment a ON a.device = d.id WHERE d.id = $1";
    let Some(row) = sqlx::query(statement).bind(device.to_string()).fetch_optional(conn).await? else {
        return Ok(None);
    };
    let active = row.try_get::<&str, _>("state")? == "active";
    let version: Option<i64> = row.try_get("version")?;
    Ok(Some((active, version.map(|_| from_row(&row)).transpose()?)))
}

/// The assignments of these devices, where they have one.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_devices(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<AssignmentRow>, StoreError> {
    let statement = tx
        .dialect()
        .pick(in_texts!("SELECT device, version, issued, expires, trust_version, bodies, envelope, confirmed FROM assignment WHERE device", ""));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter().map(from_row).collect()
}

static PUT: Bulk = Bulk::new(
    "INSERT INTO assignment (device, version, issued, expires, trust_version, bodies, envelope)",
    7,
    "ON CONFLICT (device) DO UPDATE SET version = excluded.version, issued = excluded.issued, \
     expires = excluded.expires, trust_version = excluded.trust_version, bodies = excluded.bodies, \
     envelope = excluded.envelope, confirmed = NULL",
);

/// Stores assignments, each in the place of the device's earlier one.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, rows: &[AssignmentRow]) -> Result<(), StoreError> {
    PUT.run(tx, rows, |query, row| {
        query
            .bind(row.device.to_string())
            .bind(column::signed(row.version))
            .bind(row.issued.0)
            .bind(row.expires.0)
            .bind(column::signed(row.trust_version))
            .bind(column::to_json(&row.bodies))
            .bind(row.envelope.clone())
    })
    .await?;
    Ok(())
}

/// Those of `devices` that are active.
///
/// # Errors
/// When the database cannot be read.
pub async fn active(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<DeviceId>, StoreError> {
    // Without COALESCE, SQLite walks all that are active instead of these.
    let statement = tx
        .dialect()
        .pick(in_texts!("SELECT id FROM device WHERE id", "AND COALESCE(state, '') = 'active' ORDER BY id"));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| parsed(row, "id")).collect()
}

/// What these devices shall have: one row per device and deployment that is not deleted and does not wait for an approval, in a fixed
/// order. A paused one is not among them where it did not begin, nor one whose phase for the device did not.
///
/// # Errors
/// When the database cannot be read.
pub async fn wanted(tx: &mut Tx, devices: &[DeviceId], now: UnixMillis) -> Result<Vec<Wanted>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT t.device, t.deployment, COALESCE(x.policy_body, d.policy_body) AS policy_body, d.application, \
         COALESCE(x.policy_size, d.policy_size) AS policy_size, d.application_size, \
         a.body AS approval, a.body_size AS approval_size \
         FROM deployment_device t JOIN deployment d ON d.id = t.deployment \
         LEFT JOIN deployment_attempt x ON x.deployment = t.deployment AND x.attempt = t.attempt \
         LEFT JOIN deployment_approval a ON a.deployment = d.id WHERE t.device",
        "AND d.deleted IS NULL AND t.withdrawn IS NULL AND (d.phase IS NULL OR t.phase <= d.phase) \
         AND (d.paused IS NULL OR t.state NOT IN ('targeted', 'waiting', 'downloading') \
         OR t.waits IN ('restart', 'retry')) AND COALESCE(a.held, 0) = 0 \
         AND (a.expires IS NULL OR a.expires > CAST($2 AS BIGINT)) ORDER BY t.device, d.created, d.id"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).bind(now.0).fetch_all(tx.conn()).await?;
    rows.iter()
        .map(|row| {
            let approval: Option<Hash> = parsed_opt(row, "approval")?;
            let approval = match approval {
                Some(body) => Some((body, column::count(row, "approval_size")?)),
                None => None,
            };
            Ok(Wanted {
                approval,
                deployment: parsed(row, "deployment")?,
                device: parsed(row, "device")?,
                policy: parsed(row, "policy_body")?,
                policy_size: column::count(row, "policy_size")?,
                application: parsed(row, "application")?,
                application_size: column::count(row, "application_size")?,
            })
        })
        .collect()
}

/// Active devices whose assignment was signed at `issued` or before, the oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn issued_before(
    conn: &mut AnyConnection,
    issued: UnixMillis,
    limit: u32,
) -> Result<Vec<DeviceId>, StoreError> {
    let statement = "SELECT a.device FROM assignment a JOIN device d ON d.id = a.device \
         WHERE a.issued <= $1 AND d.state = 'active' ORDER BY a.issued LIMIT $2";
    let rows = sqlx::query(statement).bind(issued.0).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter().map(|row| parsed(row, "device")).collect()
}

/// Active devices whose assignment was signed under an earlier trust bundle.
///
/// # Errors
/// When the database cannot be read.
pub async fn trusted_before(
    conn: &mut AnyConnection,
    trust_version: u64,
    limit: u32,
) -> Result<Vec<DeviceId>, StoreError> {
    let statement = "SELECT a.device FROM assignment a JOIN device d ON d.id = a.device \
         WHERE a.trust_version < $1 AND d.state = 'active' LIMIT $2";
    let query = sqlx::query(statement).bind(column::signed(trust_version)).bind(i64::from(limit));
    query.fetch_all(conn).await?.iter().map(|row| parsed(row, "device")).collect()
}

/// Active devices without an assignment; there are some only when a job was lost.
///
/// # Errors
/// When the database cannot be read.
pub async fn missing(conn: &mut AnyConnection, limit: u32) -> Result<Vec<DeviceId>, StoreError> {
    let statement = "SELECT d.id FROM device d WHERE d.state = 'active' \
         AND NOT EXISTS (SELECT 1 FROM assignment a WHERE a.device = d.id) LIMIT $1";
    let rows = sqlx::query(statement).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter().map(|row| parsed(row, "id")).collect()
}

/// The application objects that a list of bodies names.
#[must_use]
pub fn applications(bodies: &[BodyRef]) -> Vec<Hash> {
    let application = |body: &&BodyRef| body.kind == muster_model::policy::BodyKind::Application;
    bodies.iter().filter(application).map(|body| body.hash).collect()
}

/// The kind of the jobs that ask for a device's assignment to be made anew; the subject is the device.
pub const COMPILE: &str = "policy_compile";

/// Asks for the assignments of all active devices.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask_all(tx: &mut Tx, now: UnixMillis) -> Result<u64, StoreError> {
    let statement = "INSERT INTO job (kind, subject, due, attempts) \
         SELECT $1, id, CAST($2 AS BIGINT), 0 FROM device WHERE state = 'active' \
         ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, attempts = 0";
    Ok(sqlx::query(statement).bind(COMPILE).bind(now.0).execute(tx.conn()).await?.rows_affected())
}

/// Asks for the assignments of all active devices of a deployment.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask_targeted(tx: &mut Tx, deployment: DeploymentId, now: UnixMillis) -> Result<u64, StoreError> {
    let statement = "INSERT INTO job (kind, subject, due, attempts) \
         SELECT $1, t.device, CAST($2 AS BIGINT), 0 FROM deployment_device t JOIN device d ON d.id = t.device \
         WHERE t.deployment = $3 AND d.state = 'active' \
         ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, attempts = 0";
    let query = sqlx::query(statement).bind(COMPILE).bind(now.0).bind(deployment.to_string());
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

/// Asks for the assignments of the active devices of one phase of a deployment.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask_phase(tx: &mut Tx, deployment: DeploymentId, phase: u32, now: UnixMillis) -> Result<u64, StoreError> {
    let statement = "INSERT INTO job (kind, subject, due, attempts) \
         SELECT $1, t.device, CAST($2 AS BIGINT), 0 FROM deployment_device t JOIN device d ON d.id = t.device \
         WHERE t.deployment = $3 AND t.phase = CAST($4 AS BIGINT) AND d.state = 'active' \
         ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, attempts = 0";
    let query = sqlx::query(statement).bind(COMPILE).bind(now.0).bind(deployment.to_string()).bind(i64::from(phase));
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

/// Asks for the assignments of all active devices that are members of a collection.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask_members(tx: &mut Tx, collection: CollectionId, now: UnixMillis) -> Result<u64, StoreError> {
    let statement = "INSERT INTO job (kind, subject, due, attempts) \
         SELECT $1, d.id, CAST($2 AS BIGINT), 0 FROM collection_member m JOIN device d ON d.resource_id = m.resource_id \
         WHERE m.collection = $3 AND d.state = 'active' \
         ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, attempts = 0";
    let query = sqlx::query(statement).bind(COMPILE).bind(now.0).bind(collection.to_string());
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

static ASK: Bulk = Bulk::new(
    "INSERT INTO job (kind, subject, due, attempts)",
    4,
    "ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, attempts = 0",
);

/// Asks for the assignments of these devices.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask(tx: &mut Tx, devices: &[DeviceId], now: UnixMillis) -> Result<(), StoreError> {
    ASK.run(tx, devices, |query, device| query.bind(COMPILE).bind(device.to_string()).bind(now.0).bind(0_i64)).await?;
    Ok(())
}

/// Whether assignments are asked for.
///
/// # Errors
/// When the database cannot be read.
pub async fn pending(conn: &mut AnyConnection, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "SELECT id FROM job WHERE kind = $1 AND due <= $2 LIMIT 1";
    let id: Option<i64> = sqlx::query_scalar(statement).bind(COMPILE).bind(now.0).fetch_optional(conn).await?;
    Ok(id.is_some())
}

/// Takes up to `limit` devices whose assignment is asked for, in the transaction that makes them.
///
/// # Errors
/// When the database cannot be written.
pub async fn take(tx: &mut Tx, now: UnixMillis, limit: u32) -> Result<Vec<DeviceId>, StoreError> {
    let statement = tx.dialect().pick([
        "DELETE FROM job WHERE id IN \
         (SELECT id FROM job WHERE kind = $1 AND due <= $2 ORDER BY due, id LIMIT $3) RETURNING subject",
        "DELETE FROM job WHERE id IN \
         (SELECT id FROM job WHERE kind = $1 AND due <= $2 ORDER BY due, id LIMIT $3 FOR UPDATE SKIP LOCKED) \
         RETURNING subject",
    ]);
    let rows = sqlx::query(statement).bind(COMPILE).bind(now.0).bind(i64::from(limit)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| parsed(row, "subject")).collect()
}

/// Notes that devices have the assignment of that version, at that time; one that has another meanwhile is passed over.
///
/// # Errors
/// When the database cannot be written.
pub async fn confirm(tx: &mut Tx, confirmed: &[(DeviceId, u64, UnixMillis)]) -> Result<(), StoreError> {
    let statement = tx.dialect().pick([
        "UPDATE assignment SET confirmed = s.at FROM (SELECT json_extract(value, '$[0]') AS id, \
         json_extract(value, '$[1]') AS version, json_extract(value, '$[2]') AS at FROM json_each($1)) AS s \
         WHERE assignment.device = s.id AND assignment.version = s.version",
        "UPDATE assignment SET confirmed = s.at FROM (SELECT e ->> 0 AS id, CAST(e ->> 1 AS BIGINT) AS version, \
         CAST(e ->> 2 AS BIGINT) AS at FROM jsonb_array_elements(CAST($1 AS jsonb)) AS e) AS s \
         WHERE assignment.device = s.id AND assignment.version = s.version",
    ]);
    sqlx::query(statement).bind(column::to_json(&confirmed)).execute(tx.conn()).await?;
    Ok(())
}

/// The device has an assignment of this version from before the database was restored: what is signed next is higher, and is
/// signed anew at the next occasion.
///
/// # Errors
/// When the database cannot be written.
pub async fn raise(tx: &mut Tx, device: DeviceId, version: u64) -> Result<(), StoreError> {
    let statement =
        "UPDATE assignment SET version = $2, issued = 0, confirmed = NULL WHERE device = $1 AND version <= $2";
    sqlx::query(statement).bind(device.to_string()).bind(column::signed(version)).execute(tx.conn()).await?;
    Ok(())
}

/// Active devices by the trust bundle under which their assignment was signed, where they have confirmed it; and, as the
/// last, how many have not, with the latest end of what they have not confirmed.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_trust(conn: &mut AnyConnection) -> Result<(Vec<(u64, u64)>, u64, Option<UnixMillis>), StoreError> {
    let statement = "SELECT a.trust_version, COUNT(*) AS devices FROM assignment a JOIN device d ON d.id = a.device \
         WHERE d.state = 'active' AND a.confirmed IS NOT NULL GROUP BY a.trust_version ORDER BY a.trust_version DESC";
    let rows = sqlx::query(statement).fetch_all(&mut *conn).await?;
    let known = rows.iter().map(|row| Ok((column::count(row, "trust_version")?, column::count(row, "devices")?)));
    let known = known.collect::<Result<_, StoreError>>()?;
    let statement = "SELECT COUNT(*) AS devices, MAX(a.expires) AS expires FROM device d \
         LEFT JOIN assignment a ON a.device = d.id WHERE d.state = 'active' AND a.confirmed IS NULL";
    let row = sqlx::query(statement).fetch_one(conn).await?;
    let expires: Option<i64> = row.try_get("expires")?;
    Ok((known, column::count(&row, "devices")?, expires.map(UnixMillis)))
}
