//! Alerts: what needs somebody, raised and closed by the site's own look at what is so. An alert is never told: it follows from what is
//! stored, so that none is lost, and none stays when it is so no longer.

use super::alert_told;
use crate::{Ctx, Site, SiteError, audit, authz, delivery::forecast::foreseen};
use muster_model::{
    api::{Alert, AlertDevice, AlertKind, AlertQuery, AlertState, Page, PageQuery},
    id::{AlertId, DeploymentId, DeviceId},
    limits::ALERT_DEVICES,
    problem::Code,
    status::Severity,
    time::{DAY, MINUTE, SECOND, UnixMillis},
};
use muster_store::{
    Connection,
    bus::{Notice, Noun},
    db::alert::{self, Raised, Watched},
    transaction,
};
use std::collections::{HashMap, HashSet};

/// How long the site rests between two looks at everything.
const REST: i64 = 15 * SECOND;
/// What needs much counting is counted anew after so long, where nothing says earlier that it changed.
const STALE: i64 = 30 * MINUTE;
/// For each device of a deployment so many milliseconds pass before it is counted anew, whatever changed: of a hundred thousand, whose
/// collections change all the time, five minutes.
const DEVICE_REST: i64 = 3;
/// After the first deployment of so many devices that was counted, a step is over.
const LARGE: i64 = 5_000;
/// Deployments of one step.
const PIECE: u32 = 50;
/// So long after the deadline a device that is not done is late.
const LATE: i64 = DAY;
/// So many hundredths of late devices are too many.
const LATE_PERCENT: u64 = 10;

/// How far the look is, and what the last one found that is not looked for each time.
#[derive(Debug, Default)]
pub struct AlertWork {
    /// The deployment up to which the look is; `None`: it rests.
    after: Option<String>,
    rested: Option<UnixMillis>,
    /// Deployments of this look.
    present: HashSet<String>,
    counted: HashMap<DeploymentId, Counted>,
}

#[derive(Debug, Clone, Default)]
struct Counted {
    print: [i64; 5],
    at: UnixMillis,
    never: (u64, Vec<DeviceId>),
    late: (u64, u64, Vec<DeviceId>),
}

/// What is to be said of one deployment.
#[derive(Default)]
struct Needs {
    raised: Vec<Raised>,
    /// Kinds that this look did not count anew: another server may know better, so that those alerts stay as they are.
    kept: bool,
    /// What was counted, to be known at the next look.
    counted: Option<Counted>,
}

impl Needs {
    fn leaves(&self, kind: AlertKind) -> bool {
        self.kept && matches!(kind, AlertKind::NeverFits | AlertKind::DeadlineMissed)
    }
}

