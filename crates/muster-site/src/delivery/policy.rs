//! Policy: what each device is told. Bodies are immutable and shared; the assignment that lists them is signed per device.

use crate::{
    Ctx, Site, SiteError, authz,
    delivery::{deployment_approval, location, log_request, phase, settings, window},
    identity::sign::Sign,
    site::Trust,
};
use bytes::Bytes;
use lru::LruCache;
use muster_model::{
    id::{DeviceId, Hash, SiteCode},
    limits::DEVICE_BASELINES,
    policy::{ASSIGNMENT_LIFETIME, Assignment, BodyKind, BodyRef, Recipient},
    problem::Code,
    time::{MINUTE, UnixMillis},
};
use muster_store::{
    Tx,
    bus::Notice,
    db::{
        assignment, assignment::AssignmentRow, assignment::Wanted, baseline_deployment, deployment, deployment_related,
        policy_body, secret,
    },
    transaction,
};
use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

/// Devices whose assignments are kept in memory.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
/// How long one is believed without a look at the database: another process may have changed it.
const REMEMBERED_FOR: i64 = MINUTE;
/// Devices whose assignments are made in one transaction.
pub const COMPILE_DEVICES: u32 = 1_000;

/// A device's assignment as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its version; the ETag.
    pub version: u64,
    /// When it stops being believed.
    pub expires: UnixMillis,
    /// Version of the trust bundle under which it was signed.
    pub trust_version: u64,
    /// What it lists.
    pub bodies: Vec<BodyRef>,
    /// The signed bytes.
    pub envelope: Bytes,
}

/// Assignments in memory. What the bus says has changed is forgotten before the next look.
#[derive(Debug)]
pub struct Assignments(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    known: LruCache<DeviceId, (UnixMillis, Arc<Current>)>,
    /// Grows whenever something is forgotten, so that what was read before is not remembered after.
    generation: u64,
    notices: Option<Receiver<Notice>>,
}

impl Default for Assignments {
    fn default() -> Self {
        Self(Mutex::new(Inner { known: LruCache::new(REMEMBERED), generation: 0, notices: None }))
    }
}

impl Inner {
    fn forget_changed(&mut self, site: &Site) {
        let notices = self.notices.get_or_insert_with(|| site.bus.subscribe());
        loop {
            match notices.try_recv() {
                Ok(Notice::PolicyChanged(device) | Notice::DeviceClosed(device)) => drop(self.known.pop(&device)),
                Ok(Notice::AllPoliciesChanged) | Err(TryRecvError::Lagged(_)) => self.known.clear(),
                Ok(Notice::Changed(_) | Notice::ServerCertificateRevoked | Notice::TrustChanged { .. }) => continue,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
            self.generation += 1;
        }
    }
}

impl Assignments {
    fn get(&self, site: &Site, device: DeviceId, now: UnixMillis) -> Option<Arc<Current>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget_changed(site);
        let (since, current) = inner.known.get(&device)?;
        let known = (0..REMEMBERED_FOR).contains(&now.since(*since)) && now < current.expires;
        (known && current.trust_version >= site.trust.load().bundle().version).then(|| current.clone())
    }

    /// Keeps what was read since [`Assignments::generation`] was asked, unless something changed meanwhile.
    fn put(&self, site: &Site, generation: u64, device: DeviceId, now: UnixMillis, current: &Arc<Current>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget_changed(site);
        if inner.generation == generation {
            inner.known.put(device, (now, current.clone()));
        }
    }

    /// To be asked before the database is read.
    fn generation(&self, site: &Site) -> u64 {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget_changed(site);
        inner.generation
    }
}

/// The assignment of the device that asks. One that has none yet, or an expired one, gets it on the spot.
///
/// # Errors
/// `unauthenticated`; `device_not_active`.
pub async fn assignment_show(ctx: &Ctx, site: &Site) -> Result<Arc<Current>, SiteError> {
    let current = current(ctx, site).await?;
    site.memory.signs.note(authz::device(ctx)?.id, Sign::PolicyRequest, ctx.now);
    Ok(current)
}

/// The device that asks says that it has its assignment of this version. Written later, with many others.
///
/// # Errors
/// `unauthenticated`.
pub fn assignment_confirmed(ctx: &Ctx, site: &Site, version: u64) -> Result<(), SiteError> {
    site.memory.confirmed.note(authz::device(ctx)?.id, version, ctx.now);
    Ok(())
}

/// The bytes of a policy body or application object, where the current assignment of the device that asks lists it.
///
/// # Errors
/// `device_not_active`; `not_found`, the same for what is not there and what is another's.
pub async fn body_show(ctx: &Ctx, site: &Site, hash: Hash) -> Result<Vec<u8>, SiteError> {
    let current = current(ctx, site).await?;
    if !current.bodies.iter().any(|body| body.hash == hash) {
        return Err(SiteError::not_found());
    }
    let mut reader = site.store.reader().await?;
    if let Some(body) = policy_body::get(&mut reader, hash).await? {
        return Ok(body);
    }
    let device = authz::device(ctx)?.id;
    if let Some(body) = log_request::get(&mut reader, device, hash).await? {
        return Ok(body);
    }
    secret::get(&mut reader, device, hash).await?.ok_or_else(SiteError::not_found)
}

