//! What the site was last told of each inventory class, so that only differences are sent.
//!
//! The base of a difference is the state of the last message that has a sequence number: the channel is ordered, so the site has
//! that state when the difference arrives. If it does not, it asks, and the base is forgotten.

use super::{
    Store, StoreError,
    outbox::{self, push},
};
use crate::collect::{
    Collected,
    diff::{self, Base},
};
use muster_model::{
    catalogue::Class,
    inventory::{InventoryReport, Row, Section},
    report::{Body, Message},
    time::UnixMillis,
};
use rusqlite::{OptionalExtension, Transaction, params};
use std::io::Read;

/// Bytes of one class's base after decompression; 20,000 rows have 4 MB.
const BASE_BYTES: u64 = 64 << 20;

fn encode(base: &Base) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(base).map_err(|_| StoreError::Damaged)?;
    zstd::bulk::compress(&json, 3).map_err(|_| StoreError::Damaged)
}

fn decode(bytes: &[u8]) -> Option<Base> {
    let mut json = Vec::new();
    zstd::stream::read::Decoder::new(bytes).ok()?.take(BASE_BYTES).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

/// A message with waiting sections got its number: they are the base now.
pub(super) fn seal(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.execute("UPDATE section SET base = waiting, waiting = NULL WHERE waiting IS NOT NULL", [])?;
    Ok(())
}

/// The site does not have this class as we think.
pub(super) fn forget(tx: &Transaction<'_>, class: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE section SET base = NULL WHERE class = ?1", [class])?;
    Ok(())
}

pub(super) fn forget_all(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.execute("UPDATE section SET base = NULL", [])?;
    Ok(())
}

impl Store {
    /// Puts an inventory in: each class in full the first time, then what changed. One that waits to be sent is replaced.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn push_inventory(&self, collected: &Collected, now: UnixMillis) -> Result<usize, StoreError> {
        let sections = self.run(|tx, size, bounds| {
            outbox::remove_waiting(tx, size, "inventory")?;
            tx.execute("UPDATE section SET waiting = NULL", [])?;
            let mut sections = Vec::new();
            for (class, rows) in &collected.classes {
                let Some(class) = collected.class(class) else { continue };
                sections.extend(section(tx, class, rows)?);
            }
            let count = sections.len();
            let body = Body::Inventory(InventoryReport { sections, unread: collected.unread.clone() });
            push(tx, size, bounds, &Message { time: now, body })?;
            Ok(count)
        })?;
        self.more.notify_one();
        Ok(sections)
    }

    /// Forgets what the site was told: the next inventory is full.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget_sections(&self) -> Result<(), StoreError> {
        self.run(|tx, _, _| forget_all(tx))
    }
}

/// The change of one class since its base; `None`: there is none.
fn section(tx: &Transaction<'_>, class: &Class, rows: &[Row]) -> Result<Option<Section>, StoreError> {
    let name = class.name.as_str();
    let sql = "SELECT base FROM section WHERE class = ?1 AND base IS NOT NULL";
    let base: Option<Vec<u8>> = tx.query_row(sql, [name], |row| row.get(0)).optional()?;
    // A base that does not parse any more is no base: the class is sent in full.
    let base = base.and_then(|bytes| decode(&bytes));
    let Some(section) = diff::section(class, base.as_ref(), rows.to_vec()) else { return Ok(None) };
    tx.execute(
        "INSERT INTO section (class, waiting) VALUES (?1, ?2) ON CONFLICT (class) DO UPDATE SET waiting = ?2",
        params![name, encode(&Base::of(class, rows))?],
    )?;
    Ok(Some(section))
}
