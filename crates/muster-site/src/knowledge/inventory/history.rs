//! The history of inventory: what changed when, what a class of a device was at a moment, and two moments compared.
//!
//! A section is kept as it is now, and each change as what undoes it. Each change names when the state before it began, so that a
//! state of the past is either known exactly or known to be unknown: a chain with a link missing ends.

use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{
        ClassComparison, ClassRows, CompareQuery, DeviceComparison, DeviceHistory, HistoryQuery, MomentQuery,
        PageQuery, RowChange,
    },
    catalogue::Class,
    id::DeviceId,
    inventory::Row,
    limits::{COMPARE_CLASS_ROWS, COMPARE_ROWS},
    problem::Code,
    time::{DAY, UnixMillis},
};
use muster_store::{
    db::{
        Connection, Dialect, device,
        inventory_history::{self, Past},
    },
    transaction,
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Changes that are removed in one transaction, so that reports do not wait long.
const REMOVED: u32 = 2_000;
/// Devices that are looked at in one step.
const LOOKED: u32 = 200;

/// The changes of a device's inventory, the latest first, and how many there were on each day.
///
/// # Errors
/// `unauthenticated`, `too_large`, `not_found`.
pub async fn history_list(
    ctx: &Ctx,
    site: &Site,
    device: DeviceId,
    query: HistoryQuery,
) -> Result<DeviceHistory, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let mut reader = site.store.reader().await?;
    known(&mut reader, device).await?;
    let kept_days = site.limits.history_days;
    let from = ctx.now.plus(-i64::from(kept_days).saturating_mul(DAY));
    let days = inventory_history::days(&mut reader, device, &query.class, from).await?;
    let (items, total) = inventory_history::list(&mut reader, device, &query.class, page.offset, page.limit).await?;
    Ok(DeviceHistory { days, kept_days, items, total, offset: page.offset })
}

/// The rows of a class of a device as they were at a moment.
///
/// # Errors
/// `unauthenticated`, `too_large`; `not_found`: no such class, the device had not reported it, or what it was is not known any more.
pub async fn history_show(
    ctx: &Ctx,
    site: &Site,
    device: DeviceId,
    class: &str,
    query: MomentQuery,
) -> Result<ClassRows, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let catalogue = site.catalogue.load_full();
    let class = catalogue.class(class).ok_or_else(SiteError::not_found)?;
    let mut reader = site.store.reader().await?;
    let past = inventory_history::past(&mut reader, device, &class.name, query.at).await?;
    let ids = match past.get(&class.name).map_or(State::Absent, |past| at(past, query.at)) {
        State::Rows(ids) => ids,
        State::Absent => {
            return Err(SiteError::refused(Code::NotFound, "The device had not reported this class at that moment."));
        }
        State::Unknown => {
            let detail = "What the device had of this class at that moment is not kept any more.";
            return Err(SiteError::refused(Code::NotFound, detail));
        }
    };
    let dialect = site.store.dialect();
    let list: Vec<i64> = ids.iter().copied().collect();
    let rows = inventory_history::rows(&mut reader, dialect, class, &list, page.offset, page.limit).await?;
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    let (attributes, types) = attributes(class, rows.iter());
    Ok(ClassRows { class: class.name.clone(), attributes, types, rows, total: ids.len() as u64 })
}

/// What is different on a device between two moments.
///
/// # Errors
/// `unauthenticated`, `not_found`; `malformed`: the second moment is before the first.
pub async fn history_compare(
    ctx: &Ctx,
    site: &Site,
    device: DeviceId,
    query: CompareQuery,
) -> Result<DeviceComparison, SiteError> {
    authz::see(ctx)?;
    if query.to < query.from {
        return Err(SiteError::refused(Code::Malformed, "The second moment is before the first one."));
    }
    let catalogue = site.catalogue.load_full();
    let mut reader = site.store.reader().await?;
    known(&mut reader, device).await?;
    let all = inventory_history::past(&mut reader, device, &query.class, query.from).await?;
    let mut comparison = DeviceComparison { from: query.from, to: query.to, classes: Vec::new(), unknown: Vec::new() };
    let mut room = COMPARE_ROWS;
    for (name, past) in &all {
        let Some(class) = catalogue.class(name) else { continue };
        match (at(past, query.from), at(past, query.to)) {
            (State::Unknown, _) | (_, State::Unknown) => comparison.unknown.push(name.clone()),
            (before, after) if before == after => {}
            (before, after) => {
                let most = room.min(COMPARE_CLASS_ROWS);
                let found = compare(&mut reader, site.store.dialect(), class, (&before, &after), most).await?;
                room = room.saturating_sub(found.changed.len() + found.added.len() + found.removed.len());
                comparison.classes.push(found);
            }
        }
    }
    Ok(comparison)
}

async fn known(conn: &mut Connection, device: DeviceId) -> Result<(), SiteError> {
    device::get(conn, device).await?.map(|_| ()).ok_or_else(SiteError::not_found)
}

/// A section at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// The device had not reported the class.
    Absent,
    /// Ids of its rows.
    Rows(BTreeSet<i64>),
    /// The moment lies before what is kept.
    Unknown,
}

impl State {
    fn count(&self) -> Option<u64> {
        match self {
            Self::Rows(ids) => Some(ids.len() as u64),
            Self::Absent | Self::Unknown => None,
        }
    }

    fn ids(&self) -> BTreeSet<i64> {
        match self {
            Self::Rows(ids) => ids.clone(),
            Self::Absent | Self::Unknown => BTreeSet::new(),
        }
    }
}

