//! Logs of clients: where each stands, the heads that the site was told, and pieces that administrators asked for.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed},
};
use muster_model::{
    api::{LogAlteration, LogCollected, LogStanding, LogState},
    id::{DeviceId, Hash, LogRequestId},
    limits::LOG_PIECE_DAYS,
    log::{LogFault, LogRequest},
    time::{DAY, UnixMillis},
};
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::BTreeSet;

/// Where the log of a device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// The device.
    pub device: DeviceId,
    /// How often it went back.
    pub era: u64,
    /// When it was told, by the client's clock.
    pub said: UnixMillis,
    /// Where it stands.
    pub standing: LogStanding,
}

/// A head that the site was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchorRow {
    /// The device.
    pub device: DeviceId,
    /// See [`LogRow`].
    pub era: u64,
    /// Number of a record.
    pub sequence: u64,
    /// Head after it.
    pub head: Hash,
    /// When it was told, by the client's clock.
    pub said: UnixMillis,
    /// When the site heard it.
    pub received: UnixMillis,
}

/// What the site says of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// In a word.
    pub state: LogState,
    /// How many heads that the site was told are in it.
    pub anchors: u64,
    /// What is wrong, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altered: Option<LogAlteration>,
}

/// A piece that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceRow {
    /// The request that it answers.
    pub id: LogRequestId,
    /// Whose it is.
    pub device: DeviceId,
    /// When it came.
    pub received: UnixMillis,
    /// Number of its first record, and of its last one.
    pub range: Option<(u64, u64)>,
    /// What the site says of it.
    pub verdict: Verdict,
    /// Its lines, compressed.
    pub lines: Vec<u8>,
}

fn fault(text: &str) -> Result<LogFault, StoreError> {
    let known = LogFault::ALL.iter().find(|fault| fault.as_str() == text).copied();
    known.ok_or_else(|| StoreError::Corrupt("column fault".to_owned()))
}

fn log(row: &AnyRow) -> Result<LogRow, StoreError> {
    let altered = match row.try_get::<Option<String>, _>("fault")? {
        Some(text) => Some(LogAlteration {
            fault: fault(&text)?,
            sequence: column::count(row, "fault_sequence")?,
            from: column::time(row, "fault_from")?,
            until: column::time(row, "fault_until")?,
        }),
        None => None,
    };
    let standing = LogStanding {
        sequence: column::count(row, "sequence")?,
        head: column::hash(row, "head")?,
        first: column::count(row, "first")?,
        received: column::time(row, "received")?,
        altered,
    };
    Ok(LogRow {
        device: parsed(row, "device")?,
        era: column::count(row, "era")?,
        said: column::time(row, "said")?,
        standing,
    })
}

/// Where the logs of these devices stand, of those that said so.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_devices(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<LogRow>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT device, era, sequence, head, first, said, received, fault, fault_sequence, fault_from, fault_until \
         FROM client_log WHERE device",
        "ORDER BY device"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter().map(log).collect()
}

/// Where the log of a device stands, if it said so.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, device: DeviceId) -> Result<Option<LogRow>, StoreError> {
    let statement = "SELECT device, era, sequence, head, first, said, received, fault, fault_sequence, fault_from, \
         fault_until FROM client_log WHERE device = $1";
    sqlx::query(statement).bind(device.to_string()).fetch_optional(conn).await?.as_ref().map(log).transpose()
}

static PUT: Bulk = Bulk::new(
    "INSERT INTO client_log (device, era, sequence, head, first, said, received, fault, fault_sequence, fault_from, \
     fault_until)",
    11,
    "ON CONFLICT (device) DO UPDATE SET era = excluded.era, sequence = excluded.sequence, head = excluded.head, \
     first = excluded.first, said = excluded.said, received = excluded.received, fault = excluded.fault, \
     fault_sequence = excluded.fault_sequence, fault_from = excluded.fault_from, fault_until = excluded.fault_until",
);

/// Writes where logs stand, each device at most once.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, rows: &[LogRow]) -> Result<(), StoreError> {
    PUT.run(tx, rows, |query, row| {
        let (at, altered) = (&row.standing, row.standing.altered);
        query
            .bind(row.device.to_string())
            .bind(column::signed(row.era))
            .bind(column::signed(at.sequence))
            .bind(at.head.0.to_vec())
            .bind(column::signed(at.first))
            .bind(row.said.0)
            .bind(at.received.0)
            .bind(altered.map(|altered| altered.fault.as_str()))
            .bind(altered.map(|altered| column::signed(altered.sequence)))
            .bind(altered.map(|altered| altered.from.0))
            .bind(altered.map(|altered| altered.until.0))
    })
    .await?;
    Ok(())
}

