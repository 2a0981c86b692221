//! Runs over a directory: which is due, and what becomes of what the server reads there, a page at a time and each page whole.

use super::{
    merge::{note_each, settle},
    take::{Taken, take},
};
use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{DirectorySettings, DiscoveryMethod, ResourceKind},
    discovery::{DirectoryObject, DiscoveryRecord, Reached, Resume},
    problem::Code,
    time::{MINUTE, UnixMillis},
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        discovery,
        discovery_source::{self as store, RunEnd, SourceRow},
        resource_group,
    },
    transaction,
};
use std::collections::{BTreeMap, BTreeSet};

/// For how long a page may be away before another process takes the run up.
const HOLD: i64 = 10 * MINUTE;
/// After how long a run that failed is tried again.
const RETRY: i64 = 15 * MINUTE;
/// Resources whose groups are computed in one transaction.
const PIECE: u32 = 500;

/// A run that the server is to make.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectoryRun {
    /// The directory.
    pub name: String,
    /// What is wanted of it.
    pub settings: DirectorySettings,
    /// Whether everything is to be read.
    pub full: bool,
    /// How far the last whole run came.
    pub reached: Option<Reached>,
    /// Where a full run goes on that was cut off.
    pub resume: Option<Resume>,
    claimed: UnixMillis,
    changed: UnixMillis,
    counts: [u64; 3],
}

/// The next run that is due, which is the caller's from now on.
///
/// # Errors
/// `unauthenticated` for everybody but the site.
pub async fn directory_due(ctx: &Ctx, site: &Site) -> Result<Option<DirectoryRun>, SiteError> {
    authz::site(ctx)?;
    let rows = store::all(&mut *site.store.reader().await?).await?;
    for row in rows {
        let Some(full) = due(&row, ctx.now) else { continue };
        let until = ctx.now.plus(HOLD);
        let name = row.source.name.clone();
        let claimed =
            transaction!(site.store, "directory_claim", |tx| { store::claim(tx, &name, ctx.now, until).await })?;
        if claimed {
            return Ok(Some(DirectoryRun {
                full: full || row.reached.is_none(),
                name: row.source.name,
                settings: row.source.settings,
                reached: row.reached,
                resume: row.resume,
                claimed: until,
                changed: row.source.changed,
                counts: [0; 3],
            }));
        }
    }
    Ok(None)
}

/// Whether a run is due, and whether a full one.
fn due(row: &SourceRow, now: UnixMillis) -> Option<bool> {
    let source = &row.source;
    if !source.settings.enabled || row.claimed > now {
        return None;
    }
    if let Some(asked) = &source.asked {
        return Some(asked == "full");
    }
    if source.error.is_some() && source.failed.is_some_and(|failed| (0..RETRY).contains(&now.since(failed))) {
        return None;
    }
    let over =
        |ended: Option<UnixMillis>, every: i64| ended.is_none_or(|ended| !(0..every).contains(&now.since(ended)));
    if row.resume.is_some() || over(source.full_ended, source.settings.full) {
        return Some(true);
    }
    (source.settings.delta > 0 && over(source.delta_ended, source.settings.delta)).then_some(false)
}

