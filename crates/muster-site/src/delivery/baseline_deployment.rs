//! Deployments of configuration baselines: which devices are held against which, how often, and whether they are put right.

use super::{
    baseline,
    deployment::{active_target, check_collection},
};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{BaselineDeploy, BaselineDeployment, BaselinePreview, Page, PageQuery, Target},
    baseline::{Baseline, Claim, Claims, Discovery, Remediation},
    compliance::{BaselinePolicy, ComplianceState, EVERY},
    id::{DeploymentId, Hash, Name},
    policy::BodyKind,
    problem::Code,
    time::{DAY, UnixMillis},
};
use muster_store::{
    Connection, Tx,
    bus::{Notice, Noun},
    db::{
        baseline::{self as stored, BaselineRow},
        baseline_deployment::{self, BaselineDeploymentRow, Shown},
        collection, compliance_total, deployment, policy_body, window,
    },
    transaction,
};
use std::collections::BTreeMap;

async fn find(conn: &mut Connection, hash: Hash) -> Result<BaselineRow, SiteError> {
    stored::get(conn, hash).await?.ok_or_else(|| {
        SiteError::refused(Code::NotFound, "There is no baseline with this hash; `muster baseline list` shows all.")
    })
}

fn checked(create: &BaselineDeploy) -> Result<(), SiteError> {
    if create.every.is_some_and(|every| !EVERY.contains(&every)) {
        let detail = "A baseline is evaluated every 15 minutes to every 31 days.";
        return Err(SiteError::refused(Code::Malformed, detail));
    }
    Ok(())
}

/// What `baseline_deploy` would do.
///
/// # Errors
/// As `baseline_deploy`, which it does not do.
pub async fn baseline_preview(ctx: &Ctx, site: &Site, create: &BaselineDeploy) -> Result<BaselinePreview, SiteError> {
    authz::see(ctx)?;
    checked(create)?;
    let mut reader = site.store.reader().await?;
    let row = find(&mut reader, create.baseline).await?;
    let value = baseline::info(&row)?.baseline;
    if let Target::Collection { collection } = create.target {
        check_collection(&mut reader, collection, create.remediate || value.looks_as_root()).await?;
    }
    let (devices, examples) = deployment::preview(&mut reader, create.target).await?;
    let same = baseline_deployment::count_of(&mut reader, create.baseline).await?;
    let conflicts = if create.remediate { conflicts(&mut reader, create.target, &value).await? } else { Vec::new() };
    let windows = window::any(&mut reader).await?;
    drop(reader);
    let remediates = row.outline.iter().filter(|setting| setting.remediates).count() as u64;
    let mut warnings = Vec::new();
    if devices == 0 {
        warnings.push("No active device would get it now.".to_owned());
    }
    if create.remediate && remediates == 0 {
        warnings.push("Its authors did not say how anything is put right: it will only be looked at.".to_owned());
    }
    if create.remediate && remediates > 0 {
        warnings
            .push(format!("{remediates} setting(s) are changed on each device where they are not as they should be."));
        let runs = |r: &Remediation| matches!(r, Remediation::Command { .. } | Remediation::Script { .. });
        let programs = value.settings().filter(|(_, s)| s.remediation.as_ref().is_some_and(runs)).count();
        if programs > 0 {
            warnings.push(format!("{programs} of them run a program as root, because their authors signed that."));
        }
    }
    if value.settings().any(|(_, setting)| setting.discovery.runs()) {
        warnings.push(
            "It runs programs to look; devices whose script policy is `restricted` say an error for these.".to_owned(),
        );
    }
    if value.settings().any(|(_, setting)| matches!(setting.discovery, Discovery::Registry { .. })) {
        warnings.push("Settings of the registry of Windows do not apply to other systems.".to_owned());
    }
    if create.outside_windows && windows && devices > 0 {
        warnings.push("It does not wait for maintenance windows.".to_owned());
    }
    warnings.extend(conflicts);
    if same > 0 {
        warnings.push(format!("{same} deployment(s) of this same baseline are in force already."));
    }
    Ok(BaselinePreview { devices, examples, settings: row.outline.len() as u64, remediates, warnings })
}

