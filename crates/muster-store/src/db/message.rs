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
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
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
    /// When it goes; `None`: with all others.
    pub expires: Option<UnixMillis>,
}

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the list.
    pub key: u64,
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

static INSERT: Bulk = Bulk::new(
    "INSERT INTO message (device, happened, received, component, message, severity, value_list, expires)",
    8,
    "",
);

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
                .bind(row.expires.map(|expires| expires.0))
        })
        .await?;
    Ok(())
}

fn stored(row: &AnyRow) -> Result<Stored, StoreError> {
    Ok(Stored {
        key: column::count(row, "id")?,
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
            "SELECT m.id, m.device, d.name AS device_name, m.happened, m.received, m.component, m.message, m.severity, \
             m.value_list FROM message m JOIN device d ON d.id = m.device ",
            $rest
        )
    };
}

/// Matching messages that are counted; of more it is only known that there are more.
const COUNTED: u64 = 10_000;

/// The kinds that a question is about, as words of this program; `None`: all of them.
fn kinds(query: &MessageQuery) -> Option<String> {
    if query.component.is_none() && query.kind.is_none() && query.id.is_none() {
        return None;
    }
    let is_asked = |id: &&MessageId| {
        let entry = id.entry();
        query.id.is_none_or(|wanted| wanted == **id)
            && query.component.is_none_or(|wanted| wanted == entry.component)
            && query.kind.is_none_or(|wanted| wanted == entry.kind)
    };
    let codes: Vec<String> = MessageId::ALL.iter().filter(is_asked).map(|id| format!("'{}'", id.as_str())).collect();
    Some(if codes.is_empty() { "''".to_owned() } else { codes.join(", ") })
}

/// One page of messages, the latest first; and how many there are. Of those that were chosen by more than device and severity, ten thousand
/// are counted at most.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, query: &MessageQuery) -> Result<(Vec<Stored>, u64), StoreError> {
    let kinds = kinds(query);
    if kinds.is_some() || query.since.is_some() || query.before.is_some() {
        return chosen(conn, query, kinds).await;
    }
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

/// Each part of the condition stands there only where it is asked for: the database chooses its index by what stands there.
async fn chosen(
    conn: &mut AnyConnection,
    query: &MessageQuery,
    kinds: Option<String>,
) -> Result<(Vec<Stored>, u64), StoreError> {
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    let mut parts = vec!["1 = 1".to_owned()];
    let mut at = 2;
    let mut next = || {
        at += 1;
        at
    };
    if let Some(device) = query.device {
        parts.push(format!("m.device = ${}", next()));
        texts.push(device.to_string());
    }
    if let Some(kinds) = kinds {
        parts.push(format!("m.message IN ({kinds})"));
    }
    if let Some(severity) = query.severity {
        parts.push(format!("m.severity >= ${}", next()));
        numbers.push(level(severity));
    }
    if let Some(since) = query.since {
        parts.push(format!("m.received >= ${}", next()));
        numbers.push(since.0);
    }
    let counted = parts.join(" AND ");
    if let Some(before) = query.before {
        parts.push(format!("m.id < ${}", next()));
        numbers.push(column::signed(before));
    }
    let bound = |statement: String, first: [i64; 2], numbers: &[i64]| {
        let query = sqlx::query(AssertSqlSafe(statement)).bind(first[0]).bind(first[1]);
        let query = texts.iter().fold(query, |query, text| query.bind(text.clone()));
        numbers.iter().fold(query, |query, number| query.bind(*number))
    };
    let most = column::signed(COUNTED);
    let statement = format!(
        "SELECT COUNT(*) AS total FROM (SELECT 1 AS one FROM message m WHERE {counted} LIMIT $1 OFFSET $2) AS c"
    );
    let without_before = numbers.len() - usize::from(query.before.is_some());
    let total = bound(statement, [most, 0], &numbers[..without_before]).fetch_one(&mut *conn).await?;
    let total = column::count(&total, "total")?;
    let statement = format!("{} WHERE {} ORDER BY m.id DESC LIMIT $1 OFFSET $2", select!(""), parts.join(" AND "));
    let page = [i64::from(query.limit), column::signed(query.offset)];
    let rows = bound(statement, page, &numbers).fetch_all(conn).await?;
    Ok((rows.iter().map(stored).collect::<Result<_, _>>()?, total))
}

/// A message by its place in the list.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, key: u64) -> Result<Option<Stored>, StoreError> {
    let row = sqlx::query(select!("WHERE m.id = $1")).bind(column::signed(key)).fetch_optional(conn).await?;
    row.as_ref().map(stored).transpose()
}

/// Removes messages whose time is over by a rule, at most so many; how many they were.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, now: UnixMillis, most: u32) -> Result<u64, StoreError> {
    let statement =
        "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE expires < $1 ORDER BY expires LIMIT $2)";
    Ok(sqlx::query(statement).bind(now.0).bind(i64::from(most)).execute(tx.conn()).await?.rows_affected())
}
