//! Deployments: which signed application which devices shall have, and from when on.

use super::{
    application,
    forecast::{Plan, forecast, unheld},
    secret,
};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{
        Collection, CollectionKind, Deployment, DeploymentCreate, DeploymentPreview, DeviceDeployment, Forecast, Page,
        PageQuery, Target,
    },
    id::{CollectionId, DeploymentId, DeviceId, Hash, Name},
    policy::{BodyKind, DeploymentPolicy},
    problem::Code,
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
        policy_body, window,
    },
    transaction,
};
use std::collections::BTreeMap;

/// How far away a deployment's times may be.
const HORIZON: i64 = 10 * 365 * DAY;

/// What `deployment_create` would do.
///
/// # Errors
/// As `deployment_create`, which it does not do.
pub async fn deployment_preview(
    ctx: &Ctx,
    site: &Site,
    create: &DeploymentCreate,
) -> Result<DeploymentPreview, SiteError> {
    authz::see(ctx)?;
    let (available, deadline) = times(ctx, create)?;
    let mut reader = site.store.reader().await?;
    let application = find(stored::get(&mut reader, create.application).await?)?;
    if let Target::Collection { collection } = create.target {
        check_collection(&mut reader, collection, high_impact(create, &application)?).await?;
    }
    let (devices, examples) = deployment::preview(&mut reader, create.target).await?;
    let mut warnings = Vec::new();
    if devices == 0 {
        warnings.push("No active device would get it now.".to_owned());
    }
    if deadline <= ctx.now && devices > 0 {
        warnings.push("The deadline is now: clients start as soon as they have the policy.".to_owned());
    }
    if create.outside_windows && devices > 0 {
        warnings.push(
            "It does not wait for maintenance windows: clients start at the deadline whatever the time.".to_owned(),
        );
    }
    if available > ctx.now {
        warnings.push("Clients get the policy now and wait until it is available.".to_owned());
    }
    let same = deployment::count_of(&mut reader, create.application).await?;
    if same > 0 {
        warnings.push(format!("{same} deployment(s) of this same application are in force already."));
    }
    let wanted = application::info(&application)?.application;
    if let Some(collector) = wanted.collector.as_ref().filter(|collector| !collector.privilege.is_none()) {
        warnings.push(format!(
            "Its collector for {} runs as root with each inventory, because its authors signed that it needs that.",
            collector.class.name
        ));
    }
    let plan = Plan {
        from: available.max(deadline).max(ctx.now),
        seconds: wanted.max_run_seconds,
        software_update: create.software_update,
    };
    let forecast = if create.outside_windows || !window::any(&mut reader).await? {
        unheld(devices)
    } else {
        let candidates = deployment::candidates(&mut reader, create.target).await?;
        forecast(&mut reader, &plan, &candidates).await?
    };
    drop(reader);
    warnings.extend(never(&forecast, plan.seconds));
    for (name, sealed, _) in secret::secret_wanted(ctx, site, &wanted).await? {
        let name = name.as_str();
        warnings.push(format!(
            "It wants the secret {name}, which is sealed for {sealed} device(s); the others wait until `muster secret seal` has sealed it for them."
        ));
    }
    Ok(DeploymentPreview { devices, examples, content_size: application.content_size, forecast, warnings })
}

/// On which devices it would never start.
fn never(forecast: &Forecast, seconds: u32) -> Option<String> {
    let mut names: Vec<&str> = forecast.never_devices.iter().map(|device| device.name.as_str()).collect();
    let more = if forecast.never > 10 { ", and more" } else { "" };
    names.truncate(10);
    (forecast.never > 0).then(|| {
        format!(
            "It would never start on {} device(s), because no maintenance window is long enough for its {} minute(s) and 5 more, or none opens again: {}{more}.",
            forecast.never,
            seconds.div_ceil(60),
            names.join(", ")
        )
    })
}

