//! Configuration baselines on this client: looked at when their time has come and a maintenance window allows, put right where author and
//! site both say so, looked at again, and reported.
//!
//! One setting at a time, and each evaluation is bounded in time. What was found is kept together with its report in one transaction when
//! the last setting was looked at; a kill before that leaves the baseline due, and it is evaluated again from the start.

mod conflict;
mod discover;
mod file;
mod program;
mod remedy;
mod setting;

use crate::{
    agent::Agent,
    identity,
    policy::{BaselineDeployment, Policy},
    store::{StoreError, compliance::Progress},
};
use muster_model::{
    application::Platform,
    baseline::{Baseline, Setting},
    compliance::{ComplianceOutcome, ComplianceReason, ComplianceReport, ComplianceState, EVERY, SettingResult},
    id::{DeploymentId, Hash},
    settings::ScriptPolicy,
    status::WaitReason,
    time::{DAY, HOUR, MINUTE, UnixMillis},
    window::{Chance, Work, applying, chance},
};
use muster_trust::{TrustBundle, Verified};
use setting::Evaluation;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// The longest wait without looking at the clock: it may be set, and a machine may sleep.
const LOOK: i64 = MINUTE;
/// How long to wait for the first answer of the site, where windows hold: it says what time it is.
const SOON: i64 = 100;
/// After so long all results are told again, so that a site that lost some has them.
const TELL_AGAIN: i64 = DAY;
/// How many evaluations may begin without an end before the baseline rests.
const TRIES: u8 = 3;
/// Over how long devices spread what all of them do because something changed for all.
const SPREAD: Duration = Duration::from_secs(600);
/// The bounds of the seconds that one evaluation may take, by what it runs.
const SECONDS: std::ops::RangeInclusive<u32> = 60..=1_800;

