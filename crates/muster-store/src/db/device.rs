//! Devices: the row that says who may talk, and the list that people search.

use super::{
    StoreError, Tx,
    column::{self, parse, parsed, parsed_opt, signed, to_json, unsigned},
    device_change, resource,
};
use muster_model::{
    api::{DeviceState, ResourceKind},
    enrol::DeviceClaims,
    id::{DeviceId, Hash, ResourceId},
    time::{DAY, UnixMillis},
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// The id.
    pub id: DeviceId,
    /// Its number in queries and reports; [`insert`] gives it.
    pub resource_id: ResourceId,
    /// Its state.
    pub state: DeviceState,
    /// What it last said about itself.
    pub claims: DeviceClaims,
    /// Key id of its key.
    pub key: Hash,
    /// Its key: `SubjectPublicKeyInfo`, DER.
    pub spki: Vec<u8>,
    /// The hardware identity that it proved when it enrolled.
    pub hardware: Option<Hash>,
    /// Security identifier of the computer's account that it proved when it enrolled.
    pub account: Option<String>,
    /// Serial number of its certificate.
    pub serial: String,
    /// Serial number of the certificate before, which is good until the new one is used.
    pub previous_serial: Option<String>,
    /// When its certificate ends.
    pub certificate_expires: UnixMillis,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// When it was approved.
    pub enrolled: UnixMillis,
    /// Last contact.
    pub last_seen: Option<UnixMillis>,
    /// Last accepted inventory.
    pub last_inventory: Option<UnixMillis>,
    /// Why it is blocked.
    pub block_reason: Option<String>,
    /// Changes with every change that somebody decided.
    pub revision: u64,
    /// When its key was revoked for good: it gets no certificate any more, and talks by none.
    pub key_revoked: Option<UnixMillis>,
}

fn device(row: &AnyRow) -> Result<DeviceRow, StoreError> {
    let text = |column| row.try_get::<String, _>(column);
    let seen: i64 = row.try_get("last_seen")?;
    Ok(DeviceRow {
        id: parse(&text("id")?, "device id")?,
        resource_id: column::resource_id(row)?,
        state: parse(&text("state")?, "state")?,
        claims: DeviceClaims {
            host_name: text("name")?,
            operating_system: text("operating_system")?,
            agent_version: text("agent_version")?,
            hardware_id: parse(&text("hardware_id")?, "hardware id")?,
        },
        key: parse(&text("key_id")?, "key id")?,
        spki: row.try_get("spki")?,
        hardware: parsed_opt(row, "hardware")?,
        account: row.try_get("account")?,
        serial: text("certificate_serial")?,
        previous_serial: row.try_get("previous_serial")?,
        certificate_expires: UnixMillis(row.try_get("certificate_expires")?),
        certificate: row.try_get("certificate")?,
        enrolled: UnixMillis(row.try_get("enrolled")?),
        last_seen: (seen > 0).then_some(UnixMillis(seen)),
        last_inventory: row.try_get::<Option<i64>, _>("last_inventory")?.map(UnixMillis),
        block_reason: row.try_get("block_reason")?,
        revision: unsigned(row.try_get("revision")?),
        key_revoked: row.try_get::<Option<i64>, _>("key_revoked")?.map(UnixMillis),
    })
}

/// Adds a device, and gives it its number.
///
/// # Errors
/// [`StoreError::Exists`] when the id or the key is another's.
pub async fn insert(tx: &mut Tx, row: &DeviceRow) -> Result<(), StoreError> {
    let resource_id = resource::next_number(tx, ResourceKind::System).await?;
    let statement = "INSERT INTO device (id, state, name, operating_system, agent_version, key_id, spki, hardware_id, \
         certificate_serial, certificate_expires, certificate, enrolled, last_seen, revision, search, hardware, account, \
         resource_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14, $15, $16, $17)";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.state.as_str())
        .bind(&row.claims.host_name)
        .bind(&row.claims.operating_system)
        .bind(&row.claims.agent_version)
        .bind(row.key.to_string())
        .bind(&row.spki[..])
        .bind(row.claims.hardware_id.to_string())
        .bind(&row.serial)
        .bind(row.certificate_expires.0)
        .bind(&row.certificate[..])
        .bind(row.enrolled.0)
        .bind(signed(row.revision))
        .bind(search_text(&row.claims))
        .bind(row.hardware.map(|id| id.to_string()))
        .bind(row.account.as_deref())
        .bind(resource_id)
        .execute(tx.conn())
        .await?;
    resource::insert_device(tx, resource_id, row.id, row.enrolled).await?;
    device_change::note_system(tx, row.id).await
}

