//! Whether the agent's own log can be written, and is whole.

use super::{Finding, Scene};
use crate::os::PrivateDirectory;

/// The directory of the log in the state directory.
const LOGS: &str = "logs";
const PROBE: &str = "health.probe";

/// A log as this check sees it.
trait Log {
    /// Whether it can be written and its chain is whole.
    fn examine(&self) -> Result<(), String>;
    /// Makes it writable again, and begins a new chain where the old one is broken.
    fn renew(&self) -> Result<String, String>;
}

/// A directory of log files.
struct Directory<'a>(&'a PrivateDirectory);

impl Log for Directory<'_> {
    fn examine(&self) -> Result<(), String> {
        let text = |error: std::io::Error| format!("The log cannot be written: {error}.");
        let directory = self.0.directory(LOGS).map_err(|error| format!("The log cannot be written: {error}."))?;
        directory.write(PROBE, b"probe").map_err(text)?;
        directory.remove(PROBE).map_err(text)
    }

    fn renew(&self) -> Result<String, String> {
        // What lies in the way stays, under another name, to be looked at.
        self.0.rename(LOGS, &format!("{LOGS}.damaged")).map_err(|error| format!("{error}."))?;
        self.0.directory(LOGS).map_err(|error| format!("{error}."))?;
        Ok("The log was put aside as logs.damaged, and begun anew.".to_owned())
    }
}

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    if scene.directory.path().join(LOGS).symlink_metadata().is_err() {
        return Finding::Nothing("The agent keeps no log of its own here.".to_owned());
    }
    Directory(scene.directory).examine().map_or_else(Finding::Wrong, |()| Finding::Sound)
}

pub(super) fn mend(scene: &Scene<'_>) -> Result<String, String> {
    Directory(scene.directory).renew()
}
