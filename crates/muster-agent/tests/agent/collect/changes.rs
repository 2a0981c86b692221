//! Differences: what is sent takes the site from the acknowledged state to the new one, and is as small as it may be.

use crate::tree::Tree;
use muster_agent::collect::{
    Collected, Collector,
    diff::{Base, Bases, Resend, acknowledged, key_of, report, section},
};
use muster_model::{
    catalogue::{Catalogue, Class},
    inventory::{Change, Row, Section, Value, section_bytes},
    time::UnixMillis,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn software() -> &'static Class {
    Catalogue::built_in().class("INSTALLED_SOFTWARE").unwrap()
}

fn package(name: &str, version: i64) -> Row {
    let text = |s: &str| Value::Text(s.to_owned());
    Row::from([
        ("SoftwareCode".to_owned(), text(name)),
        ("ProductName".to_owned(), text("a product with quite a long name, so that a key is smaller")),
        ("VersionMajor".to_owned(), Value::Int(version)),
    ])
}

/// What a site does with a section.
fn apply(class: &Class, old: &[Row], section: &Section) -> Vec<Row> {
    match &section.change {
        Change::Full { rows } => rows.clone(),
        Change::Delta { base, upsert, remove } => {
            assert_eq!(*base, Base::of(class, old).digest);
            let mut rows: BTreeMap<String, Row> = old.iter().map(|row| (key_of(class, row), row.clone())).collect();
            remove.iter().for_each(|key| assert!(rows.remove(&key_of(class, key)).is_some(), "{key:?}"));
            rows.extend(upsert.iter().map(|row| (key_of(class, row), row.clone())));
            rows.into_values().collect()
        }
    }
}

#[test]
fn the_first_report_is_full_and_the_next_is_empty() {
    let tree = Tree::unpack("debian-12");
    let found = Collector::at(tree.root()).collect(UnixMillis(0));
    let first = report(&Bases::new(), found.clone(), &Resend::Nothing);
    assert_eq!(first.sections.len(), found.classes.len());
    assert!(first.sections.iter().all(|s| matches!(s.change, Change::Full { .. })));
    assert_eq!(first.unread, found.unread);
    let bases = acknowledged(&Bases::new(), &found);
    for section in &first.sections {
        assert_eq!(bases[&section.class].digest, section.digest);
    }
    let kept: Bases = serde_json::from_str(&serde_json::to_string(&bases).unwrap()).unwrap();
    assert_eq!(report(&kept, found.clone(), &Resend::Nothing).sections, []);
    assert_eq!(report(&kept, found.clone(), &Resend::Everything).sections, first.sections);
    let lost = Resend::Classes(BTreeSet::from(["DISK".to_owned()]));
    let again = report(&kept, found, &lost).sections;
    assert_eq!((again.len(), again[0].class.as_str()), (1, "DISK"));
}

#[test]
fn an_upgrade_is_a_small_difference() {
    let tree = Tree::unpack("debian-12");
    let before = Collector::at(tree.root()).collect(UnixMillis(0));
    let bases = acknowledged(&Bases::new(), &before);
    let status = std::fs::read_to_string(tree.at("var/lib/dpkg/status")).unwrap();
    tree.write(
        "var/lib/dpkg/status",
        status.replace("2:9.0.1378-2", "2:9.0.1378-3").replace("hold ok installed", "deinstall ok config-files"),
    );
    let after = Collector::at(tree.root()).collect(UnixMillis(0));
    let report = report(&bases, after.clone(), &Resend::Nothing);
    assert_eq!(report.sections.len(), 1, "{report:?}");
    let Change::Delta { upsert, remove, .. } = &report.sections[0].change else { panic!("{report:?}") };
    assert_eq!((upsert.len(), remove.len()), (1, 1));
    assert_eq!(remove[0], Row::from([("SoftwareCode".to_owned(), Value::Text("dpkg:firefox-esr:amd64".to_owned()))]));
    let applied = apply(software(), &before.classes["INSTALLED_SOFTWARE"], &report.sections[0]);
    assert_eq!(section_bytes(&applied), section_bytes(&after.classes["INSTALLED_SOFTWARE"]));
}

#[test]
fn a_class_that_cannot_be_read_keeps_its_state() {
    let rows = vec![package("a", 1)];
    let bases = acknowledged(
        &Bases::new(),
        &Collected { classes: [(software().name.clone(), rows)].into(), ..Collected::default() },
    );
    let nothing = Collected::default();
    assert_eq!(report(&bases, nothing.clone(), &Resend::Nothing).sections, []);
    assert_eq!(acknowledged(&bases, &nothing), bases);
}

#[test]
fn a_difference_larger_than_the_whole_is_sent_whole() {
    let old: Vec<Row> = (0..50).map(|n| package(&format!("old-{n}"), 1)).collect();
    let base = Base::of(software(), &old);
    let section = section(software(), Some(&base), vec![package("new", 1)]).unwrap();
    assert!(matches!(section.change, Change::Full { .. }));
}

proptest! {
    #[test]
    fn what_is_sent_leads_to_the_new_state(
        old in prop::collection::btree_map(0..30_i64, 0..4_i64, 0..20),
        new in prop::collection::btree_map(0..30_i64, 0..4_i64, 0..20),
    ) {
        let rows = |map: &BTreeMap<i64, i64>| -> Vec<Row> {
            map.iter().map(|(name, version)| package(&format!("package-{name}"), *version)).collect()
        };
        let (old, new) = (rows(&old), rows(&new));
        let base = Base::of(software(), &old);
        match section(software(), Some(&base), new.clone()) {
            None => prop_assert_eq!(section_bytes(&old), section_bytes(&new)),
            Some(section) => {
                let applied = apply(software(), &old, &section);
                prop_assert_eq!(section_bytes(&applied), section_bytes(&new));
                prop_assert_eq!(section.digest, Base::of(software(), &applied).digest);
            }
        }
    }
}