/// What would not be put right, because an earlier deployment to one of the same devices wants it otherwise, or the baseline itself.
async fn conflicts(conn: &mut Connection, target: Target, value: &Baseline) -> Result<Vec<String>, SiteError> {
    /// Deployments that are compared at most, the oldest first, as devices do.
    const MOST: u32 = 100;
    let mut found = Vec::new();
    for earlier in baseline_deployment::righting(conn, MOST).await? {
        let Some(row) = stored::get(conn, earlier.row.baseline).await? else { continue };
        let other = baseline::info(&row)?.baseline;
        let mut claims = Claims::default();
        for (_, setting) in other.settings().filter(|(_, setting)| setting.remediation.is_some()) {
            claims.take(Claim { baseline: &other, setting });
        }
        let names: Vec<&str> = value
            .settings()
            .filter(|(_, setting)| claims.rival(setting).is_some())
            .map(|(_, setting)| setting.name.as_str())
            .collect();
        if other.platform == value.platform
            && !names.is_empty()
            && baseline_deployment::overlaps(conn, earlier.row.id, target).await?
        {
            found.push(refused_to(&format!("{} came first and wants", earlier.row.name), &names));
        }
    }
    let mut claims = Claims::default();
    let own = value.settings().filter(|(_, setting)| setting.remediation.is_some());
    let own: Vec<&str> = own
        .filter(|(_, setting)| claims.take(Claim { baseline: value, setting }).is_some())
        .map(|(_, setting)| setting.name.as_str())
        .collect();
    if !own.is_empty() {
        found.push(refused_to("Earlier settings of the baseline itself want", &own));
    }
    Ok(found)
}

fn refused_to(who: &str, names: &[&str]) -> String {
    let shown = names.iter().take(10).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > 10 { format!(" and {} more", names.len() - 10) } else { String::new() };
    format!("{who} it otherwise: {shown}{more}. Devices say `conflict` for what they cannot put right for both.")
}

/// Deploys a baseline. Devices that become active later get it too when it is for All Systems.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `not_found`: no such baseline, device or collection; `conflict`: the device is not active, or the
/// collection is not protected and things would be put right; `malformed`: an interval that cannot be.
pub async fn baseline_deploy(ctx: &Ctx, site: &Site, create: &BaselineDeploy) -> Result<BaselineDeployment, SiteError> {
    let admin = authz::change(ctx)?;
    checked(create)?;
    let of = find(&mut *site.store.reader().await?, create.baseline).await?;
    let high_impact = create.remediate || baseline::info(&of)?.baseline.looks_as_root();
    let id = DeploymentId(site.sources.id());
    let policy = BaselinePolicy {
        deployment: id,
        baseline: create.baseline,
        every: create.every,
        remediate: create.remediate,
        outside_windows: create.outside_windows,
    };
    let body = serde_json::to_vec(&policy).map_err(|error| SiteError::Fault(error.to_string()))?;
    let row = BaselineDeploymentRow {
        id,
        name: name_of(create, &of)?,
        baseline: create.baseline,
        baseline_size: of.object.len() as u64,
        target: create.target,
        every: create.every,
        remediate: create.remediate,
        high_impact,
        outside_windows: create.outside_windows,
        alert_from: create.alert_from,
        policy: muster_trust::sha256(&body),
        policy_size: body.len() as u64,
        created: ctx.now,
        created_by: admin.name.clone(),
        deleted: None,
    };
    let devices = transaction!(site.store, "baseline_deploy", |tx| { insert(ctx, tx, &row, &body).await })?;
    changed(site);
    let shown =
        Shown { row, baseline_id: of.id, baseline_name: of.name, baseline_version: of.version, outline: of.outline };
    let totals = BTreeMap::from([(ComplianceState::Unknown.as_str().to_owned(), devices)]);
    Ok(shown_as(shown, (totals, 0)))
}

fn changed(site: &Site) {
    site.bus.publish(Notice::Changed(Noun::Deployment));
    site.memory.work.notify_one();
}

fn name_of(create: &BaselineDeploy, of: &BaselineRow) -> Result<Name, SiteError> {
    if let Some(name) = &create.name {
        return Ok(name.clone());
    }
    let text: String = format!("{} {}", of.name, of.version).chars().take(100).collect();
    text.trim().parse().map_err(|_| SiteError::refused(Code::Malformed, "Give the deployment a name."))
}

