//! What `dnf` (version 4) prints, in the C locale. What it offers is asked in a form of our own, and what it would do it says in lines like
//!
//! ```text
//! ---> Package NAME.ARCHITECTURE VERSION will be an upgrade
//! ```

use super::{Change, OddOutput, Simulation, Update, is_name, is_version};
use crate::{limits::UPDATE_LINES, version};
use std::collections::{HashMap, HashSet};

/// The form in which it is asked for packages.
pub const ROW: &str = "%{name} %{arch} %{evr} %{repoid}";

/// The line after which it said everything that it would do; without it, it came to no answer.
pub const SOLVED: &str = "--> Finished dependency resolution";

/// A row of [`ROW`].
struct Row<'a> {
    name: &'a str,
    architecture: &'a str,
    version: &'a str,
    repository: &'a str,
}

fn row(line: &str) -> Option<Row<'_>> {
    let mut words = line.split(' ');
    let row =
        Row { name: words.next()?, architecture: words.next()?, version: words.next()?, repository: words.next()? };
    let sound = words.next().is_none() && is_name(row.name) && is_name(row.architecture) && is_version(row.version);
    sound.then_some(row)
}

/// The updates that are offered: the latest of each package. `available` and `installed` are rows of [`ROW`]; `security` is what
/// `updateinfo list --security` prints.
///
/// # Errors
/// [`OddOutput::TooMany`].
pub fn offers(available: &str, installed: &str, security: &str) -> Result<Simulation, OddOutput> {
    let mut there: HashMap<(&str, &str), &str> = HashMap::new();
    for row in installed.lines().filter_map(row) {
        let of = there.entry((row.name, row.architecture)).or_insert(row.version);
        if version::compare("rpm", row.version, of).is_gt() {
            *of = row.version;
        }
    }
    let secure: HashSet<&str> = security.lines().filter_map(|line| line.split_ascii_whitespace().nth(2)).collect();
    let mut read = Simulation::default();
    let mut latest: HashMap<(&str, &str), usize> = HashMap::new();
    for line in available.lines().filter(|line| !line.is_empty()) {
        let Some(row) = row(line) else {
            read.take(None, line)?;
            continue;
        };
        let key = (row.name, row.architecture);
        // The list of advisories says no epoch.
        let plain = row.version.split_once(':').map_or(row.version, |(_, version)| version);
        let named = |version: &str| secure.contains(format!("{}-{version}.{}", row.name, row.architecture).as_str());
        let update = Update {
            package: row.name.to_owned(),
            architecture: row.architecture.to_owned(),
            installed: there.get(&key).map(|version| (*version).to_owned()),
            candidate: row.version.to_owned(),
            origins: vec![row.repository.chars().filter(|c| !c.is_control()).take(200).collect()],
            security: named(plain) || named(row.version),
        };
        match latest.get(&key).and_then(|at| read.changes.get_mut(*at)) {
            Some(Change::Install(before)) => {
                // What the latest one contains is a security update where one on the way to it is.
                let secure = before.security || update.security;
                if version::compare("rpm", &update.candidate, &before.candidate).is_gt() {
                    *before = update;
                }
                before.security = secure;
            }
            _ => {
                latest.insert(key, read.changes.len());
                read.take(Some(Change::Install(update)), line)?;
            }
        }
    }
    Ok(read)
}

/// Reads what it says that it would do.
///
/// # Errors
/// [`OddOutput::TooMany`].
pub fn read(text: &str) -> Result<Simulation, OddOutput> {
    let lines = || text.lines().filter_map(|line| Some((line, line.strip_prefix("---> ")?)));
    let mut old: HashMap<(&str, &str), &str> = HashMap::new();
    for (_, rest) in lines() {
        if let Some((name, architecture, version, "upgraded" | "downgraded" | "reinstalled")) = package(rest) {
            old.insert((name, architecture), version);
        }
    }
    let mut read = Simulation::default();
    for (line, rest) in lines().take(2 * UPDATE_LINES) {
        let change = match package(rest) {
            Some((_, _, _, "upgraded" | "downgraded")) => continue,
            Some((package, _, _, "erased" | "obsoleted")) => Some(Change::Remove { package: package.to_owned() }),
            Some((package, architecture, version, how)) => {
                let before = old.get(&(package, architecture)).copied();
                let installed = match how {
                    "installed" | "obsoleting" => Some(before),
                    // Without the old one beside it, it goes from nowhere to itself, which nobody permits.
                    "an upgrade" | "a downgrade" | "reinstalled" => Some(before.or(Some(version))),
                    _ => None,
                };
                installed.map(|installed| {
                    Change::Install(Update {
                        package: package.to_owned(),
                        architecture: architecture.to_owned(),
                        installed: installed.map(str::to_owned),
                        candidate: version.to_owned(),
                        origins: Vec::new(),
                        security: false,
                    })
                })
            }
            None => None,
        };
        read.take(change, line)?;
    }
    Ok(read)
}

/// `Package NAME.ARCHITECTURE VERSION will be HOW`
fn package(rest: &str) -> Option<(&str, &str, &str, &str)> {
    let (name, rest) = rest.strip_prefix("Package ")?.split_once(' ')?;
    let (version, how) = rest.split_once(" will be ")?;
    let (name, architecture) = name.rsplit_once('.')?;
    (is_name(name) && is_name(architecture) && is_version(version)).then_some((name, architecture, version, how))
}
