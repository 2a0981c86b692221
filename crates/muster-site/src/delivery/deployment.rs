//! Deployments: which signed application which devices shall have, and from when on.

use super::{
    application, phase,
    related::{self, Related},
};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{
        Collection, CollectionKind, Deployment, DeploymentCreate, DeviceDeployment, Page, PageQuery, Phase, PhaseReach,
        RelatedApplication, Target,
    },
    application::{Application, ParameterName, ParameterValues},
    id::{CollectionId, DeploymentId, DeviceId, Hash, Name},
    limits::PROGRAM_SCHEDULES,
    policy::{Action, BodyKind, DeploymentPolicy, Feature},
    problem::Code,
    program::DeploymentOptions,
    status::DeploymentState,
    time::{DAY, UnixMillis},
};
use muster_store::{
    Connection, Tx,
    bus::{Notice, Noun},
    db::{
        application::{self as stored, ApplicationRow},
        assignment, collection,
        deployment::{self, DeploymentRow, Shown},
        deployment_related, policy_body,
    },
    transaction,
};
use std::collections::{BTreeMap, BTreeSet};

/// How far away a deployment's times may be.
const HORIZON: i64 = 10 * 365 * DAY;

/// What the application takes along, where it is to be installed.
pub(super) async fn related(
    site: &Site,
    reader: &mut Connection,
    create: &DeploymentCreate,
    row: &ApplicationRow,
    application: &Application,
) -> Result<Related, SiteError> {
    match create.action {
        Action::Install => related::resolve(site, reader, row, application).await,
        Action::Uninstall => Ok(Related::default()),
    }
}

/// Refuses what cannot be done, and what another deployment would undo.
pub(super) async fn check_action(
    conn: &mut Connection,
    create: &DeploymentCreate,
    application: &Application,
) -> Result<(), SiteError> {
    if create.action == Action::Uninstall && !application.can_be_removed() {
        let detail = format!(
            "{} {} cannot be uninstalled: its authors signed no uninstall command.",
            application.name, application.version
        );
        return Err(SiteError::refused(Code::Conflict, detail));
    }
    if create.action == Action::Uninstall && application.is_found_by_files() {
        let detail = format!(
            "Several deployment types of {} {} for one system are found by files of their own; which of them is there no device can say              before it has them. Deploy a version that has one such type.",
            application.name, application.version
        );
        return Err(SiteError::refused(Code::Conflict, detail));
    }
    if create.action == Action::Uninstall && !create.purpose.is_required() {
        let detail =
            "What is to be uninstalled is required; users uninstall what was offered to them without a deployment.";
        return Err(SiteError::refused(Code::Malformed, detail));
    }
    let opposed = deployment_related::opposed(conn, application.id, create.action, create.target).await?;
    match opposed {
        None => Ok(()),
        Some((devices, name)) => {
            let contrary = if create.action.is_install() { "uninstalls" } else { "installs" };
            let detail = format!(
                "The deployment {name} {contrary} {} on {devices} of these device(s); delete it first, or choose others.",
                application.name
            );
            Err(SiteError::refused(Code::Conflict, detail))
        }
    }
}

/// Refuses what a deployment says beyond its application, target and times, where the application does not go with it.
pub(super) fn check_options(
    create: &DeploymentCreate,
    application: &Application,
    related: &Related,
) -> Result<(), SiteError> {
    let options = &create.options;
    let malformed = |detail: String| Err(SiteError::refused(Code::Malformed, detail));
    if !options.is_sound() {
        return malformed(format!("A deployment has at most {PROGRAM_SCHEDULES} schedules, each in its ranges."));
    }
    let runs_again = !options.rerun.is_never() || !options.schedule.is_empty();
    if runs_again && !application.is_program() {
        return malformed(format!(
            "{} is no program: its detection rule decides whether it is installed again, and neither `rerun` nor `schedule` does.",
            application.name
        ));
    }
    if !options.schedule.is_empty() && !create.purpose.is_required() {
        return malformed("What is offered to users has no schedule: they begin it.".to_owned());
    }
    if let Err(error) = application.given(&options.parameters) {
        return malformed(format!("Values for {} {}: {error}.", application.name, application.version));
    }
    for dependency in related.dependencies() {
        if let Err(error) = dependency.given(&ParameterValues::new()) {
            let detail = format!(
                "{} {} comes along as a dependency, and {error}: values go to the deployment's own application alone.",
                dependency.name, dependency.version
            );
            return Err(SiteError::refused(Code::Conflict, detail));
        }
    }
    for replaced in related.replaced() {
        let takes = replaced.uninstall.as_ref().is_some_and(|command| replaced.takes_values(command));
        if let Err(error) = replaced.given(&ParameterValues::new())
            && takes
        {
            let detail = format!(
                "{} {} is to be removed by a command that takes values, and {error}: remove it by a deployment of its own first.",
                replaced.name, replaced.version
            );
            return Err(SiteError::refused(Code::Conflict, detail));
        }
    }
    Ok(())
}