/// What a search looks in: one text in lower case, so that it is the same on both databases and has one index.
fn search_text(claims: &DeviceClaims) -> String {
    format!("{}\n{}", claims.host_name, claims.operating_system).to_lowercase()
}

/// The device of an id.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: DeviceId) -> Result<Option<DeviceRow>, StoreError> {
    let statement = "SELECT id, state, name, operating_system, agent_version, key_id, spki, hardware_id, \
         certificate_serial, previous_serial, certificate_expires, certificate, enrolled, last_seen, last_inventory, \
         block_reason, revision, hardware, account, key_revoked, resource_id FROM device WHERE id = $1";
    let row = sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(device).transpose()
}

/// A device that another one is, or pretends to be: which, its name, its state, and what both have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    /// The device.
    pub id: DeviceId,
    /// Its host name.
    pub name: String,
    /// Its state.
    pub state: DeviceState,
    /// `key`, `TPM`, `domain account`, `hardware id` or `host name`.
    pub common: &'static str,
}

/// By what a device is known again.
#[derive(Debug, Clone, Copy)]
pub struct Marks<'a> {
    /// Key id of its key.
    pub key: &'a Hash,
    /// The hardware identity that it proved.
    pub hardware: Option<&'a Hash>,
    /// Security identifier of the computer's account that it proved.
    pub account: Option<&'a str>,
    /// What it says.
    pub claims: &'a DeviceClaims,
}

/// Devices that have this key, hardware identity, account, hardware id or host name, in whatever letters it is written; at most 10 of
/// each, and those that are retired only where there are not so many others.
///
/// # Errors
/// When the database cannot be read.
pub async fn alike(conn: &mut AnyConnection, marks: Marks<'_>) -> Result<Vec<Alike>, StoreError> {
    let questions = [
        ("key", "SELECT id, name, state FROM device WHERE key_id = $1 LIMIT 10", marks.key.to_string()),
        (
            "TPM",
            "SELECT id, name, state FROM device WHERE hardware = $1 ORDER BY state = 'retired', id DESC LIMIT 10",
            marks.hardware.map(Hash::to_string).unwrap_or_default(),
        ),
        (
            "domain account",
            "SELECT id, name, state FROM device WHERE account = $1 ORDER BY state = 'retired', id DESC LIMIT 10",
            marks.account.unwrap_or_default().to_owned(),
        ),
        (
            "hardware id",
            "SELECT id, name, state FROM device WHERE hardware_id = $1 ORDER BY state = 'retired', id DESC LIMIT 10",
            marks.claims.hardware_id.to_string(),
        ),
        (
            "host name",
            "SELECT id, name, state FROM device WHERE lower(name) = lower($1) ORDER BY state = 'retired', id DESC LIMIT 10",
            marks.claims.host_name.clone(),
        ),
    ];
    let mut found = Vec::new();
    for (common, statement, value) in questions {
        let rows: Vec<(String, String, String)> = sqlx::query_as(statement).bind(value).fetch_all(&mut *conn).await?;
        for (id, name, state) in rows {
            let (id, state) = (parse(&id, "device id")?, parse(&state, "state")?);
            found.push(Alike { id, name, state, common });
        }
    }
    Ok(found)
}

