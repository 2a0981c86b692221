//! The outbox: every message is on disk before it is sent, gets its sequence number when it is first put into a batch, and is
//! forgotten only when the site acknowledged it.
//!
//! A batch that was made is made again with the same messages until it is acknowledged, so a retransmission is always
//! recognised. Messages that were in no batch yet may still be replaced by newer ones, or dropped when the outbox is full.

use super::{Store, StoreError, set_value, value};
use muster_model::{
    compliance::ComplianceOutcome,
    id::{Hash, SiteCode},
    log::LogPiece,
    report::{Batch, Body, Channel, Message, ReportAnswer},
    status::{Component, MessageId, Severity, StatusMessage},
    time::UnixMillis,
};
use muster_trust::chain;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Bytes of messages in one batch before compression; one message alone may have more.
const BATCH_BYTES: usize = 2 << 20;
/// Messages in one batch.
const BATCH_MESSAGES: usize = 1_000;
/// How many messages were dropped since the site was last told.
const DROPPED: &str = "dropped";

/// How much the outbox may hold.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of messages from which on messages of low value are dropped, oldest first.
    pub low: u64,
    /// Bytes of messages from which on nothing more is taken.
    pub all: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        // A busy client writes a megabyte a month; an inventory of 20,000 packages has 4 MB.
        Self { low: 16 << 20, all: 64 << 20 }
    }
}

/// How much it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Size {
    const fn less(&mut self, messages: u64, bytes: u64) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// A batch as it goes out.
#[derive(Debug)]
pub struct Outgoing {
    /// JSON of the batch.
    pub json: Vec<u8>,
    channel: Channel,
    first: u64,
    /// The head after each message.
    heads: Vec<Hash>,
}

/// What the site's answer means for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// Kept by the site, and forgotten here.
    Acknowledged {
        /// Whether the site wants classes of the inventory again.
        resync: bool,
    },
    /// The answer does not fit the batch: nothing was forgotten.
    Contradiction,
}

/// Makes a status message's body.
#[must_use]
pub fn status(component: Component, severity: Severity, id: MessageId, values: &[(&str, &str)]) -> Body {
    let cut = |text: &str| {
        let mut end = text.len().min(1_024);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].chars().filter(|c| !c.is_control()).collect()
    };
    let values = values.iter().map(|(name, text)| ((*name).to_owned(), cut(text))).collect::<BTreeMap<_, _>>();
    Body::Status(StatusMessage { component, id, severity, values })
}

pub(super) fn create_channels(tx: &Transaction<'_>, resume: bool) -> Result<(), StoreError> {
    for channel in Channel::ALL {
        tx.execute(
            "INSERT INTO channel (name, acknowledged, head, resume, most) VALUES (?1, 0, ?2, ?3, ?4)",
            params![channel.as_str(), Hash::ZERO.0, resume, BATCH_MESSAGES as i64],
        )?;
    }
    Ok(())
}

/// How much is held.
///
/// # Errors
/// See [`StoreError`].
pub fn measure(connection: &Connection) -> Result<Size, StoreError> {
    let sql = "SELECT count(*), coalesce(sum(length(body)), 0) FROM message";
    Ok(connection.query_row(sql, [], |row| Ok(Size { messages: row.get(0)?, bytes: row.get(1)? }))?)
}

