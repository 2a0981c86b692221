//! Software updates over all devices: which the tools of devices offer, how many miss them, and which a later one replaced.

use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{Page, PageQuery, SoftwareUpdate, UpdateQuery},
    limits::{UPDATES_COUNTED, UPDATES_GONE},
    time::{DAY, HOUR, MINUTE, UnixMillis},
    version,
};
use muster_store::{
    db::{
        software_title,
        software_update::{self, Counted, UpdateKey},
    },
    transaction,
};
use std::collections::HashMap;

/// How often is looked whether a scan changed, and how often they are counted at most.
const LOOK: i64 = MINUTE;
const EVERY: i64 = 10 * MINUTE;
/// For so many devices that miss an update, each of them counted, the site rests a millisecond.
const PAIRS: u64 = 10;
/// How long an update is kept that no device misses any more.
const KEPT: i64 = 90 * DAY;

/// A page of the updates that are missing, those that most devices miss first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn update_list(ctx: &Ctx, site: &Site, query: &UpdateQuery) -> Result<Page<SoftwareUpdate>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let mut reader = site.store.reader().await?;
    let (items, total) = software_update::list(&mut reader, query, page.limit).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// When they were counted last, and of what.
#[derive(Debug, Default)]
pub struct UpdateWork {
    last: Option<UnixMillis>,
    /// How long it rests.
    rest: i64,
    /// Up to which change of an inventory was looked, and whether a scan was among those since the last count.
    change: Option<i64>,
    due: bool,
    counted: Option<UnixMillis>,
}

/// Counts anew where an inventory changed since.
///
/// # Errors
/// When the store fails.
pub async fn update_work(site: &Site, work: &mut UpdateWork, now: UnixMillis) -> Result<(), SiteError> {
    if work.last.is_some_and(|last| (0..LOOK).contains(&now.since(last))) {
        return Ok(());
    }
    work.last = Some(now);
    work.rest = work.rest.max(EVERY);
    let mut reader = site.store.reader().await?;
    let change = software_title::latest(&mut reader).await?;
    // Devices retire and are blocked without any change of an inventory.
    let within = |time: i64| work.counted.is_some_and(|counted| (0..time).contains(&now.since(counted)));
    let (rests, fresh) = (within(work.rest.max(EVERY)), within(HOUR));
    // Other classes change all the time: only what is new since the last look is looked at.
    if let Some(before) = work.change
        && !work.due
    {
        work.due = software_update::has_changed(&mut reader, before, change).await?;
    }
    work.change = Some(change);
    if rests || (fresh && !work.due) {
        return Ok(());
    }
    let counted = software_update::counted(&mut reader, site.store.dialect(), UPDATES_COUNTED).await?;
    let stored = software_update::stored(&mut reader).await?;
    drop(reader);
    work.rest = rest(&counted);
    let changed = changed(counted, &stored);
    if !changed.is_empty() {
        transaction!(site.store, "update_work", |tx| {
            software_update::put(tx, &changed, now).await?;
            software_update::purge(tx, now.plus(-KEPT)).await?;
            software_update::cap(tx, UPDATES_GONE).await?;
            Ok::<_, SiteError>(())
        })?;
    }
    (work.due, work.counted) = (false, Some(now));
    Ok(())
}

/// How long it takes until they are counted anew: the more there is to count, the longer.
fn rest(counted: &[Counted]) -> i64 {
    let pairs: u64 = counted.iter().map(|row| row.devices).sum();
    i64::try_from(pairs / PAIRS).unwrap_or(i64::MAX).max(EVERY)
}

/// What has to be written: what is new or counts otherwise, and what nobody misses any more. Only what devices miss now replaces anything, and
/// only what comes from the same origin: another release or another source has versions of its own.
fn changed(counted: Vec<Counted>, stored: &HashMap<UpdateKey, Counted>) -> Vec<Counted> {
    let mut all: HashMap<UpdateKey, Counted> =
        stored.iter().map(|(key, row)| (key.clone(), Counted { devices: 0, ..row.clone() })).collect();
    all.extend(counted.into_iter().map(|row| (row.key.clone(), row)));
    let line = |row: &Counted| {
        let (package, architecture, _, tool) = &row.key;
        (package.clone(), architecture.clone(), tool.clone(), row.origin.clone())
    };
    let mut newest: HashMap<_, String> = HashMap::new();
    for row in all.values().filter(|row| row.devices > 0) {
        let (_, _, version, tool) = &row.key;
        let of = newest.entry(line(row)).or_insert_with(|| version.clone());
        if version::compare(database(tool), version, of).is_gt() {
            of.clone_from(version);
        }
    }
    for row in all.values_mut() {
        let (_, _, version, tool) = &row.key;
        let is_later = |newest: &&String| version::compare(database(tool), newest, version).is_gt();
        row.superseded_by = newest.get(&line(&*row)).filter(is_later).cloned();
    }
    all.into_values().filter(|row| stored.get(&row.key) != Some(row)).collect()
}

fn database(tool: &str) -> &'static str {
    if tool == "dnf" { "rpm" } else { "dpkg" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(version: &str, devices: u64) -> Counted {
        Counted {
            key: ("a".to_owned(), "amd64".to_owned(), version.to_owned(), "apt".to_owned()),
            origin: String::new(),
            security: false,
            devices,
            superseded_by: None,
        }
    }

    #[test]
    fn the_more_there_is_to_count_the_longer_it_rests() {
        assert_eq!(rest(&[row("1", 600_000)]), EVERY);
        assert_eq!(rest(&[row("1", 10_000_000), row("2", 20_000_000)]), 50 * MINUTE);
    }

    #[test]
    fn a_later_version_replaces_an_older_one_and_what_stays_is_not_written() {
        let first = changed(vec![row("1.9", 3), row("1.10", 2)], &HashMap::new());
        let of = |rows: &[Counted], version: &str| rows.iter().find(|row| row.key.2 == version).cloned().unwrap();
        assert_eq!(of(&first, "1.9").superseded_by.as_deref(), Some("1.10"));
        assert_eq!(of(&first, "1.10").superseded_by, None);
        let stored: HashMap<_, _> = first.into_iter().map(|row| (row.key.clone(), row)).collect();
        let second = changed(vec![row("1.10", 2)], &stored);
        assert_eq!(second.len(), 1, "{second:?}");
        assert_eq!((second[0].key.2.as_str(), second[0].devices), ("1.9", 0));
    }

    #[test]
    fn another_origin_and_what_nobody_misses_replace_nothing() {
        let backport = Counted { origin: "Debian Backports:stable-backports".to_owned(), ..row("3.5", 1) };
        let all = changed(vec![row("3.0", 99_999), backport], &HashMap::new());
        assert!(all.iter().all(|row| row.superseded_by.is_none()), "{all:?}");
        let gone = Counted { superseded_by: None, ..row("99:9", 0) };
        let stored = HashMap::from([(gone.key.clone(), gone)]);
        let all = changed(vec![row("3.0", 99_999)], &stored);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].superseded_by, None);
    }
}
