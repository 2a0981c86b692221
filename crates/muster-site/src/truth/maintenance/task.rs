//! How maintenance tasks are set, and what administrators ask of them.

use crate::{
    Ctx, Site, SiteError, audit, authz,
    knowledge::discovery::{discovery_settings_update, lived_before},
};
use muster_model::{
    api::{
        DiscoverySettings, MaintenancePreview, MaintenanceRun, MaintenanceSettings, MaintenanceTask, Page, PageQuery,
        TaskName,
    },
    problem::Code,
    settings::BusinessHours,
    time::{DAY, HOUR, MINUTE, UnixMillis},
};
use muster_store::{
    Connection,
    db::maintenance::{self as stored, TaskRow},
    transaction,
};
use std::{ops::RangeInclusive, sync::atomic::Ordering};

/// When tasks run unless somebody says otherwise.
const HOURS: &str = "mon-sun 00:00-05:00";
/// Days for which anything is kept at most.
const MOST_DAYS: u32 = 3_650;
/// Days between two runs.
const EVERY: RangeInclusive<u32> = 1..=30;

/// A task as it is set, or as it comes.
pub(super) async fn row(site: &Site, conn: &mut Connection, name: TaskName) -> Result<TaskRow, SiteError> {
    let (changed, changed_by) = (UnixMillis(0), String::new());
    let hours = HOURS.to_owned();
    let mut row = stored::get(conn, name).await?.unwrap_or(TaskRow {
        enabled: true,
        keep_days: default_days(site, name),
        every_days: 1,
        hours,
        changed,
        changed_by,
    });
    if name == TaskName::DiscoveryData {
        row.keep_days = crate::knowledge::discovery::show::settings(conn).await?.keep_days;
    }
    Ok(row)
}

/// The configuration of the server bounds the history of the inventory.
fn default_days(site: &Site, name: TaskName) -> u32 {
    match name {
        TaskName::InventoryHistory => most_days(site, name).min(name.default_days()),
        _ => name.default_days(),
    }
}

fn most_days(site: &Site, name: TaskName) -> u32 {
    match name {
        TaskName::InventoryHistory => site.limits.history_days.max(1),
        _ => MOST_DAYS,
    }
}

/// When a task may run; what does not parse never does.
pub(super) fn hours(row: &TaskRow) -> Option<BusinessHours> {
    row.hours.parse().ok()
}

/// Whether a moment is in the hours of a task.
pub(super) fn is_open(hours: BusinessHours, at: UnixMillis) -> bool {
    // The first of January 1970 was a Thursday.
    let day = u8::try_from((at.0.div_euclid(DAY) + 3).rem_euclid(7)).unwrap_or(0);
    let minute = u16::try_from(at.0.rem_euclid(DAY) / MINUTE).unwrap_or(0);
    hours.contain(day, minute)
}

/// When a task runs next by itself, after a run that began then.
pub(super) fn next(row: &TaskRow, last: Option<UnixMillis>, now: UnixMillis) -> Option<UnixMillis> {
    let hours = hours(row).filter(|_| row.enabled)?;
    // A little less than whole days, so that it does not run later each time.
    let due = last.map_or(now, |last| last.plus(i64::from(row.every_days) * DAY - 6 * HOUR).max(now));
    let steps = |from: UnixMillis| (0..8 * 24 * 60).map(move |minute| from.plus(minute * MINUTE));
    steps(due)
        .find(|at| is_open(hours, *at))
        .map(|at| if at > due { UnixMillis(at.0 - at.0.rem_euclid(MINUTE)) } else { at })
}

async fn task(
    site: &Site,
    conn: &mut Connection,
    name: TaskName,
    now: UnixMillis,
) -> Result<MaintenanceTask, SiteError> {
    let row = row(site, conn, name).await?;
    let (runs, _) = stored::runs(conn, name, PageQuery { offset: 0, limit: 1 }).await?;
    let last = runs.into_iter().next();
    let next = match name.is_continuous() {
        true => None,
        false => next(&row, last.as_ref().map(|run| run.began), now),
    };
    Ok(MaintenanceTask {
        name,
        about: name.about().to_owned(),
        enabled: row.enabled,
        keep_days: row.keep_days,
        default_days: default_days(site, name),
        every_days: row.every_days,
        hours: row.hours,
        continuous: name.is_continuous(),
        changed: Some(row.changed).filter(|at| at.0 > 0),
        changed_by: Some(row.changed_by).filter(|by| !by.is_empty()),
        next,
        last,
    })
}

