//! What a rule proposes: pure, of what devices are offered and what was signed last.

use muster_model::{
    api::{SoftwareUpdate, UpdateGroupPackage, UpdateRule},
    glob::fits,
    limits::UPDATE_PACKAGES,
    time::{HOUR, UnixMillis},
    update::{UpdateGroup, UpdatePackage, is_argument, is_name},
    version,
};
use std::collections::BTreeMap;

/// Whether a rule takes an update.
fn takes(rule: &UpdateRule, update: &SoftwareUpdate, now: UnixMillis) -> bool {
    let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| fits(pattern, text));
    let name = rule.names.is_empty() || any(&rule.names, &update.package);
    let origin = rule.origins.is_empty() || update.origin.split(", ").any(|origin| any(&rule.origins, origin));
    let old = now.since(update.first_seen) >= i64::from(rule.min_age_hours) * HOUR;
    let sound = is_name(&update.package) && is_argument(&update.version);
    name && origin
        && old
        && sound
        && !any(&rule.exclude, &update.package)
        && update.devices >= rule.min_devices.max(1)
        && (update.security || !rule.security)
}

/// The group that a rule proposes after the last signed revision; and how many updates found no place. What was signed once stays, with the
/// later of both versions: a device that comes tomorrow needs it too.
pub(super) fn proposed(
    rule: &UpdateRule,
    known: &[SoftwareUpdate],
    last: Option<&UpdateGroup>,
    now: UnixMillis,
) -> (UpdateGroup, u64) {
    let database = rule.tool.database();
    // Of several architectures the least that all of them can have, or the latest where it has to be that one.
    let mut fresh: BTreeMap<&str, &str> = BTreeMap::new();
    for update in known.iter().filter(|update| takes(rule, update, now)) {
        let of = fresh.entry(&update.package).or_insert(&update.version);
        if version::compare(database, &update.version, of).is_gt() == rule.exact {
            *of = &update.version;
        }
    }
    let excluded = |name: &str| rule.exclude.iter().any(|pattern| fits(pattern, name));
    let mut packages: Vec<UpdatePackage> =
        last.iter().flat_map(|group| &group.packages).filter(|package| !excluded(&package.name)).cloned().collect();
    for package in &mut packages {
        if let Some(version) = fresh.remove(package.name.as_str())
            && version::compare(database, version, &package.version).is_gt()
        {
            (package.version, package.exact) = (version.to_owned(), rule.exact);
        }
    }
    let room = UPDATE_PACKAGES.saturating_sub(packages.len());
    let left_out = fresh.len().saturating_sub(room) as u64;
    packages.extend(fresh.into_iter().take(room).map(|(name, version)| UpdatePackage {
        name: name.to_owned(),
        version: version.to_owned(),
        exact: rule.exact,
    }));
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let group = UpdateGroup {
        tool: rule.tool,
        packages,
        criteria: None,
        exclude: rule.exclude.clone(),
        allow_new: rule.allow_new,
        allow_removals: rule.allow_removals,
    };
    (group, left_out)
}

/// The version after the last one: its last number and one more.
pub(super) fn next_version(last: Option<&str>) -> String {
    let Some(last) = last else { return "1".to_owned() };
    let head = last.trim_end_matches(|c: char| c.is_ascii_digit());
    match last[head.len()..].parse::<u64>() {
        Ok(number) => format!("{head}{}", number.saturating_add(1)),
        Err(_) => format!("{last}.1"),
    }
}

/// The packages of a signed group, and what replaced them.
pub(super) fn standing(group: &UpdateGroup, known: &[SoftwareUpdate]) -> Vec<UpdateGroupPackage> {
    let database = group.tool.database();
    let of = |package: &UpdatePackage| {
        let later = known
            .iter()
            .filter(|update| update.package == package.name)
            .filter(|update| version::compare(database, &update.version, &package.version).is_gt())
            .max_by(|a, b| version::compare(database, &a.version, &b.version));
        UpdateGroupPackage {
            package: package.name.clone(),
            version: package.version.clone(),
            exact: package.exact,
            superseded_by: later.map(|update| update.version.clone()),
            devices: later.map_or(0, |update| update.devices),
        }
    };
    group.packages.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::update::UpdateTool;

    fn known(package: &str, architecture: &str, version: &str, hours: i64) -> SoftwareUpdate {
        SoftwareUpdate {
            id: 1,
            package: package.to_owned(),
            architecture: architecture.to_owned(),
            version: version.to_owned(),
            tool: "apt".to_owned(),
            origin: "Debian:12/stable".to_owned(),
            security: false,
            devices: 3,
            first_seen: UnixMillis(-hours * HOUR),
            superseded_by: None,
        }
    }

    fn rule() -> UpdateRule {
        let json = r#"{"name": "Monthly", "min_age_hours": 48, "names": ["lib*"]}"#;
        serde_json::from_str(json).unwrap()
    }

    fn versions(group: &UpdateGroup) -> Vec<(&str, &str)> {
        group.packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect()
    }

    #[test]
    fn a_rule_takes_what_is_old_enough_and_keeps_what_was_signed() {
        let now = UnixMillis(0);
        let all = [
            known("liba", "amd64", "2.0", 50),
            known("liba", "i386", "1.9", 50),
            known("libnew", "amd64", "1", 47),
            known("other", "amd64", "1", 100),
            // Of a repository that means harm: it could become an option.
            known("-lib", "amd64", "1", 100),
            known("libodd", "amd64", "1 --force", 100),
        ];
        let (first, left_out) = proposed(&rule(), &all, None, now);
        assert_eq!((versions(&first), left_out), (vec![("liba", "1.9")], 0), "what every architecture can have");
        let (exact, _) = proposed(&UpdateRule { exact: true, ..rule() }, &all, None, now);
        assert_eq!((versions(&exact), exact.packages[0].exact), (vec![("liba", "2.0")], true));
        // Nothing goes back, and nothing is forgotten because it is installed everywhere.
        let mut last = first.clone();
        last.packages[0].version = "3.0".to_owned();
        last.packages.push(UpdatePackage { name: "libz".to_owned(), version: "1".to_owned(), exact: false });
        let (next, _) = proposed(&rule(), &all, Some(&last), now);
        assert_eq!(versions(&next), [("liba", "3.0"), ("libz", "1")]);
        assert!(next.changes_since(Some(&last)).is_empty());
        let (without, _) = proposed(&UpdateRule { exclude: vec!["libz".to_owned()], ..rule() }, &all, Some(&last), now);
        assert_eq!(without.changes_since(Some(&last))[0].sentence(), "libz 1 (gone)");
        assert_eq!(without.tool, UpdateTool::Apt);
        without.check().unwrap();
    }

    #[test]
    fn what_finds_no_place_is_counted() {
        let all: Vec<_> = (0..=UPDATE_PACKAGES).map(|n| known(&format!("lib{n}"), "amd64", "1", 50)).collect();
        let (group, left_out) = proposed(&rule(), &all, None, UnixMillis(0));
        assert_eq!((group.packages.len(), left_out), (UPDATE_PACKAGES, 1));
        group.check().unwrap();
    }

    #[test]
    fn versions_of_groups_are_counted() {
        let next = |last| next_version(last);
        assert_eq!([next(None), next(Some("7")), next(Some("2026-11")), next(Some("x"))], ["1", "8", "2026-12", "x.1"]);
    }
}