impl DirectoryRun {
    /// Goes on holding the run, in the transaction of a page.
    async fn hold(&mut self, tx: &mut Tx, now: UnixMillis, resume: Option<&Resume>) -> Result<(), SiteError> {
        // Later than before in any case, so that a second holder would be noticed.
        let until = UnixMillis(now.plus(HOLD).0.max(self.claimed.0 + 1));
        if !store::go_on(tx, &self.name, self.claimed, until, resume, self.changed).await? {
            let detail = "The directory's settings were changed, or another process has the run; this one ends.";
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        self.claimed = until;
        Ok(())
    }

    fn count(&mut self, taken: Taken) {
        self.counts[0] += taken.changed + taken.same + taken.refused;
        self.counts[1] += taken.changed;
        self.counts[2] += taken.refused;
    }
}

/// Takes in a page of objects, with the groups that they are in, and notes how far the run is: all of it, or nothing.
///
/// # Errors
/// `unauthenticated` for everybody but the site; `conflict`: the run is not the caller's any more.
pub async fn directory_page(
    ctx: &Ctx,
    site: &Site,
    run: &mut DirectoryRun,
    objects: &[DirectoryObject],
    resume: Option<&Resume>,
) -> Result<(), SiteError> {
    authz::site(ctx)?;
    let records: Vec<DiscoveryRecord> = objects.iter().map(|object| object.record.clone()).collect();
    // The transaction may run twice; only what it ends with counts.
    let (taken, held) = transaction!(site.store, "directory_page", |tx| {
        let mut held = run.clone();
        held.hold(tx, ctx.now, resume).await?;
        let taken = take(tx, &records, ctx.now).await?;
        groups(tx, objects).await?;
        Ok::<_, SiteError>((taken, held))
    })?;
    *run = held;
    run.count(taken);
    regroup(site).await?;
    if taken.changed > 0 {
        site.bus.publish(Notice::Changed(Noun::Device));
    }
    Ok(())
}

/// Sets the groups of the objects of a page, as far as the site knows those groups.
async fn groups(tx: &mut Tx, objects: &[DirectoryObject]) -> Result<(), SiteError> {
    let names: BTreeSet<&str> = objects.iter().flat_map(|object| object.groups.iter().map(String::as_str)).collect();
    let sids: BTreeSet<&str> = objects.iter().filter_map(|object| object.primary_group.as_deref()).collect();
    let by_name = resource_group::by_name(tx, &names.into_iter().collect::<Vec<_>>()).await?;
    let by_sid = resource_group::by_sid(tx, &sids.into_iter().collect::<Vec<_>>()).await?;
    let numbers = numbers(tx, objects.iter().map(|object| object.record.identity.as_str())).await?;
    let mut changed = Vec::new();
    for object in objects {
        let Some(number) = numbers.get(object.record.identity.as_str()) else { continue };
        let direct = object.groups.iter().filter_map(|name| by_name.get(name));
        let primary = object.primary_group.as_ref().and_then(|sid| by_sid.get(sid));
        let direct: BTreeSet<i64> = direct.chain(primary).copied().filter(|group| group != number).collect();
        if resource_group::set_groups(tx, *number, &direct).await? {
            changed.push(*number);
        }
    }
    if !changed.is_empty() {
        resource_group::ask(tx, &changed).await?;
    }
    Ok(())
}

/// The resources of directory identities.
async fn numbers<'a>(
    tx: &mut Tx,
    identities: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, i64>, SiteError> {
    let identities: Vec<&str> = identities.collect();
    let rows = discovery::of_identities(tx, &identities).await?;
    Ok(rows.into_iter().filter(|row| row.gone.is_none()).map(|row| (row.identity, row.resource_id)).collect())
}

/// Sets who is in a group, as far as the site knows them. Those whose primary group it is are not in the directory's list.
///
/// # Errors
/// As [`directory_page`].
pub async fn directory_members(
    ctx: &Ctx,
    site: &Site,
    run: &mut DirectoryRun,
    group: &str,
    members: &[String],
    primary: u32,
) -> Result<(), SiteError> {
    authz::site(ctx)?;
    let held = transaction!(site.store, "directory_members", |tx| {
        let mut held = run.clone();
        held.hold(tx, ctx.now, None).await?;
        if let Some(group) = numbers(tx, std::iter::once(group)).await?.get(group) {
            let mut inside = BTreeSet::new();
            for piece in members.chunks(PIECE as usize) {
                inside.extend(numbers(tx, piece.iter().map(String::as_str)).await?.into_values());
            }
            inside.remove(group);
            let changed = resource_group::set_members(tx, *group, &inside, primary).await?;
            if !changed.is_empty() {
                resource_group::ask(tx, &changed).await?;
            }
        }
        Ok::<_, SiteError>(held)
    })?;
    *run = held;
    regroup(site).await
}

/// Computes the groups that are asked for. A process that dies on the way leaves the rest to the next.
pub(super) async fn regroup(site: &Site) -> Result<(), SiteError> {
    loop {
        let left = transaction!(site.store, "directory_regroup", |tx| {
            let asked = resource_group::asked(tx.conn(), PIECE).await?;
            let changed = resource_group::compute(tx, &asked).await?;
            note_each(tx, &changed).await?;
            Ok::<_, SiteError>(asked.len())
        })?;
        if left < PIECE as usize {
            return Ok(());
        }
    }
}

/// Notes that objects are no more, by their identities.
///
/// # Errors
/// As [`directory_page`].
pub async fn directory_gone(
    ctx: &Ctx,
    site: &Site,
    run: &mut DirectoryRun,
    identities: &[String],
) -> Result<(), SiteError> {
    authz::site(ctx)?;
    let held = transaction!(site.store, "directory_gone", |tx| {
        let mut held = run.clone();
        held.hold(tx, ctx.now, None).await?;
        let identities: Vec<&str> = identities.iter().map(String::as_str).collect();
        let rows = discovery::of_identities(tx, &identities).await?;
        let rows: Vec<_> = rows.into_iter().filter(|row| row.gone.is_none() && row.source == held.name).collect();
        part(tx, &rows, ctx.now).await?;
        Ok::<_, SiteError>(held)
    })?;
    *run = held;
    regroup(site).await?;
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(())
}

/// These records hold no more. What is gone is in no group, and no group of it has members.
async fn part(tx: &mut Tx, rows: &[discovery::RecordRow], now: UnixMillis) -> Result<(), SiteError> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    discovery::set_gone(tx, &ids, now).await?;
    for row in rows {
        resource_group::ask(tx, &[row.resource_id]).await?;
        resource_group::leave_all(tx, row.resource_id).await?;
        settle(tx, row.resource_id, row.kind, now).await?;
    }
    Ok(())
}

