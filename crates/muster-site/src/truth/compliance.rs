//! How devices stand to the baselines that are deployed to them: what is taken of what they say, and what is shown of it.

use crate::{Ctx, Site, SiteError, authz, delivery::baseline::info};
use muster_model::{
    api::{ComplianceQuery, DeviceCompliance, Page, PageQuery, ResultQuery, SettingCompliance, SettingTotals},
    baseline::Setting,
    compliance::{
        ComplianceOutcome, ComplianceReason, ComplianceReport, ComplianceState, SettingOutline, SettingResult, whole,
    },
    id::{DeploymentId, DeviceId},
    status::{Severity, WaitReason},
    time::{DAY, HOUR, UnixMillis},
};
use muster_store::{
    Tx,
    db::{
        assignment, baseline as stored,
        baseline_deployment::{self, Known},
        compliance::{self, ResultRow, Stand},
        compliance_total::{self, Change},
        timeline::TimelineRow,
    },
};
use std::collections::BTreeMap;

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
    compliance_total::lock(tx, &deployments).await?;
    // What was on its way when the deployment was deleted is no mistake of the device. It ends before results are thrown away.
    let since = said.iter().map(|said| said.received).max().unwrap_or(UnixMillis(0)).plus(HOUR - DAY);
    let known = baseline_deployment::known(tx, &devices, &deployments, since).await?;
    let mut heard: BTreeMap<(DeploymentId, DeviceId), Heard> =
        known.into_iter().map(|((device, deployment), known)| ((deployment, device), Heard::new(known))).collect();
    for said in said {
        let of = heard.get_mut(&(said.report.deployment, said.device));
        let Some(of) = of.filter(|of| of.known.baseline == said.report.baseline) else {
            let reason = "The site has no such deployment of this baseline for this device.";
            taken.refused.push((said.at, said.sequence, reason));
            continue;
        };
        match of.hear(&said) {
            Ok(line) => taken.timeline.extend(line),
            Err(reason) => taken.refused.push((said.at, said.sequence, reason)),
        }
    }
    heard.retain(|_, of| of.results.is_some() || of.known.stand != of.before);
    keep(tx, &heard).await?;
    Ok(taken)
}

/// What is known of a device and a deployment, with all that it said since.
struct Heard {
    known: Known,
    /// As it stood before.
    before: Stand,
    /// New results of all settings, and since when; none: nothing holds any more.
    results: Option<Vec<(SettingResult, UnixMillis)>>,
}

impl Heard {
    fn new(known: Known) -> Self {
        Self { before: known.stand.clone(), known, results: None }
    }

    fn hear(&mut self, said: &Said) -> Result<Option<TimelineRow>, &'static str> {
        let before = self.known.stand.state;
        let stand = &mut self.known.stand;
        match &said.report.outcome {
            ComplianceOutcome::Evaluated { digest, results } => {
                let outline = &self.known.outline;
                if results.len() != outline.len() {
                    return Err("A result of each setting is wanted, and no other.");
                }
                let results: Vec<SettingResult> = results.iter().zip(outline.iter()).map(clean).collect();
                stand.state = whole(results.iter().map(|result| result.state));
                let bad = results.iter().zip(outline.iter()).filter(|(result, _)| is_bad(result.state));
                stand.severity = bad.map(|(_, setting)| setting.severity).max();
                (stand.reason, stand.digest) = (None, Some(*digest));
                let earlier = self.results.take().unwrap_or_default();
                let since = |at: usize, result: &SettingResult| {
                    let same = earlier.get(at).filter(|(earlier, _)| earlier == result);
                    same.map_or(said.happened, |(_, since)| *since)
                };
                let results = results.into_iter().enumerate().map(|(at, result)| {
                    let since = since(at, &result);
                    (result, since)
                });
                self.results = Some(results.collect());
            }
            ComplianceOutcome::Unchanged { digest } if stand.digest != Some(*digest) => {
                return Err("The site does not have the results that are said to be unchanged.");
            }
            ComplianceOutcome::Unchanged { .. } => {}
            ComplianceOutcome::Failed { reason } => {
                (stand.state, stand.severity) = (ComplianceState::Error, None);
                (stand.reason, stand.digest) = (Some(*reason), None);
                self.results = Some(Vec::new());
            }
            ComplianceOutcome::Waiting { reason, starts } => {
                stand.waits = Some((*reason, *starts));
                if *reason == WaitReason::NeverFits {
                    // What can never be evaluated is not known any more.
                    (stand.state, stand.severity, stand.digest) = (ComplianceState::Unknown, None, None);
                    self.results = Some(Vec::new());
                }
                return Ok(None);
            }
        }
        (stand.evaluated, stand.waits) = (Some(said.happened), None);
        if before == stand.state {
            return Ok(None);
        }
        stand.changed = said.happened;
        Ok(Some(line(said, &self.known, &self.known.stand)))
    }

    fn is_alert(&self, stand: &Stand) -> bool {
        let from = self.known.alert_from;
        from.is_some_and(|from| stand.severity.is_some_and(|severity| severity >= from))
    }
}

