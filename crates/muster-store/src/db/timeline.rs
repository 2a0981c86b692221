//! The history of a device: one line for each thing that happened to it. Status messages are lines of it too.

use super::{StoreError, Tx, bulk::Bulk, column, message};
use muster_model::{
    api::PageQuery,
    id::DeviceId,
    status::{MessageId, Severity},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::BTreeMap;

/// A line to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineRow {
    /// The device.
    pub device: DeviceId,
    /// When, by the site's clock.
    pub happened: UnixMillis,
    /// `enrolment`, `deployment`, `inventory` or `administration`.
    pub kind: &'static str,
    /// How serious it is.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
}

/// A line as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// When, by the site's clock.
    pub happened: UnixMillis,
    /// What kind of thing it is; `message` for a status message.
    pub kind: String,
    /// How serious it is.
    pub severity: Severity,
    /// One sentence.
    pub text: Text,
}

/// The sentence of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// As it is.
    Plain(String),
    /// A status message: its id, where this program knows it, and its values.
    Message(Option<MessageId>, BTreeMap<String, String>),
}

static INSERT: Bulk = Bulk::new("INSERT INTO timeline (device, happened, kind, severity, text)", 5, "");

/// Adds lines, in order.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, rows: &[TimelineRow]) -> Result<(), StoreError> {
    INSERT
        .run(tx, rows, |query, row| {
            query
                .bind(row.device.to_string())
                .bind(row.happened.0)
                .bind(row.kind)
                .bind(message::level(row.severity))
                .bind(row.text.clone())
        })
        .await?;
    Ok(())
}

fn stored(row: &AnyRow) -> Result<Stored, StoreError> {
    let kind: String = row.try_get("kind")?;
    let text: &str = row.try_get("text")?;
    let id: &str = row.try_get("message")?;
    let text = if kind == "message" {
        let id = MessageId::ALL.iter().copied().find(|known| known.as_str() == id);
        Text::Message(id, column::json(row, "text")?)
    } else {
        Text::Plain(text.to_owned())
    };
    let severity = message::severity(row.try_get("severity")?);
    Ok(Stored { happened: column::time(row, "happened")?, kind, severity, text })
}

/// One page of a device's history, the latest first; and how many lines there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    conn: &mut AnyConnection,
    device: DeviceId,
    page: PageQuery,
) -> Result<(Vec<Stored>, u64), StoreError> {
    let statement = "SELECT (SELECT COUNT(*) FROM timeline WHERE device = $1) \
         + (SELECT COUNT(*) FROM message WHERE device = $1)";
    let total: i64 = sqlx::query_scalar(statement).bind(device.to_string()).fetch_one(&mut *conn).await?;
    let statement = "SELECT happened, kind, severity, text, '' AS message, id FROM timeline WHERE device = $1 \
         UNION ALL SELECT received, 'message', severity, value_list, message, id FROM message WHERE device = $1 \
         ORDER BY 1 DESC, 2, 6 DESC LIMIT $2 OFFSET $3";
    let rows = sqlx::query(statement)
        .bind(device.to_string())
        .bind(i64::from(page.limit))
        .bind(column::signed(page.offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(stored).collect::<Result<_, _>>()?, column::unsigned(total)))
}
