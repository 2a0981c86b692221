//! `MUSTER_PENDING_RESTART`: whether the machine needs a restart and for what, and which programs still run what was replaced.

use super::{Collected, row::Put};
use crate::os::facts::{RestartSign, Stale};
use muster_model::{catalogue::PENDING_RESTART, inventory::Row};

/// Bytes of the reasons.
const REASONS: usize = 900;

impl Collected {
    /// Adds what is known: the deployments that need a restart, what the system says, and the programs.
    pub fn pending_restart(&mut self, deployments: &[String], signs: &[RestartSign], stale: Option<&Stale>) {
        let mut row = Row::new();
        let reasons = reasons(deployments.iter().cloned(), signs, stale);
        row.flag("Pending", !reasons.is_empty());
        row.text("Reasons", Some(reasons.as_str()).filter(|text| !text.is_empty()));
        row.number("Deployments", deployments.len() as u64);
        for sign in signs {
            match sign {
                RestartSign::Packages(names) => row.text("Packages", names.join(", ").as_str()),
                RestartSign::Kernel { running, installed } => {
                    row.text("RunningKernel", running.as_str());
                    row.text("InstalledKernel", installed.as_str());
                }
            }
        }
        if let Some(stale) = stale {
            row.number("Programs", stale.programs);
            let names = stale.names.join(", ");
            row.text("ProgramNames", Some(names.as_str()).filter(|names| !names.is_empty()));
        }
        self.keep(PENDING_RESTART, vec![row]);
    }
}

/// All that needs a restart of the machine in one text, each with its source. A program that can be started again by itself is none of it; the first
/// one of the system cannot.
pub(crate) fn reasons(
    deployments: impl Iterator<Item = String>,
    signs: &[RestartSign],
    stale: Option<&Stale>,
) -> String {
    let ours = deployments.map(|id| format!("deployment {id}"));
    let first = stale.is_some_and(|stale| stale.system);
    let first = first.then(|| "the first program of the system runs files that were replaced".to_owned());
    let mut text = ours.chain(signs.iter().map(RestartSign::sentence)).chain(first).collect::<Vec<_>>().join("; ");
    if text.len() > REASONS {
        let end = (0..=REASONS).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