/// A blocked device with this key, this hardware id, this proven hardware identity or this account, or which was blocked because
/// a machine with this hardware id used its key.
///
/// # Errors
/// When the database cannot be read.
pub async fn blocked_alike(conn: &mut AnyConnection, marks: Marks<'_>) -> Result<Option<DeviceId>, StoreError> {
    let statement = "SELECT id FROM device WHERE key_id = $1 AND state = 'blocked' \
         UNION ALL SELECT id FROM device WHERE hardware_id = $2 AND state = 'blocked' \
         UNION ALL SELECT d.id FROM conflict c JOIN device d ON d.id = c.device \
         WHERE c.second_hardware = $2 AND c.decision = 'block' AND d.state = 'blocked' \
         UNION ALL SELECT id FROM device WHERE hardware = $3 AND state = 'blocked' \
         UNION ALL SELECT id FROM device WHERE account = $4 AND state = 'blocked' LIMIT 1";
    let id: Option<String> = sqlx::query_scalar(statement)
        .bind(marks.key.to_string())
        .bind(marks.claims.hardware_id.to_string())
        .bind(marks.hardware.map(Hash::to_string).unwrap_or_default())
        .bind(marks.account.unwrap_or_default())
        .fetch_optional(conn)
        .await?;
    id.map(|id| parse(&id, "device id")).transpose()
}