static ANCHOR: Bulk = Bulk::new(
    "INSERT INTO client_log_anchor (device, era, sequence, head, said, received)",
    6,
    "ON CONFLICT (device, era, sequence) DO NOTHING",
);

/// Keeps heads, of each of their devices at most the latest `keep`.
///
/// # Errors
/// When the database cannot be written.
pub async fn anchor(tx: &mut Tx, rows: &[AnchorRow], keep: usize) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    ANCHOR
        .run(tx, rows, |query, row| {
            query
                .bind(row.device.to_string())
                .bind(column::signed(row.era))
                .bind(column::signed(row.sequence))
                .bind(row.head.0.to_vec())
                .bind(row.said.0)
                .bind(row.received.0)
        })
        .await?;
    let devices: BTreeSet<DeviceId> = rows.iter().map(|row| row.device).collect();
    let statement = tx.dialect().pick(in_texts!(
        "DELETE FROM client_log_anchor WHERE EXISTS (SELECT 1 FROM (SELECT device AS d, era AS e, sequence AS s, \
         ROW_NUMBER() OVER (PARTITION BY device ORDER BY era DESC, sequence DESC) AS place FROM client_log_anchor \
         WHERE device",
        ") AS placed WHERE place > $2 AND d = client_log_anchor.device AND e = client_log_anchor.era \
         AND s = client_log_anchor.sequence)"
    ));
    let query = sqlx::query(statement).bind(json_texts(devices)).bind(column::signed(keep as u64));
    query.execute(tx.conn()).await?;
    Ok(())
}

/// The heads that the site was told of a log, in order.
///
/// # Errors
/// When the database cannot be read.
pub async fn anchors(conn: &mut AnyConnection, device: DeviceId) -> Result<Vec<AnchorRow>, StoreError> {
    let statement = "SELECT device, era, sequence, head, said, received FROM client_log_anchor WHERE device = $1 \
         ORDER BY era, sequence";
    let rows = sqlx::query(statement).bind(device.to_string()).fetch_all(conn).await?;
    let anchor = |row: &AnyRow| {
        Ok(AnchorRow {
            device: parsed(row, "device")?,
            era: column::count(row, "era")?,
            sequence: column::count(row, "sequence")?,
            head: column::hash(row, "head")?,
            said: column::time(row, "said")?,
            received: column::time(row, "received")?,
        })
    };
    rows.iter().map(anchor).collect()
}

/// Notes that a piece is wanted.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask(
    tx: &mut Tx,
    device: DeviceId,
    request: &LogRequest,
    now: UnixMillis,
    by: &str,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO client_log_piece (id, device, since, most, asked, asked_by) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(statement)
        .bind(request.id.to_string())
        .bind(device.to_string())
        .bind(request.since.map(|since| since.0))
        .bind(i64::from(request.limit))
        .bind(now.0)
        .bind(by.to_owned())
        .execute(tx.conn())
        .await?;
    Ok(())
}

fn request(row: &AnyRow) -> Result<LogRequest, StoreError> {
    let limit = u32::try_from(row.try_get::<i64, _>("most")?);
    Ok(LogRequest {
        id: parsed(row, "id")?,
        since: row.try_get::<Option<i64>, _>("since")?.map(UnixMillis),
        limit: limit.map_err(|_| StoreError::Corrupt("column most".to_owned()))?,
    })
}

/// What is wanted of these devices and did not come yet.
///
/// # Errors
/// When the database cannot be read.
pub async fn wanted(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<(DeviceId, LogRequest)>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT id, device, since, most FROM client_log_piece WHERE received IS NULL AND device",
        "ORDER BY device, id"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok((parsed(row, "device")?, request(row)?))).collect()
}

