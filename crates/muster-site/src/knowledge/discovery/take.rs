//! Taking records in. Which resource a record is of, in this order, and never by a guess:
//!
//! 1. the one that its method, or another one, knew under the same identity;
//! 2. for a heartbeat: the device that the connection proved;
//! 3. for a computer of a directory: the client whose account of that security identifier its domain has proven;
//! 4. for what is on the network: the one system that has its hardware address;
//! 5. else one of its own.
//!
//! Two things that claim one security identifier stay two, and both are shown as a conflict.

use super::merge::settle;
use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{DiscoveryMethod, ResourceKind},
    discovery::{DiscoveryRecord, Facts},
    id::DeviceId,
    limits::DISCOVERED_RESOURCES,
    time::UnixMillis,
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        discovery::{self, RecordRow},
        resource,
    },
    transaction,
};
use std::collections::{BTreeMap, HashMap};

/// What records came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Resources that nobody had found before.
    pub new: u64,
    /// Records that say something else than before.
    pub changed: u64,
    /// Records that say the same.
    pub same: u64,
    /// Records that may not be stored.
    pub refused: u64,
}

/// Takes in what a method found that the site itself runs.
///
/// # Errors
/// `unauthenticated` for everybody but the site.
pub async fn discovery_take(ctx: &Ctx, site: &Site, records: &[DiscoveryRecord]) -> Result<Taken, SiteError> {
    authz::site(ctx)?;
    let taken = transaction!(site.store, "discovery_take", |tx| { take(tx, records, ctx.now).await })?;
    if taken.new + taken.changed > 0 {
        site.bus.publish(Notice::Changed(Noun::Device));
    }
    Ok(taken)
}

/// What a client said of itself, as a record. Whose it is, its connection proved.
pub(crate) fn heartbeat(device: DeviceId, facts: Facts, now: UnixMillis) -> DiscoveryRecord {
    DiscoveryRecord {
        method: DiscoveryMethod::Heartbeat,
        kind: ResourceKind::System,
        identity: format!("device:{device}"),
        source: String::new(),
        name: device.to_string(),
        found: now,
        facts,
    }
}

/// Takes records in; those that are not what a record may be are counted and dropped.
pub(crate) async fn take(tx: &mut Tx, records: &[DiscoveryRecord], now: UnixMillis) -> Result<Taken, SiteError> {
    let mut taken = Taken::default();
    let good = |record: &&DiscoveryRecord| record.check().is_ok();
    let good: Vec<&DiscoveryRecord> = records.iter().filter(good).collect();
    taken.refused = (records.len() - good.len()) as u64;
    let identities: Vec<&str> = good.iter().map(|record| record.identity.as_str()).collect();
    let mut known: HashMap<String, Vec<RecordRow>> = HashMap::new();
    for row in discovery::of_identities(tx, &identities).await? {
        known.entry(row.identity.clone()).or_default().push(row);
    }
    let mut room = None;
    let mut again: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for record in good {
        let rows = known.get(&record.identity).map_or(&[][..], Vec::as_slice);
        let before = rows.iter().find(|row| row.method == record.method);
        if let Some(before) = before
            && before.gone.is_none()
            && before.name == record.name
            && before.source == record.source
            && before.facts == record.facts
        {
            again.entry(record.found.0).or_default().push(before.id);
            taken.same += 1;
            continue;
        }
        let Some(number) = whose(tx, record, rows, &mut room, &mut taken).await? else {
            taken.refused += 1;
            continue;
        };
        taken.changed += 1;
        let row = RecordRow {
            id: 0,
            method: record.method,
            identity: record.identity.clone(),
            source: record.source.clone(),
            kind: record.kind,
            resource_id: number,
            name: record.name.clone(),
            sid: record.sid().map(str::to_owned),
            first_found: record.found,
            found: record.found,
            gone: None,
            facts: record.facts.clone(),
        };
        discovery::put(tx, &row).await?;
        // The next record of the same identity must find it.
        known.entry(record.identity.clone()).or_default().push(row);
        settle(tx, number, record.kind, now).await?;
        if let Some(sid) = record.sid().filter(|_| record.method != DiscoveryMethod::Heartbeat) {
            for other in discovery::others_with_sid(tx.conn(), sid, &record.identity).await? {
                settle(tx, other, record.kind, now).await?;
            }
        }
    }
    for (found, ids) in again {
        discovery::found_again(tx, &ids, UnixMillis(found)).await?;
    }
    Ok(taken)
}

/// The resource of a record; `None`: it would be one more than a site holds, or its device is no more.
async fn whose(
    tx: &mut Tx,
    record: &DiscoveryRecord,
    rows: &[RecordRow],
    room: &mut Option<u64>,
    taken: &mut Taken,
) -> Result<Option<i64>, SiteError> {
    if record.method == DiscoveryMethod::Heartbeat {
        let device = record.identity.strip_prefix("device:").and_then(|id| id.parse::<DeviceId>().ok());
        return match device {
            Some(device) => Ok(resource::of_device(tx.conn(), device).await?),
            None => Ok(None),
        };
    }
    // One identity is one kind of thing: what becomes another kind is another thing.
    if let Some(row) = rows.iter().find(|row| row.kind == record.kind) {
        return Ok(Some(row.resource_id));
    }
    if record.kind == ResourceKind::System {
        if let Some(client) = client_of(tx, record).await? {
            return Ok(Some(client));
        }
        if record.method == DiscoveryMethod::Network
            && let Some(address) = record.identity.strip_prefix("mac:")
            && let [one] = resource::with_value(tx.conn(), "MACAddresses", address).await?[..]
        {
            return Ok(Some(one));
        }
    }
    // Counted once, and only where there is something new.
    let left = match room {
        Some(left) => *left,
        None => DISCOVERED_RESOURCES.saturating_sub(resource::count_found(tx.conn()).await?),
    };
    *room = Some(left.saturating_sub(1));
    if left == 0 {
        return Ok(None);
    }
    taken.new += 1;
    Ok(Some(resource::insert(tx, record.kind, &record.name, record.found).await?))
}

/// The client that a computer of a directory is: its domain proved the account when it enrolled, and nobody else claims it.
async fn client_of(tx: &mut Tx, record: &DiscoveryRecord) -> Result<Option<i64>, SiteError> {
    let Some(sid) = record.sid().filter(|_| record.method != DiscoveryMethod::Network) else { return Ok(None) };
    if !discovery::others_with_sid(tx.conn(), sid, &record.identity).await?.is_empty() {
        return Ok(None);
    }
    Ok(resource::of_account(tx.conn(), sid).await?)
}
