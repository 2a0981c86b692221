//! Channels: how far each device's stream of messages is committed, and its chain head there.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed},
};
use muster_model::{
    id::{DeviceId, Hash},
    report::Channel,
};
use sqlx::Row;
use std::collections::HashMap;

/// What a report is measured against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether the device is active.
    pub active: bool,
    /// The hardware id that it enrolled with.
    pub hardware: Hash,
    /// Its host name.
    pub name: String,
    /// Each channel; one without messages is absent.
    pub channels: HashMap<Channel, ChannelStanding>,
}

/// Where a channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelStanding {
    /// Last committed sequence number.
    pub last: u64,
    /// Its chain head.
    pub head: Hash,
    /// What is kept of the heads before.
    pub recent: Vec<u8>,
    /// Where its last report came from; empty: not known.
    pub address: String,
}

/// Where these devices stand. Until the transaction ends, nobody else changes whether they are active, or their channels.
///
/// # Errors
/// When the database cannot be read.
pub async fn lock(tx: &mut Tx, devices: &[DeviceId]) -> Result<HashMap<DeviceId, Standing>, StoreError> {
    // Two statements, because PostgreSQL locks no rows of an outer join; devices in one order, so that two never wait in a ring.
    let statement = tx.dialect().pick([
        "SELECT id, state, name, hardware_id FROM device WHERE id IN (SELECT value FROM json_each($1))",
        "SELECT id, state, name, hardware_id FROM device WHERE id IN (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) \
         ORDER BY id FOR NO KEY UPDATE",
    ]);
    let ids = json_texts(devices);
    let mut standings = HashMap::new();
    for row in sqlx::query(statement).bind(ids.clone()).fetch_all(tx.conn()).await? {
        let standing = Standing {
            active: row.try_get::<&str, _>("state")? == "active",
            hardware: parsed(&row, "hardware_id")?,
            name: row.try_get("name")?,
            channels: HashMap::new(),
        };
        standings.insert(parsed::<DeviceId>(&row, "id")?, standing);
    }
    let statement = tx
        .dialect()
        .pick(in_texts!("SELECT device, channel, last, head, recent, address FROM channel WHERE device", ""));
    for row in sqlx::query(statement).bind(ids).fetch_all(tx.conn()).await? {
        let name: &str = row.try_get("channel")?;
        let channel = Channel::ALL.iter().copied().find(|channel| channel.as_str() == name);
        let channel = channel.ok_or_else(|| StoreError::Corrupt("column channel".to_owned()))?;
        if let Some(standing) = standings.get_mut(&parsed(&row, "device")?) {
            let stands = ChannelStanding {
                last: column::count(&row, "last")?,
                head: column::hash(&row, "head")?,
                recent: row.try_get::<Option<Vec<u8>>, _>("recent")?.unwrap_or_default(),
                address: row.try_get("address")?,
            };
            standing.channels.insert(channel, stands);
        }
    }
    Ok(standings)
}

/// A channel as it is after a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRow {
    /// The device.
    pub device: DeviceId,
    /// The channel.
    pub channel: Channel,
    /// Last committed sequence number.
    pub last: u64,
    /// Its chain head.
    pub head: Hash,
    /// What is kept of the heads before.
    pub recent: Vec<u8>,
    /// Where the report came from.
    pub address: String,
}

/// The address from which a device spoke last; `None`: it has not spoken.
///
/// # Errors
/// When the database cannot be read.
pub async fn last_address(tx: &mut Tx, device: DeviceId) -> Result<Option<String>, StoreError> {
    let statement = "SELECT address FROM channel WHERE device = $1 AND address <> '' ORDER BY channel DESC LIMIT 1";
    Ok(sqlx::query_scalar(statement).bind(device.to_string()).fetch_optional(tx.conn()).await?)
}

static PUT: Bulk = Bulk::new(
    "INSERT INTO channel (device, channel, last, head, recent, address)",
    6,
    "ON CONFLICT (device, channel) DO UPDATE SET last = excluded.last, head = excluded.head, recent = excluded.recent, \
     address = excluded.address",
);

/// Sets channels, each at most once.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, rows: &[ChannelRow]) -> Result<(), StoreError> {
    PUT.run(tx, rows, |query, row| {
        query
            .bind(row.device.to_string())
            .bind(row.channel.as_str())
            .bind(column::signed(row.last))
            .bind(row.head.0.to_vec())
            .bind(row.recent.clone())
            .bind(row.address.clone())
    })
    .await?;
    Ok(())
}

/// Sets what is remembered of all channels of a device.
///
/// # Errors
/// When the database cannot be written.
pub async fn remember(tx: &mut Tx, device: DeviceId, recent: &[u8]) -> Result<(), StoreError> {
    let statement = "UPDATE channel SET recent = $2 WHERE device = $1";
    sqlx::query(statement).bind(device.to_string()).bind(recent.to_vec()).execute(tx.conn()).await?;
    Ok(())
}
