//! One setting: found out, judged, put right where that is wanted, and found out again.

use super::{
    discover::{Facts, Found},
    file::{self, Place, Problem, Tree},
    gate,
    program::{self, Ground, Program},
    remedy::{blocking, remedy},
};
use crate::{agent::Agent, os::process::printable, policy::Policy};
use muster_model::{
    application::Privilege,
    baseline::{Baseline, Discovery, Remediation, Setting, ValueType, Verdict},
    compliance::{BaselinePolicy, ComplianceReason, ComplianceState, SettingResult},
    limits::{COMPLIANCE_DETAIL_BYTES, COMPLIANCE_VALUE_BYTES, DISCOVERED_VALUES},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// One evaluation of a baseline.
pub(super) struct Evaluation<'a> {
    pub(super) agent: &'a Agent,
    pub(super) policy: &'a Policy,
    pub(super) deployment: &'a BaselinePolicy,
    /// Settings, by their numbers, that an earlier one wants otherwise, and which that is.
    pub(super) rivals: &'a BTreeMap<usize, String>,
    /// Whether programs are run, and else why not.
    pub(super) may_run: Result<(), ComplianceReason>,
    /// When it has to be over.
    pub(super) deadline: Instant,
    /// How long one program may run.
    pub(super) limit: Duration,
    /// Where a newer policy shows.
    pub(super) newer: &'a watch::Receiver<Option<Arc<Policy>>>,
}

/// Where files are, and which of them no baseline touches.
pub(super) fn tree(agent: &Agent) -> Tree {
    let state = agent.directory.path();
    Tree::of(agent.collector.root(), [state, program::beside(state).as_path()])
}

/// Where this agent's programs run.
pub(super) const fn ground(agent: &Agent) -> Ground<'_> {
    Ground { runs: &agent.runs, state: &agent.directory }
}

/// A result with nothing but its state.
pub(super) const fn plain(state: ComplianceState) -> SettingResult {
    SettingResult { state, value: None, reason: None, detail: String::new() }
}

