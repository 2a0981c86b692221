//! The tools of systems, behind what all of them are asked.

use super::{Refusal, apt, apt::Apt, dnf::Dnf, judge_all, updates};
use crate::agent::Agent;
use muster_model::update::{Missing, Simulation, UpdateGroup, UpdateTool};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How many updates are asked for one by one, where all together are not allowed and the tool does not say by itself what goes alone.
const ALONE: usize = 40;
/// For how long they are asked for, all in all.
const ALONE_FOR: Duration = Duration::from_secs(600);

/// The tool of a machine.
pub(super) enum Tool<'a> {
    Apt(Apt<'a>),
    Dnf(Dnf<'a>),
}

impl<'a> Tool<'a> {
    /// The first one that the machine has: one that has sources for both is a machine of the first.
    pub(super) fn of(root: &'a Path) -> Option<Self> {
        Apt::of(root).map(Self::Apt).or_else(|| Dnf::of(root).map(Self::Dnf))
    }

    pub(super) const fn kind(&self) -> UpdateTool {
        match self {
            Self::Apt(_) => UpdateTool::Apt,
            Self::Dnf(_) => UpdateTool::Dnf,
        }
    }

    /// Whether it is another machine's tree: a test's, never one that a policy names.
    pub(super) fn is_elsewhere(&self) -> bool {
        match self {
            Self::Apt(apt) => apt.is_elsewhere(),
            Self::Dnf(dnf) => dnf.is_elsewhere(),
        }
    }

    pub(super) async fn refresh(&self, agent: &Agent, place: &str, limit: Duration) -> Result<(), Refusal> {
        match self {
            Self::Apt(apt) => apt.refresh(agent, place, limit).await,
            Self::Dnf(dnf) => dnf.refresh(agent, place, limit).await,
        }
    }

    /// What it offers for what is installed.
    pub(super) async fn offered(&self, agent: &Agent, place: &str) -> Result<Simulation, Refusal> {
        match self {
            Self::Apt(apt) => apt.simulate(agent, place, &apt::offered()).await,
            Self::Dnf(dnf) => dnf.offered(agent, place).await,
        }
    }

    /// What it would do for exactly these.
    pub(super) async fn simulate(
        &self,
        agent: &Agent,
        place: &str,
        wanted: &[&Missing],
    ) -> Result<Simulation, Refusal> {
        match self {
            Self::Apt(apt) => apt.simulate(agent, place, &apt::targets(wanted)).await,
            Self::Dnf(dnf) => dnf.simulate(agent, place, wanted).await,
        }
    }

    /// Which of these go where all of them together are not allowed.
    pub(super) async fn easy<'m>(
        &self,
        agent: &Agent,
        place: &str,
        group: &UpdateGroup,
        wanted: Vec<&'m Missing>,
    ) -> Result<(Vec<&'m Missing>, Vec<&'m Missing>), Refusal> {
        match self {
            Self::Apt(apt) => {
                let easy = updates(apt.simulate(agent, place, &apt::easy()).await?.changes);
                let is_easy = |missing: &&Missing| {
                    easy.iter().any(|update| {
                        update.package == missing.package && missing.version.as_ref() == Some(&update.candidate)
                    })
                };
                Ok(wanted.into_iter().partition(is_easy))
            }
            Self::Dnf(dnf) => {
                let (mut chosen, mut rest, since) = (Vec::new(), Vec::new(), Instant::now());
                for (at, missing) in wanted.into_iter().enumerate() {
                    let alone = match at < ALONE && since.elapsed() < ALONE_FOR {
                        true => dnf.simulate(agent, place, &[missing]).await,
                        false => Ok(Simulation::default()),
                    };
                    match alone.and_then(|simulation| judge_all(group, &[missing], simulation)) {
                        Ok(()) => chosen.push(missing),
                        Err(held @ Refusal { reason: None, .. }) => return Err(held),
                        Err(_) => rest.push(missing),
                    }
                }
                Ok((chosen, rest))
            }
        }
    }

    /// The command that installs these.
    pub(super) fn install(&self, wanted: &[&Missing]) -> (PathBuf, Vec<String>) {
        match self {
            Self::Apt(apt) => apt.install(wanted),
            Self::Dnf(dnf) => dnf.install(wanted),
        }
    }
}
