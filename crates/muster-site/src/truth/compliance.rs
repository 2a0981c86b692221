//! How devices stand to the baselines that are deployed to them: what is taken of what they say, and what is shown of it.

use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{ComplianceQuery, DeviceCompliance, Page, PageQuery, ResultQuery, SettingCompliance, SettingTotals},
    compliance::{
        ComplianceOutcome, ComplianceReason, ComplianceReport, ComplianceState, SettingOutline, SettingResult, whole,
    },
    id::{DeploymentId, DeviceId},
    status::Severity,
    time::{DAY, UnixMillis},
};
use muster_store::{
    Tx,
    db::{
        assignment,
        baseline_deployment::{self, Known},
        compliance::{self, ResultRow, Stand},
        timeline::TimelineRow,
    },
};

/// What a device said of a baseline, and where in which report.
#[derive(Debug)]
pub(super) struct Said {
    /// Which report of those that are committed together.
    pub(super) at: usize,
    /// The message's sequence number.
    pub(super) sequence: u64,
    /// The device of the connection.
    pub(super) device: DeviceId,
    /// When, by the client's clock.
    pub(super) happened: UnixMillis,
    /// When, by the site's.
    pub(super) received: UnixMillis,
    /// What it said.
    pub(super) report: ComplianceReport,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Lines of the devices' histories.
    pub(super) timeline: Vec<TimelineRow>,
    /// What is not taken, and why.
    pub(super) refused: Vec<(usize, u64, &'static str)>,
}

/// Takes what devices said of baselines that are theirs; what is of another device's or of another version is put aside.
pub(super) async fn take(tx: &mut Tx, said: Vec<Said>) -> Result<Taken, SiteError> {
    let mut taken = Taken::default();
    if said.is_empty() {
        return Ok(taken);
    }
    let mut devices: Vec<DeviceId> = said.iter().map(|said| said.device).collect();
    devices.dedup();
    let mut deployments: Vec<DeploymentId> = said.iter().map(|said| said.report.deployment).collect();
    deployments.sort_unstable();
    deployments.dedup();
    // What was on its way when the deployment was deleted is no mistake of the device.
    let since = said.iter().map(|said| said.received).max().unwrap_or(UnixMillis(0)).plus(-DAY);
    let mut known = baseline_deployment::known(tx, &devices, &deployments, since).await?;
    for said in said {
        let of = known.get_mut(&(said.device, said.report.deployment));
        let Some(of) = of.filter(|of| of.baseline == said.report.baseline) else {
            let reason = "The site has no such deployment of this baseline for this device.";
            taken.refused.push((said.at, said.sequence, reason));
            continue;
        };
        match one(tx, &said, of).await? {
            Ok(line) => taken.timeline.extend(line),
            Err(reason) => taken.refused.push((said.at, said.sequence, reason)),
        }
    }
    Ok(taken)
}

async fn one(
    tx: &mut Tx,
    said: &Said,
    known: &mut Known,
) -> Result<Result<Option<TimelineRow>, &'static str>, SiteError> {
    let (deployment, device) = (said.report.deployment, said.device);
    let mut stand = Stand {
        deployment,
        device,
        state: ComplianceState::Error,
        severity: None,
        reason: None,
        digest: None,
        evaluated: said.happened,
        changed: said.happened,
    };
    match &said.report.outcome {
        ComplianceOutcome::Evaluated { digest, results } => {
            if results.len() != known.outline.len() {
                return Ok(Err("A result of each setting is wanted, and no other."));
            }
            let results: Vec<SettingResult> = results.iter().zip(known.outline.iter()).map(clean).collect();
            stand.state = whole(results.iter().map(|result| result.state));
            let bad = results.iter().zip(known.outline.iter());
            let bad = bad
                .filter(|(result, _)| matches!(result.state, ComplianceState::NonCompliant | ComplianceState::Error));
            stand.severity = bad.map(|(_, setting)| setting.severity).max();
            stand.digest = Some(*digest);
            compliance::put(tx, std::slice::from_ref(&stand)).await?;
            compliance::put_results(tx, deployment, device, &results, said.happened).await?;
        }
        ComplianceOutcome::Unchanged { digest } => {
            if known.digest != Some(*digest) {
                return Ok(Err("The site does not have the results that are said to be unchanged."));
            }
            compliance::confirm(tx, deployment, device, said.happened).await?;
            return Ok(Ok(None));
        }
        ComplianceOutcome::Failed { reason } => {
            stand.reason = Some(*reason);
            compliance::put(tx, std::slice::from_ref(&stand)).await?;
            compliance::clear_results(tx, deployment, device).await?;
        }
        ComplianceOutcome::Waiting { reason, starts } => {
            compliance::wait(tx, deployment, device, *reason, *starts).await?;
            return Ok(Ok(None));
        }
    }
    known.digest = stand.digest;
    let before = std::mem::replace(&mut known.state, stand.state);
    Ok(Ok((before != stand.state).then(|| line(said, known, &stand))))
}

