//! Client status: which clients gave a sign of life, what their own checks found, and when too few of a collection are well.
//!
//! What a client says of its health counts for its own row alone. It decides nothing: neither what the client may do nor what it gets.

use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{
        AlertKind, ClientStatus, ClientStatusCounts, ClientStatusDetail, ClientStatusQuery, ClientStatusSettings,
        ClientStatusSummary, ClientStatusThreshold, ClientStatusThresholdSet, Page, PageQuery,
    },
    id::{AlertId, CollectionId, DeviceId},
    limits::{ALERT_DEVICES, CLIENT_STATUS_THRESHOLDS},
    problem::Code,
    status::Severity,
    time::{DAY, MINUTE, UnixMillis},
};
use muster_store::{
    Connection,
    bus::{Notice, Noun},
    db::{
        alert::{self, Raised},
        client_status, collection, setting,
    },
    transaction,
};
use std::collections::VecDeque;

/// The setting that says how old signs of life may be.
const SETTING: &str = "client_status";
/// How many days of counts are kept.
pub const HISTORY_DAYS: i64 = 31;
/// How long the site rests between two counts.
const REST: i64 = 5 * MINUTE;

async fn settings(conn: &mut Connection) -> Result<ClientStatusSettings, SiteError> {
    let odd = |_| SiteError::Fault("the stored settings of client status do not parse".to_owned());
    let text = setting::get(conn, SETTING).await?;
    text.map_or_else(|| Ok(ClientStatusSettings::default()), |text| serde_json::from_str(&text).map_err(odd))
}

/// How old signs of life may be.
///
/// # Errors
/// `unauthenticated`.
pub async fn client_status_settings_show(ctx: &Ctx, site: &Site) -> Result<ClientStatusSettings, SiteError> {
    authz::see(ctx)?;
    settings(&mut *site.store.reader().await?).await
}

/// Sets how old signs of life may be.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: a number of days is none between 1 and 366.
pub async fn client_status_settings_update(
    ctx: &Ctx,
    site: &Site,
    set: ClientStatusSettings,
) -> Result<ClientStatusSettings, SiteError> {
    authz::change(ctx)?;
    if !set.is_well_formed() {
        return Err(SiteError::refused(Code::Malformed, "Each sign of life may be 1 to 366 days old."));
    }
    let text = serde_json::to_string(&set).map_err(|error| SiteError::Fault(error.to_string()))?;
    transaction!(site.store, "client_status_settings_update", |tx| {
        setting::set(tx, SETTING, &text).await?;
        let detail = format!(
            "A client is active for {} days after a policy request, {} after a heartbeat, {} after an inventory, {} after a status \
             message and {} after its live channel; its checks count for {} days.",
            set.policy_request_days,
            set.heartbeat_days,
            set.inventory_days,
            set.status_message_days,
            set.live_channel_days,
            set.check_days
        );
        audit::append(tx, ctx, "client_status_settings_update", SETTING.to_owned(), detail).await
    })?;
    Ok(set)
}

async fn known(conn: &mut Connection, id: CollectionId) -> Result<String, SiteError> {
    Ok(collection::get(conn, id).await?.ok_or_else(SiteError::not_found)?.name.to_string())
}

/// How many clients of the site, or of a collection, are well, now and on the days before.
///
/// # Errors
/// `unauthenticated`; `not_found`: there is no such collection.
pub async fn client_status_summary(
    ctx: &Ctx,
    site: &Site,
    of: Option<CollectionId>,
) -> Result<ClientStatusSummary, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    if let Some(id) = of {
        known(&mut reader, id).await?;
    }
    let by = settings(&mut reader).await?;
    Ok(ClientStatusSummary {
        collection: of,
        counts: client_status::counts(&mut reader, &by, of, ctx.now).await?,
        online: site.memory.online.count(),
        days: client_status::days(&mut reader, of, first_day(ctx.now)).await?,
    })
}

/// The first day that is kept.
fn first_day(now: UnixMillis) -> UnixMillis {
    UnixMillis((now.0.div_euclid(DAY) - HISTORY_DAYS + 1) * DAY)
}

