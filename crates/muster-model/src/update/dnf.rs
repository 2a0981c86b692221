//! What `dnf -q check-update` prints: `NAME.ARCHITECTURE  VERSION-RELEASE  REPOSITORY`, after which may follow what is obsoleted.

use super::{Update, is_name, is_version};
use crate::limits::UPDATE_LINES;
use std::collections::HashSet;

/// The updates that are offered. A line of another form is passed over: the tool breaks long ones, and prints remarks. Which versions are
/// installed it does not say; `security` has what `dnf -q updateinfo list --security` prints.
#[must_use]
pub fn parse(text: &str, security: &str) -> Vec<Update> {
    let secure: HashSet<&str> =
        security.lines().filter_map(|line| line.split_ascii_whitespace().nth(2)).take(UPDATE_LINES).collect();
    let lines = text.lines().take_while(|line| !line.starts_with("Obsoleting"));
    lines.filter_map(|line| update(line, &secure)).take(UPDATE_LINES).collect()
}

fn update(line: &str, secure: &HashSet<&str>) -> Option<Update> {
    let mut words = line.split_ascii_whitespace();
    let (name, version, repository) = (words.next()?, words.next()?, words.next()?);
    let (package, architecture) = name.rsplit_once('.')?;
    let sound = words.next().is_none()
        && is_name(package)
        && is_name(architecture)
        && is_version(version)
        && version.contains('-')
        && version.bytes().any(|b| b.is_ascii_digit());
    // The list of advisories says no epoch.
    let plain = version.split_once(':').map_or(version, |(_, version)| version);
    let security = secure.contains(format!("{package}-{plain}.{architecture}").as_str())
        || secure.contains(format!("{package}-{version}.{architecture}").as_str());
    sound.then(|| Update {
        package: package.to_owned(),
        architecture: architecture.to_owned(),
        installed: None,
        candidate: version.to_owned(),
        origins: vec![repository.chars().take(200).collect()],
        security,
    })
}