/// What clients must know to carry it out.
fn needs(application: &Application, related: &Related) -> Vec<Feature> {
    let all: BTreeSet<_> = related.applications().chain([application]).flat_map(Application::features).collect();
    all.into_iter().collect()
}

/// Deploys an application. Devices that become active later get it too when it is for All Systems.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `not_found`: no such application or device; `conflict`: the device is not active, a dependency is not
/// there or needs itself, there is no uninstall command, or another deployment does the contrary; `malformed`: times that cannot be.
pub async fn deployment_create(ctx: &Ctx, site: &Site, create: &DeploymentCreate) -> Result<Deployment, SiteError> {
    create_with(ctx, site, create, &[]).await
}

/// As [`deployment_create`], in phases where there are any.
pub(super) async fn create_with(
    ctx: &Ctx,
    site: &Site,
    create: &DeploymentCreate,
    phases: &[Phase],
) -> Result<Deployment, SiteError> {
    let admin = authz::change(ctx)?;
    let (available, deadline) = times(ctx, create)?;
    let mut reader = site.store.reader().await?;
    let application = find(stored::get(&mut reader, create.application).await?)?;
    let wanted = application::info(&application)?.application;
    check_action(&mut reader, create, &wanted).await?;
    let related = related(site, &mut reader, create, &application, &wanted).await?;
    check_options(create, &wanted, &related)?;
    drop(reader);
    // A group of updates keeps to the windows for updates, whatever else was said.
    let software_update = create.software_update || wanted.updates().is_some();
    let id = DeploymentId(site.sources.id());
    let policy = DeploymentPolicy {
        deployment: id,
        application: create.application,
        action: create.action,
        purpose: create.purpose,
        related: related.hashes(),
        available,
        deadline,
        outside_windows: create.outside_windows,
        volatile: create.volatile,
        software_update,
        deferral: create.deferral,
        attempt: 0,
        options: create.options.clone(),
        needs: needs(&wanted, &related),
    };
    let body = serde_json::to_vec(&policy).map_err(|error| SiteError::Fault(error.to_string()))?;
    let row = DeploymentRow {
        id,
        name: name_of(create, &application)?,
        application: create.application,
        application_size: application.object.len() as u64,
        target: create.target,
        high_impact: high_impact(create, &application)? || related.has_secrets(),
        outside_windows: create.outside_windows,
        volatile: create.volatile,
        software_update,
        options: create.options.clone(),
        deferral: create.deferral,
        action: create.action,
        purpose: create.purpose,
        available,
        deadline,
        policy: muster_trust::sha256(&body),
        policy_size: body.len() as u64,
        created: ctx.now,
        created_by: admin.name.clone(),
        deleted: None,
        revision: 1,
    };
    let made = Made { row: &row, body: &body, application: &wanted, related: &related, create, phases };
    let devices = transaction!(site.store, "deployment_create", |tx| { insert(ctx, site, tx, &made).await })?;
    changed(site);
    let shown = Shown {
        row,
        application_id: application.id,
        application_name: application.name,
        application_version: application.version,
    };
    let totals = BTreeMap::from([(DeploymentState::Targeted.as_str().to_owned(), devices)]);
    Ok(deployment_of(shown, totals, related.shown()))
}

/// A new deployment with all that is stored of it.
struct Made<'a> {
    row: &'a DeploymentRow,
    body: &'a [u8],
    application: &'a Application,
    related: &'a Related,
    create: &'a DeploymentCreate,
    phases: &'a [Phase],
}

pub(super) fn changed(site: &Site) {
    let memory = &site.memory;
    memory.forecasts.forget();
    memory.standings.forget();
    memory.rivals.forget();
    memory.left_out.forget();
    site.bus.publish(Notice::Changed(Noun::Deployment));
    site.memory.work.notify_one();
}

pub(super) fn find(application: Option<ApplicationRow>) -> Result<ApplicationRow, SiteError> {
    application.ok_or_else(|| {
        SiteError::refused(
            Code::NotFound,
            "There is no application with this hash; `muster application list` shows all.",
        )
    })
}

