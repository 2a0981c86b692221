//! `apt-get`: how it is called. What of its configuration would make it believe less than signatures is said otherwise here.

use super::{ASKS, Ran, Refusal, THINKS, call, end, locked};
use crate::agent::Agent;
use muster_model::{
    status::FailureReason,
    update::{Missing, Simulation, apt},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

const PROGRAM: &str = "/usr/bin/apt-get";

/// Said with each call, after the machine's own configuration: it holds whatever that says.
const OPTIONS: &[&str] = &[
    "APT::Get::AllowUnauthenticated=false",
    "APT::Get::Allow-Downgrades=false",
    "APT::Get::Allow-Remove-Essential=false",
    "APT::Get::Allow-Change-Held-Packages=false",
    "APT::Get::Force-Yes=false",
    "APT::Get::Fix-Missing=false",
    "Acquire::AllowInsecureRepositories=false",
    "Acquire::AllowWeakRepositories=false",
    "Acquire::AllowDowngradeToInsecureRepositories=false",
    "APT::Update::Error-Mode=any",
    "DPkg::Lock::Timeout=0",
    "Dpkg::Use-Pty=false",
    "Dpkg::Options::=--force-confdef",
    "Dpkg::Options::=--force-confold",
    "APT::Color=false",
    "quiet=2",
];

/// The tool on a machine.
pub(super) struct Apt<'a> {
    root: &'a Path,
}

/// What it offers, with whatever that would bring and remove.
pub(super) fn offered() -> Vec<String> {
    vec!["dist-upgrade".to_owned()]
}

/// What it would install without anything new and without removing anything.
pub(super) fn easy() -> Vec<String> {
    vec!["upgrade".to_owned()]
}

/// Exactly these, and only where an older version is installed.
pub(super) fn targets(wanted: &[&Missing]) -> Vec<String> {
    let mut arguments = vec!["install".to_owned(), "--only-upgrade".to_owned(), "--".to_owned()];
    arguments.extend(wanted.iter().filter_map(|missing| {
        let version = missing.version.as_ref()?;
        // What is for all architectures is found by its name alone.
        let of = missing.architecture.as_deref().filter(|of| *of != "all").map(|of| format!(":{of}"));
        Some(format!("{}{}={version}", missing.package, of.unwrap_or_default()))
    }));
    arguments
}

impl<'a> Apt<'a> {
    /// The tool of the machine whose files lie below `root`, where it has it.
    pub(super) fn of(root: &'a Path) -> Option<Self> {
        let configured = ["sources.list", "sources.list.d"].iter().any(|name| root.join("etc/apt").join(name).exists());
        let tool = Self { root };
        (configured && tool.program().exists()).then_some(tool)
    }

    /// Whether it is another machine's tree: a test's, never one that a policy names.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.root != Path::new("/")
    }

    /// A test's tree may bring a tool of its own.
    fn program(&self) -> PathBuf {
        let own = self.root.join(&PROGRAM[1..]);
        if self.is_elsewhere() && own.exists() { own } else { PROGRAM.into() }
    }

    fn arguments(&self, more: &[String]) -> Vec<String> {
        let mut options: Vec<String> = OPTIONS.iter().map(|option| (*option).to_owned()).collect();
        if self.is_elsewhere() {
            let root = self.root.display();
            options.push(format!("Dir={root}/"));
            options.push(format!("Dir::State::status={root}/var/lib/dpkg/status"));
            options.push(format!("DPkg::Options::=--root={root}"));
            options.push(format!("DPkg::Options::=--log={root}/var/log/dpkg.log"));
            options.push("APT::Sandbox::User=root".to_owned());
        }
        let options = options.into_iter().flat_map(|option| ["-o".to_owned(), option]);
        options.chain(more.iter().cloned()).collect()
    }

    async fn call(
        &self,
        agent: &Agent,
        place: &str,
        more: &[String],
        errors: bool,
        limit: Duration,
    ) -> Result<Ran, String> {
        call(agent, place, self.program(), self.arguments(more), errors, limit).await
    }

    /// What it says that it would do.
    pub(super) async fn simulate(&self, agent: &Agent, place: &str, more: &[String]) -> Result<Simulation, Refusal> {
        let mut arguments = vec!["--simulate".to_owned()];
        arguments.extend_from_slice(more);
        let refused = |text: String| Refusal::new(FailureReason::UpdateRefused, text);
        let ran = self.call(agent, place, &arguments, false, THINKS).await.map_err(refused)?;
        if ran.code != Some(0) {
            let said = self.call(agent, place, &arguments, true, THINKS).await.map_err(refused)?;
            return Err(locked(&said.text).unwrap_or_else(|| refused(end(&said.text))));
        }
        apt::read(&ran.text).map_err(|error| refused(error.to_string()))
    }

    /// Asks its sources. One that is not believed, or does not answer, is an error.
    pub(super) async fn refresh(&self, agent: &Agent, place: &str, limit: Duration) -> Result<(), Refusal> {
        let ran = self.call(agent, place, &["update".to_owned()], true, limit.min(ASKS)).await;
        let ran = ran.map_err(|text| Refusal::new(FailureReason::UpdateSource, text))?;
        if ran.code == Some(0) && !ran.text.lines().any(|line| line.starts_with("E: ")) {
            return Ok(());
        }
        let failed = || Refusal::new(FailureReason::UpdateSource, end(&ran.text));
        Err(locked(&ran.text).unwrap_or_else(failed))
    }

    /// The command that installs these.
    pub(super) fn install(&self, wanted: &[&Missing]) -> (PathBuf, Vec<String>) {
        let mut more = vec!["--assume-yes".to_owned()];
        more.extend(targets(wanted));
        (self.program(), self.arguments(&more))
    }
}
