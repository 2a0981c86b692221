//! Inventories of simulated devices: a real package list, varied from device to device by a seed.
//!
//! The list (`data/packages.tsv`) holds 1,500 packages of Debian 12 with architecture, version and maintainer team. As on real
//! fleets, most rows are shared: a device was installed from one of a few images, and one package in twenty was updated on
//! one of a few days to one of a few later versions.

use super::random::Stream;
use muster_model::{
    id::Hash,
    inventory::{Change, InventoryReport, Row, Section, Value, section_bytes},
    time::DAY,
};
use muster_trust::sha256;
use std::collections::BTreeMap;

/// The class of the packages.
pub const CLASS: &str = "INSTALLED_SOFTWARE";
/// How many packages a device has.
pub const PACKAGES: usize = 1_500;
/// How many packages a small update changes.
pub const UPDATE: usize = 5;

const LIST: &str = include_str!("../../data/packages.tsv");
/// Images that devices were installed from.
const IMAGES: u64 = 12;
/// Days on which updates came.
const UPDATE_DAYS: u64 = 20;
/// Later versions that a package has.
const LATER: u64 = 3;
/// Of a thousand packages of a device, how many were updated.
const UPDATED: u64 = 50;
/// The day on which the first image was installed: 2025-01-01.
const FIRST_DAY: i64 = 20_089;

/// Which state of which device is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The fleet's seed.
    pub seed: u64,
    /// Number of the device in the fleet.
    pub device: u64,
    /// 0: as installed and updated. Every other number: after one more update of [`UPDATE`] packages, which it chooses.
    pub generation: u64,
}

/// One package of the list.
#[derive(Debug, Clone, Copy)]
struct Package {
    name: &'static str,
    architecture: &'static str,
    version: &'static str,
    publisher: &'static str,
}

fn packages() -> impl Iterator<Item = Package> {
    LIST.lines().take(PACKAGES).filter_map(|line| {
        let mut fields = line.split('\t');
        Some(Package {
            name: fields.next()?,
            architecture: fields.next()?,
            version: fields.next()?,
            publisher: fields.next()?,
        })
    })
}

/// The packages that the update of a generation touches.
fn touched(state: State) -> Vec<u64> {
    let mut stream = Stream::of(state.seed, &[1, state.device, state.generation]);
    let mut chosen = Vec::with_capacity(UPDATE);
    while state.generation > 0 && chosen.len() < UPDATE {
        let package = stream.below(PACKAGES as u64);
        if !chosen.contains(&package) {
            chosen.push(package);
        }
    }
    chosen
}

/// A row that several devices may have: a package as an image had it, or as an update made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// Which package of the list.
    pub package: u16,
    /// The image; 0 where it was updated.
    image: u64,
    /// To which later version, and on which day.
    updated: Option<(u64, u64)>,
}

/// The kinds of a device's rows, in the order of the list.
#[must_use]
pub fn kinds(state: State) -> Vec<Kind> {
    let mut stream = Stream::of(state.seed, &[0, state.device]);
    let image = stream.below(IMAGES);
    let touched = touched(state);
    (0_u16..)
        .take(PACKAGES)
        .map(|package| {
            let updated = stream.happens(UPDATED).then(|| (stream.below(LATER) + 1, stream.below(UPDATE_DAYS)));
            let updated = if touched.contains(&u64::from(package)) {
                Some((LATER + 1 + state.generation % LATER, UPDATE_DAYS + state.generation % LATER))
            } else {
                updated
            };
            Kind { package, image: if updated.is_some() { 0 } else { image }, updated }
        })
        .collect()
}

/// The row of a kind.
#[must_use]
pub fn row_of(kind: Kind) -> Row {
    packages().nth(usize::from(kind.package)).map(|package| row(package, kind.image, kind.updated)).unwrap_or_default()
}

/// The rows of a device, as the agent reports them.
#[must_use]
pub fn rows(state: State) -> Vec<Row> {
    packages().zip(kinds(state)).map(|(package, kind)| row(package, kind.image, kind.updated)).collect()
}