/// Keeps what devices said, with the totals, in one statement of each kind for all of them.
async fn keep(tx: &mut Tx, heard: &BTreeMap<(DeploymentId, DeviceId), Heard>) -> Result<(), SiteError> {
    let mut change = Change::default();
    for ((deployment, _), of) in heard.iter().filter(|(_, of)| of.known.counted) {
        for (stand, by) in [(&of.before, -1), (&of.known.stand, 1)] {
            change.device(*deployment, stand.state, of.is_alert(stand), by);
        }
    }
    let new: Vec<_> = heard.iter().filter_map(|(pair, of)| Some((*pair, of, of.results.as_ref()?))).collect();
    let pairs: Vec<_> = new.iter().map(|(pair, ..)| *pair).collect();
    for (pair, setting, state) in compliance::setting_states(tx, &pairs).await? {
        if heard.get(&pair).is_some_and(|of| of.known.counted) {
            change.setting(pair.0, setting, state, -1);
        }
    }
    let gone: Vec<_> = new.iter().filter(|(.., results)| results.is_empty()).map(|(pair, ..)| *pair).collect();
    let mut found = Vec::new();
    for (pair, of, results) in new {
        for (number, (result, since)) in (0..).zip(results) {
            found.push((pair, number, result, *since));
            if of.known.counted {
                change.setting(pair.0, number, result.state, 1);
            }
        }
    }
    let stands: Vec<Stand> = heard.values().map(|of| of.known.stand.clone()).collect();
    compliance::put(tx, &stands).await?;
    compliance::clear_results(tx, &gone).await?;
    compliance::put_results(tx, &found).await?;
    Ok(compliance_total::add(tx, &change).await?)
}

/// Whether a setting in this state counts with its severity.
const fn is_bad(state: ComplianceState) -> bool {
    matches!(state, ComplianceState::NonCompliant | ComplianceState::Conflict | ComplianceState::Error)
}

/// A result as it is kept: of a private setting no value, however a client came to say one.
fn clean((result, outline): (&SettingResult, &SettingOutline)) -> SettingResult {
    let keep = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    let text = |text: &String| text.chars().map(keep).collect::<String>();
    SettingResult {
        state: result.state,
        value: result.value.as_ref().filter(|_| !outline.private).map(text),
        reason: result.reason,
        // Of a conflict it names the other setting, and nothing that was found.
        detail: match result.state {
            ComplianceState::Conflict => text(&result.detail),
            _ if outline.private => String::new(),
            _ => text(&result.detail),
        },
    }
}

/// The line of a change.
fn line(said: &Said, known: &Known, stand: &Stand) -> TimelineRow {
    let what = match (stand.state, stand.reason) {
        (ComplianceState::Compliant, _) => "is complied with",
        (ComplianceState::Remediated, _) => "was put right, and is complied with",
        (ComplianceState::NotApplicable, _) => "does not apply",
        (ComplianceState::NonCompliant, _) => "is not complied with",
        (ComplianceState::Conflict, _) => "is not put right, because another one wants it otherwise",
        (ComplianceState::Error, Some(ComplianceReason::NotSigned)) => {
            "is not evaluated: no author that the trust bundle names signed it"
        }
        (ComplianceState::Error | ComplianceState::Unknown, _) => "could not be evaluated in full",
    };
    let alert = known.alert_from.is_some_and(|from| stand.severity.is_some_and(|severity| severity >= from));
    let severity = match stand.state {
        ComplianceState::NonCompliant if alert => Severity::Error,
        state if is_bad(state) => Severity::Warning,
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
    let devices =
        compliance_total::totals(&mut reader, site.store.dialect(), &[id]).await?.remove(&id).unwrap_or_default();
    let devices: u64 = devices.0.values().sum();
    let mut totals = compliance_total::setting_totals(&mut reader, id).await?;
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
    // A baseline that is gone says no more what was expected.
    let baseline = stored::get(&mut reader, shown.row.baseline).await?;
    let baseline = baseline.map(|row| info(&row)).transpose()?.map(|info| info.baseline);
    let settings: Vec<&Setting> =
        baseline.iter().flat_map(|baseline| baseline.settings().map(|(_, setting)| setting)).collect();
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
            expected: usize::try_from(row.setting)
                .ok()
                .and_then(|at| Some(settings.get(at)?.expected()))
                .unwrap_or_default(),
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