/// Works on the baselines of the policy in force until it is told to stop.
pub async fn run(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>, mut stop: watch::Receiver<bool>) {
    program::end_left(&agent.runs);
    loop {
        let current = policy.borrow_and_update().clone();
        let work = async {
            let current = current.as_deref()?;
            round(&agent, current, &policy).await
        };
        let next = tokio::select! {
            next = work => next,
            // What a program started ends with it.
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let wait = next.map_or(LOOK * 60, |next| next.since(agent.clock.now()).clamp(0, LOOK));
        tokio::select! {
            changed = policy.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Everything whose time has come. Returns when something is to be done next.
async fn round(agent: &Agent, policy: &Policy, newer: &watch::Receiver<Option<Arc<Policy>>>) -> Option<UnixMillis> {
    let assigned: Vec<DeploymentId> = policy.baselines().iter().map(|of| of.policy().deployment).collect();
    if let Err(error) = agent.store.keep_compliance(&assigned, agent.clock.now()) {
        tracing::warn!(%error, "baselines that are gone could not be forgotten");
    }
    if policy.baselines().is_empty() {
        return None;
    }
    if !policy.windows().is_empty() && !agent.window_time.was_asked() {
        return Some(agent.clock.now().plus(SOON));
    }
    let mut next: Option<UnixMillis> = None;
    let rivals = conflict::rivals(agent, policy);
    let none = BTreeMap::new();
    for deployment in policy.baselines() {
        if newer.has_changed().unwrap_or(false) {
            return Some(agent.clock.now());
        }
        let rivals = rivals.get(&deployment.policy().deployment).unwrap_or(&none);
        let wanted = consider(agent, policy, newer, (deployment, rivals)).await.unwrap_or_else(|error| {
            tracing::warn!(deployment = %deployment.policy().deployment, %error, "a baseline waits");
            agent.clock.now().plus(MINUTE)
        });
        next = Some(next.map_or(wanted, |next| next.min(wanted)));
    }
    next
}

/// One baseline, where its time has come; when it comes next.
async fn consider(
    agent: &Agent,
    policy: &Policy,
    newer: &watch::Receiver<Option<Arc<Policy>>>,
    (deployment, rivals): (&BaselineDeployment, &BTreeMap<usize, String>),
) -> Result<UnixMillis, StoreError> {
    let (of, now) = (deployment.policy(), agent.clock.now());
    let every = of.every.unwrap_or(policy.settings().compliance_evaluation).clamp(*EVERY.start(), *EVERY.end());
    let bundle = agent.site.trust();
    let basis = basis(agent, policy, (deployment, rivals), bundle.bundle());
    let mut before = agent.store.compliance(of.deployment)?;
    if let Some(changed) = before.as_mut().filter(|before| before.basis != basis) {
        // What the site was told stays told. Not all devices begin at once because something changed for all of them.
        let spread =
            i64::try_from(crate::clock::spread(SPREAD, crate::clock::random()).as_millis()).unwrap_or_default();
        (changed.basis, changed.due) = (basis, changed.evaluated.map(|_| now.plus(spread)));
        agent.store.keep_progress_of_compliance(of.deployment, changed)?;
    }
    let due = due(before.as_ref(), agent.store.baseline_evaluated(of.baseline, of.remediate)?, every, now);
    if now < due {
        return Ok(due);
    }
    let told = |outcome| ComplianceReport { deployment: of.deployment, baseline: of.baseline, outcome };
    let Some(verified) = deployment.baseline() else {
        return failed(agent, before.as_ref(), basis, told, ComplianceReason::NotSigned).map(|()| now.plus(every));
    };
    // A key that was revoked since the policy came does not count any more.
    let believed = believed(verified, bundle.bundle());
    if believed < bundle.bundle().author_threshold() {
        return failed(agent, before.as_ref(), basis, told, ComplianceReason::NotSigned).map(|()| now.plus(every));
    }
    if !policy.is_current(bundle.bundle(), now, agent.floor()) {
        tracing::warn!(deployment = %of.deployment, "the policy or the trust bundle is past its expiry; nothing new is evaluated until the site renews it");
        return Ok(now.plus(HOUR));
    }
    let baseline = verified.value();
    let seconds = seconds(baseline, policy.settings().compliance_script_seconds);
    if let Err((reason, starts)) = gate(agent, policy, of.outside_windows, seconds) {
        return waits(agent, before, basis, told, reason, starts);
    }
    let begun = before.clone().unwrap_or_else(|| Progress::new(basis));
    let tries = if begun.begun.is_some() { begun.tries.saturating_add(1) } else { 1 };
    if tries > TRIES {
        return failed(agent, before.as_ref(), basis, told, ComplianceReason::Interrupted).map(|()| now.plus(every));
    }
    agent.store.begin_evaluation(of, &Progress { begun: Some(now), tries, due: None, ..begun.clone() }, now)?;
    let may_run = may_run(script_policy(agent, policy), believed, bundle.bundle());
    let results = match baseline.platform {
        Platform::Linux => {
            let evaluation = Evaluation {
                agent,
                policy,
                deployment: of,
                rivals,
                may_run,
                deadline: Instant::now() + Duration::from_secs(seconds.into()),
                limit: Duration::from_secs(policy.settings().compliance_script_seconds.clamp(1, 600).into()),
                newer,
            };
            let Some(results) = evaluation.all(baseline).await else {
                agent.store.keep_progress_of_compliance(of.deployment, &Progress { begun: None, tries: 0, ..begun })?;
                return Ok(agent.clock.now());
            };
            results
        }
        _ => baseline.settings().map(|_| setting::plain(ComplianceState::NotApplicable)).collect(),
    };
    keep(agent, before, basis, told, results)?;
    Ok(agent.clock.now().plus(every))
}

/// When it is evaluated next. A clock that was set back does not put that off. What began and did not end waits longer each time, and
/// no baseline is evaluated more often than the shortest interval, whatever its deployment is called.
fn due(before: Option<&Progress>, last: Option<UnixMillis>, every: i64, now: UnixMillis) -> UnixMillis {
    let past = |moment: &UnixMillis| *moment <= now;
    let evaluated = before.and_then(|before| before.evaluated).filter(past);
    let mut due = evaluated.map_or(now, |evaluated| evaluated.plus(every));
    if let Some(changed) = before.and_then(|before| before.due) {
        due = due.min(changed);
    }
    let begun = before.and_then(|before| Some((before.begun.filter(past)?, before.tries)));
    if let Some((begun, tries)) = begun {
        due = begun.plus(i64::from(tries) * *EVERY.start());
    }
    last.filter(past).map_or(due, |last| due.max(last.plus(*EVERY.start())))
}

/// What an evaluation rests on: where any of it is another one, it is evaluated before its time. Not the number of a trust bundle, which
/// is renewed for all devices at once and names the same authors.
fn basis(
    agent: &Agent,
    policy: &Policy,
    (deployment, rivals): (&BaselineDeployment, &BTreeMap<usize, String>),
    bundle: &TrustBundle,
) -> Hash {
    let of = deployment.policy();
    let scripts = script_policy(agent, policy);
    let mut signers: Vec<String> = Vec::new();
    if let Some(verified) = deployment.baseline() {
        signers.extend(verified.signers().iter().filter(|id| bundle.author_key(id).is_some()).map(ToString::to_string));
    }
    signers.sort();
    let refused = may_run(scripts, signers.len(), bundle).err().map(ComplianceReason::as_str);
    let enough = signers.len() >= bundle.author_threshold();
    let mut text = serde_json::to_string(&(of.baseline, of.remediate, signers, refused, enough)).unwrap_or_default();
    if !rivals.is_empty() {
        text += &serde_json::to_string(rivals).unwrap_or_default();
    }
    muster_trust::sha256(text.as_bytes())
}

/// How many authors signed it who are believed now.
fn believed(verified: &Verified<Baseline>, bundle: &TrustBundle) -> usize {
    verified.signers().iter().filter(|id| bundle.author_key(id).is_some()).count()
}

/// The script policy. The machine's own administrator has the last word about `bypass`.
pub(crate) fn script_policy(agent: &Agent, policy: &Policy) -> ScriptPolicy {
    match policy.settings().script_policy {
        ScriptPolicy::Bypass if !identity::config(&agent.directory).is_ok_and(|config| config.script_bypass) => {
            ScriptPolicy::AllSigned
        }
        wanted => wanted,
    }
}

/// Whether programs that authors chose are run. It is this client that decides, by its trust bundle; the site says nothing that
/// would make it more than the bundle allows, but for the second signature.
fn may_run(policy: ScriptPolicy, believed: usize, bundle: &TrustBundle) -> Result<(), ComplianceReason> {
    match policy {
        ScriptPolicy::Restricted => Err(ComplianceReason::ScriptPolicy),
        ScriptPolicy::AllSigned if believed < bundle.script_threshold() => Err(ComplianceReason::TooFewKeys),
        ScriptPolicy::AllSigned | ScriptPolicy::Bypass => Ok(()),
    }
}

/// Seconds that an evaluation may take: what windows have to have room for.
fn seconds(baseline: &Baseline, each: u32) -> u32 {
    let runs = |setting: &Setting| {
        let remedy = setting.remediation.as_ref().is_some_and(muster_model::baseline::Remediation::runs);
        u32::from(setting.discovery.runs()) + u32::from(remedy)
    };
    let programs: u32 = baseline.settings().map(|(_, setting)| runs(setting)).sum();
    programs.saturating_mul(each).saturating_add(*SECONDS.start()).clamp(*SECONDS.start(), *SECONDS.end())
}

/// Whether windows allow so many seconds of work now; else what it waits for, and until when.
fn gate(
    agent: &Agent,
    policy: &Policy,
    outside_windows: bool,
    seconds: u32,
) -> Result<(), (WaitReason, Option<UnixMillis>)> {
    if outside_windows || applying(policy.windows(), Work::Application).next().is_none() {
        return Ok(());
    }
    let now = agent.window_time().ok_or((WaitReason::Clock, None))?;
    match chance(policy.windows(), Work::Application, &agent.collector.time_zone(), now, seconds) {
        Chance::Free | Chance::Now { .. } => Ok(()),
        Chance::Later { opens, .. } => Err((WaitReason::Window, Some(opens))),
        Chance::Never => Err((WaitReason::NeverFits, None)),
    }
}

/// Says once what it waits for.
fn waits(
    agent: &Agent,
    before: Option<Progress>,
    basis: Hash,
    told: impl Fn(ComplianceOutcome) -> ComplianceReport,
    reason: WaitReason,
    starts: Option<UnixMillis>,
) -> Result<UnixMillis, StoreError> {
    let now = agent.clock.now();
    let mut progress =
        Progress { waits: Some((reason, starts)), ..before.clone().unwrap_or_else(|| Progress::new(basis)) };
    if reason == WaitReason::NeverFits {
        // The site does not count what it was told before any more.
        (progress.digest, progress.told) = (None, None);
    }
    if before.is_none_or(|before| before.waits != progress.waits) {
        let report = told(ComplianceOutcome::Waiting { reason, starts });
        agent.store.keep_evaluation(&progress, now, report)?;
    }
    Ok(starts.unwrap_or_else(|| now.plus(MINUTE)).max(now.plus(SOON)))
}

/// Nothing can be found out: said once.
fn failed(
    agent: &Agent,
    before: Option<&Progress>,
    basis: Hash,
    told: impl Fn(ComplianceOutcome) -> ComplianceReport,
    reason: ComplianceReason,
) -> Result<(), StoreError> {
    let now = agent.clock.now();
    let fresh = |before: &&Progress| before.told.is_some_and(|told| (0..TELL_AGAIN).contains(&now.since(told)));
    let known = before.filter(fresh).filter(|before| before.failed == Some(reason)).and_then(|before| before.told);
    let told_at = known.unwrap_or(now);
    let progress = Progress { evaluated: Some(now), told: Some(told_at), failed: Some(reason), ..Progress::new(basis) };
    let deployment = told(ComplianceOutcome::Failed { reason }).deployment;
    if known.is_none() {
        tracing::warn!(reason = reason.as_str(), "a baseline is not evaluated");
        return agent.store.keep_evaluation(&progress, now, told(ComplianceOutcome::Failed { reason }));
    }
    agent.store.keep_progress_of_compliance(deployment, &progress)
}

/// Keeps what was found together with its report: all of it where it changed, and else that it did not.
fn keep(
    agent: &Agent,
    before: Option<Progress>,
    basis: Hash,
    told: impl Fn(ComplianceOutcome) -> ComplianceReport,
    results: Vec<SettingResult>,
) -> Result<(), StoreError> {
    let now = agent.clock.now();
    let digest = muster_trust::sha256(&serde_json::to_vec(&results).unwrap_or_default());
    let fresh = |before: &Progress| before.told.is_some_and(|told| (0..TELL_AGAIN).contains(&now.since(told)));
    let known = before.filter(|before| before.digest == Some(digest) && fresh(before));
    let told_at = known.as_ref().and_then(|known| known.told).unwrap_or(now);
    let outcome = match known {
        Some(_) => ComplianceOutcome::Unchanged { digest },
        None => ComplianceOutcome::Evaluated { digest, results },
    };
    let progress = Progress { evaluated: Some(now), told: Some(told_at), digest: Some(digest), ..Progress::new(basis) };
    agent.store.keep_evaluation(&progress, now, told(outcome))
}