/// Looks at a piece of what may need somebody. Whether there is more to look at now.
///
/// # Errors
/// When the store fails; it is looked at again then.
pub async fn alert_work(site: &Site, work: &mut AlertWork, now: UnixMillis) -> Result<bool, SiteError> {
    let after = match &work.after {
        Some(after) => after.clone(),
        None if work.rested.is_some_and(|rested| (0..REST).contains(&now.since(rested))) => return Ok(false),
        None => {
            work.present.clear();
            String::new()
        }
    };
    let mut reader = site.store.reader().await?;
    let mut live = alert::all_live(&mut reader).await?;
    // The others are looked at elsewhere, or told once.
    live.retain(|alert| alert.kind.is_of_deployment());
    let watched = alert::watched(&mut reader, &after, PIECE).await?;
    let mut more = watched.len() == usize::try_from(PIECE).unwrap_or(usize::MAX);
    let mut looked: HashMap<String, Needs> = HashMap::new();
    let mut last = None;
    for (at, one) in watched.iter().enumerate() {
        let needs = needs(site, &mut reader, work.counted.get(&one.id), one, now).await?;
        let is_large = needs.counted.as_ref().is_some_and(|counted| counted.print[3] >= LARGE);
        looked.insert(one.id.to_string(), needs);
        work.present.insert(one.id.to_string());
        last = Some(one.id);
        // What is urgent comes between two that take long.
        if is_large && at + 1 < watched.len() {
            more = true;
            break;
        }
    }
    drop(reader);
    let wanted = || looked.values().flat_map(|needs| &needs.raised);
    // At the end of a look also those of deployments that are over. What was told is over when somebody has looked.
    let is_over = |alert: &&Alert| match looked.get(&alert.subject) {
        _ if !alert.kind.is_of_deployment() => false,
        Some(needs) => !needs.leaves(alert.kind) && !needs.raised.iter().any(|raised| is_same(raised, alert)),
        None => !more && !work.present.contains(&alert.subject),
    };
    let over: Vec<&Alert> = live.iter().filter(is_over).collect();
    let known = |raised: &&Raised| {
        let same = live.iter().find(|alert| is_same(raised, alert));
        same.is_some_and(|alert| alert.text == raised.text && alert.devices == raised.devices)
    };
    let new: Vec<&Raised> = wanted().filter(|raised| !known(raised)).collect();
    if !(over.is_empty() && new.is_empty()) {
        transaction!(site.store, "alert_work", |tx| {
            for raised in &new {
                alert_told::raise(tx, site.sources.as_ref(), raised, now).await?;
            }
            for alert in &over {
                alert::close(tx, alert.kind, &alert.subject, now).await?;
            }
            Ok::<_, SiteError>(())
        })?;
        site.bus.publish(Notice::Changed(Noun::Deployment));
    }
    // Only now: what could not be written is counted again.
    for one in &watched {
        let Some(needs) = looked.remove(&one.id.to_string()) else { continue };
        match needs.counted {
            Some(counted) => drop(work.counted.insert(one.id, counted)),
            None if !needs.kept => drop(work.counted.remove(&one.id)),
            None => {}
        }
    }
    work.after = last.filter(|_| more).map(|last| last.to_string());
    if work.after.is_none() {
        work.rested = Some(now);
        work.counted.retain(|id, _| work.present.contains(&id.to_string()));
    }
    Ok(more)
}

fn is_same(raised: &Raised, alert: &Alert) -> bool {
    raised.kind == alert.kind && raised.subject == alert.subject
}

/// What is to be said of a deployment in force.
async fn needs(
    site: &Site,
    conn: &mut Connection,
    before: Option<&Counted>,
    of: &Watched,
    now: UnixMillis,
) -> Result<Needs, SiteError> {
    let raised = |kind, severity, text, devices, named| Raised {
        id: AlertId(site.sources.id()),
        kind,
        subject: of.id.to_string(),
        severity,
        text,
        devices,
        named,
    };
    let mut needs = Needs::default();
    if let Some(why) = &of.stopped {
        let (failed, _, named) = alert::standing(conn, of.id, true, UnixMillis(i64::MAX), most()).await?;
        let text = format!("The site paused the deployment {}. {why}", of.name);
        needs.raised.push(raised(AlertKind::PhaseStopped, Severity::Error, text, failed, named));
    }
    if !of.required {
        return Ok(needs);
    }
    let Some(counted) = count(site, conn, before, of, now).await? else {
        needs.kept = true;
        return Ok(needs);
    };
    let (never, named) = &counted.never;
    if *never > 0 {
        let text = format!("The deployment {} fits no maintenance window of {never} device(s).", of.name);
        needs.raised.push(raised(AlertKind::NeverFits, Severity::Warning, text, *never, named.clone()));
    }
    let (open, all, late) = &counted.late;
    if open * 100 > LATE_PERCENT * all {
        let text = format!(
            "More than a day after the deadline of the deployment {}, {open} of {all} device(s) are not done with it.",
            of.name
        );
        needs.raised.push(raised(AlertKind::DeadlineMissed, Severity::Warning, text, *open, late.clone()));
    }
    needs.counted = Some(counted);
    Ok(needs)
}

