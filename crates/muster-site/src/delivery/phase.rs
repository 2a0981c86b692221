//! Phases of a deployment: the next begins when the one before succeeded, and too many failures stop all of it.

use super::{
    deployment::{changed, create_with},
    phase_plan::{Counts, Decision, decide, phase_of, says},
};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{
        Deployment, DeploymentAct, DeploymentStanding, Phase, PhaseBegin, PhaseReach, PhaseStanding,
        PhasedDeploymentCreate,
    },
    id::{DeploymentId, DeviceId},
    problem::Code,
    time::{SECOND, UnixMillis},
};
use muster_store::{
    Connection, Tx,
    db::{
        assignment, deployment_approval, deployment_control as control, deployment_event, deployment_event::ActRow,
        deployment_phase as stored, deployment_phase::PhaseRow,
    },
    transaction,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Deploys an application in phases.
///
/// # Errors
/// As `deployment_create`; `malformed` with phases that cannot be followed; `not_found`, `conflict` with a collection of one of them.
pub async fn deployment_create_phased(
    ctx: &Ctx,
    site: &Site,
    create: &PhasedDeploymentCreate,
) -> Result<Deployment, SiteError> {
    authz::change(ctx)?;
    Phase::check(&create.phases).map_err(|text| SiteError::refused(Code::Malformed, text))?;
    create_with(ctx, site, &create.deployment, &create.phases).await
}

/// Gives a new deployment its phases and asks for what its devices shall have now.
pub(super) async fn start(
    ctx: &Ctx,
    tx: &mut Tx,
    id: DeploymentId,
    phases: &[Phase],
    high_impact: bool,
) -> Result<(), SiteError> {
    let Some(first) = phases.first() else {
        assignment::ask_targeted(tx, id, ctx.now).await?;
        return Ok(());
    };
    for phase in phases {
        if let PhaseReach::Collection { collection } = phase.reach {
            super::deployment::check_collection(tx.conn(), collection, high_impact).await?;
        }
    }
    stored::insert(tx, id, phases).await?;
    let rows = stored::of_deployment(tx.conn(), id).await?;
    let devices = stored::unplaced(tx.conn(), id).await?;
    place(tx, id, &rows, &devices).await?;
    if !first.manual {
        begin(tx, id, 1, ctx.now, ctx.admin_name().map(ToString::to_string).as_deref()).await?;
    }
    Ok(())
}

async fn place(tx: &mut Tx, id: DeploymentId, rows: &[PhaseRow], devices: &[DeviceId]) -> Result<(), SiteError> {
    let of = |row: &PhaseRow| match row.phase.reach {
        PhaseReach::Collection { collection } => Some(collection),
        PhaseReach::Percent { .. } | PhaseReach::Rest => None,
    };
    let collections: Vec<_> = rows.iter().filter_map(of).collect();
    let members = stored::members(tx, id, &collections).await?;
    let phase = |device: &DeviceId| Some((*device, phase_of(id, *device, rows, &members)?));
    let placed: Vec<_> = devices.iter().filter_map(phase).collect();
    stored::place(tx, id, &placed).await?;
    Ok(())
}

/// Puts devices that came to deployments with phases into one of them.
pub(super) async fn place_new(tx: &mut Tx, devices: &[DeviceId]) -> Result<(), SiteError> {
    let mut of: BTreeMap<DeploymentId, Vec<DeviceId>> = BTreeMap::new();
    for (deployment, device) in stored::unplaced_of(tx, devices).await? {
        of.entry(deployment).or_default().push(device);
    }
    for (id, devices) in of {
        let rows = stored::of_deployment(tx.conn(), id).await?;
        place(tx, id, &rows, &devices).await?;
    }
    Ok(())
}

/// Begins a phase and asks for what its devices shall have. `None`: it did not begin.
async fn begin(
    tx: &mut Tx,
    id: DeploymentId,
    phase: u32,
    now: UnixMillis,
    by: Option<&str>,
) -> Result<Option<u64>, SiteError> {
    if !stored::begin(tx, id, phase, now, by).await? {
        return Ok(None);
    }
    let (act, reason) = (DeploymentAct::PhaseBegin, "");
    deployment_event::acted(tx, &ActRow { deployment: id, device: None, phase: Some(phase), act, by, reason }, now)
        .await?;
    Ok(Some(assignment::ask_phase(tx, id, phase, now).await?))
}

/// Begins the next phase now, whatever its criteria say.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict`: it has no such phase, another one is the next, or it is paused or over.
pub async fn deployment_phase_begin(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    wanted: PhaseBegin,
) -> Result<DeploymentStanding, SiteError> {
    let admin = authz::change(ctx)?;
    let by = admin.name.to_string();
    transaction!(site.store, "deployment_phase_begin", |tx| {
        let of = control::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        let rows = stored::of_deployment(tx.conn(), id).await?;
        let known = rows.iter().find(|row| row.number == wanted.phase);
        let known = known.ok_or_else(|| SiteError::refused(Code::Conflict, "This deployment has no such phase."))?;
        let Some(devices) = begin(tx, id, wanted.phase, ctx.now, Some(&by)).await? else {
            let detail = match (of.deleted, of.paused) {
                (Some(_), _) => "This deployment is over.".to_owned(),
                (None, Some(_)) => "This deployment is paused; resume it first.".to_owned(),
                (None, None) => format!("The next phase is {}.", of.phase.unwrap_or(0) + 1),
            };
            return Err(SiteError::refused(Code::Conflict, detail));
        };
        let name = &known.phase.name;
        let detail = format!("Phase {}, {name}, of {} was begun on {devices} device(s).", wanted.phase, of.name);
        audit::append(tx, ctx, "deployment_phase_begin", format!("deployment {id}"), detail).await
    })?;
    changed(site);
    deployment_standing(ctx, site, id).await
}

/// What follows for a deployment with phases, and how they stand.
async fn look(
    conn: &mut Connection,
    id: DeploymentId,
    now: UnixMillis,
) -> Result<(Vec<PhaseRow>, Counts, Decision), SiteError> {
    let rows = stored::of_deployment(conn, id).await?;
    let counts = stored::counts(conn, id).await?;
    let current = control::get(conn, id).await?.and_then(|of| of.phase).unwrap_or(0);
    let decision = decide(&rows, &counts, current, now);
    Ok((rows, counts, decision))
}

/// How long a deployment with phases rests between two looks, and for each of its devices besides (milliseconds).
const REST: i64 = 10 * SECOND;
/// See [`REST`].
const DEVICE_REST: u64 = 1;
/// After so many devices a step is over.
const STEP_DEVICES: u64 = 50_000;

/// When deployments with phases are looked at again: the more devices, the later.
#[derive(Debug, Default)]
pub struct PhaseWork {
    next: Option<UnixMillis>,
    due: HashMap<DeploymentId, (UnixMillis, i64)>,
}

/// Looks at deployments with phases whose time it is: begins what follows, and stops what fails. Whether anything was done, or there is
/// more to look at. Several servers may do this at once: each phase begins once.
///
/// # Errors
/// When the store fails.
pub async fn phase_work(site: &Site, work: &mut PhaseWork, now: UnixMillis) -> Result<bool, SiteError> {
    if work.next.is_some_and(|last| (0..REST).contains(&now.since(last))) {
        return Ok(false);
    }
    let mut reader = site.store.reader().await?;
    let live = stored::live(&mut reader).await?;
    let known: HashSet<DeploymentId> = live.iter().copied().collect();
    work.due.retain(|id, _| known.contains(id));
    let (mut due, mut devices, mut more) = (Vec::new(), 0, false);
    for id in live {
        if work.due.get(&id).is_some_and(|(last, rest)| (0..*rest).contains(&now.since(*last))) {
            continue;
        }
        if devices >= STEP_DEVICES {
            more = true;
            break;
        }
        let (_, counts, decision) = look(&mut reader, id, now).await?;
        let of: u64 = counts.values().flat_map(BTreeMap::values).sum();
        devices += of;
        work.due.insert(id, (now, REST + i64::try_from(of * DEVICE_REST).unwrap_or(i64::MAX / 2)));
        if decision != Decision::Wait {
            due.push(id);
        }
    }
    drop(reader);
    work.next = Some(now).filter(|_| !more);
    Ok(end(site, due, now).await? || more)
}

/// Does what follows for these deployments; whether anything was done.
async fn end(site: &Site, due: Vec<DeploymentId>, now: UnixMillis) -> Result<bool, SiteError> {
    let mut any = false;
    for id in due {
        any |= transaction!(site.store, "phase_work", |tx| { act(tx, id, now).await })?;
    }
    if any {
        changed(site);
    }
    Ok(any)
}

/// Looks again, where nobody changes anything meanwhile, and does what follows.
async fn act(tx: &mut Tx, id: DeploymentId, now: UnixMillis) -> Result<bool, SiteError> {
    let (rows, _, decision) = look(tx.conn(), id, now).await?;
    let Some(of) = control::get(tx.conn(), id).await? else { return Ok(false) };
    let (action, detail) = match decision {
        Decision::Wait => return Ok(false),
        Decision::Begin(number) => {
            let Some(devices) = begin(tx, id, number, now, None).await? else { return Ok(false) };
            let name = rows.iter().find(|row| row.number == number).map(|row| row.phase.name.to_string());
            let name = name.unwrap_or_default();
            ("deployment_phase_begin", format!("Phase {number}, {name}, of {} began on {devices} device(s).", of.name))
        }
        Decision::Stop(why) => {
            if !control::pause(tx, id, now, None, &why).await? {
                return Ok(false);
            }
            super::control::acted(&Ctx::site(now), tx, id, DeploymentAct::Pause, &why).await?;
            assignment::ask_targeted(tx, id, now).await?;
            ("deployment_pause", format!("{} was paused by the site. {why}", of.name))
        }
    };
    audit::append(tx, &Ctx::site(now), action, format!("deployment {id}"), detail).await?;
    Ok(true)
}

/// Devices of a deployment, counted.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// On which it did not begin, on which it began, and on which it failed.
    states: (u64, u64, u64),
    phases: Counts,
}