/// Ends a run. After a full one, what it did not find is no more.
///
/// # Errors
/// As [`directory_page`].
pub async fn directory_end(
    ctx: &Ctx,
    site: &Site,
    mut run: DirectoryRun,
    outcome: Result<(bool, UnixMillis, Reached), String>,
) -> Result<(), SiteError> {
    authz::site(ctx)?;
    if let Ok((true, began, _)) = &outcome {
        while part_unseen(ctx, site, &mut run, *began).await? {}
        regroup(site).await?;
    }
    let (full, reached, error) = match outcome {
        Ok((full, _, reached)) => (full, Some(reached), None),
        Err(error) => (run.full, None, Some(error)),
    };
    let end = RunEnd { full, reached, error, counts: run.counts };
    transaction!(site.store, "directory_end", |tx| {
        // Whose settings changed meanwhile is looked at anew; nothing of this run is noted.
        match run.clone().hold(tx, ctx.now, run.resume.as_ref()).await {
            Ok(()) => store::end(tx, &run.name, &end, ctx.now).await?,
            Err(error) if error.code() == Code::Conflict => {}
            Err(error) => return Err(error),
        }
        Ok::<_, SiteError>(())
    })?;
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(())
}

/// What a full run did not see; whether there may be more of it.
async fn part_unseen(ctx: &Ctx, site: &Site, run: &mut DirectoryRun, began: UnixMillis) -> Result<bool, SiteError> {
    let methods: Vec<DiscoveryMethod> = run.settings.kinds.iter().map(|kind| method(*kind)).collect();
    let (held, count) = transaction!(site.store, "directory_unseen", |tx| {
        let mut held = run.clone();
        held.hold(tx, ctx.now, run.resume.as_ref()).await?;
        let mut count = 0;
        for method in &methods {
            let rows = discovery::unseen(tx.conn(), &held.name, *method, began, PIECE).await?;
            count = count.max(rows.len());
            part(tx, &rows, ctx.now).await?;
        }
        Ok::<_, SiteError>((held, count))
    })?;
    *run = held;
    Ok(count >= PIECE as usize)
}

/// The method that finds a kind of resources in a directory.
#[must_use]
pub const fn method(kind: ResourceKind) -> DiscoveryMethod {
    match kind {
        ResourceKind::System => DiscoveryMethod::DirectorySystem,
        ResourceKind::User => DiscoveryMethod::DirectoryUser,
        ResourceKind::Group => DiscoveryMethod::DirectoryGroup,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{api::DiscoverySource, time::DAY};

    fn row(change: impl FnOnce(&mut SourceRow)) -> SourceRow {
        let source = DiscoverySource {
            name: "corp".to_owned(),
            settings: DirectorySettings { enabled: true, ..DirectorySettings::default() },
            changed: UnixMillis(0),
            changed_by: String::new(),
            asked: None,
            running: false,
            full_ended: Some(UnixMillis(0)),
            delta_ended: Some(UnixMillis(0)),
            failed: None,
            error: None,
            seen: 0,
            altered: 0,
            refused: 0,
        };
        let mut row = SourceRow { source, claimed: UnixMillis(0), reached: None, resume: None };
        change(&mut row);
        row
    }

    #[test]
    fn a_run_is_due_by_its_schedule_and_never_where_it_is_off() {
        let at = |row: SourceRow, now| due(&row, UnixMillis(now));
        assert_eq!(at(row(|_| {}), MINUTE), None);
        assert_eq!(at(row(|_| {}), 5 * MINUTE), Some(false));
        assert_eq!(at(row(|row| row.source.settings.delta = 0), 6 * DAY), None);
        assert_eq!(at(row(|_| {}), 7 * DAY), Some(true));
        assert_eq!(at(row(|row| row.source.full_ended = None), MINUTE), Some(true));
        assert_eq!(at(row(|row| row.source.settings.enabled = false), 70 * DAY), None);
        assert_eq!(at(row(|row| row.claimed = UnixMillis(8 * DAY)), 7 * DAY), None, "another process works on it");
        assert_eq!(at(row(|row| row.source.asked = Some("full".to_owned())), 1), Some(true));
        let failed = |row: &mut SourceRow| {
            (row.source.failed, row.source.error) = (Some(UnixMillis(7 * DAY)), Some("no".to_owned()));
        };
        assert_eq!(at(row(failed), 7 * DAY + MINUTE), None, "it is not tried without pause");
        assert_eq!(at(row(failed), 7 * DAY + RETRY), Some(true));
    }
}