/// The assignment of the device that asks.
pub(super) async fn current(ctx: &Ctx, site: &Site) -> Result<Arc<Current>, SiteError> {
    let device = authz::device(ctx)?.id;
    if let Some(current) = site.memory.assignments.get(site, device, ctx.now) {
        return Ok(current);
    }
    let mut generation = site.memory.assignments.generation(site);
    let mut row = stored(site, device).await?;
    // Under a new trust bundle nobody waits for the queue: the key that signed may be believed no longer.
    let trust_version = site.trust.load().bundle().version;
    if row.as_ref().is_none_or(|row| row.expires <= ctx.now || row.trust_version < trust_version) {
        policy_compile(site, ctx.now, &[device]).await?;
        generation = site.memory.assignments.generation(site);
        row = stored(site, device).await?;
    }
    let row = row.ok_or_else(|| SiteError::Fault(format!("no assignment could be made for device {device}")))?;
    let current = Arc::new(Current {
        version: row.version,
        expires: row.expires,
        trust_version: row.trust_version,
        bodies: row.bodies,
        envelope: row.envelope.into(),
    });
    site.memory.assignments.put(site, generation, device, ctx.now, &current);
    Ok(current)
}

async fn stored(site: &Site, device: DeviceId) -> Result<Option<AssignmentRow>, SiteError> {
    match assignment::get(&mut *site.store.reader().await?, device).await? {
        Some((true, row)) => Ok(row),
        _ => Err(not_active()),
    }
}

/// What a device that is blocked, retired or unknown hears.
pub(crate) fn not_active() -> SiteError {
    SiteError::refused(
        Code::DeviceNotActive,
        "This device is blocked, retired or unknown; its administrator can say why.",
    )
}

/// Makes the assignments of these devices anew, where they changed or half of their life is over; tells the bus. Returns how
/// many were signed.
///
/// # Errors
/// When the store fails.
pub async fn policy_compile(site: &Site, now: UnixMillis, devices: &[DeviceId]) -> Result<usize, SiteError> {
    let changed = transaction!(site.store, "policy_compile", |tx| { compile(site, tx, now, devices).await })?;
    publish(site, &changed);
    Ok(changed.len())
}

/// Whether jobs wait.
///
/// # Errors
/// When the store fails.
pub async fn policy_pending(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    Ok(assignment::pending(&mut *site.store.reader().await?, now).await?)
}

/// Takes waiting jobs and makes the assignments that they ask for. Returns how many jobs were taken.
///
/// # Errors
/// When the store fails; the jobs are still there then.
pub async fn policy_work(site: &Site, now: UnixMillis) -> Result<usize, SiteError> {
    let (taken, changed) = transaction!(site.store, "policy_work", |tx| {
        let devices = assignment::take(tx, now, COMPILE_DEVICES).await?;
        let changed = compile(site, tx, now, &devices).await?;
        Ok::<_, SiteError>((devices.len(), changed))
    })?;
    publish(site, &changed);
    Ok(taken)
}

pub(super) fn publish(site: &Site, changed: &[DeviceId]) {
    for device in changed {
        site.bus.publish(Notice::PolicyChanged(*device));
    }
}