fn row(package: Package, image: u64, updated: Option<(u64, u64)>) -> Row {
    let (version, day) = match updated {
        None => (package.version.to_owned(), image * 7),
        Some((later, day)) => (format!("{}+deb12u{later}", package.version), 100 + day * 3),
    };
    let numbers = numbers(package.version);
    let mut row = Row::from([
        ("SoftwareCode".to_owned(), Value::Text(format!("dpkg:{}:{}", package.name, package.architecture))),
        ("ProductName".to_owned(), Value::Text(package.name.to_owned())),
        ("ProductVersion".to_owned(), Value::Text(version)),
        ("Publisher".to_owned(), Value::Text(package.publisher.to_owned())),
        ("EvidenceSource".to_owned(), Value::Text("dpkg".to_owned())),
        ("InstallDate".to_owned(), Value::Int((FIRST_DAY + day.cast_signed()) * DAY)),
    ]);
    for (name, number) in ["VersionMajor", "VersionMinor"].into_iter().zip(numbers) {
        row.insert(name.to_owned(), Value::Int(number));
    }
    row
}

/// The first numbers of a version, without its epoch.
fn numbers(version: &str) -> impl Iterator<Item = i64> {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    upstream.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok()).map(i64::from)
}

/// The digest of a section.
#[must_use]
pub fn digest(rows: &[Row]) -> Hash {
    sha256(&section_bytes(rows))
}

/// A report of all rows.
#[must_use]
pub fn full(rows: Vec<Row>) -> InventoryReport {
    let digest = digest(&rows);
    report(digest, Change::Full { rows })
}

/// A report of what changed from one state to another, whose rows have the same keys in the same order.
#[must_use]
pub fn delta(base: &[Row], rows: Vec<Row>) -> InventoryReport {
    let after = digest(&rows);
    let upsert = rows.into_iter().zip(base).filter(|(new, old)| new != *old).map(|(new, _)| new).collect();
    report(after, Change::Delta { base: digest(base), upsert, remove: Vec::new() })
}

/// What a device reports when nothing changed: that it looked.
#[must_use]
pub fn unchanged() -> InventoryReport {
    InventoryReport { sections: Vec::new(), unread: Vec::new() }
}

fn report(digest: Hash, change: Change) -> InventoryReport {
    InventoryReport { sections: vec![Section { class: CLASS.to_owned(), digest, change }], unread: Vec::new() }
}

/// Values of a status message that is about 400 bytes long as JSON.
#[must_use]
pub fn status_values(number: u64) -> BTreeMap<String, String> {
    let reason = "The file /var/lib/dpkg/status could not be read: permission denied (os error 13). Run the client as \
                  root to have the whole inventory; everything else of this class was read and is reported as usual."
        .to_owned();
    BTreeMap::from([("class".to_owned(), CLASS.to_owned()), ("reason".to_owned(), format!("{reason} ({number})"))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{catalogue::Catalogue, limits::Limits};

    const STATE: State = State { seed: 1, device: 2, generation: 0 };

    #[test]
    fn rows_are_the_same_for_the_same_seed_and_obey_their_class() {
        let first = rows(STATE);
        assert_eq!(first, rows(STATE));
        assert_eq!(first.len(), PACKAGES);
        let class = Catalogue::built_in().class(CLASS).unwrap();
        for row in &first {
            class.check(row, &Limits::default()).unwrap();
        }
        let keys: std::collections::BTreeSet<_> =
            first.iter().map(|row| format!("{:?}", row["SoftwareCode"])).collect();
        assert_eq!(keys.len(), PACKAGES, "a key for each row");
    }

    #[test]
    fn devices_share_most_rows_over_a_fleet_and_differ_in_some() {
        let fleet: Vec<_> = (0..60).map(|device| rows(State { device, ..STATE })).collect();
        let distinct: std::collections::BTreeSet<_> =
            fleet.iter().flatten().map(|row| serde_json::to_string(row).unwrap()).collect();
        assert!(distinct.len() < 60 * PACKAGES / 3, "{} distinct rows", distinct.len());
        assert!(fleet.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn an_update_changes_five_packages() {
        let (base, new) = (rows(STATE), rows(State { generation: 1, ..STATE }));
        let Change::Delta { upsert, .. } = &delta(&base, new.clone()).sections[0].change else { unreachable!() };
        assert_eq!(upsert.len(), UPDATE);
        assert_ne!(digest(&base), digest(&new));
        assert_eq!(full(base).sections[0].class, CLASS);
    }
}
