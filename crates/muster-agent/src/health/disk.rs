//! Whether the disk of the state directory has some space left: the agent's own database needs it.

use super::{Finding, Scene};
use crate::{agent::Agent, content::cache};
use std::sync::Arc;

/// Bytes that are missing.
fn short(scene: &Scene<'_>) -> std::io::Result<u64> {
    let (disk, free) = scene.directory.space()?;
    Ok(scene.least_free.unwrap_or_else(|| cache::reserve(disk)).saturating_sub(free))
}

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    match short(scene) {
        Ok(0) => Finding::Sound,
        Ok(short) => {
            Finding::Wrong(format!("The disk of the agent's state lacks {} KiB of free space.", short.div_ceil(1024)))
        }
        Err(error) => {
            Finding::Beyond(format!("The disk cannot be asked: {error}."), "Look at the file system.".to_owned())
        }
    }
}

pub(super) fn mend(scene: &Scene<'_>, agent: &Arc<Agent>) -> Result<String, String> {
    let wanted = short(scene).map_err(|error| format!("{error}."))?;
    let freed =
        cache::relieve(agent, scene.policy.as_deref(), &scene.settings, wanted).map_err(|error| format!("{error}."))?;
    match freed {
        0 => Err("The content cache has nothing that may go; free some space.".to_owned()),
        freed => Ok(format!("{} KiB of content that nobody needs now were removed from the cache.", freed / 1024)),
    }
}
