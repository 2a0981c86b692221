//! Whether the service manager starts the agent with the machine.

use super::{Finding, Scene, root_argument, tool};
use std::{path::Path, time::Duration};

const UNIT: &str = "muster-agent.service";
const PLACES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
const SYSTEMCTL: &str = "/usr/bin/systemctl";

fn is_masked(path: &Path) -> bool {
    std::fs::read_link(path).is_ok_and(|to| to == Path::new("/dev/null"))
}

/// Whether something that is started with the machine wants the unit.
fn is_enabled(root: &Path) -> bool {
    let lists = PLACES.iter().filter_map(|place| std::fs::read_dir(root.join(place)).ok()).flatten();
    lists.flatten().any(|entry| {
        let name = entry.file_name();
        let is_list = name.to_str().is_some_and(|name| name.ends_with(".wants") || name.ends_with(".requires"));
        is_list && entry.path().join(UNIT).symlink_metadata().is_ok()
    })
}

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let units: Vec<_> = PLACES.iter().map(|place| scene.root.join(place).join(UNIT)).collect();
    let Some(unit) = units.iter().find(|path| path.symlink_metadata().is_ok()) else {
        return Finding::Nothing("No service manager of this machine has a unit of the agent.".to_owned());
    };
    if is_masked(unit) {
        let advice = format!("Somebody did that on purpose; to undo it: systemctl unmask {UNIT}");
        return Finding::Beyond("The service is masked: nobody can start it.".to_owned(), advice);
    }
    if !is_enabled(scene.root) {
        return Finding::Wrong("The service is not started with the machine.".to_owned());
    }
    // Whoever looks from inside runs.
    let runs = scene.agent.is_some() || matches!(scene.directory.lock(crate::run::LOCK), Ok(None));
    match runs {
        true => Finding::Sound,
        false => Finding::Beyond("The agent does not run.".to_owned(), format!("Start it: systemctl start {UNIT}")),
    }
}

pub(super) async fn mend(scene: &Scene<'_>) -> Result<String, String> {
    let mut arguments: Vec<String> = root_argument(scene.root).into_iter().collect();
    arguments.extend(["enable".to_owned(), UNIT.to_owned()]);
    match tool(scene, "enable", SYSTEMCTL, arguments, Duration::from_secs(60), true).await? {
        (0, _) => Ok("The service was enabled.".to_owned()),
        (code, text) => Err(format!("systemctl enable ended with {code}: {text}")),
    }
}