pub(super) async fn compile(
    site: &Site,
    tx: &mut Tx,
    now: UnixMillis,
    devices: &[DeviceId],
) -> Result<Vec<DeviceId>, SiteError> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let active = assignment::active(tx, devices).await?;
    deployment::target_new(tx, &active, now).await?;
    phase::place_new(tx, &active).await?;
    baseline_deployment::target_new(tx, &active, now).await?;
    let settings = settings::bodies(tx, now, &active).await?;
    let mut bodies: HashMap<DeviceId, Vec<BodyRef>> =
        settings.into_iter().map(|(device, body)| (device, vec![body])).collect();
    for (device, body) in location::bodies(site, tx, now, &active).await? {
        if let Some(bodies) = bodies.get_mut(&device) {
            bodies.push(body);
        }
    }
    for (device, body) in window::bodies(tx, now, &active).await? {
        if let Some(bodies) = bodies.get_mut(&device) {
            bodies.push(body);
        }
    }
    let earlier = assignment::of_devices(tx, &active).await?;
    let earlier: HashMap<DeviceId, AssignmentRow> = earlier.into_iter().map(|row| (row.device, row)).collect();
    let new: Vec<DeviceId> = active.iter().filter(|device| !earlier.contains_key(device)).copied().collect();
    let unknown = window::unknown(tx, now, &new).await?;
    let wanted_of_all = assignment::wanted(tx, &active, now).await?;
    let forged = deployment_approval::forged(site, tx, now, &wanted_of_all).await?;
    let mut told = HashSet::new();
    for wanted in wanted_of_all {
        if forged.contains(&wanted.deployment) {
            continue;
        }
        if let Some(bodies) = bodies.get_mut(&wanted.device).filter(|_| !unknown.contains(&wanted.device)) {
            add(bodies, &wanted);
            told.insert((wanted.device, wanted.deployment));
        }
    }
    for (device, wanted) in baseline_deployment::wanted(tx, &active, DEVICE_BASELINES).await? {
        if let Some(bodies) = bodies.get_mut(&device).filter(|_| !unknown.contains(&device)) {
            bodies.extend(wanted);
        }
    }
    for (device, deployment, hash, size) in deployment_related::wanted(tx, &active).await? {
        if let Some(bodies) = bodies.get_mut(&device).filter(|_| told.contains(&(device, deployment))) {
            add_application(bodies, hash, size);
        }
    }
    let requests = log_request::bodies(tx, &active).await?;
    for (device, body) in secret::wanted(tx, &active).await?.into_iter().chain(requests) {
        if let Some(bodies) = bodies.get_mut(&device) {
            bodies.push(body);
        }
    }
    let trust = site.trust.load_full();
    let mut rows = Vec::new();
    for device in &active {
        let bodies = bodies.remove(device).unwrap_or_default();
        let before = earlier.get(device);
        // Another process may follow a newer bundle already.
        let fresh = |row: &AssignmentRow| {
            row.bodies == bodies && in_first_half(row, now) && row.trust_version >= trust.bundle().version
        };
        if !before.is_some_and(fresh) {
            let version = before.map_or(Some(1), |row| row.version.checked_add(1));
            let version = version.ok_or_else(|| SiteError::Fault(format!("device {device} has no later version")))?;
            rows.push(sign(site.code, &trust, *device, version, bodies, now)?);
        }
    }
    assignment::put(tx, &rows).await?;
    Ok(rows.iter().map(|row| row.device).collect())
}

/// Whether an assignment needs no new signature for its age. One from the future was signed by a wrong clock.
fn in_first_half(row: &AssignmentRow, now: UnixMillis) -> bool {
    (0..ASSIGNMENT_LIFETIME / 2).contains(&now.since(row.issued))
}

fn add(bodies: &mut Vec<BodyRef>, wanted: &Wanted) {
    bodies.push(BodyRef { kind: BodyKind::Deployment, hash: wanted.policy, size: wanted.policy_size });
    add_application(bodies, wanted.application, wanted.application_size);
    if let Some((hash, size)) = wanted.approval {
        bodies.push(BodyRef { kind: BodyKind::DeploymentApproval, hash, size });
    }
}

fn add_application(bodies: &mut Vec<BodyRef>, hash: Hash, size: u64) {
    if !bodies.iter().any(|body| body.hash == hash) {
        bodies.push(BodyRef { kind: BodyKind::Application, hash, size });
    }
}

fn sign(
    site: SiteCode,
    trust: &Trust,
    device: DeviceId,
    version: u64,
    bodies: Vec<BodyRef>,
    now: UnixMillis,
) -> Result<AssignmentRow, SiteError> {
    let assignment = Assignment {
        site,
        recipient: Recipient::Device(device),
        version,
        issued: now,
        expires: now.plus(ASSIGNMENT_LIFETIME),
        trust_version: trust.bundle().version,
        bodies,
    };
    let envelope = muster_trust::envelope::sign1_json(&*trust.keys.policy, &assignment)
        .map_err(|error| SiteError::Fault(format!("an assignment could not be signed: {error}")))?;
    let Assignment { version, issued, expires, trust_version, bodies, .. } = assignment;
    Ok(AssignmentRow { device, version, issued, expires, trust_version, bodies, envelope, confirmed: None })
}

/// Asks for new signatures where half of the life is over, or the trust bundle is another one. Returns how many were asked for.
///
/// # Errors
/// When the store fails.
pub async fn policy_renew(site: &Site, now: UnixMillis) -> Result<usize, SiteError> {
    let half = now.plus(-ASSIGNMENT_LIFETIME / 2);
    let mut due = assignment::issued_before(&mut *site.store.reader().await?, half, COMPILE_DEVICES).await?;
    if due.is_empty() {
        let version = site.trust.load().bundle().version;
        due = assignment::trusted_before(&mut *site.store.reader().await?, version, COMPILE_DEVICES).await?;
    }
    ask(site, now, due).await
}

/// Asks for assignments that are missing: of a database that was restored, for example. It looks at every device. Returns how
/// many were asked for.
///
/// # Errors
/// When the store fails.
pub async fn policy_restore(site: &Site, now: UnixMillis) -> Result<usize, SiteError> {
    let missing = assignment::missing(&mut *site.store.reader().await?, COMPILE_DEVICES).await?;
    ask(site, now, missing).await
}

async fn ask(site: &Site, now: UnixMillis, devices: Vec<DeviceId>) -> Result<usize, SiteError> {
    if !devices.is_empty() {
        transaction!(site.store, "policy_ask", |tx| { assignment::ask(tx, &devices, now).await })?;
    }
    Ok(devices.len())
}