/// All tasks.
///
/// # Errors
/// `unauthenticated`.
pub async fn maintenance_list(ctx: &Ctx, site: &Site) -> Result<Page<MaintenanceTask>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let mut items = Vec::new();
    for name in TaskName::ALL {
        items.push(task(site, &mut reader, *name, ctx.now).await?);
    }
    Ok(Page { total: items.len() as u64, items, offset: 0 })
}

/// A task.
///
/// # Errors
/// `unauthenticated`.
pub async fn maintenance_show(ctx: &Ctx, site: &Site, name: TaskName) -> Result<MaintenanceTask, SiteError> {
    authz::see(ctx)?;
    task(site, &mut *site.store.reader().await?, name, ctx.now).await
}

/// Earlier runs of a task, the latest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn maintenance_history(
    ctx: &Ctx,
    site: &Site,
    name: TaskName,
    page: PageQuery,
) -> Result<Page<MaintenanceRun>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(page)?;
    let (items, total) = stored::runs(&mut *site.store.reader().await?, name, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// What is from before this moment has been kept for long enough. Time in which the site did not run does not count.
pub(super) async fn cutoff(conn: &mut Connection, keep_days: u32, now: UnixMillis) -> Result<UnixMillis, SiteError> {
    lived_before(conn, now, i64::from(keep_days) * DAY).await
}

/// What a run would remove now. `keep_days`: if it were kept for so long.
///
/// # Errors
/// `unauthenticated`; `malformed`: a number of days out of its range.
pub async fn maintenance_preview(
    ctx: &Ctx,
    site: &Site,
    name: TaskName,
    keep_days: Option<u32>,
) -> Result<MaintenancePreview, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let keep_days = match keep_days {
        Some(days) => check_days(site, name, days)?,
        None => row(site, &mut reader, name).await?.keep_days,
    };
    let before = cutoff(&mut reader, keep_days, ctx.now).await?;
    let found = stored::found(&mut reader, name, before).await?;
    Ok(MaintenancePreview { task: name, before, rows: found.rows, total: found.total, oldest: found.oldest })
}

fn malformed(detail: String) -> SiteError {
    SiteError::refused(Code::Malformed, detail)
}

fn check_days(site: &Site, name: TaskName, days: u32) -> Result<u32, SiteError> {
    let (least, most) = (name.least_days(), most_days(site, name));
    if (least..=most).contains(&days) {
        return Ok(days);
    }
    let why = match name {
        TaskName::DiscoveryData => ": a record must outlive two full runs, or live devices would come and go",
        TaskName::InventoryHistory => "; `limits.history_days` of the server's configuration says how long at most",
        _ => "",
    };
    Err(malformed(format!("{name} is kept for {least} to {most} days{why}.")))
}