/// The section as it was at a moment: every change after it is undone, the latest first.
fn at(past: &Past, moment: UnixMillis) -> State {
    let Some((ids, mut since)) = past.now.clone() else { return State::Absent };
    let mut ids: BTreeSet<i64> = ids.into_iter().collect();
    for change in &past.changes {
        if moment >= since {
            return State::Rows(ids);
        }
        if change.happened != since {
            return State::Unknown;
        }
        let Some(before) = change.since else { return State::Absent };
        change.added.iter().for_each(|id| {
            ids.remove(id);
        });
        ids.extend(&change.removed);
        since = before;
    }
    if moment >= since { State::Rows(ids) } else { State::Unknown }
}

async fn compare(
    conn: &mut Connection,
    dialect: Dialect,
    class: &Class,
    (before, after): (&State, &State),
    most: usize,
) -> Result<ClassComparison, SiteError> {
    let (old, new) = (before.ids(), after.ids());
    let removed: Vec<i64> = old.difference(&new).copied().collect();
    let added: Vec<i64> = new.difference(&old).copied().collect();
    let both: Vec<i64> = removed.iter().chain(&added).copied().collect();
    let keys = inventory_history::keys(conn, dialect, class, &both).await?;
    if keys.len() != both.len() {
        // They were swept away since the history was read.
        return Err(SiteError::refused(Code::Unavailable, "The history changed while it was read; ask again."));
    }
    let of_key: HashMap<i64, i64> = added.iter().filter_map(|id| Some((*keys.get(id)?, *id))).collect();
    let mut pairs = Vec::new();
    let mut gone = Vec::new();
    for id in &removed {
        match keys.get(id).and_then(|key| of_key.get(key)) {
            Some(to) => pairs.push((*id, *to)),
            None => gone.push(*id),
        }
    }
    let paired: HashSet<i64> = pairs.iter().map(|(_, to)| *to).collect();
    let came: Vec<i64> = added.into_iter().filter(|id| !paired.contains(id)).collect();
    let (changed_total, added_total, removed_total) = (pairs.len() as u64, came.len() as u64, gone.len() as u64);
    pairs.truncate(most);
    let shown = |ids: &[i64], used: usize| ids.iter().copied().take(most.saturating_sub(used)).collect::<Vec<_>>();
    let came = shown(&came, pairs.len());
    let gone = shown(&gone, pairs.len() + came.len());
    let wanted: Vec<i64> = pairs
        .iter()
        .flat_map(|(from, to)| [*from, *to])
        .chain(came.iter().copied())
        .chain(gone.iter().copied())
        .collect();
    let limit = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    let rows = inventory_history::rows(conn, dialect, class, &wanted, 0, limit).await?;
    let (attributes, types) = attributes(class, rows.iter().map(|(_, row)| row));
    // In the order in which the rows came: that of their key.
    let place: HashMap<i64, usize> = rows.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
    let order = |id: &i64| place.get(id).copied().unwrap_or(usize::MAX);
    let row = |id: &i64| place.get(id).and_then(|at| rows.get(*at)).map(|(_, row)| row.clone());
    pairs.sort_by_key(|(from, _)| order(from));
    let listed = |mut ids: Vec<i64>| {
        ids.sort_by_key(order);
        ids.iter().filter_map(row).collect::<Vec<_>>()
    };
    Ok(ClassComparison {
        class: class.name.clone(),
        before: before.count(),
        after: after.count(),
        attributes,
        types,
        changed: pairs
            .iter()
            .filter_map(|(from, to)| Some(RowChange { before: row(from)?, after: row(to)? }))
            .collect(),
        changed_total,
        added: listed(came),
        added_total,
        removed: listed(gone),
        removed_total,
    })
}

/// The attributes that any of these rows has, with their types.
fn attributes<'a>(class: &Class, rows: impl Iterator<Item = &'a Row> + Clone) -> (Vec<String>, Vec<String>) {
    let there = class.attributes.iter().filter(|a| rows.clone().any(|row| row.contains_key(&a.name)));
    there.map(|a| (a.name.clone(), a.cim.to_owned())).unzip()
}

/// How far the removal of what is over its time is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purge {
    /// All changes that are too old are gone.
    aged: bool,
    /// The last device whose amount was looked at.
    after: String,
    /// How many changes went.
    pub gone: u64,
}

/// Maintenance: removes some changes that are older than what is kept, or that are more of one device than is kept; whether there may
/// be more.
///
/// # Errors
/// When the store fails.
pub async fn history_purge(site: &Site, purge: &mut Purge, now: UnixMillis) -> Result<bool, SiteError> {
    if !purge.aged {
        let cutoff = now.plus(-i64::from(site.limits.history_days).saturating_mul(DAY));
        let gone = transaction!(site.store, "history_purge", |tx| {
            Ok::<_, SiteError>(inventory_history::remove_old(tx, cutoff, REMOVED).await?)
        })?;
        purge.gone += gone;
        purge.aged = gone == 0;
        return Ok(true);
    }
    let sizes = inventory_history::sizes(&mut *site.store.reader().await?, &purge.after, LOOKED).await?;
    let most = site.limits.history_rows;
    for (device, _) in sizes.iter().filter(|(_, size)| *size > most) {
        purge.gone += transaction!(site.store, "history_purge", |tx| {
            Ok::<_, SiteError>(inventory_history::remove_over(tx, *device, most).await?)
        })?;
    }
    let Some((last, _)) = sizes.last() else { return Ok(false) };
    purge.after = last.to_string();
    Ok(true)
}
