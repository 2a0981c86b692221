//! Requests to be enrolled, from the first contact to the decision.

use super::{
    StoreError, Tx,
    column::{parse, parsed_opt, signed, unsigned},
};
use muster_model::{
    api::{EnrolmentState, PageQuery},
    enrol::DeviceClaims,
    id::{DeviceId, EnrolmentId, Hash, TokenId},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentRow {
    /// The id.
    pub id: EnrolmentId,
    /// Its state.
    pub state: EnrolmentState,
    /// The token that it used.
    pub token: TokenId,
    /// Key id of the device's key.
    pub key: Hash,
    /// The device's key: `SubjectPublicKeyInfo`, DER.
    pub spki: Vec<u8>,
    /// What the device says about itself.
    pub claims: DeviceClaims,
    /// The hardware identity that it proved.
    pub hardware: Option<Hash>,
    /// Security identifier of the computer's account that it proved.
    pub account: Option<String>,
    /// The serial number that it states.
    pub serial: Option<String>,
    /// Why it was approved without an administrator, or was not.
    pub verdict: Option<String>,
    /// The address it came from.
    pub address: String,
    /// The signed empty policy that it got.
    pub assignment: Vec<u8>,
    /// When it was made.
    pub created: UnixMillis,
    /// The device that it became.
    pub device: Option<DeviceId>,
}

fn enrolment(row: &AnyRow) -> Result<EnrolmentRow, StoreError> {
    let text = |column| row.try_get::<String, _>(column);
    Ok(EnrolmentRow {
        id: parse(&text("id")?, "enrolment id")?,
        state: parse(&text("state")?, "state")?,
        token: parse(&text("token")?, "token id")?,
        key: parse(&text("key_id")?, "key id")?,
        spki: row.try_get("spki")?,
        claims: DeviceClaims {
            host_name: text("host_name")?,
            operating_system: text("operating_system")?,
            agent_version: text("agent_version")?,
            hardware_id: parse(&text("hardware_id")?, "hardware id")?,
        },
        hardware: parsed_opt(row, "hardware")?,
        account: row.try_get("account")?,
        serial: row.try_get("serial")?,
        verdict: row.try_get("verdict")?,
        address: text("address")?,
        assignment: row.try_get("assignment")?,
        created: UnixMillis(row.try_get("created")?),
        device: row.try_get::<Option<String>, _>("device")?.map(|id| parse(&id, "device id")).transpose()?,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, state, token, key_id, spki, host_name, operating_system, agent_version, hardware_id, address, \
             assignment, created, device, hardware, account, serial, verdict FROM enrolment ",
            $rest
        )
    };
}

/// Adds a request.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, row: &EnrolmentRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO enrolment (id, state, token, key_id, spki, host_name, operating_system, agent_version, \
         hardware_id, address, assignment, created, hardware, account, serial, verdict) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.state.as_str())
        .bind(row.token.to_string())
        .bind(row.key.to_string())
        .bind(&row.spki[..])
        .bind(&row.claims.host_name)
        .bind(&row.claims.operating_system)
        .bind(&row.claims.agent_version)
        .bind(row.claims.hardware_id.to_string())
        .bind(&row.address)
        .bind(&row.assignment[..])
        .bind(row.created.0)
        .bind(row.hardware.map(|id| id.to_string()))
        .bind(row.account.as_deref())
        .bind(row.serial.as_deref())
        .bind(row.verdict.as_deref())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The request of an id.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: EnrolmentId) -> Result<Option<EnrolmentRow>, StoreError> {
    let row = sqlx::query(select!("WHERE id = $1")).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(enrolment).transpose()
}

/// The newest request of a key.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_key(conn: &mut AnyConnection, key: &Hash) -> Result<Option<EnrolmentRow>, StoreError> {
    let statement = select!("WHERE key_id = $1 ORDER BY created DESC LIMIT 1");
    let row = sqlx::query(statement).bind(key.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(enrolment).transpose()
}

/// Decides about a pending request; whether it was pending. `device`: what it becomes.
///
/// # Errors
/// When the database cannot be written.
pub async fn decide(
    tx: &mut Tx,
    id: EnrolmentId,
    state: EnrolmentState,
    device: Option<DeviceId>,
    by: &str,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let statement = "UPDATE enrolment SET state = $2, device = $3, decided_by = $4, decided = $5 \
         WHERE id = $1 AND state = 'pending'";
    let done = sqlx::query(statement)
        .bind(id.to_string())
        .bind(state.as_str())
        .bind(device.map(|id| id.to_string()))
        .bind(by)
        .bind(now.0)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Says why a request was approved without an administrator, or was not.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_verdict(tx: &mut Tx, id: EnrolmentId, verdict: &str) -> Result<(), StoreError> {
    let statement = "UPDATE enrolment SET verdict = $2 WHERE id = $1";
    sqlx::query(statement).bind(id.to_string()).bind(verdict).execute(tx.conn()).await?;
    Ok(())
}

/// A page of requests, the oldest first where they wait, else the newest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    conn: &mut AnyConnection,
    state: Option<EnrolmentState>,
    page: PageQuery,
) -> Result<(Vec<EnrolmentRow>, u64), StoreError> {
    let state_text = state.map_or("", EnrolmentState::as_str);
    let (counting, listing) = match state {
        None => (
            "SELECT COUNT(*) FROM enrolment WHERE $1 = ''",
            select!("WHERE $1 = '' ORDER BY created DESC, id DESC LIMIT $2 OFFSET $3"),
        ),
        Some(EnrolmentState::Pending) => (
            "SELECT COUNT(*) FROM enrolment WHERE state = $1",
            select!("WHERE state = $1 ORDER BY created, id LIMIT $2 OFFSET $3"),
        ),
        Some(_) => (
            "SELECT COUNT(*) FROM enrolment WHERE state = $1",
            select!("WHERE state = $1 ORDER BY created DESC, id DESC LIMIT $2 OFFSET $3"),
        ),
    };
    let total: i64 = sqlx::query_scalar(counting).bind(state_text).fetch_one(&mut *conn).await?;
    let rows = sqlx::query(listing)
        .bind(state_text)
        .bind(i64::from(page.limit))
        .bind(signed(page.offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(enrolment).collect::<Result<_, _>>()?, unsigned(total)))
}