/// Puts a message in, inside a transaction.
pub(super) fn push(
    tx: &Transaction<'_>,
    size: &mut Size,
    bounds: Bounds,
    message: &Message,
) -> Result<i64, StoreError> {
    let (kind, low) = match &message.body {
        Body::Status(status) => ("status", status.severity == Severity::Information),
        Body::Deployment(_) => ("deployment", false),
        Body::Heartbeat(_) => ("heartbeat", false),
        Body::Network(_) => ("network", false),
        Body::Discovery(_) => ("discovery", false),
        Body::Compliance(_) => ("compliance", false),
        Body::Health(_) => ("health", false),
        Body::Inventory(_) => ("inventory", false),
        Body::Log(_) => ("log", false),
        Body::LogPiece(_) => ("log_piece", false),
    };
    if matches!(kind, "heartbeat" | "network" | "discovery" | "log_piece" | "health") {
        remove_waiting(tx, size, kind)?;
    }
    let body = serde_json::to_string(message).map_err(|_| StoreError::Damaged)?;
    let bytes = body.len() as u64;
    if size.bytes + bytes > bounds.low {
        make_room(tx, size, bounds.low.saturating_sub(bytes))?;
    }
    let over = if low { size.bytes + bytes > bounds.low } else { size.bytes + bytes > bounds.all };
    if over && low {
        count_dropped(tx, 1)?;
        return Ok(0);
    }
    if over {
        return Err(StoreError::OutboxFull);
    }
    tx.execute(
        "INSERT INTO message (channel, kind, low, body) VALUES (?1, ?2, ?3, ?4)",
        params![message.body.channel().as_str(), kind, low, body],
    )?;
    size.messages += 1;
    size.bytes += bytes;
    Ok(tx.last_insert_rowid())
}

/// Removes messages of a kind that were in no batch yet.
pub(super) fn remove_waiting(tx: &Transaction<'_>, size: &mut Size, kind: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM message WHERE sequence IS NULL AND kind = ?1 RETURNING length(body)";
    let gone: Vec<u64> = tx.prepare_cached(sql)?.query_map([kind], |row| row.get(0))?.collect::<Result<_, _>>()?;
    size.less(gone.len() as u64, gone.iter().sum());
    Ok(())
}

/// Drops messages of low value, oldest first, until at most `target` bytes are held.
fn make_room(tx: &Transaction<'_>, size: &mut Size, target: u64) -> Result<(), StoreError> {
    let mut dropped = 0;
    while size.bytes > target {
        let sql = "DELETE FROM message WHERE id = (SELECT min(id) FROM message WHERE sequence IS NULL AND low = 1) \
                   RETURNING length(body)";
        let Some(bytes) = tx.query_row(sql, [], |row| row.get::<_, u64>(0)).optional()? else { break };
        size.less(1, bytes);
        dropped += 1;
    }
    count_dropped(tx, dropped)
}

fn count_dropped(tx: &Transaction<'_>, more: u64) -> Result<(), StoreError> {
    if more == 0 {
        return Ok(());
    }
    let before = value(tx, DROPPED)?.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    set_value(tx, DROPPED, &(before + more).to_string())
}

/// When the oldest message that waits was made. `None`: none waits.
///
/// # Errors
/// See [`StoreError`].
pub fn oldest(connection: &Connection) -> Result<Option<UnixMillis>, StoreError> {
    let sql = "SELECT body FROM message ORDER BY id LIMIT 1";
    let body: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    body.map(|body| serde_json::from_str(&body).map(|message: Message| message.time))
        .transpose()
        .map_err(|_| StoreError::Damaged)
}

impl Store {
    /// As [`oldest`].
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn oldest(&self) -> Result<Option<UnixMillis>, StoreError> {
        oldest(&self.lock().connection)
    }

    /// Puts a message in. When this returns it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] and [`StoreError::OutboxFull`]: it is not kept; try again later, or do without.
    pub fn push(&self, message: &Message) -> Result<(), StoreError> {
        self.run(|tx, size, bounds| push(tx, size, bounds, message).map(drop))?;
        self.more.notify_one();
        Ok(())
    }