impl Evaluation<'_> {
    /// Every setting, one after the other. `None`: a newer policy came meanwhile, which may not want it any more.
    pub(super) async fn all(&self, baseline: &Baseline) -> Option<Vec<SettingResult>> {
        let mut facts = Facts::new(tree(self.agent));
        let mut results = Vec::new();
        for (number, (_, setting)) in baseline.settings().enumerate() {
            if self.is_over() {
                return None;
            }
            let rival = self.rivals.get(&number).map(String::as_str);
            let mut result = self.one(setting, rival, &mut facts).await;
            if setting.private {
                result.value = None;
                if result.state != ComplianceState::Conflict {
                    // What a program or a file said may stand in the sentence.
                    result.detail = String::new();
                }
            }
            results.push(result);
        }
        Some(results)
    }

    fn is_over(&self) -> bool {
        self.newer.has_changed().unwrap_or(true)
    }

    async fn one(&self, setting: &Setting, rival: Option<&str>, facts: &mut Arc<Facts>) -> SettingResult {
        if matches!(setting.discovery, Discovery::Registry { .. }) {
            return plain(ComplianceState::NotApplicable);
        }
        let wanted = setting.remediation.as_ref().filter(|_| self.deployment.remediate);
        let place = match wanted.filter(|_| rival.is_none()) {
            Some(remediation) => self.place(setting, remediation).await,
            None => None,
        };
        let (found, verdict) = match self.look(setting, facts).await {
            Ok(seen) => seen,
            Err(problem) => return error(&problem),
        };
        if let Some(rival) = rival.filter(|_| verdict != Verdict::Compliant) {
            // Both would put it right in turn, for ever.
            let detail = bounded(&format!("{rival} came first and wants it otherwise."), COMPLIANCE_DETAIL_BYTES);
            let state = ComplianceState::Conflict;
            return SettingResult { state, reason: None, detail, ..judged(setting, &found, verdict) };
        }
        let Some(remediation) = wanted.filter(|_| verdict != Verdict::Compliant) else {
            return judged(setting, &found, verdict);
        };
        if let Err(problem) = self.put_right(setting, remediation, place).await {
            // Not in a window any more: as it is, until the next time.
            let mut result = judged(setting, &found, verdict);
            if let Some(problem) = problem {
                result.reason = Some(ComplianceReason::RemediationFailed);
                result.detail =
                    bounded(&format!("{}: {}", problem.reason.as_str(), problem.detail), COMPLIANCE_DETAIL_BYTES);
            }
            return result;
        }
        // What was listed before may be another one now.
        *facts = Facts::new(tree(self.agent));
        match self.look(setting, facts).await {
            Ok((found, Verdict::Compliant)) => {
                SettingResult { state: ComplianceState::Remediated, ..judged(setting, &found, Verdict::Compliant) }
            }
            Ok((found, verdict)) => {
                let mut result = judged(setting, &found, verdict);
                result.reason = result.reason.or(Some(ComplianceReason::RemediationFailed));
                result
            }
            Err(problem) => error(&problem),
        }
    }

    /// Where the file of a setting is before it is looked at, if it is put right by writing.
    async fn place(&self, setting: &Setting, remediation: &Remediation) -> Option<Place> {
        let (Discovery::File { path, .. }, Remediation::File { .. }) = (&setting.discovery, remediation) else {
            return None;
        };
        let (tree, path) = (tree(self.agent), path.clone());
        blocking(self.agent, self.left()?, move || Ok(file::place(&tree, &path))).await.ok().flatten()
    }

    /// `Err(None)`: not now.
    async fn put_right(
        &self,
        setting: &Setting,
        remediation: &Remediation,
        place: Option<Place>,
    ) -> Result<(), Option<Problem>> {
        if remediation.can_run() {
            let how = "What puts it right could make the machine run something.";
            self.may_run.map_err(|reason| Some(Problem::new(reason, how)))?;
        }
        let left = self.left().ok_or(None)?;
        let limit = self.limit.min(left);
        let seconds = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX).max(1);
        let agent = self.agent;
        if self.is_over() || gate(agent, self.policy, self.deployment.outside_windows, seconds).is_err() {
            return Err(None);
        }
        let what = (&setting.discovery, remediation);
        remedy(agent, self.deployment.deployment, what, place, limit).await.map_err(Some)?;
        tracing::info!(deployment = %self.deployment.deployment, setting = %setting.name, "a setting was put right");
        Ok(())
    }

    fn left(&self) -> Option<Duration> {
        self.deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    async fn look(&self, setting: &Setting, facts: &Arc<Facts>) -> Result<(Found, Verdict), Problem> {
        let late = || Problem::new(ComplianceReason::TimedOut, "The time for the whole baseline was over.");
        let left = self.left().ok_or_else(late)?;
        let (program, privilege) = match &setting.discovery {
            Discovery::Command { command, privilege } => (Some(Program::Command(command)), *privilege),
            Discovery::Script { script } => (Some(Program::Script(script)), script.privilege),
            _ => (None, Privilege::None),
        };
        let (found, verdict) = match program {
            Some(program) => {
                self.may_run.map_err(|reason| Problem::new(reason, "It is found out by a program."))?;
                let (id, limit) = (self.deployment.deployment, self.limit.min(left));
                let said = program::run(ground(self.agent), id, program, privilege, limit).await?;
                let found = Found::of(said_values(&said, setting.value_type));
                let verdict = setting.judge(found.values.as_deref(), found.order);
                (found, verdict)
            }
            None => {
                let (facts, setting) = (facts.clone(), setting.clone());
                // Patterns over many long values take a while too.
                let work = move || {
                    let found = facts.discover(&setting.discovery)?;
                    let verdict = setting.judge(found.values.as_deref(), found.order);
                    Ok((found, verdict))
                };
                blocking(self.agent, left, work).await?
            }
        };
        if found.values.as_ref().is_some_and(|values| values.len() > DISCOVERED_VALUES) {
            return Err(Problem::new(ComplianceReason::TooLarge, "There are more values than are read."));
        }
        Ok((found, verdict))
    }
}

/// What a program printed: one value, or of a list each line. Nothing at all is no value.
fn said_values(said: &str, value_type: ValueType) -> Option<Vec<String>> {
    let values: Vec<String> = match value_type {
        ValueType::List => said.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        _ => Some(said.to_owned()).filter(|said| !said.is_empty()).into_iter().collect(),
    };
    Some(values).filter(|values| !values.is_empty())
}

fn judged(setting: &Setting, found: &Found, verdict: Verdict) -> SettingResult {
    let (state, reason) = match verdict {
        Verdict::Compliant => (ComplianceState::Compliant, None),
        Verdict::NonCompliant => (ComplianceState::NonCompliant, None),
        // It was found, and is not what the rules allow.
        Verdict::WrongType => (ComplianceState::NonCompliant, Some(ComplianceReason::WrongType)),
    };
    let shown = |values: &Vec<String>| match setting.value_type {
        ValueType::List => values.join("\n"),
        _ => values.first().cloned().unwrap_or_default(),
    };
    let value =
        found.values.as_ref().filter(|_| !found.hidden).map(|values| bounded(&shown(values), COMPLIANCE_VALUE_BYTES));
    SettingResult { state, value, reason, detail: String::new() }
}

fn error(problem: &Problem) -> SettingResult {
    SettingResult {
        state: ComplianceState::Error,
        value: None,
        reason: Some(problem.reason),
        detail: bounded(&problem.detail, COMPLIANCE_DETAIL_BYTES),
    }
}

/// The beginning of a text, without control characters.
fn bounded(text: &str, bytes: usize) -> String {
    let text = printable(text);
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