/// Deploys an application. Devices that become active later get it too when it is for All Systems.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `not_found`: no such application or device; `conflict`: the device is not active;
/// `malformed`: times that cannot be.
pub async fn deployment_create(ctx: &Ctx, site: &Site, create: &DeploymentCreate) -> Result<Deployment, SiteError> {
    let admin = authz::change(ctx)?;
    let (available, deadline) = times(ctx, create)?;
    let application = find(stored::get(&mut *site.store.reader().await?, create.application).await?)?;
    let id = DeploymentId(site.sources.id());
    let policy = DeploymentPolicy {
        deployment: id,
        application: create.application,
        available,
        deadline,
        outside_windows: create.outside_windows,
        software_update: create.software_update,
    };
    let body = serde_json::to_vec(&policy).map_err(|error| SiteError::Fault(error.to_string()))?;
    let row = DeploymentRow {
        id,
        name: name_of(create, &application)?,
        application: create.application,
        application_size: application.object.len() as u64,
        target: create.target,
        high_impact: high_impact(create, &application)?,
        outside_windows: create.outside_windows,
        software_update: create.software_update,
        available,
        deadline,
        policy: muster_trust::sha256(&body),
        policy_size: body.len() as u64,
        created: ctx.now,
        created_by: admin.name.clone(),
        deleted: None,
        revision: 1,
    };
    let devices = transaction!(site.store, "deployment_create", |tx| { insert(ctx, tx, &row, &body).await })?;
    changed(site);
    let shown = Shown {
        row,
        application_id: application.id,
        application_name: application.name,
        application_version: application.version,
    };
    let totals = BTreeMap::from([(DeploymentState::Targeted.as_str().to_owned(), devices)]);
    Ok(deployment_of(shown, totals))
}

fn changed(site: &Site) {
    site.bus.publish(Notice::Changed(Noun::Deployment));
    site.memory.work.notify_one();
}

fn find(application: Option<ApplicationRow>) -> Result<ApplicationRow, SiteError> {
    application.ok_or_else(|| {
        SiteError::refused(
            Code::NotFound,
            "There is no application with this hash; `muster application list` shows all.",
        )
    })
}

fn times(ctx: &Ctx, create: &DeploymentCreate) -> Result<(UnixMillis, UnixMillis), SiteError> {
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
    if deadline < available {
        return Err(SiteError::refused(
            Code::Malformed,
            "The deadline must not be before the deployment is available.",
        ));
    }
    Ok((available, deadline))
}

/// Whether it may do great harm on the wrong device: somebody says so, or it hands out a secret.
fn high_impact(create: &DeploymentCreate, application: &ApplicationRow) -> Result<bool, SiteError> {
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
    let text: String = format!("{} {}", application.name, application.version).chars().take(100).collect();
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

async fn insert(ctx: &Ctx, tx: &mut Tx, row: &DeploymentRow, body: &[u8]) -> Result<u64, SiteError> {
    policy_body::insert(tx, row.policy, BodyKind::Deployment, body, ctx.now).await?;
    if let Target::Device { device } = row.target {
        active_target(tx, device).await?;
    }
    if let Target::Collection { collection } = row.target {
        // First, so that nobody takes its protection away meanwhile.
        collection::lock(tx).await?;
        check_collection(tx, collection, row.high_impact).await?;
    }
    deployment::insert(tx, row).await?;
    let devices = deployment::target(tx, row.id, ctx.now).await?;
    assignment::ask_targeted(tx, row.id, ctx.now).await?;
    let outside = if row.outside_windows { ", outside of maintenance windows" } else { "" };
    let detail = format!("{} was deployed to {devices} device(s): application {}{outside}.", row.name, row.application);
    audit::append(tx, ctx, "deployment_create", format!("deployment {}", row.id), detail).await?;
    Ok(devices)
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
    let with_totals = |shown: Shown| {
        let totals = totals.remove(&shown.row.id).unwrap_or_default();
        deployment_of(shown, totals)
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
    Ok(deployment_of(shown, totals.unwrap_or_default()))
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

fn deployment_of(shown: Shown, totals: BTreeMap<String, u64>) -> Deployment {
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
        software_update: row.software_update,
        available: row.available,
        deadline: row.deadline,
        created: row.created,
        created_by: row.created_by,
        totals,
        deleted: row.deleted.is_some(),
    }
}
