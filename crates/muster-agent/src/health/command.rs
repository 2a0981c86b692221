//! `muster-agent health`: the checks now, beside a running agent or without one. It mends nothing.

use super::{Scene, check};
use crate::{
    clock::Clock,
    collect::Collector,
    command::{CommandError, load_policy, open_existing, say, say_json},
};
use muster_model::{health::CheckOutcome, settings::HealthMode};
use std::{path::Path, sync::Arc};

/// Makes the checks and prints them. Whether nothing is wrong.
///
/// # Errors
/// See [`CommandError`].
pub async fn command(state: &Path, collector: &Collector, json: bool, clock: &Clock) -> Result<bool, CommandError> {
    let directory = open_existing(state)?;
    let policy = load_policy(&directory, clock)?.map(Arc::new);
    let settings = policy.as_deref().map(|policy| policy.settings().clone()).unwrap_or_default();
    let scene = Scene {
        root: collector.root(),
        directory: &directory,
        now: clock.now(),
        settings,
        policy,
        agent: None,
        least_free: None,
    };
    let report = check(&scene, HealthMode::Notify).await;
    if json {
        say_json(&report)?;
    } else {
        let lines: Vec<String> = report
            .checks
            .iter()
            .map(|one| {
                format!("{:13}{:15}{} {}", one.name, one.outcome.as_str(), one.found, one.done).trim_end().to_owned()
            })
            .collect();
        say(&lines.join("\n"))?;
    }
    Ok(report.count(CheckOutcome::Failed) == 0)
}