/// A result as it is kept: of a private setting no value, however a client came to say one.
fn clean((result, outline): (&SettingResult, &SettingOutline)) -> SettingResult {
    let keep = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    let text = |text: &String| text.chars().map(keep).collect::<String>();
    SettingResult {
        state: result.state,
        value: result.value.as_ref().filter(|_| !outline.private).map(text),
        reason: result.reason,
        detail: if outline.private { String::new() } else { text(&result.detail) },
    }
}

/// The line of a change.
fn line(said: &Said, known: &Known, stand: &Stand) -> TimelineRow {
    let what = match (stand.state, stand.reason) {
        (ComplianceState::Compliant, _) => "is complied with",
        (ComplianceState::Remediated, _) => "was put right, and is complied with",
        (ComplianceState::NotApplicable, _) => "does not apply",
        (ComplianceState::NonCompliant, _) => "is not complied with",
        (ComplianceState::Error, Some(ComplianceReason::NotSigned)) => {
            "is not evaluated: no author that the trust bundle names signed it"
        }
        (ComplianceState::Error | ComplianceState::Unknown, _) => "could not be evaluated in full",
    };
    let alert = known.alert_from.is_some_and(|from| stand.severity.is_some_and(|severity| severity >= from));
    let severity = match stand.state {
        ComplianceState::NonCompliant if alert => Severity::Error,
        ComplianceState::NonCompliant | ComplianceState::Error => Severity::Warning,
        _ => Severity::Information,
    };
    let text = format!("Baseline {} {what}.", known.name);
    TimelineRow { device: said.device, happened: said.received, kind: "compliance", severity, text }
}

/// Each setting of a deployed baseline, over all of its devices.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn compliance_settings(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<Vec<SettingTotals>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let shown = baseline_deployment::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let devices = compliance::totals(&mut reader, site.store.dialect(), &[id]).await?.remove(&id).unwrap_or_default();
    let devices: u64 = devices.0.values().sum();
    let mut totals = compliance::setting_totals(&mut reader, id).await?;
    let setting = |(number, outline): (u32, SettingOutline)| {
        let mut totals = totals.remove(&number).unwrap_or_default();
        // Those that did not say anything are a part of the whole too.
        let unknown = devices.saturating_sub(totals.values().sum());
        if unknown > 0 {
            totals.insert(ComplianceState::Unknown.as_str().to_owned(), unknown);
        }
        SettingTotals {
            setting: number,
            item: outline.item,
            name: outline.name,
            severity: outline.severity,
            private: outline.private,
            remediates: outline.remediates,
            totals,
        }
    };
    Ok((0..).zip(shown.outline).map(setting).collect())
}

/// One page of the devices of a deployed baseline, of one state or of all; those that do not comply come first.
///
/// # Errors
/// `unauthenticated`, `too_large`, `not_found`.
pub async fn compliance_devices(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    query: &ComplianceQuery,
) -> Result<Page<DeviceCompliance>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let mut reader = site.store.reader().await?;
    baseline_deployment::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let (items, total) = compliance::devices(&mut reader, id, query.state, page.offset, page.limit).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// One page of single results: of one setting the devices, of one device the settings, each with what was found.
///
/// # Errors
/// `unauthenticated`, `too_large`, `not_found`.
pub async fn compliance_results(
    ctx: &Ctx,
    site: &Site,
    id: DeploymentId,
    query: &ResultQuery,
) -> Result<Page<SettingCompliance>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let mut reader = site.store.reader().await?;
    let shown = baseline_deployment::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let (rows, total) = compliance::results(&mut reader, id, query, page.limit).await?;
    let row = |row: ResultRow| {
        let outline = usize::try_from(row.setting).ok().and_then(|at| shown.outline.get(at));
        let outline =
            outline.ok_or_else(|| SiteError::Fault(format!("setting {} of {id} is not there", row.setting)))?;
        Ok(SettingCompliance {
            device: row.device,
            device_name: row.device_name,
            setting: row.setting,
            item: outline.item.clone(),
            name: outline.name.clone(),
            severity: outline.severity,
            state: row.result.state,
            value: row.result.value,
            reason: row.result.reason,
            detail: row.result.detail,
            changed: row.changed,
        })
    };
    let items = rows.into_iter().map(row).collect::<Result<_, SiteError>>()?;
    Ok(Page { items, total, offset: page.offset })
}

/// How a device stands to each baseline that is deployed to it.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn device_compliance(ctx: &Ctx, site: &Site, device: DeviceId) -> Result<Vec<DeviceCompliance>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    assignment::get(&mut reader, device).await?.ok_or_else(SiteError::not_found)?;
    Ok(compliance::of_device(&mut reader, device).await?)
}
