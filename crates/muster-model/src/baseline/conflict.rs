//! Settings that are put right to different values: whoever put both right would change the device at each evaluation for ever.

use super::{Baseline, Discovery, Remediation, Rule, Setting, Verdict};
use std::collections::HashMap;

/// What a setting is about, whatever is read of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject<'a> {
    File(&'a str),
    Sysctl(String),
    Service(&'a str),
    /// The very same way to find it out.
    Other(String),
}

fn subject(discovery: &Discovery) -> Subject<'_> {
    match discovery {
        Discovery::File { path, .. } => Subject::File(path),
        Discovery::Sysctl { name } => Subject::Sysctl(name.replace('/', ".")),
        Discovery::Service { name, .. } => Subject::Service(name.strip_suffix(".service").unwrap_or(name)),
        other => Subject::Other(serde_json::to_string(other).unwrap_or_default()),
    }
}

/// Which setting of which baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The baseline.
    pub baseline: &'a Baseline,
    /// The setting, with a remediation.
    pub setting: &'a Setting,
}

impl Claim<'_> {
    /// Both names, for people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {} ({})", self.baseline.name, self.baseline.version, self.setting.name)
    }
}

/// What is put right. The first one to claim something has it.
#[derive(Debug, Default)]
pub struct Claims<'a> {
    held: HashMap<Subject<'a>, Vec<Claim<'a>>>,
}

impl<'a> Claims<'a> {
    /// Claims what a setting puts right. Returns the earlier claim that wants it otherwise, if there is one; then nothing is claimed.
    pub fn take(&mut self, claim: Claim<'a>) -> Option<Claim<'a>> {
        let rival = self.rival(claim.setting);
        if rival.is_none() {
            let held = self.held.entry(subject(&claim.setting.discovery)).or_default();
            let same = |other: &Claim<'_>| {
                (&other.setting.remediation, &other.setting.rules) == (&claim.setting.remediation, &claim.setting.rules)
            };
            if !held.iter().any(same) {
                held.push(claim);
            }
        }
        rival
    }

    /// The claim that wants otherwise what this setting puts right.
    #[must_use]
    pub fn rival(&self, setting: &Setting) -> Option<Claim<'a>> {
        let held = self.held.get(&subject(&setting.discovery))?;
        held.iter().find(|other| contradict(other.setting, setting)).copied()
    }
}

fn differ<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.is_some() && b.is_some() && a != b
}

/// Whether what puts the one right makes the other one wrong, as far as can be known without doing it.
fn contradict(a: &Setting, b: &Setting) -> bool {
    match (&a.remediation, &b.remediation) {
        (Some(Remediation::File { content, mode }), Some(Remediation::File { content: other, mode: another })) => {
            differ(content.as_ref(), other.as_ref()) || differ(mode.as_ref(), another.as_ref())
        }
        (Some(Remediation::Sysctl { value }), Some(Remediation::Sysctl { value: other })) => {
            value.trim() != other.trim()
        }
        (
            Some(Remediation::Service { enabled, running }),
            Some(Remediation::Service { enabled: other, running: another }),
        ) => differ(*enabled, *other) || differ(*running, *another),
        // What a program does nobody knows; but what is to be found after it.
        (Some(_), Some(_)) => a.discovery == b.discovery && (excludes(a, b) || excludes(b, a)),
        _ => false,
    }
}

/// Whether the one value that a setting wants is wrong for the other.
fn excludes(a: &Setting, b: &Setting) -> bool {
    a.rules.iter().any(|rule| match rule {
        Rule::Equals { value } => b.judge(Some(std::slice::from_ref(value)), "") != Verdict::Compliant,
        Rule::Exists { exists: false } => b.judge(None, "") != Verdict::Compliant,
        _ => false,
    })
}