/// One page of clients, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`; `not_found`: there is no such collection.
pub async fn client_status_list(
    ctx: &Ctx,
    site: &Site,
    query: ClientStatusQuery,
) -> Result<Page<ClientStatus>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let query = ClientStatusQuery { offset: page.offset, limit: page.limit, ..query };
    let mut reader = site.store.reader().await?;
    if let Some(id) = query.collection {
        known(&mut reader, id).await?;
    }
    let by = settings(&mut reader).await?;
    let (mut items, total) = client_status::list(&mut reader, &by, &query, ctx.now).await?;
    for item in &mut items {
        item.online = site.memory.online.contains(item.device);
    }
    Ok(Page { items, total, offset: page.offset })
}

/// The status of a client, with each of its checks.
///
/// # Errors
/// `unauthenticated`; `not_found`: it is no active device.
pub async fn client_status_show(ctx: &Ctx, site: &Site, device: DeviceId) -> Result<ClientStatusDetail, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let by = settings(&mut reader).await?;
    let found = client_status::get(&mut reader, &by, device, ctx.now).await?;
    let (mut status, checks) = found.ok_or_else(SiteError::not_found)?;
    status.online = site.memory.online.contains(device);
    Ok(ClientStatusDetail { status, checks })
}

/// Every threshold of a collection.
///
/// # Errors
/// `unauthenticated`.
pub async fn client_status_threshold_list(ctx: &Ctx, site: &Site) -> Result<Page<ClientStatusThreshold>, SiteError> {
    authz::see(ctx)?;
    let items = client_status::thresholds(&mut *site.store.reader().await?).await?;
    Ok(Page { total: items.len() as u64, items, offset: 0 })
}

/// Sets below which part of a collection there is an alert; without any, it has none.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `malformed`: no hundredths; `too_large`: there are too many thresholds.
pub async fn client_status_threshold_set(
    ctx: &Ctx,
    site: &Site,
    id: CollectionId,
    set: ClientStatusThresholdSet,
) -> Result<Page<ClientStatusThreshold>, SiteError> {
    let by = authz::change(ctx)?.name.to_string();
    if [set.active_percent, set.healthy_percent].iter().flatten().any(|percent| !(1..=100).contains(percent)) {
        return Err(SiteError::refused(Code::Malformed, "A threshold is 1 to 100 percent."));
    }
    transaction!(site.store, "client_status_threshold_set", |tx| {
        let name = known(tx.conn(), id).await?;
        let all = client_status::thresholds(tx.conn()).await?;
        let is_new = !all.iter().any(|one| one.collection == id);
        if is_new && set != ClientStatusThresholdSet::default() && all.len() as u64 >= CLIENT_STATUS_THRESHOLDS {
            let detail = format!("At most {CLIENT_STATUS_THRESHOLDS} collections have a threshold of client status.");
            return Err(SiteError::refused(Code::TooLarge, detail));
        }
        client_status::set_threshold(tx, id, &set, ctx.now, &by).await?;
        let percent = |percent: Option<u8>| percent.map_or_else(|| "any".to_owned(), |percent| format!("{percent} %"));
        let (active, healthy) = (percent(set.active_percent), percent(set.healthy_percent));
        let detail = format!("Of the collection {name}, {active} of the clients must be active and {healthy} healthy.");
        audit::append(tx, ctx, "client_status_threshold_set", format!("collection {id}"), detail).await
    })?;
    client_status_threshold_list(ctx, site).await
}

/// How far the count of this round is.
#[derive(Debug, Default)]
pub struct ClientStatusWork {
    rested: Option<UnixMillis>,
    left: VecDeque<ClientStatusThreshold>,
}

