//! `muster-agent software`: what a user of this machine may have, and has done. It needs no privilege and no state directory.

use crate::{
    apply::software::Software,
    local::{self, AskError},
};
use muster_model::status::{DeploymentState, Verb};
use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

/// How long is waited for the end at most.
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);
/// How often is asked meanwhile; a user may ask so often.
const PAUSE: Duration = Duration::from_secs(3);

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum SoftwareError {
    /// The agent.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It came to nothing.
    #[error("{0} did not come to a good end; its administrator can see why")]
    Failed(String),
    /// The output.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// A text of the policy, for a terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn state(offer: &Software) -> String {
    match offer.waits.filter(|_| offer.state == DeploymentState::Waiting) {
        Some(reason) => format!("waiting ({})", reason.as_str()),
        None => offer.state.as_str().to_owned(),
    }
}

/// `software list`.
///
/// # Errors
/// See [`SoftwareError`].
pub fn list(socket: &Path, json: bool) -> Result<(), SoftwareError> {
    let offers = local::list(socket)?;
    if json {
        let text = serde_json::to_string_pretty(&offers).map_err(io::Error::other)?;
        return Ok(say(&text)?);
    }
    if offers.is_empty() {
        return Ok(say("Nothing is offered to the users of this machine.")?);
    }
    for offer in offers {
        let can: Vec<_> = offer.can.iter().map(|verb| verb.as_str()).collect();
        let can = if can.is_empty() { "-".to_owned() } else { can.join(", ") };
        let (name, version) = (clean(&offer.name), clean(&offer.version));
        say(&format!("{} {name} {version}: {}; you can: {can}", offer.deployment, state(&offer)))?;
    }
    Ok(())
}

/// `software install`, `repair` and `uninstall`.
///
/// # Errors
/// See [`SoftwareError`].
#[expect(clippy::disallowed_methods, reason = "a command of its own, which has nothing to do but to wait")]
pub fn begin(socket: &Path, verb: Verb, word: &str, wait: bool) -> Result<(), SoftwareError> {
    let offer = local::begin(socket, verb, word)?;
    let name = clean(&offer.name);
    say(&format!("{name}: {} begins.", verb.as_str()))?;
    if !wait {
        return Ok(());
    }
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
        let offers = local::list(socket)?;
        let Some(now) = offers.iter().find(|other| other.deployment == offer.deployment) else { break };
        // Until its turn comes it stands where it stood before.
        if now.wanted.is_some() {
            continue;
        }
        let offered_again = now.waits == Some(muster_model::status::WaitReason::User);
        match now.state {
            DeploymentState::Succeeded if verb != Verb::Uninstall => return Ok(say(&format!("{name}: done."))?),
            DeploymentState::Waiting if offered_again && verb == Verb::Uninstall => {
                return Ok(say(&format!("{name}: done."))?);
            }
            // Nobody works on it any more.
            _ => break,
        }
    }
    Err(SoftwareError::Failed(name))
}