/// Changes how a task is set.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: days out of their range, hours that are none, or one that goes on all the time.
pub async fn maintenance_set(
    ctx: &Ctx,
    site: &Site,
    name: TaskName,
    wanted: &MaintenanceSettings,
) -> Result<MaintenanceTask, SiteError> {
    let by = authz::change(ctx)?.name.to_string();
    if let Some(days) = wanted.keep_days {
        check_days(site, name, days)?;
    }
    if name.is_continuous() {
        if wanted.enabled.is_some() || wanted.every_days.is_some() || wanted.hours.is_some() {
            return Err(malformed(format!("{name} goes on all the time: only keep_days can be set.")));
        }
        if let Some(keep_days) = wanted.keep_days {
            discovery_settings_update(ctx, site, DiscoverySettings { keep_days }).await?;
        }
        return maintenance_show(ctx, site, name).await;
    }
    if let Some(every) = wanted.every_days.filter(|every| !EVERY.contains(every)) {
        return Err(malformed(format!("every_days is {every}: it must be {} to {}.", EVERY.start(), EVERY.end())));
    }
    let hours = wanted.hours.as_deref().map(|text| {
        let hours: Result<BusinessHours, _> = text.parse();
        hours.map(|hours| hours.to_string()).map_err(|error| malformed(format!("hours {text:?}: {error}.")))
    });
    let hours = hours.transpose()?;
    transaction!(site.store, "maintenance_set", |tx| {
        let before = row(site, tx.conn(), name).await?;
        let after = TaskRow {
            enabled: wanted.enabled.unwrap_or(before.enabled),
            keep_days: wanted.keep_days.unwrap_or(before.keep_days),
            every_days: wanted.every_days.unwrap_or(before.every_days),
            hours: hours.clone().unwrap_or_else(|| before.hours.clone()),
            changed: ctx.now,
            changed_by: by.clone(),
        };
        stored::put(tx, name, &after).await?;
        let shown = |row: &TaskRow| {
            let on = if row.enabled { "on" } else { "off" };
            format!("{on}, {} days kept, every {} day(s), {}", row.keep_days, row.every_days, row.hours)
        };
        let detail = format!("{name} was {}, and is {} now.", shown(&before), shown(&after));
        audit::append(tx, ctx, "maintenance_set", format!("maintenance {name}"), detail).await
    })?;
    maintenance_show(ctx, site, name).await
}

/// Has a task run now, whatever its hours are.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `conflict`: it goes on all the time.
pub async fn maintenance_run(ctx: &Ctx, site: &Site, name: TaskName) -> Result<MaintenanceTask, SiteError> {
    let by = authz::change(ctx)?.name.to_string();
    if name.is_continuous() {
        return Err(SiteError::refused(Code::Conflict, format!("{name} goes on all the time; it has no runs.")));
    }
    transaction!(site.store, "maintenance_run", |tx| {
        let TaskRow { keep_days, enabled, .. } = row(site, tx.conn(), name).await?;
        let before = cutoff(tx.conn(), keep_days, ctx.now).await?;
        let begun = stored::begin(tx, name, before, Some(&by), ctx.now).await?;
        if !begun {
            if !enabled {
                let detail = format!("A run of {name} ends, because it was switched off; ask again in a minute.");
                return Err(SiteError::refused(Code::Conflict, detail));
            }
            stored::press(tx, name, &by).await?;
        }
        let detail = format!("{name} was asked for: what is older than {keep_days} days is removed.");
        audit::append(tx, ctx, "maintenance_run", format!("maintenance {name}"), detail).await
    })?;
    site.memory.maintenance.store(true, Ordering::Relaxed);
    site.memory.work.notify_one();
    maintenance_show(ctx, site, name).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hours: &str, every_days: u32) -> TaskRow {
        let (changed, changed_by) = (UnixMillis(0), String::new());
        TaskRow { enabled: true, keep_days: 1, every_days, hours: hours.to_owned(), changed, changed_by }
    }

    #[test]
    fn a_task_runs_in_its_hours_and_as_often_as_it_is_set() {
        // The second of January 1970 was a Friday.
        let at = |day: i64, hour: i64| UnixMillis(day * DAY + hour * HOUR);
        let daily = row(HOURS, 1);
        assert_eq!(next(&daily, None, at(1, 2)), Some(at(1, 2)));
        assert_eq!(next(&daily, None, at(1, 12)), Some(at(2, 0)));
        assert_eq!(next(&daily, Some(at(1, 2)), at(1, 3)), Some(at(2, 0)), "not twice in a night");
        let friday = row("fri 22:00-02:00", 7);
        assert_eq!(next(&friday, None, at(2, 1)), Some(at(2, 1)), "Saturday, in the hours of Friday");
        assert_eq!(next(&friday, Some(at(1, 22)), at(1, 23)), Some(at(8, 22)));
        assert_eq!(next(&TaskRow { enabled: false, ..daily }, None, at(1, 2)), None);
        assert_eq!(next(&row("whenever", 1), None, at(1, 2)), None);
    }
}
