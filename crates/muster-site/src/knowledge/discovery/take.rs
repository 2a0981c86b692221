//! Taking records in. Which resource a record is of, in this order, and never by a guess:
//!
//! 1. the one that its method, or another one, knew under the same identity;
//! 2. for a heartbeat: the device that the connection proved;
//! 3. for a computer of a directory: the client whose account of that security identifier its domain has proven;
//! 4. else one of its own.
//!
//! What is on the network is never a client by what that client says of itself: whoever says the address of another machine would hide it.
//! That two have one hardware address is shown, and joins nothing.
//! Two things that claim one security identifier stay two, and both are shown as a conflict.

use super::{
    merge::{settle, settle_others},
    upkeep::leave,
};
use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{DiscoveryMethod, ResourceKind},
    discovery::{DiscoveryRecord, Fact, Facts},
    id::DeviceId,
    limits::{DISCOVERED_RESOURCES, NETWORK_RESOURCES},
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
        facts: spelled(facts),
    }
}

/// Hardware addresses in one spelling, by which others find them.
fn spelled(mut facts: Facts) -> Facts {
    if let Some(Fact::List(addresses)) = facts.get_mut("MACAddresses") {
        addresses.iter_mut().for_each(|address| address.make_ascii_uppercase());
    }
    facts
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
    let mut room = Room::default();
    let mut again: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for record in good {
        let rows = known.get(&record.identity).map_or(&[][..], Vec::as_slice);
        let before = rows.iter().find(|row| row.method == record.method);
        let left = before.map(|row| (row.resource_id, row.kind));
        let old_sid = before.and_then(|row| row.sid.clone());
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
        // The next record of the same identity must find it, and not the one before.
        let rows = known.entry(record.identity.clone()).or_default();
        rows.retain(|other| other.method != record.method);
        rows.push(row);
        settle(tx, number, record.kind, now).await?;
        if let Some((left, kind)) = left.filter(|(left, _)| *left != number) {
            leave(tx, left, kind, now).await?;
        }
        if record.method != DiscoveryMethod::Heartbeat {
            let sids = [record.sid().map(str::to_owned), old_sid.filter(|sid| Some(sid.as_str()) != record.sid())];
            for sid in sids.into_iter().flatten() {
                settle_others(tx, &sid, &record.identity, now).await?;
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
    room: &mut Room,
    taken: &mut Taken,
) -> Result<Option<i64>, SiteError> {
    if record.method == DiscoveryMethod::Heartbeat {
        let device = record.identity.strip_prefix("device:").and_then(|id| id.parse::<DeviceId>().ok());
        return match device {
            Some(device) => Ok(resource::of_device(tx.conn(), device).await?),
            None => Ok(None),
        };
    }
    // One identity is one kind of thing: what becomes another kind is another thing. Where it was before comes first.
    let own = rows.iter().find(|row| row.method == record.method && row.kind == record.kind);
    if let Some(row) = own.or_else(|| rows.iter().find(|row| row.kind == record.kind))
        && stays(tx, record, row).await?
    {
        return Ok(Some(row.resource_id));
    }
    if record.kind == ResourceKind::System
        && let Some(client) = client_of(tx, record).await?
    {
        return Ok(Some(client));
    }
    if !room.take(tx, record.method).await? {
        return Ok(None);
    }
    taken.new += 1;
    Ok(Some(resource::insert(tx, record.kind, &record.name, record.found).await?))
}

/// How many resources more there may be. Counted once, and only where there is something new.
#[derive(Debug, Default)]
struct Room {
    all: Option<u64>,
    network: Option<u64>,
}

impl Room {
    /// Takes one place; whether there was one. What is on the network has a share of its own, and cannot keep a directory out.
    async fn take(&mut self, tx: &mut Tx, method: DiscoveryMethod) -> Result<bool, SiteError> {
        let all = match self.all {
            Some(left) => left,
            None => DISCOVERED_RESOURCES.saturating_sub(resource::count_found(tx.conn()).await?),
        };
        self.all = Some(all);
        if method == DiscoveryMethod::Network {
            let network = match self.network {
                Some(left) => left,
                None => NETWORK_RESOURCES.saturating_sub(discovery::count(tx.conn(), "", method).await?),
            };
            self.network = Some(network.saturating_sub(1));
            if network == 0 {
                return Ok(false);
            }
        }
        self.all = Some(all.saturating_sub(1));
        Ok(all > 0)
    }
}

/// Whether a record stays with the resource of a row of the same identity. With a client it is for as long only as the reason holds.
async fn stays(tx: &mut Tx, record: &DiscoveryRecord, row: &RecordRow) -> Result<bool, SiteError> {
    if resource::client(tx.conn(), row.resource_id).await?.is_none() {
        return Ok(true);
    }
    match record.method {
        DiscoveryMethod::Network => Ok(false),
        _ => Ok(record.sid().is_some() && record.sid() == row.sid.as_deref()),
    }
}

/// The client that a computer of a directory is: its domain proved the account when it enrolled, and nobody else claims it.
async fn client_of(tx: &mut Tx, record: &DiscoveryRecord) -> Result<Option<i64>, SiteError> {
    let Some(sid) = record.sid().filter(|_| record.method != DiscoveryMethod::Network) else { return Ok(None) };
    if !discovery::others_with_sid(tx.conn(), sid, &record.identity).await?.is_empty() {
        return Ok(None);
    }
    Ok(resource::of_account(tx.conn(), sid).await?)
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::TestSite;

    #[tokio::test]
    async fn what_is_on_the_network_cannot_keep_a_directory_out() {
        let test = TestSite::new().await;
        let (network, directory) = (DiscoveryMethod::Network, DiscoveryMethod::DirectorySystem);
        let took = transaction!(test.site.store, "test", |tx| {
            let mut room = Room { all: Some(3), network: Some(1) };
            let mut took = Vec::new();
            for method in [network, network, directory, directory, directory, network] {
                took.push(room.take(tx, method).await?);
            }
            // Counted where it is not known.
            took.push(Room::default().take(tx, network).await?);
            Ok::<_, SiteError>(took)
        });
        assert_eq!(took.unwrap(), [true, false, true, true, false, false, true]);
    }
}