/// Gives an active device its next certificate; `previous` stays good until the new one is used. `false` when the device is
/// not active, or its key was revoked.
///
/// # Errors
/// When the database cannot be written.
pub async fn renew(
    tx: &mut Tx,
    id: DeviceId,
    previous: &str,
    serial: &str,
    expires: UnixMillis,
    certificate: &[u8],
) -> Result<bool, StoreError> {
    let statement = "UPDATE device SET previous_serial = $2, certificate_serial = $3, certificate_expires = $4, \
         certificate = $5 WHERE id = $1 AND state = 'active' AND key_revoked IS NULL \
         AND (certificate_serial = $2 OR previous_serial = $2)";
    let done = sqlx::query(statement)
        .bind(id.to_string())
        .bind(previous)
        .bind(serial)
        .bind(expires.0)
        .bind(certificate)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Moves a device to another state, from the state and revision that the caller saw; `false` when it is elsewhere by now.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_state(
    tx: &mut Tx,
    seen: &DeviceRow,
    state: DeviceState,
    block_reason: Option<&str>,
) -> Result<bool, StoreError> {
    let statement = "UPDATE device SET state = $2, block_reason = $3, revision = revision + 1 \
         WHERE id = $1 AND state = $4 AND revision = $5";
    let done = sqlx::query(statement)
        .bind(seen.id.to_string())
        .bind(state.as_str())
        .bind(block_reason)
        .bind(seen.state.as_str())
        .bind(signed(seen.revision))
        .execute(tx.conn())
        .await?;
    device_change::note_system(tx, seen.id).await?;
    Ok(done.rows_affected() > 0)
}

/// Puts an active device in quarantine; `false` when it is not active.
///
/// # Errors
/// When the database cannot be written.
pub async fn suspect(tx: &mut Tx, id: DeviceId) -> Result<bool, StoreError> {
    let statement =
        "UPDATE device SET state = 'quarantined', revision = revision + 1 WHERE id = $1 AND state = 'active'";
    device_change::note_system(tx, id).await?;
    Ok(sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?.rows_affected() > 0)
}

/// Ends the key of a device for good; `false` when that was done before.
///
/// # Errors
/// When the database cannot be written.
pub async fn revoke_key(tx: &mut Tx, id: DeviceId, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE device SET key_revoked = $2, revision = revision + 1 WHERE id = $1 AND key_revoked IS NULL";
    let done = sqlx::query(statement).bind(id.to_string()).bind(now.0).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// Gives a device the hardware id that it has now.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_hardware(tx: &mut Tx, id: DeviceId, hardware: &Hash) -> Result<(), StoreError> {
    let statement = "UPDATE device SET hardware_id = $2 WHERE id = $1";
    sqlx::query(statement).bind(id.to_string()).bind(hardware.to_string()).execute(tx.conn()).await?;
    device_change::note_system(tx, id).await
}

/// Counts a change of a device that leaves its state as it is, and holds the row until the transaction ends.
///
/// # Errors
/// When the database cannot be written.
pub async fn touch(tx: &mut Tx, id: DeviceId) -> Result<(), StoreError> {
    let statement = "UPDATE device SET revision = revision + 1 WHERE id = $1";
    sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// What decides whether a connection may talk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: DeviceState,
    /// Whether its key was revoked for good.
    pub key_revoked: bool,
    /// Key id of its key.
    pub key: Hash,
    /// Serial number of its certificate.
    pub serial: String,
    /// Serial number of the certificate before.
    pub previous_serial: Option<String>,
    /// The certificate of the enterprise that it talks with, and with no other.
    pub enterprise: Option<Hash>,
}

/// The standing of a device, where there is one of this id.
///
/// # Errors
/// When the database cannot be read.
pub async fn standing(conn: &mut AnyConnection, id: DeviceId) -> Result<Option<Standing>, StoreError> {
    let statement = "SELECT d.state, d.key_revoked, d.key_id, d.certificate_serial, d.previous_serial, e.fingerprint \
         FROM device d LEFT JOIN enterprise_certificate e ON e.owner = d.id WHERE d.id = $1";
    let row = sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?;
    let standing = |row: &AnyRow| {
        Ok(Standing {
            state: parsed(row, "state")?,
            key_revoked: row.try_get::<Option<i64>, _>("key_revoked")?.is_some(),
            key: parsed(row, "key_id")?,
            serial: row.try_get("certificate_serial")?,
            previous_serial: row.try_get("previous_serial")?,
            enterprise: parsed_opt(row, "fingerprint")?,
        })
    };
    row.as_ref().map(standing).transpose()
}

/// Notes when devices were last in contact; never an earlier time than is noted. Only who was away for a day has changed by that for
/// collections: a site hears from every device many times a day.
///
/// # Errors
/// When the database cannot be written.
pub async fn seen(tx: &mut Tx, devices: &[(DeviceId, UnixMillis)]) -> Result<(), StoreError> {
    let statement = tx.dialect().pick([
        "UPDATE device SET last_seen = s.seen FROM (SELECT json_extract(value, '$[0]') AS id, \
         json_extract(value, '$[1]') AS seen FROM json_each($1)) AS s \
         WHERE device.id = s.id AND device.last_seen < s.seen",
        "UPDATE device SET last_seen = s.seen FROM (SELECT e ->> 0 AS id, CAST(e ->> 1 AS BIGINT) AS seen \
         FROM jsonb_array_elements(CAST($1 AS jsonb)) AS e) AS s WHERE device.id = s.id AND device.last_seen < s.seen",
    ]);
    let away = tx.dialect().pick([
        "SELECT d.id FROM json_each($1) s JOIN device d ON d.id = json_extract(s.value, '$[0]') \
         WHERE d.last_seen < json_extract(s.value, '$[1]') - $2",
        "SELECT d.id FROM jsonb_array_elements(CAST($1 AS jsonb)) AS s JOIN device d ON d.id = s ->> 0 \
         WHERE d.last_seen < CAST(s ->> 1 AS BIGINT) - $2",
    ]);
    let back: Vec<String> = sqlx::query_scalar(away).bind(to_json(&devices)).bind(DAY).fetch_all(tx.conn()).await?;
    let back = back.iter().map(|id| Ok((parse(id, "device")?, vec![device_change::CAME_BACK])));
    let back: Vec<(DeviceId, Vec<&str>)> = back.collect::<Result<_, StoreError>>()?;
    sqlx::query(statement).bind(to_json(&devices)).execute(tx.conn()).await?;
    device_change::note(tx, &back).await
}

/// Notes what a device says of itself now. Not its hardware id: that is what it enrolled with. Nor its name, where that is the one
/// that its domain proved.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_claims(tx: &mut Tx, id: DeviceId, claims: &DeviceClaims) -> Result<(), StoreError> {
    let proven: Option<String> = sqlx::query_scalar("SELECT name FROM device WHERE id = $1 AND account IS NOT NULL")
        .bind(id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    let claims = &DeviceClaims { host_name: proven.unwrap_or_else(|| claims.host_name.clone()), ..claims.clone() };
    let statement = "UPDATE device SET name = $2, operating_system = $3, agent_version = $4, search = $5 WHERE id = $1 \
         AND (name <> $2 OR operating_system <> $3 OR agent_version <> $4)";
    let done = sqlx::query(statement)
        .bind(id.to_string())
        .bind(&claims.host_name)
        .bind(&claims.operating_system)
        .bind(&claims.agent_version)
        .bind(search_text(claims))
        .execute(tx.conn())
        .await?;
    if done.rows_affected() > 0 {
        device_change::note_system(tx, id).await?;
    }
    Ok(())
}
