//! Whether the system's tool for updates can say which there are.

use super::{Finding, Scene};
use crate::{
    agent::Agent,
    updates::{self, ScanState},
};
use muster_model::time::DAY;
use std::sync::Arc;

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    if !scene.settings.update_scan_enabled {
        return Finding::Nothing("The settings want no scan for updates.".to_owned());
    }
    let Some(scan) = updates::kept_in(scene.directory) else {
        return Finding::Nothing("No scan for updates was taken on this machine yet.".to_owned());
    };
    match scan.state {
        ScanState::Failed => Finding::Wrong(format!("The tool for updates does not answer: {}", scan.reason)),
        ScanState::SourceFailed => Finding::Wrong(format!("A source of updates does not answer: {}", scan.reason)),
        ScanState::Complete | ScanState::Partial | ScanState::Locked => {
            let age = scene.now.since(scan.time);
            match age > 2 * scene.settings.update_scan + DAY {
                true => Finding::Wrong(format!("The last scan for updates was {} days ago.", age / DAY)),
                false => Finding::Sound,
            }
        }
    }
}

pub(super) async fn mend(agent: &Arc<Agent>) -> Result<String, String> {
    updates::again(agent).await.map_err(|error| format!("The scan could not be kept: {error}."))?;
    Ok("The tool for updates was asked again.".to_owned())
}
