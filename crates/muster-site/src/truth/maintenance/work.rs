//! Runs of maintenance tasks: a piece at a time, each a transaction that is short enough for nobody to wait.

use super::task::{cutoff, hours, is_open, next, row};
use crate::{Ctx, Site, SiteError, audit};
use muster_model::{
    api::{MaintenanceRun, PageQuery, TaskName},
    time::{MINUTE, UnixMillis},
};
use muster_store::{
    Tx,
    db::maintenance::{self as stored, Place},
    transaction,
};
use std::{
    collections::HashMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// How often is looked whose time has come.
const LOOK: i64 = MINUTE;
/// For how long a process that died keeps others from its run.
const HELD: i64 = 5 * MINUTE;
/// Rows of the first piece.
const FIRST: u32 = 200;
/// Rows of a piece at least and at most.
const PIECES: (u32, u32) = (20, 5_000);
/// How long a piece should take: half of what nobody notices, for a disk that is slower the next time.
const WANTED: Duration = Duration::from_millis(20);

/// What the worker of a process keeps of maintenance.
#[derive(Debug)]
pub(crate) struct MaintenanceWork {
    looked: UnixMillis,
    /// The name of this process among those that work on runs.
    holder: String,
    /// Runs that go on, as far as this process knows.
    going_on: Vec<TaskName>,
    pieces: HashMap<TaskName, Piece>,
}

#[derive(Debug)]
struct Piece {
    rows: u32,
    place: Place,
    longest: u64,
}

impl MaintenanceWork {
    /// Of a process that starts now.
    pub(crate) fn new(site: &Site) -> Self {
        let (looked, holder) = (site.sources.now(), site.sources.id().to_string());
        Self { looked, holder, going_on: Vec::new(), pieces: HashMap::new() }
    }
}

/// One piece of maintenance; whether there is more to do now.
///
/// # Errors
/// When the store fails.
pub(crate) async fn maintenance_work(
    site: &Site,
    work: &mut MaintenanceWork,
    now: UnixMillis,
) -> Result<bool, SiteError> {
    if work.going_on.is_empty() {
        let asked = site.memory.maintenance.swap(false, Ordering::Relaxed);
        if (0..LOOK).contains(&now.since(work.looked)) && !asked {
            return Ok(false);
        }
        work.looked = now;
        work.going_on = begin(site, now).await?;
    }
    // Each in turn: none keeps another one waiting until it is done.
    let Some(name) = work.going_on.pop() else { return Ok(false) };
    if piece(site, work, name, now).await? {
        work.going_on.insert(0, name);
    } else {
        work.pieces.remove(&name);
    }
    Ok(!work.going_on.is_empty())
}

/// Begins the runs whose time has come. Returns those that go on now.
async fn begin(site: &Site, now: UnixMillis) -> Result<Vec<TaskName>, SiteError> {
    let mut going_on = Vec::new();
    for name in TaskName::ALL.iter().copied().filter(|name| !name.is_continuous()) {
        let mut reader = site.store.reader().await?;
        let task = row(site, &mut reader, name).await?;
        let (runs, _) = stored::runs(&mut reader, name, PageQuery { offset: 0, limit: 1 }).await?;
        drop(reader);
        let last = runs.first();
        let open = hours(&task).is_some_and(|hours| is_open(hours, now));
        if let Some(live) = last.filter(|run| run.ended.is_none()) {
            if live.asked_by.is_some() || open && task.enabled {
                going_on.push(name);
            }
        } else if next(&task, last.map(|run| run.began), now).is_some_and(|next| next <= now) {
            let begun = transaction!(site.store, "maintenance_begin", |tx| {
                let before = cutoff(tx.conn(), task.keep_days, now).await?;
                Ok::<_, SiteError>(stored::begin(tx, name, before, None, now).await?)
            })?;
            if begun {
                going_on.push(name);
            }
        }
    }
    Ok(going_on)
}

/// Removes a piece; whether there is more to do now.
async fn piece(site: &Site, work: &mut MaintenanceWork, name: TaskName, now: UnixMillis) -> Result<bool, SiteError> {
    let mut reader = site.store.reader().await?;
    let task = row(site, &mut reader, name).await?;
    let live = stored::live(&mut reader, name).await?;
    drop(reader);
    let Some(run) = live else { return Ok(false) };
    let open = hours(&task).is_some_and(|hours| is_open(hours, now));
    if run.asked_by.is_none() && !(open && task.enabled) {
        return Ok(false);
    }
    // Who switched it off since it began wants it to end.
    let stopped = !task.enabled && task.changed >= run.began;
    let holder = work.holder.clone();
    let piece = work.pieces.entry(name).or_insert_with(|| Piece { rows: FIRST, place: Place::default(), longest: 0 });
    let (rows, longest) = (piece.rows, piece.longest);
    let began = Instant::now();
    let (place, done) = transaction!(site.store, "maintenance_piece", |tx| {
        if !stored::hold(tx, run.id, &holder, now, now.plus(HELD)).await? {
            return Ok((piece.place.clone(), None));
        }
        // How long the pieces before took; of its own one a transaction cannot tell.
        stored::took(tx, run.id, longest).await?;
        let mut place = piece.place.clone();
        // Days that were set since hold from here on; nothing more goes than what was to go when it began.
        let before = cutoff(tx.conn(), task.keep_days, now).await?.min(run.before);
        let run = MaintenanceRun { before, ..run.clone() };
        let (removed, more) = match stopped {
            true => (0, false),
            false => remove(tx, &run, &mut place, rows, now).await?,
        };
        stored::note(tx, run.id, removed, (!more).then_some(now)).await?;
        if !more && run.removed + removed > 0 && name != TaskName::AuditLog {
            let detail = format!("{} row(s) that had been kept for long enough were removed.", run.removed + removed);
            audit::append(tx, &Ctx::site(now), "maintenance_end", format!("maintenance {name}"), detail).await?;
        }
        Ok::<_, SiteError>((place, Some((removed, more))))
    })?;
    let took = began.elapsed();
    let Some((removed, more)) = done else { return Ok(false) };
    piece.place = place;
    piece.longest = piece.longest.max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    piece.rows = resized(piece.rows, removed, took);
    if !more && piece.longest > longest {
        let longest = piece.longest;
        transaction!(site.store, "maintenance_took", |tx| {
            Ok::<_, SiteError>(stored::took(tx, run.id, longest).await?)
        })?;
    }
    Ok(more)
}

async fn remove(
    tx: &mut Tx,
    run: &MaintenanceRun,
    place: &mut Place,
    rows: u32,
    now: UnixMillis,
) -> Result<(u64, bool), SiteError> {
    if run.task == TaskName::AuditLog {
        let removed = audit::remove_aged(tx, &Ctx::site(now), run.before, rows).await?;
        return Ok((removed, removed > 0));
    }
    Ok(stored::remove(tx, run.task, (run.before, now), place, rows).await?)
}

/// How many rows the next piece has.
fn resized(rows: u32, removed: u64, took: Duration) -> u32 {
    let (least, most) = PIECES;
    if took > WANTED {
        // What took twice as long gets half as much.
        let factor = WANTED.as_secs_f64() / took.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between bounds")]
        let fewer = (f64::from(rows) * factor) as u32;
        return fewer.clamp(least, most);
    }
    let is_full = removed >= u64::from(rows);
    if is_full && took < WANTED / 2 { (rows * 2).min(most) } else { rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_large_as_they_may_take() {
        let ms = Duration::from_millis;
        assert_eq!(resized(200, 200, ms(5)), 400);
        assert_eq!(resized(200, 10, ms(5)), 200, "the end says nothing");
        assert_eq!(resized(200, 200, ms(15)), 200);
        assert_eq!(resized(1_000, 1_000, ms(40)), 500);
        assert_eq!((resized(200, 200, ms(9_000)), resized(4_000, 4_000, ms(1))), (20, 5_000));
    }
}