pub(super) fn times(ctx: &Ctx, create: &DeploymentCreate) -> Result<(UnixMillis, UnixMillis), SiteError> {
    let available = create.available.unwrap_or(ctx.now);
    let deadline = create.deadline.unwrap_or(available.max(ctx.now));
    for time in [available, deadline] {
        if !(-HORIZON..=HORIZON).contains(&time.since(ctx.now)) {
            return Err(SiteError::refused(
                Code::Malformed,
                "`available` and `deadline` must be within ten years of now, in milliseconds since 1970.",
            ));
        }
    }
    if create.deferral.is_some_and(|deferral| !deferral.is_sound() || !create.purpose.is_required()) {
        return Err(SiteError::refused(
            Code::Malformed,
            "Only what is required can be put off: 1 to 100 times, up to a week each, and up to 90 days after the deadline.",
        ));
    }
    if deadline < available {
        return Err(SiteError::refused(
            Code::Malformed,
            "The deadline must not be before the deployment is available.",
        ));
    }
    Ok((available, deadline))
}

/// Whether it may do great harm on the wrong device: somebody says so, or it hands out a secret.
pub(super) fn high_impact(create: &DeploymentCreate, application: &ApplicationRow) -> Result<bool, SiteError> {
    Ok(create.high_impact || !application::info(application)?.application.secrets.is_empty())
}

/// A deployment of high impact goes to devices that somebody named, to all, or to a collection that takes nobody by what a device says
/// of itself; to no other one.
pub(super) async fn check_collection(
    conn: &mut Connection,
    id: CollectionId,
    high_impact: bool,
) -> Result<Collection, SiteError> {
    let row = collection::get(conn, id).await?;
    let row = row.ok_or_else(|| {
        SiteError::refused(Code::NotFound, format!("There is no collection {id}; `muster collection list` shows all."))
    })?;
    if row.kind != CollectionKind::Device {
        return Err(SiteError::refused(Code::Conflict, format!("{} holds no devices.", row.name)));
    }
    if high_impact && !row.protected {
        return Err(SiteError::refused(
            Code::Conflict,
            format!(
                "This deployment has high impact, and {} is not protected: a device could come in by what it says of itself.",
                row.name
            ),
        ));
    }
    Ok(row)
}

fn name_of(create: &DeploymentCreate, application: &ApplicationRow) -> Result<Name, SiteError> {
    if let Some(name) = &create.name {
        return Ok(name.clone());
    }
    let verb = if create.action.is_install() { "" } else { "Uninstall " };
    let text: String = format!("{verb}{} {}", application.name, application.version).chars().take(100).collect();
    text.trim().parse().map_err(|_| SiteError::refused(Code::Malformed, "Give the deployment a name."))
}

/// Only an active device gets what is deployed to it.
pub(super) async fn active_target(tx: &mut Tx, device: DeviceId) -> Result<(), SiteError> {
    if !assignment::active(tx, &[device]).await?.is_empty() {
        return Ok(());
    }
    Err(match assignment::get(tx.conn(), device).await? {
        None => SiteError::refused(Code::NotFound, "There is no device with this id; `muster device list` shows all."),
        Some(_) => SiteError::refused(Code::Conflict, "This device is not active; it would never get the deployment."),
    })
}

async fn insert(ctx: &Ctx, site: &Site, tx: &mut Tx, made: &Made<'_>) -> Result<u64, SiteError> {
    let Made { row, body, application, related, create, phases } = *made;
    policy_body::insert(tx, row.policy, BodyKind::Deployment, body, ctx.now).await?;
    if let Target::Device { device } = row.target {
        active_target(tx, device).await?;
    }
    let by_collection = |phase: &Phase| matches!(phase.reach, PhaseReach::Collection { .. });
    if matches!(row.target, Target::Collection { .. }) || phases.iter().any(by_collection) {
        // First, so that nobody takes its protection away meanwhile, or deletes it.
        collection::lock(tx).await?;
    }
    if let Target::Collection { collection } = row.target {
        check_collection(tx, collection, row.high_impact).await?;
    }
    // Again, so that of two at the same moment the second one sees the first.
    check_action(tx.conn(), create, application).await?;
    deployment::insert(tx, row).await?;
    deployment_related::insert(tx, row.id, &related.rows()).await?;
    let devices = deployment::target(tx, row.id, ctx.now).await?;
    let waits = super::deployment_approval::begin(site, tx, row.id, devices).await?;
    phase::start(ctx, tx, row.id, phases, row.high_impact).await?;
    let outside = match (row.outside_windows, row.volatile) {
        (true, true) => ", outside of maintenance windows, into the overlay of write filters",
        (true, false) => ", outside of maintenance windows",
        (false, true) => ", into the overlay of write filters",
        (false, false) => "",
    };
    let verb = if row.action.is_install() { "" } else { ", to be uninstalled" };
    let offered = if row.purpose.is_required() { "" } else { ", as an offer to users" };
    let along = match related.entries.len() {
        0 => String::new(),
        count => format!(", with {count} other application(s)"),
    };
    let phased = if phases.is_empty() { String::new() } else { format!(", in {} phases", phases.len()) };
    let told = said_options(&create.options);
    let deferred = row.deferral.map(|deferral| format!("; {}", deferral.sentence())).unwrap_or_default();
    let held = if waits { "; it waits for the approval of a second key" } else { "" };
    let detail = format!(
        "{} was deployed to {devices} device(s): application {}{verb}{offered}{outside}{along}{told}{phased}{deferred}{held}.",
        row.name, row.application
    );
    audit::append(tx, ctx, "deployment_create", format!("deployment {}", row.id), detail).await?;
    Ok(devices)
}