/// Counts the clients of the site, or of the next collection with a threshold; whether there is more to count now.
///
/// # Errors
/// When the store fails; it is counted again then.
pub async fn client_status_work(site: &Site, work: &mut ClientStatusWork, now: UnixMillis) -> Result<bool, SiteError> {
    if let Some(next) = work.left.pop_front() {
        count_collection(site, &next, now).await?;
        return Ok(!work.left.is_empty());
    }
    if work.rested.is_some_and(|rested| (0..REST).contains(&now.since(rested))) {
        return Ok(false);
    }
    let mut reader = site.store.reader().await?;
    let by = settings(&mut reader).await?;
    let counts = client_status::counts(&mut reader, &by, None, now).await?;
    let thresholds = client_status::thresholds(&mut reader).await?;
    let live = alert::all_live(&mut reader).await?;
    drop(reader);
    // Alerts of thresholds that are gone are over.
    let is_gone = |one: &&muster_model::api::Alert| {
        is_ours(one.kind) && !thresholds.iter().any(|threshold| threshold.collection.to_string() == one.subject)
    };
    let gone: Vec<_> = live.iter().filter(is_gone).collect();
    transaction!(site.store, "client_status_day", |tx| {
        client_status::put_day(tx, None, &counts, now).await?;
        client_status::purge(tx, first_day(now)).await?;
        for one in &gone {
            alert::close(tx, one.kind, &one.subject, now).await?;
        }
        Ok::<_, SiteError>(())
    })?;
    work.rested = Some(now);
    work.left = thresholds.into();
    Ok(!work.left.is_empty())
}

/// Whether an alert is about the clients of a collection.
const fn is_ours(kind: AlertKind) -> bool {
    matches!(kind, AlertKind::ClientsInactive | AlertKind::ClientsUnhealthy)
}

/// Whether so many of all are fewer than these hundredths. A collection without clients is as it should be.
fn is_below(percent: Option<u8>, well: u64, counts: &ClientStatusCounts) -> bool {
    percent.is_some_and(|percent| well * 100 < u64::from(percent) * counts.devices)
}

async fn count_collection(site: &Site, of: &ClientStatusThreshold, now: UnixMillis) -> Result<(), SiteError> {
    let most = u32::try_from(ALERT_DEVICES).unwrap_or(u32::MAX);
    let mut reader = site.store.reader().await?;
    let by = settings(&mut reader).await?;
    let counts = client_status::counts(&mut reader, &by, Some(of.collection), now).await?;
    let kinds = [
        (AlertKind::ClientsInactive, of.active_percent, counts.active, "are active"),
        (AlertKind::ClientsUnhealthy, of.healthy_percent, counts.passed, "passed their checks"),
    ];
    let (mut raised, mut over) = (Vec::new(), Vec::new());
    for (kind, percent, well, what) in kinds {
        if !is_below(percent, well, &counts) {
            over.push(kind);
            continue;
        }
        let is_inactive = kind == AlertKind::ClientsInactive;
        raised.push(Raised {
            id: AlertId(site.sources.id()),
            kind,
            subject: of.collection.to_string(),
            severity: Severity::Warning,
            text: format!(
                "Of the collection {}, {well} of {} client(s) {what}; its threshold is {} %.",
                of.name,
                counts.devices,
                percent.unwrap_or_default()
            ),
            devices: counts.devices - well,
            named: client_status::poor(&mut reader, &by, of.collection, is_inactive, now, most).await?,
        });
    }
    drop(reader);
    let changed = transaction!(site.store, "client_status_collection", |tx| {
        client_status::put_day(tx, Some(of.collection), &counts, now).await?;
        let mut changed = !raised.is_empty();
        for one in &raised {
            alert::raise(tx, one, now).await?;
        }
        for kind in &over {
            changed |= alert::close(tx, *kind, &of.collection.to_string(), now).await?;
        }
        Ok::<_, SiteError>(changed)
    })?;
    if changed {
        site.bus.publish(Notice::Changed(Noun::Device));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_part_of_all() {
        let counts = ClientStatusCounts { devices: 3, active: 2, ..ClientStatusCounts::default() };
        assert!(is_below(Some(67), 2, &counts) && !is_below(Some(66), 2, &counts) && !is_below(None, 0, &counts));
        assert!(!is_below(Some(100), 0, &ClientStatusCounts::default()), "nobody is missing");
    }
}
