//! What devices sent and the site did not take: the beginning of it, and why. A few items per device.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed},
};
use muster_model::{
    api::{PageQuery, QuarantineItem},
    id::DeviceId,
    report::Channel,
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row};
use std::collections::BTreeSet;

/// An item to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// Who sent it.
    pub device: DeviceId,
    /// When.
    pub received: UnixMillis,
    /// On which channel.
    pub channel: Channel,
    /// Sequence number of the message.
    pub sequence: u64,
    /// The class, where it is a section of an inventory.
    pub class: Option<String>,
    /// Why it was not taken.
    pub reason: String,
    /// The first bytes of it.
    pub excerpt: String,
}

static INSERT: Bulk =
    Bulk::new("INSERT INTO quarantine (device, received, channel, sequence, class, reason, excerpt)", 7, "");

/// Keeps items, and of each of their devices at most the latest `keep`.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, rows: &[QuarantineRow], keep: usize) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    INSERT
        .run(tx, rows, |query, row| {
            query
                .bind(row.device.to_string())
                .bind(row.received.0)
                .bind(row.channel.as_str())
                .bind(column::signed(row.sequence))
                .bind(row.class.clone())
                .bind(row.reason.clone())
                .bind(row.excerpt.clone())
        })
        .await?;
    let devices: BTreeSet<DeviceId> = rows.iter().map(|row| row.device).collect();
    let statement = tx.dialect().pick(in_texts!(
        "DELETE FROM quarantine WHERE id IN (SELECT id FROM (SELECT id, \
         ROW_NUMBER() OVER (PARTITION BY device ORDER BY id DESC) AS place FROM quarantine WHERE device",
        ") AS placed WHERE place > $2)"
    ));
    let query = sqlx::query(statement).bind(json_texts(devices)).bind(column::signed(keep as u64));
    query.execute(tx.conn()).await?;
    Ok(())
}

/// One page of all items, the latest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<QuarantineItem>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM quarantine").fetch_one(&mut *conn).await?;
    let statement =
        "SELECT device, received, class, reason, excerpt FROM quarantine ORDER BY id DESC LIMIT $1 OFFSET $2";
    let rows =
        sqlx::query(statement).bind(i64::from(page.limit)).bind(column::signed(page.offset)).fetch_all(conn).await?;
    let item = |row| {
        Ok(QuarantineItem {
            device: parsed(row, "device")?,
            received: column::time(row, "received")?,
            class: row.try_get("class")?,
            reason: row.try_get("reason")?,
            excerpt: row.try_get("excerpt")?,
        })
    };
    Ok((rows.iter().map(item).collect::<Result<_, StoreError>>()?, column::unsigned(total)))
}
