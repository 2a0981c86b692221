//! What time does to resources: clients that enrol or retire, and what nobody has found for long.

use super::{
    directory::regroup,
    merge::{class, note_each, settle, settle_others},
    passed, show,
};
use crate::{Site, SiteError, audit, ctx::Ctx};
use muster_model::{
    api::{DiscoveryMethod, ResourceKind},
    time::{DAY, UnixMillis},
};
use muster_store::{
    Connection, Tx,
    bus::{Notice, Noun},
    db::{
        collection, device_change,
        discovery::{self, RecordRow},
        resource, resource_group,
    },
    transaction,
};
use std::collections::BTreeSet;

/// Records of one transaction.
const PIECE: u32 = 200;
/// What a client says of itself is kept for two of the longest intervals in which it may say it.
const HEARTBEAT: i64 = 61 * DAY;

/// Joins records to clients that enrolled since, parts them from those that retired, and removes what nobody found for as long as the
/// site keeps such data. Whether there is more to do.
///
/// # Errors
/// When the store fails.
pub async fn discovery_work(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    // Mostly there is nothing to do, and whoever writes does not wait for that to be found out.
    let work = is_due(site, now).await?;
    let moved = if work.move_records {
        transaction!(site.store, "discovery_move", |tx| { move_records(tx, now).await })?
    } else {
        0
    };
    let aged = if work.age { transaction!(site.store, "discovery_age", |tx| { age(tx, now).await })? } else { 0 };
    if work.group {
        regroup(site).await?;
    }
    if moved + aged > 0 {
        site.bus.publish(Notice::Changed(Noun::Device));
    }
    Ok(moved.max(aged) >= PIECE as usize)
}

/// What there is to do.
struct Due {
    move_records: bool,
    age: bool,
    group: bool,
}

async fn is_due(site: &Site, now: UnixMillis) -> Result<Due, SiteError> {
    passed::note(site, now).await?;
    let mut reader = site.store.reader().await?;
    let before = before(&mut reader, now).await?;
    Ok(Due {
        move_records: !discovery::to_join(&mut reader, 1).await?.is_empty()
            || !discovery::to_part(&mut reader, 1).await?.is_empty(),
        age: !discovery::aged(&mut reader, before, 1).await?.is_empty(),
        group: !resource_group::asked(&mut reader, 1).await?.is_empty(),
    })
}

/// What was found last before these moments is too old; the second one is for what clients say of themselves, who may be told to do so once
/// in thirty days. Time in which the site did not look does not count.
async fn before(conn: &mut Connection, now: UnixMillis) -> Result<[UnixMillis; 2], SiteError> {
    let keep = i64::from(show::settings(conn).await?.keep_days) * DAY;
    let passed = passed::read(conn).await?;
    Ok([keep, keep.max(HEARTBEAT)].map(|keep| passed.before(now, keep)))
}

async fn move_records(tx: &mut Tx, now: UnixMillis) -> Result<usize, SiteError> {
    let (mut joined, mut parted) = (0_usize, 0_usize);
    for row in discovery::to_join(tx.conn(), PIECE).await? {
        let client = match row.sid.as_deref() {
            Some(sid) => resource::of_account(tx.conn(), sid).await?,
            None => None,
        };
        if let Some(client) = client {
            relocate(tx, row, client, now).await?;
            joined += 1;
        }
    }
    for row in discovery::to_part(tx.conn(), PIECE).await? {
        // Another record of the same thing may have moved before.
        let of_it = discovery::of_identities(tx, &[&row.identity]).await?;
        let mut own = None;
        for other in of_it.iter().filter(|other| other.kind == row.kind && other.resource_id != row.resource_id) {
            if resource::client(tx.conn(), other.resource_id).await?.is_none() {
                own = Some(other.resource_id);
            }
        }
        let own = match own {
            Some(own) => own,
            None => resource::insert(tx, row.kind, &row.name, row.first_found).await?,
        };
        relocate(tx, row, own, now).await?;
        parted += 1;
    }
    if joined + parted > 0 {
        // Members of collections change with it.
        let detail = format!(
            "{joined} records of directories were joined to clients, {parted} parted from clients that retired."
        );
        audit::append(tx, &Ctx::site(now), "discovery_move", "discovery".to_owned(), detail).await?;
    }
    Ok(joined + parted)
}

/// Gives a record to another resource; the one that it leaves goes where it has nothing else.
async fn relocate(tx: &mut Tx, row: RecordRow, to: i64, now: UnixMillis) -> Result<(), SiteError> {
    let (from, kind) = (row.resource_id, row.kind);
    discovery::put(tx, &RecordRow { resource_id: to, ..row }).await?;
    resource::follow(tx, from, to).await?;
    resource_group::ask(tx, &[to]).await?;
    settle(tx, to, kind, now).await?;
    leave(tx, from, kind, now).await
}

/// What is left of a resource that lost a record.
pub(super) async fn leave(tx: &mut Tx, number: i64, kind: ResourceKind, now: UnixMillis) -> Result<(), SiteError> {
    let empty = discovery::of_resource(tx.conn(), number).await?.is_empty();
    if empty && resource::client(tx.conn(), number).await?.is_none() {
        forget(tx, number, kind).await
    } else {
        settle(tx, number, kind, now).await
    }
}

/// Removes a resource on which no client runs. Collections that named it are evaluated again.
pub(super) async fn forget(tx: &mut Tx, number: i64, kind: ResourceKind) -> Result<(), SiteError> {
    let collections: BTreeSet<_> = collection::with_resource(tx.conn(), number).await?.into_iter().collect();
    if !collections.is_empty() {
        collection::lock(tx).await?;
    }
    if kind == ResourceKind::Group {
        // Its name goes with it, and what is computed later does not know who was in it.
        let members = resource_group::members(tx.conn(), number).await?;
        note_each(tx, &members).await?;
    }
    // What was in it is in less than before.
    resource_group::ask(tx, &[number]).await?;
    resource::remove(tx, number).await?;
    device_change::note_resources(tx, &[number], class(kind)).await?;
    for id in collections {
        collection::ask(tx, id).await?;
    }
    Ok(())
}

async fn age(tx: &mut Tx, now: UnixMillis) -> Result<usize, SiteError> {
    let days = show::settings(tx.conn()).await?.keep_days;
    let before = before(tx.conn(), now).await?;
    let rows = discovery::aged(tx.conn(), before, PIECE).await?;
    let mut removed = 0_u64;
    for row in &rows {
        discovery::remove(tx, row.id).await?;
        let (number, kind) = (row.resource_id, row.kind);
        // A client stays for as long as it is enrolled: only what discovery said of it goes.
        removed += u64::from(row.method != DiscoveryMethod::Heartbeat);
        leave(tx, number, kind, now).await?;
        if let Some(sid) = &row.sid {
            settle_others(tx, sid, &row.identity, now).await?;
        }
    }
    if removed > 0 {
        let detail = format!("Discovery data that is older than {days} days was removed: {removed} records.");
        audit::append(tx, &Ctx::site(now), "discovery_age", "discovery".to_owned(), detail).await?;
    }
    Ok(rows.len())
}