async fn insert(ctx: &Ctx, tx: &mut Tx, row: &BaselineDeploymentRow, body: &[u8]) -> Result<u64, SiteError> {
    if !stored::hold(tx, row.baseline).await? {
        return Err(SiteError::refused(Code::NotFound, "The baseline was deleted meanwhile."));
    }
    policy_body::insert(tx, row.policy, BodyKind::BaselineDeployment, body, ctx.now).await?;
    if let Target::Device { device } = row.target {
        active_target(tx, device).await?;
    }
    if let Target::Collection { collection } = row.target {
        // First, so that nobody takes its protection away meanwhile.
        collection::lock(tx).await?;
        check_collection(tx.conn(), collection, row.high_impact).await?;
    }
    baseline_deployment::insert(tx, row).await?;
    let devices = baseline_deployment::target(tx, row.id, ctx.now).await?;
    baseline_deployment::ask_targeted(tx, row.id, ctx.now).await?;
    let puts_right = if row.remediate { ", to be put right" } else { "" };
    let outside = if row.outside_windows { ", outside of maintenance windows" } else { "" };
    let detail =
        format!("{} was deployed to {devices} device(s): baseline {}{puts_right}{outside}.", row.name, row.baseline);
    audit::append(tx, ctx, "baseline_deploy", format!("baseline deployment {}", row.id), detail).await?;
    Ok(devices)
}

/// One page of all deployments of baselines, the newest first, with their totals.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn baseline_deployment_list(
    ctx: &Ctx,
    site: &Site,
    query: PageQuery,
) -> Result<Page<BaselineDeployment>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let mut reader = site.store.reader().await?;
    let (shown, total) = baseline_deployment::list(&mut reader, page.offset, page.limit).await?;
    let ids: Vec<DeploymentId> = shown.iter().map(|shown| shown.row.id).collect();
    let mut totals = compliance_total::totals(&mut reader, site.store.dialect(), &ids).await?;
    let with_totals = |shown: Shown| {
        let totals = totals.remove(&shown.row.id).unwrap_or_default();
        shown_as(shown, totals)
    };
    Ok(Page { items: shown.into_iter().map(with_totals).collect(), total, offset: page.offset })
}

/// One deployment of a baseline with its totals.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn baseline_deployment_show(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
) -> Result<BaselineDeployment, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let shown = baseline_deployment::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let totals = compliance_total::totals(&mut reader, site.store.dialect(), &[id]).await?.remove(&id);
    Ok(shown_as(shown, totals.unwrap_or_default()))
}

/// Deletes a deployment of a baseline: clients no longer evaluate it; what was put right stays.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict` when it was deleted before.
pub async fn baseline_deployment_delete(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<(), SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "baseline_deployment_delete", |tx| { delete(ctx, tx, id).await })?;
    changed(site);
    Ok(())
}

async fn delete(ctx: &Ctx, tx: &mut Tx, id: DeploymentId) -> Result<(), SiteError> {
    let shown = baseline_deployment::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
    if !baseline_deployment::delete(tx, id, ctx.now).await? {
        return Err(SiteError::refused(Code::Conflict, "This deployment was deleted before."));
    }
    baseline_deployment::ask_targeted(tx, id, ctx.now).await?;
    let detail = format!("{} was deleted; clients no longer evaluate it.", shown.row.name);
    audit::append(tx, ctx, "baseline_deployment_delete", format!("baseline deployment {id}"), detail).await
}

/// Results are kept for a day after their deployment was deleted, and then go in pieces; whether there are more.
pub(crate) async fn compliance_purge(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    const PIECE: u32 = 10_000;
    let until = now.plus(-DAY);
    let gone = transaction!(site.store, "compliance_purge", |tx| {
        baseline_deployment::purge_results(tx, until, PIECE).await
    })?;
    Ok(gone > 0)
}

fn shown_as(shown: Shown, (totals, alerting): (BTreeMap<String, u64>, u64)) -> BaselineDeployment {
    let Shown { row, baseline_id, baseline_name, baseline_version, .. } = shown;
    BaselineDeployment {
        id: row.id,
        name: row.name,
        baseline: row.baseline,
        baseline_id,
        baseline_name,
        baseline_version,
        target: row.target,
        every: row.every,
        remediate: row.remediate,
        outside_windows: row.outside_windows,
        alert_from: row.alert_from,
        alerting,
        created: row.created,
        created_by: row.created_by,
        totals,
        deleted: row.deleted.is_some(),
    }
}
