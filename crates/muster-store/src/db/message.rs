//! Status messages, as rows. Their sentences are made above, from the message's id and its values.

use super::{
    StoreError, Tx,
    bulk::Bulk,
    column::{self, parsed},
};
use muster_model::{
    api::MessageQuery,
    id::DeviceId,
    status::{MessageId, Severity, StatusMessage},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::BTreeMap;

/// A message to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Who sent it.
    pub device: DeviceId,
    /// When it happened, by the client's clock.
    pub happened: UnixMillis,
    /// When the site got it.
    pub received: UnixMillis,
    /// What it says.
    pub message: StatusMessage,
}

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Who sent it.
    pub device: DeviceId,
    /// Its host name.
    pub device_name: String,
    /// When it happened, by the client's clock.
    pub happened: UnixMillis,
    /// When the site got it.
    pub received: UnixMillis,
    /// Part of the agent.
    pub component: String,
    /// What happened, as code.
    pub message: String,
    /// How serious it is.
    pub severity: Severity,
    /// Values for its sentence.
    pub values: BTreeMap<String, String>,
}

impl Stored {
    /// The message's kind; `None` when a newer Muster wrote it.
    #[must_use]
    pub fn id(&self) -> Option<MessageId> {
        MessageId::ALL.iter().copied().find(|id| id.as_str() == self.message)
    }
}

/// Severities as numbers that grow with them.
pub(super) const fn level(severity: Severity) -> i64 {
    match severity {
        Severity::Information => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
    }
}

pub(super) const fn severity(level: i64) -> Severity {
    match level {
        0 => Severity::Information,
        1 => Severity::Warning,
        _ => Severity::Error,
    }
}

static INSERT: Bulk =
    Bulk::new("INSERT INTO message (device, happened, received, component, message, severity, value_list)", 7, "");

/// Adds messages, in order.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, rows: &[MessageRow]) -> Result<(), StoreError> {
    INSERT
        .run(tx, rows, |query, row| {
            query
                .bind(row.device.to_string())
                .bind(row.happened.0)
                .bind(row.received.0)
                .bind(row.message.component.as_str())
                .bind(row.message.id.as_str())
                .bind(level(row.message.severity))
                .bind(column::to_json(&row.message.values))
        })
        .await?;
    Ok(())
}

fn stored(row: &AnyRow) -> Result<Stored, StoreError> {
    Ok(Stored {
        device: parsed(row, "device")?,
        device_name: row.try_get("device_name")?,
        happened: column::time(row, "happened")?,
        received: column::time(row, "received")?,
        component: row.try_get("component")?,
        message: row.try_get("message")?,
        severity: severity(row.try_get("severity")?),
        values: column::json(row, "value_list")?,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT m.device, d.name AS device_name, m.happened, m.received, m.component, m.message, m.severity, \
             m.value_list FROM message m JOIN device d ON d.id = m.device ",
            $rest
        )
    };
}

/// One page of messages, the latest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, query: &MessageQuery) -> Result<(Vec<Stored>, u64), StoreError> {
    let least = query.severity.map_or(0, level);
    let (total, rows) = if let Some(device) = query.device {
        let statement = "SELECT COUNT(*) FROM message WHERE device = $1 AND severity >= $2";
        let total = sqlx::query_scalar(statement).bind(device.to_string()).bind(least).fetch_one(&mut *conn).await?;
        let statement = select!("WHERE m.device = $3 AND m.severity >= $4 ORDER BY m.id DESC LIMIT $1 OFFSET $2");
        (total, page(statement, query).bind(device.to_string()).bind(least))
    } else if least > 0 {
        let statement = "SELECT COUNT(*) FROM message WHERE severity >= $1";
        let total = sqlx::query_scalar(statement).bind(least).fetch_one(&mut *conn).await?;
        (total, page(select!("WHERE m.severity >= $3 ORDER BY m.id DESC LIMIT $1 OFFSET $2"), query).bind(least))
    } else {
        // Counting every message of the site would cost more than anybody gains: they are counted when they come.
        let statement = "SELECT CAST(COALESCE(SUM(messages), 0) AS BIGINT) FROM report_hour";
        let total = sqlx::query_scalar(statement).fetch_one(&mut *conn).await?;
        (total, page(select!("ORDER BY m.id DESC LIMIT $1 OFFSET $2"), query))
    };
    let rows = rows.fetch_all(conn).await?;
    Ok((rows.iter().map(stored).collect::<Result<_, _>>()?, column::unsigned(total)))
}

fn page(statement: &'static str, query: &MessageQuery) -> super::bulk::Binding {
    sqlx::query(statement).bind(i64::from(query.limit)).bind(column::signed(query.offset))
}