/// What is wanted of a device and did not come yet.
///
/// # Errors
/// When the database cannot be read.
pub async fn awaited(conn: &mut AnyConnection, device: DeviceId) -> Result<Option<LogRequest>, StoreError> {
    let statement = "SELECT id, since, most FROM client_log_piece WHERE device = $1 AND received IS NULL";
    let row = sqlx::query(statement).bind(device.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(request).transpose()
}

/// Keeps a piece that came, in the place of the request. `false`: it was not asked for, or came before.
///
/// # Errors
/// When the database cannot be written.
pub async fn receive(tx: &mut Tx, piece: &PieceRow) -> Result<bool, StoreError> {
    let statement = "UPDATE client_log_piece SET received = $3, first = $4, last = $5, verdict = $6, bytes = $7, \
         lines = $8 WHERE id = $1 AND device = $2 AND received IS NULL";
    let query = sqlx::query(statement)
        .bind(piece.id.to_string())
        .bind(piece.device.to_string())
        .bind(piece.received.0)
        .bind(piece.range.map(|(first, _)| column::signed(first)))
        .bind(piece.range.map(|(_, last)| column::signed(last)))
        .bind(column::to_json(&piece.verdict))
        .bind(column::signed(piece.lines.len() as u64))
        .bind(piece.lines.clone());
    Ok(query.execute(tx.conn()).await?.rows_affected() > 0)
}

/// Pieces of the log of a device, the latest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn pieces(conn: &mut AnyConnection, device: DeviceId) -> Result<Vec<LogCollected>, StoreError> {
    let statement = "SELECT id, since, most, asked, asked_by, received, first, last, verdict, bytes \
         FROM client_log_piece WHERE device = $1 ORDER BY asked DESC, id DESC";
    let rows = sqlx::query(statement).bind(device.to_string()).fetch_all(conn).await?;
    rows.iter().map(collected).collect()
}

fn collected(row: &AnyRow) -> Result<LogCollected, StoreError> {
    let LogRequest { id, since, limit } = request(row)?;
    let number = |column: &str| row.try_get::<Option<i64>, _>(column).map(|number| number.map(column::unsigned));
    let verdict: Option<Verdict> = match row.try_get::<Option<String>, _>("verdict")? {
        Some(text) => Some(serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("column verdict".to_owned()))?),
        None => None,
    };
    let asked = column::time(row, "asked")?;
    Ok(LogCollected {
        id,
        since,
        limit,
        asked,
        asked_by: row.try_get("asked_by")?,
        received: row.try_get::<Option<i64>, _>("received")?.map(UnixMillis),
        first: number("first")?,
        last: number("last")?,
        state: verdict.map_or(LogState::Awaited, |verdict| verdict.state),
        altered: verdict.and_then(|verdict| verdict.altered),
        anchors: verdict.map_or(0, |verdict| verdict.anchors),
        bytes: column::count(row, "bytes")?,
        expires: asked.plus(LOG_PIECE_DAYS * DAY),
    })
}

/// The lines of a piece, compressed; `None`: there is no such piece of this device, or it did not come yet.
///
/// # Errors
/// When the database cannot be read.
pub async fn lines(
    conn: &mut AnyConnection,
    device: DeviceId,
    id: LogRequestId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let statement = "SELECT lines FROM client_log_piece WHERE id = $1 AND device = $2 AND received IS NOT NULL";
    let query = sqlx::query_scalar(statement).bind(id.to_string()).bind(device.to_string());
    Ok(query.fetch_optional(conn).await?)
}

/// Bytes of all pieces.
///
/// # Errors
/// When the database cannot be read.
pub async fn total_bytes(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let statement = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM client_log_piece";
    Ok(column::unsigned(sqlx::query_scalar(statement).fetch_one(conn).await?))
}

/// Keeps the latest pieces of a device.
///
/// # Errors
/// When the database cannot be written.
pub async fn trim(tx: &mut Tx, device: DeviceId, keep: u64) -> Result<(), StoreError> {
    let statement = "DELETE FROM client_log_piece WHERE device = $1 AND id NOT IN \
         (SELECT id FROM client_log_piece WHERE device = $1 ORDER BY asked DESC, id DESC LIMIT $2)";
    sqlx::query(statement).bind(device.to_string()).bind(column::signed(keep)).execute(tx.conn()).await?;
    Ok(())
}

/// Removes pieces that were asked for before a moment, at most so many; whose they were.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, before: UnixMillis, most: u32) -> Result<Vec<DeviceId>, StoreError> {
    let statement = "DELETE FROM client_log_piece WHERE id IN \
         (SELECT id FROM client_log_piece WHERE asked < $1 ORDER BY asked, id LIMIT $2) RETURNING device";
    let query = sqlx::query_scalar(statement).bind(before.0).bind(i64::from(most));
    // One device may have several.
    let devices: BTreeSet<String> = query.fetch_all(tx.conn()).await?.into_iter().collect();
    devices.iter().map(|device| column::parse(device, "device")).collect()
}