/// What the audit says of a deployment's options: of parameters which have values, and not the values.
fn said_options(options: &DeploymentOptions) -> String {
    let mut said = String::new();
    if !options.rerun.is_never() || !options.schedule.is_empty() {
        let schedules = options.schedule.len();
        said += &format!(", to be run again ({}, {schedules} schedule(s))", options.rerun.as_str());
    }
    if !options.parameters.is_empty() {
        let names: Vec<_> = options.parameters.keys().map(ParameterName::as_str).collect();
        said += &format!(", with values for {}", names.join(", "));
    }
    said + if options.notices { ", with notices to users" } else { "" }
}

/// One page of all deployments, the newest first, with their totals.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn deployment_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<Deployment>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = list(site, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// A page of deployments with their totals, for whoever was authorised.
pub(crate) async fn list(site: &Site, page: PageQuery) -> Result<(Vec<Deployment>, u64), SiteError> {
    let mut reader = site.store.reader().await?;
    let (shown, total) = deployment::list(&mut reader, page.offset, page.limit).await?;
    let ids: Vec<DeploymentId> = shown.iter().map(|shown| shown.row.id).collect();
    let mut totals = deployment::totals(&mut reader, site.store.dialect(), &ids).await?;
    let mut related = deployment_related::of_deployments(&mut reader, site.store.dialect(), &ids).await?;
    let with_totals = |shown: Shown| {
        let id = shown.row.id;
        deployment_of(shown, totals.remove(&id).unwrap_or_default(), related.remove(&id).unwrap_or_default())
    };
    Ok((shown.into_iter().map(with_totals).collect(), total))
}

/// One deployment with its totals.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn deployment_show(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<Deployment, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let shown = deployment::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let totals = deployment::totals(&mut reader, site.store.dialect(), &[id]).await?.remove(&id);
    let related = deployment_related::of_deployments(&mut reader, site.store.dialect(), &[id]).await?.remove(&id);
    Ok(deployment_of(shown, totals.unwrap_or_default(), related.unwrap_or_default()))
}

/// Deletes a deployment: clients no longer get it; what it did stays in the history.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict` when it was deleted before.
pub async fn deployment_delete(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<(), SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "deployment_delete", |tx| { delete(ctx, tx, id).await })?;
    changed(site);
    Ok(())
}

async fn delete(ctx: &Ctx, tx: &mut Tx, id: DeploymentId) -> Result<(), SiteError> {
    let shown = deployment::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
    if !deployment::delete(tx, id, ctx.now).await? {
        return Err(SiteError::refused(Code::Conflict, "This deployment was deleted before."));
    }
    assignment::ask_targeted(tx, id, ctx.now).await?;
    let detail = format!("{} was deleted; clients no longer get it.", shown.row.name);
    audit::append(tx, ctx, "deployment_delete", format!("deployment {id}"), detail).await
}

/// One page of the devices of a deployment, of one state or of all.
///
/// # Errors
/// `unauthenticated`, `too_large`, `not_found`.
pub async fn deployment_devices(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    state: Option<DeploymentState>,
    query: PageQuery,
) -> Result<Page<DeviceDeployment>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let mut reader = site.store.reader().await?;
    deployment::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let (items, total) = deployment::devices(&mut reader, id, state, page.offset, page.limit).await?;
    Ok(Page { items, total, offset: page.offset })
}

fn deployment_of(shown: Shown, totals: BTreeMap<String, u64>, related: Vec<RelatedApplication>) -> Deployment {
    let Shown { row, application_id, application_name, application_version } = shown;
    let application: Hash = row.application;
    Deployment {
        id: row.id,
        name: row.name,
        application,
        application_id,
        application_name,
        application_version,
        target: row.target,
        high_impact: row.high_impact,
        outside_windows: row.outside_windows,
        volatile: row.volatile,
        software_update: row.software_update,
        options: row.options,
        deferral: row.deferral,
        action: row.action,
        purpose: row.purpose,
        related,
        available: row.available,
        deadline: row.deadline,
        created: row.created,
        created_by: row.created_by,
        totals,
        deleted: row.deleted.is_some(),
    }
}