/// Whether a deployment is held or ended, and how its phases stand.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn deployment_standing(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<DeploymentStanding, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let of = control::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let rows = stored::of_deployment(&mut reader, id).await?;
    let figures = match site.memory.standings.get(id, ctx.now) {
        Some(kept) => kept,
        None => {
            let devices = deployment_approval::reached(&mut reader, id).await?;
            let states = control::counts(&mut reader, id).await?;
            let figures = Figures { states, phases: stored::counts(&mut reader, id).await? };
            site.memory.standings.put(id, ctx.now, devices, &figures);
            figures
        }
    };
    let ((not_begun, begun, failed), counts) = (figures.states, figures.phases);
    let current = of.phase.unwrap_or(0);
    let phase = |row: &PhaseRow| PhaseStanding {
        number: row.number,
        phase: row.phase.clone(),
        begun: row.begun,
        begun_by: row.begun.map(|_| row.begun_by.clone().unwrap_or_else(|| "site".to_owned())),
        totals: counts.get(&row.number).cloned().unwrap_or_default(),
        says: says(&rows, row, &counts, current, ctx.now),
    };
    let phases = rows.iter().map(phase).collect();
    Ok(DeploymentStanding {
        paused: of.paused,
        paused_by: of.paused_by,
        reason: of.reason,
        cancelled: of.cancelled,
        not_begun,
        begun,
        failed,
        phases,
    })
}