    /// As [`Store::push`], if `value` is another one than what was said under this name before. Both are kept at once: a kill in between
    /// neither loses the message nor says it twice.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn push_change(&self, key: &str, value: &str, message: &Message) -> Result<(), StoreError> {
        if self.value(key)?.as_deref() == Some(value) {
            return Ok(());
        }
        self.push_with([(key, value)], message)
    }

    /// As [`Store::push`], and keeps values under their names, both at once.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn push_with<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
        message: &Message,
    ) -> Result<(), StoreError> {
        self.run(|tx, size, bounds| {
            for (key, value) in values {
                set_value(tx, key, value)?;
            }
            push(tx, size, bounds, message).map(drop)
        })?;
        self.more.notify_one();
        Ok(())
    }

    /// Waits until something may be there to send.
    pub async fn wait_for_more(&self) {
        self.more.notified().await;
    }

    /// Changes how much is held at most.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.lock().bounds = bounds;
    }

    /// Whether so much waits to be sent that messages of low value are dropped.
    #[must_use]
    pub fn is_backed_up(&self) -> bool {
        let inner = self.lock();
        inner.size.bytes > inner.bounds.low
    }

    /// How much is held.
    #[must_use]
    pub fn size(&self) -> Size {
        self.lock().size
    }

    /// The next batch of a channel; `None`: there is nothing to send. The same batch until it is acknowledged.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn batch(&self, site: SiteCode, channel: Channel, now: UnixMillis) -> Result<Option<Outgoing>, StoreError> {
        self.run(|tx, size, bounds| {
            let (acknowledged, previous, resume, most) = channel_state(tx, channel)?;
            let mut messages = sealed(tx, channel, most)?;
            if messages.is_empty() {
                report_dropped(tx, size, bounds, channel, now)?;
                messages = seal(tx, channel, acknowledged, most)?;
            }
            if messages.is_empty() {
                return Ok(None);
            }
            let mut head = previous;
            let heads = messages.iter().map(|message| {
                head = chain(head, message.get().as_bytes());
                head
            });
            let (first, heads) = (acknowledged + 1, heads.collect());
            let batch = Batch { site, channel, time: now, first, previous, resume_after_loss: resume, messages };
            let json = serde_json::to_vec(&batch).map_err(|_| StoreError::Damaged)?;
            Ok(Some(Outgoing { json, channel, first, heads }))
        })
    }

    /// Takes in the site's answer to a batch.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn answered(&self, sent: &Outgoing, answer: &ReportAnswer) -> Result<Answered, StoreError> {
        let at = answer.acknowledged.checked_sub(sent.first).and_then(|at| usize::try_from(at).ok());
        if at.and_then(|at| sent.heads.get(at)) != Some(&answer.head) {
            return Ok(Answered::Contradiction);
        }
        let channel = sent.channel.as_str();
        self.run(|tx, size, _| {
            if answer.quarantined.iter().any(|refused| refused.class.is_none()) && sent.channel == Channel::Status {
                unknown_results(tx, answer)?;
            }
            let sql = "DELETE FROM message WHERE channel = ?1 AND sequence <= ?2 RETURNING length(body)";
            let gone: Vec<u64> = tx
                .prepare_cached(sql)?
                .query_map(params![channel, answer.acknowledged], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            size.less(gone.len() as u64, gone.iter().sum());
            tx.execute(
                "UPDATE channel SET acknowledged = ?2, head = ?3, resume = 0, most = ?4 WHERE name = ?1",
                params![channel, answer.acknowledged, answer.head.0, BATCH_MESSAGES as i64],
            )?;
            let refused = answer.quarantined.iter().filter_map(|q| q.class.as_ref());
            for class in answer.resync.iter().chain(refused) {
                super::sections::forget(tx, class)?;
            }
            Ok(())
        })?;
        for refused in &answer.quarantined {
            let class = refused.class.as_deref().unwrap_or("whole");
            tracing::warn!(
                sequence = refused.sequence,
                class,
                reason = refused.reason,
                "the site did not take a message"
            );
        }
        Ok(Answered::Acknowledged { resync: !answer.resync.is_empty() })
    }

    /// The site does not have what comes before this batch, or has more than this client remembers: goes on where the site
    /// wants it, and says what is lost.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn go_on_at(&self, sent: &Outgoing, expected: u64, now: UnixMillis) -> Result<(), StoreError> {
        let channel = sent.channel.as_str();
        self.run(|tx, size, bounds| {
            if expected > sent.first {
                // The site has more than we remember: our outbox is younger than our identity, or was set back. What waits
                // gets the numbers after the site's, in two steps because numbers are unique.
                let by = expected - sent.first;
                let away = "UPDATE message SET sequence = -sequence - ?2 WHERE channel = ?1 AND sequence > 0";
                tx.execute(away, params![channel, by])?;
                let back = "UPDATE message SET sequence = -sequence WHERE channel = ?1 AND sequence < 0";
                tx.execute(back, params![channel])?;
                tx.execute(
                    "UPDATE channel SET acknowledged = ?2, head = ?3, resume = 1 WHERE name = ?1",
                    params![channel, expected - 1, Hash::ZERO.0],
                )?;
            } else {
                tx.execute("UPDATE channel SET resume = 1 WHERE name = ?1", params![channel])?;
            }
            if expected == sent.first {
                return Ok(());
            }
            if sent.channel == Channel::Status {
                // The site was restored from a backup, or this client from an older state.
                super::compliance::forget_told(tx, None, now)?;
            }
            let (from, to) =
                if expected < sent.first { (expected, (sent.first - 1).to_string()) } else { (expected, "?".into()) };
            let values = [("channel", channel), ("from", &from.to_string()), ("to", to.as_str())];
            let body = status(Component::Transport, Severity::Warning, MessageId::OutboxLost, &values);
            push(tx, size, bounds, &Message { time: now, body }).map(drop)
        })
    }

    /// The site says that the batch is too large: the next one has half of the messages; one that is too large alone is
    /// replaced by a message that says so.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn too_large(&self, sent: &Outgoing, now: UnixMillis) -> Result<(), StoreError> {
        let channel = sent.channel.as_str();
        let count = sent.heads.len();
        self.run(|tx, size, _| {
            if count > 1 {
                tx.execute("UPDATE channel SET most = ?2 WHERE name = ?1", params![channel, (count / 2) as i64])?;
                return Ok(());
            }
            let piece = log_piece(tx, sent)?;
            let body = match sent.channel {
                Channel::Status => {
                    status(Component::Transport, Severity::Error, MessageId::OutboxFull, &[("count", "1")])
                }
                Channel::Inventory => piece.map_or_else(unsent_inventory, Body::LogPiece),
            };
            let body = serde_json::to_string(&Message { time: now, body }).map_err(|_| StoreError::Damaged)?;
            let sql = "UPDATE message SET body = ?3 WHERE channel = ?1 AND sequence = ?2";
            tx.execute(sql, params![channel, sent.first, body])?;
            super::sections::forget_all(tx)?;
            *size = measure(tx)?;
            Ok(())
        })
    }
}

