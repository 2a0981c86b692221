//! Whether the machine's clock can be right: not before what the site has signed, and not known to differ from it.
//!
//! The client does not set the clock: that is the matter of the machine's time service.

use super::{Finding, Scene};
use crate::{policy::AHEAD, store};
use muster_model::time::UnixMillis;

/// The highest time that the site signed for this client.
fn floor(scene: &Scene<'_>) -> UnixMillis {
    let kept = || {
        let connection = store::Store::look(scene.directory).ok().flatten()?;
        store::value(&connection, crate::agent::FLOOR).ok().flatten()?.parse().ok()
    };
    scene.agent.map_or_else(|| UnixMillis(kept().unwrap_or(0)), |agent| agent.floor())
}

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let advice = "Set the clock, or let a time service do it; the agent goes on by itself then.".to_owned();
    if scene.now.plus(AHEAD) < floor(scene) {
        return Finding::Beyond("The clock is before a time that the site has signed.".to_owned(), advice);
    }
    match scene.agent.is_some_and(|agent| agent.clock_is_wrong()) {
        true => Finding::Beyond("The clock differs from the site's by more than ten minutes.".to_owned(), advice),
        false => Finding::Sound,
    }
}