fn most() -> u32 {
    u32::try_from(ALERT_DEVICES).unwrap_or(u32::MAX)
}

/// Counts anew only where something changed that matters, or after a while: windows come and go with time, too. `None`: what was counted
/// before is fresh.
async fn count(
    site: &Site,
    conn: &mut Connection,
    before: Option<&Counted>,
    of: &Watched,
    now: UnixMillis,
) -> Result<Option<Counted>, SiteError> {
    let print = alert::fingerprint(conn, of.id).await?;
    let rest = |counted: &Counted| match counted.print == print {
        true => STALE,
        false => counted.print[3].saturating_mul(DEVICE_REST),
    };
    if before.is_some_and(|counted| (0..rest(counted)).contains(&now.since(counted.at))) {
        return Ok(None);
    }
    let mut counted = Counted { print, at: now, ..Counted::default() };
    if of.held {
        let forecast = foreseen(site, conn, of.id, now).await?;
        let named = forecast.never_devices.iter().map(|device| device.id).collect();
        counted.never = (forecast.never, named);
    }
    if now.since(of.deadline) > LATE {
        // A phase that began after the deadline has a day as well.
        counted.late = alert::standing(conn, of.id, false, now.plus(-LATE), most()).await?;
    }
    Ok(Some(counted))
}

/// One page of alerts, the latest first: those that are so now, or all.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn alert_list(ctx: &Ctx, site: &Site, query: AlertQuery) -> Result<Page<Alert>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let query = AlertQuery { offset: page.offset, limit: page.limit, ..query };
    let (items, total) = alert::list(&mut *site.store.reader().await?, &query).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// How many alerts nobody has looked at, for whoever runs the server.
///
/// # Errors
/// When the store fails.
pub async fn alert_count(site: &Site) -> Result<u64, SiteError> {
    Ok(alert::count_open(&mut *site.store.reader().await?).await?)
}

/// One alert.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn alert_show(ctx: &Ctx, site: &Site, id: AlertId) -> Result<Alert, SiteError> {
    authz::see(ctx)?;
    alert::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found)
}

/// One page of the devices of an alert; of very many only the first are kept.
///
/// # Errors
/// `unauthenticated`, `too_large`, `not_found`.
pub async fn alert_devices(
    ctx: &Ctx,
    site: &Site,
    id: AlertId,
    query: PageQuery,
) -> Result<Page<AlertDevice>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let mut reader = site.store.reader().await?;
    alert::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let (items, total) = alert::devices(&mut reader, id, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Says that somebody has looked at an alert. It stays until it is so no longer.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict`: somebody has already, or it is over.
pub async fn alert_acknowledge(ctx: &Ctx, site: &Site, id: AlertId) -> Result<Alert, SiteError> {
    let by = authz::change(ctx)?.name.to_string();
    let known = transaction!(site.store, "alert_acknowledge", |tx| {
        let known = alert::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        if !alert::acknowledge(tx, id, ctx.now, &by).await? {
            let detail = match known.state {
                AlertState::Closed => "This alert is over.",
                AlertState::Open | AlertState::Acknowledged | AlertState::Postponed => {
                    "Somebody has acknowledged this alert."
                }
            };
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        if known.kind.is_told() {
            // What happened once is not so no longer by itself.
            alert::close(tx, known.kind, &known.subject, ctx.now).await?;
        }
        audit::append(tx, ctx, "alert_acknowledge", format!("alert {id}"), known.text.clone()).await?;
        Ok(known)
    })?;
    site.bus.publish(Notice::Changed(Noun::Deployment));
    let (acknowledged, acknowledged_by) = (Some(ctx.now), Some(by));
    let (state, closed) = match known.kind.is_told() {
        true => (AlertState::Closed, Some(ctx.now)),
        false => (AlertState::Acknowledged, None),
    };
    Ok(Alert { state, acknowledged, acknowledged_by, closed, ..known })
}