/// What is said instead of an inventory that is too large.
fn unsent_inventory() -> Body {
    Body::Inventory(muster_model::inventory::InventoryReport {
        sections: Vec::new(),
        unread: vec![muster_model::inventory::Unread {
            class: "OPERATING_SYSTEM".into(),
            reason: "The inventory is larger than the site takes; raise the site's limit.".into(),
        }],
    })
}

/// A batch that is a piece of the log alone: that piece without its lines, which the site does not take.
fn log_piece(tx: &Transaction<'_>, sent: &Outgoing) -> Result<Option<LogPiece>, StoreError> {
    let sql = "SELECT body FROM message WHERE channel = ?1 AND sequence = ?2";
    let text: Option<String> =
        tx.query_row(sql, params![sent.channel.as_str(), sent.first], |row| row.get(0)).optional()?;
    let message = text.and_then(|text| serde_json::from_str::<Message>(&text).ok());
    match message.map(|message| message.body) {
        Some(Body::LogPiece(piece)) => Ok(Some(LogPiece { lines: Vec::new(), ..piece })),
        _ => Ok(None),
    }
}

/// The site says that it does not have the results that were said to be unchanged: they are told again.
fn unknown_results(tx: &Transaction<'_>, answer: &ReportAnswer) -> Result<(), StoreError> {
    let sql = "SELECT body FROM message WHERE channel = ?1 AND sequence = ?2";
    for refused in &answer.quarantined {
        let values = params![Channel::Status.as_str(), refused.sequence];
        let text: Option<String> = tx.query_row(sql, values, |row| row.get(0)).optional()?;
        let message = text.and_then(|text| serde_json::from_str::<Message>(&text).ok());
        if let Some(Message { time, body: Body::Compliance(report) }) = message
            && matches!(report.outcome, ComplianceOutcome::Unchanged { .. })
        {
            super::compliance::forget_told(tx, Some(report.deployment), time)?;
        }
    }
    Ok(())
}

