//! Whether the agent's own files are those of its package, as the package manager remembers them.
//!
//! Whoever can change these files as root can change what the package manager remembers as well: this finds damage and carelessness, not
//! an attacker. Nothing is reinstalled from here: which source is signed and wanted is the administrator's matter.

use super::{Finding, Scene, root_argument, tool};
use std::time::Duration;

const SUMS: &str = "var/lib/dpkg/info/muster-agent.md5sums";
const PACKAGE: &str = "muster-agent";

pub(super) async fn detect(scene: &Scene<'_>) -> Finding {
    if !scene.root.join(SUMS).exists() {
        return Finding::Nothing("No package manager of this machine has checksums of the agent's files.".to_owned());
    }
    let mut arguments: Vec<String> = root_argument(scene.root).into_iter().collect();
    arguments.extend(["--verify".to_owned(), PACKAGE.to_owned()]);
    let found = match tool(scene, "verify", "/usr/bin/dpkg", arguments, Duration::from_secs(120), false).await {
        Ok((0 | 1, text)) if text.trim().is_empty() => return Finding::Sound,
        Ok((0 | 1, text)) => {
            let names: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).take(5).collect();
            format!("Files of the agent are altered or missing: {}.", names.join(", "))
        }
        Ok((code, _)) => format!("dpkg --verify ended with {code}."),
        Err(why) => why,
    };
    let advice = "Reinstall the package from your signed source: apt-get install --reinstall muster-agent";
    Finding::Beyond(found, advice.to_owned())
}
