//! Conflicts: two machines that look like one device.

use super::{
    StoreError, Tx,
    column::{self, parse, parsed},
};
use muster_model::{
    api::{Conflict, ConflictDecision, ConflictKind, ConflictMachine, ConflictQuery},
    id::{ConflictId, DeviceId, EnrolmentId, Hash},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A conflict to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct ConflictRow {
    /// The id.
    pub id: ConflictId,
    /// The device.
    pub device: DeviceId,
    /// What was seen.
    pub kind: ConflictKind,
    /// When.
    pub found: UnixMillis,
    /// The request, where one of the two only asks to be enrolled.
    pub enrolment: Option<EnrolmentId>,
    /// Who had spoken before.
    pub first: ConflictMachine,
    /// Who came then.
    pub second: ConflictMachine,
}

/// Adds a conflict.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, row: &ConflictRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO conflict (id, device, kind, found, first_address, first_name, first_hardware, \
         second_address, second_name, second_hardware, enrolment) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let mut query = sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.device.to_string())
        .bind(row.kind.as_str())
        .bind(row.found.0);
    for machine in [&row.first, &row.second] {
        let hardware = machine.hardware_id.map(|id| id.to_string()).unwrap_or_default();
        query = query.bind(machine.address.clone()).bind(machine.name.clone()).bind(hardware);
    }
    query.bind(row.enrolment.map(|id| id.to_string())).execute(tx.conn()).await?;
    Ok(())
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.device, d.state, c.kind, c.found, c.first_address, c.first_name, c.first_hardware, \
             c.second_address, c.second_name, c.second_hardware, c.enrolment, c.decision, c.decided, c.decided_by, c.reason \
             FROM conflict c JOIN device d ON d.id = c.device ",
            $rest
        )
    };
}

fn conflict(row: &AnyRow) -> Result<Conflict, StoreError> {
    let machine = |address: &str, name: &str, hardware: &str| {
        let hardware: String = row.try_get(hardware)?;
        let hardware_id = if hardware.is_empty() { None } else { Some(parse(&hardware, "hardware id")?) };
        Ok::<_, StoreError>(ConflictMachine { address: row.try_get(address)?, name: row.try_get(name)?, hardware_id })
    };
    let decision: Option<String> = row.try_get("decision")?;
    Ok(Conflict {
        id: parsed(row, "id")?,
        device: parsed(row, "device")?,
        device_state: parse(row.try_get("state")?, "state")?,
        kind: parse(row.try_get("kind")?, "kind")?,
        found: column::time(row, "found")?,
        enrolment: row.try_get::<Option<String>, _>("enrolment")?.map(|id| parse(&id, "enrolment id")).transpose()?,
        first: machine("first_address", "first_name", "first_hardware")?,
        second: machine("second_address", "second_name", "second_hardware")?,
        decision: decision.map(|text| parse(&text, "decision")).transpose()?,
        decided: row.try_get::<Option<i64>, _>("decided")?.map(UnixMillis),
        decided_by: row.try_get("decided_by")?,
        reason: row.try_get("reason")?,
    })
}

/// The conflict of an id.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: ConflictId) -> Result<Option<Conflict>, StoreError> {
    let row = sqlx::query(select!("WHERE c.id = $1")).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(conflict).transpose()
}

/// One page of conflicts, the newest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, query: ConflictQuery) -> Result<(Vec<Conflict>, u64), StoreError> {
    let (counting, listing) = if query.open {
        (
            "SELECT COUNT(*) FROM conflict WHERE decision IS NULL",
            select!("WHERE c.decision IS NULL ORDER BY c.found DESC, c.id DESC LIMIT $1 OFFSET $2"),
        )
    } else {
        ("SELECT COUNT(*) FROM conflict", select!("ORDER BY c.found DESC, c.id DESC LIMIT $1 OFFSET $2"))
    };
    let total: i64 = sqlx::query_scalar(counting).fetch_one(&mut *conn).await?;
    let rows =
        sqlx::query(listing).bind(i64::from(query.limit)).bind(column::signed(query.offset)).fetch_all(conn).await?;
    Ok((rows.iter().map(conflict).collect::<Result<_, _>>()?, column::unsigned(total)))
}

/// The hardware id that the second machine of the newest open conflict of a device has, where it is known.
///
/// # Errors
/// When the database cannot be read.
pub async fn open_hardware(tx: &mut Tx, device: DeviceId) -> Result<Option<Hash>, StoreError> {
    let statement = "SELECT second_hardware FROM conflict WHERE device = $1 AND decision IS NULL AND enrolment IS NULL \
         AND second_hardware <> '' ORDER BY found DESC, id DESC LIMIT 1";
    let text: Option<String> = sqlx::query_scalar(statement).bind(device.to_string()).fetch_optional(tx.conn()).await?;
    text.map(|text| parse(&text, "second_hardware")).transpose()
}

/// Closes the open conflicts of a device of which both machines spoke; returns how many there were.
///
/// # Errors
/// When the database cannot be written.
pub async fn decide(
    tx: &mut Tx,
    device: DeviceId,
    decision: ConflictDecision,
    by: &str,
    reason: &str,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let statement = "UPDATE conflict SET decision = $2, decided = $3, decided_by = $4, reason = $5 \
         WHERE device = $1 AND decision IS NULL AND enrolment IS NULL";
    close(tx, statement, device.to_string(), decision, by, reason, now).await
}

/// Closes one conflict; `false`: it was closed before.
///
/// # Errors
/// When the database cannot be written.
pub async fn decide_one(
    tx: &mut Tx,
    id: ConflictId,
    decision: ConflictDecision,
    by: &str,
    reason: &str,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let statement = "UPDATE conflict SET decision = $2, decided = $3, decided_by = $4, reason = $5 \
         WHERE id = $1 AND decision IS NULL";
    Ok(close(tx, statement, id.to_string(), decision, by, reason, now).await? > 0)
}

/// Closes the open conflicts of a request; returns how many there were.
///
/// # Errors
/// When the database cannot be written.
pub async fn decide_enrolment(
    tx: &mut Tx,
    enrolment: EnrolmentId,
    decision: ConflictDecision,
    by: &str,
    reason: &str,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let statement = "UPDATE conflict SET decision = $2, decided = $3, decided_by = $4, reason = $5 \
         WHERE enrolment = $1 AND decision IS NULL";
    close(tx, statement, enrolment.to_string(), decision, by, reason, now).await
}

async fn close(
    tx: &mut Tx,
    statement: &'static str,
    whose: String,
    decision: ConflictDecision,
    by: &str,
    reason: &str,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let done = sqlx::query(statement)
        .bind(whose)
        .bind(decision.as_str())
        .bind(now.0)
        .bind(by)
        .bind(reason)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected())
}
