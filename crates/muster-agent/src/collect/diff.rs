//! What of an inventory has to be sent: nothing, the difference to what the site has acknowledged, or all of it.

use super::Collected;
use muster_model::{
    catalogue::{Catalogue, Class},
    id::Hash,
    inventory::{Change, InventoryReport, Row, Section, section_bytes},
};
use muster_trust::sha256;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The state of one class that the site has acknowledged. Not the rows themselves: their keys and digests are enough to
/// find the difference, and are a quarter of the size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Digest of the section.
    pub digest: Hash,
    /// Key attributes as JSON text, to the digest of the row.
    pub rows: BTreeMap<String, Hash>,
}

/// The acknowledged state of all classes, to be kept on disk.
pub type Bases = BTreeMap<String, Base>;

/// Which classes are sent in full although the difference would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resend {
    /// None.
    Nothing,
    /// Those for which the site has lost the base.
    Classes(BTreeSet<String>),
    /// All.
    Everything,
}

impl Base {
    /// The state of a class with these rows.
    #[must_use]
    pub fn of(class: &Class, rows: &[Row]) -> Self {
        let digests = rows.iter().map(|row| (key_of(class, row), sha256(&serde_json::to_vec(row).unwrap_or_default())));
        Self { digest: sha256(&section_bytes(rows)), rows: digests.collect() }
    }
}

/// The state after everything of `found` has been acknowledged; classes that could not be read stay as they are.
#[must_use]
pub fn acknowledged(known: &Bases, found: &Collected) -> Bases {
    let mut bases = known.clone();
    for (name, rows) in &found.classes {
        if let Some(class) = Catalogue::built_in().class(name) {
            bases.insert(name.clone(), Base::of(class, rows));
        }
    }
    bases
}

/// The report that takes the site from `known` to `found`. A class that did not change or could not be read is absent.
#[must_use]
pub fn report(known: &Bases, found: Collected, resend: &Resend) -> InventoryReport {
    let mut sections = Vec::new();
    for (name, rows) in found.classes {
        let Some(class) = Catalogue::built_in().class(&name) else { continue };
        let base = known.get(&name).filter(|_| match resend {
            Resend::Nothing => true,
            Resend::Classes(classes) => !classes.contains(&name),
            Resend::Everything => false,
        });
        sections.extend(section(class, base, rows));
    }
    InventoryReport { sections, unread: found.unread }
}

/// The section that takes the site from `base` (`None`: it has nothing) to `rows`; `None` when nothing changed.
#[must_use]
pub fn section(class: &Class, base: Option<&Base>, rows: Vec<Row>) -> Option<Section> {
    let new = Base::of(class, &rows);
    let digest = new.digest;
    let full = |rows| Some(Section { class: class.name.clone(), digest, change: Change::Full { rows } });
    let Some(base) = base else { return full(rows) };
    if base.digest == digest {
        return None;
    }
    let changed = |row: &&Row| {
        let key = key_of(class, row);
        base.rows.get(&key) != new.rows.get(&key)
    };
    let upsert: Vec<Row> = rows.iter().filter(changed).cloned().collect();
    let gone = base.rows.keys().filter(|key| !new.rows.contains_key(*key));
    let Ok(remove) = gone.map(|key| serde_json::from_str(key)).collect::<Result<Vec<Row>, _>>() else {
        return full(rows);
    };
    match size(&upsert) + size(&remove) < size(&rows) {
        true => Some(Section {
            class: class.name.clone(),
            digest,
            change: Change::Delta { base: base.digest, upsert, remove },
        }),
        false => full(rows),
    }
}

/// The key attributes of a row as JSON text.
#[must_use]
pub fn key_of(class: &Class, row: &Row) -> String {
    let keys = class.attributes.iter().take(class.keys);
    let key: Row = keys.filter_map(|a| Some((a.name.clone(), row.get(&a.name)?.clone()))).collect();
    serde_json::to_string(&key).unwrap_or_default()
}

fn size(rows: &[Row]) -> usize {
    rows.iter().map(|row| serde_json::to_vec(row).map_or(0, |text| text.len())).sum()
}