fn channel_state(tx: &Transaction<'_>, channel: Channel) -> Result<(u64, Hash, bool, usize), StoreError> {
    let sql = "SELECT acknowledged, head, resume, most FROM channel WHERE name = ?1";
    let row = tx.query_row(sql, [channel.as_str()], |row| {
        Ok((row.get(0)?, Hash(row.get(1)?), row.get(2)?, row.get::<_, i64>(3)?))
    })?;
    Ok((row.0, row.1, row.2, usize::try_from(row.3).unwrap_or(1).max(1)))
}

fn raw(body: String) -> Result<Box<RawValue>, StoreError> {
    RawValue::from_string(body).map_err(|_| StoreError::Damaged)
}

/// Messages that have numbers already.
fn sealed(tx: &Transaction<'_>, channel: Channel, most: usize) -> Result<Vec<Box<RawValue>>, StoreError> {
    let sql = "SELECT body FROM message WHERE channel = ?1 AND sequence IS NOT NULL ORDER BY sequence LIMIT ?2";
    let mut statement = tx.prepare_cached(sql)?;
    let bodies = statement.query_map(params![channel.as_str(), most as i64], |row| row.get::<_, String>(0))?;
    bodies.map(|body| raw(body?)).collect()
}

/// Gives numbers to the oldest messages that have none.
fn seal(tx: &Transaction<'_>, channel: Channel, after: u64, most: usize) -> Result<Vec<Box<RawValue>>, StoreError> {
    let sql = "SELECT id, body, kind FROM message WHERE channel = ?1 AND sequence IS NULL ORDER BY id LIMIT ?2";
    let (mut statement, mut bytes, mut messages) = (tx.prepare_cached(sql)?, 0, Vec::new());
    let mut inventory = false;
    let mut rows = statement.query(params![channel.as_str(), most as i64])?;
    while let Some(row) = rows.next()? {
        let (id, body): (i64, String) = (row.get(0)?, row.get(1)?);
        bytes += body.len();
        if bytes > BATCH_BYTES && !messages.is_empty() {
            break;
        }
        let sequence = after + 1 + messages.len() as u64;
        tx.prepare_cached("UPDATE message SET sequence = ?2 WHERE id = ?1")?.execute(params![id, sequence])?;
        messages.push(raw(body)?);
        inventory |= row.get::<_, String>(2)? == "inventory";
    }
    // Not for a piece of the log alone: what waits behind it may still be replaced.
    if inventory {
        super::sections::seal(tx)?;
    }
    Ok(messages)
}

/// Says how many messages were dropped, once there is room to say it.
fn report_dropped(
    tx: &Transaction<'_>,
    size: &mut Size,
    bounds: Bounds,
    channel: Channel,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let Some(count) = value(tx, DROPPED)?.filter(|count| channel == Channel::Status && count != "0") else {
        return Ok(());
    };
    let body = status(Component::Transport, Severity::Warning, MessageId::OutboxFull, &[("count", &count)]);
    match push(tx, size, bounds, &Message { time: now, body }) {
        Ok(_) => set_value(tx, DROPPED, "0"),
        Err(StoreError::OutboxFull) => Ok(()),
        Err(error) => Err(error),
    }
}
