//! The only place that links a library: the fences of `deny.toml`, checked without cargo-deny.
//!
//! cargo-deny reads the same file in `./test` (and licences and sources besides); this rule tells an engineer sooner.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::tree::{metadata, read, report};

/// A crate that only its wrappers may depend on directly; no wrappers means nobody may.
struct Fence {
    name: String,
    wrappers: BTreeSet<String>,
}

fn fences(deny: &toml::Table) -> Vec<Fence> {
    let entries = deny["bans"]["deny"].as_array().unwrap().iter();
    entries
        .map(|entry| {
            let wrappers = entry.get("wrappers").and_then(toml::Value::as_array).into_iter().flatten();
            Fence {
                name: entry["crate"].as_str().unwrap().to_owned(),
                wrappers: wrappers.map(|w| w.as_str().unwrap().to_owned()).collect(),
            }
        })
        .collect()
}

/// Who depends directly on whom: name of the used crate to names of its users.
fn users(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let packages = metadata["packages"].as_array().unwrap();
    let name_of = |id: &Value| packages.iter().find(|p| &p["id"] == id).unwrap()["name"].as_str().unwrap();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        for dependency in node["deps"].as_array().unwrap() {
            users.entry(name_of(&dependency["pkg"]).to_owned()).or_default().insert(name_of(&node["id"]).to_owned());
        }
    }
    users
}

fn breaches(fences: &[Fence], users: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for fence in fences {
        for user in
            users.get(&fence.name).into_iter().flatten().filter(|u| **u != fence.name && !fence.wrappers.contains(*u))
        {
            found.push(format!("{user} links {}: only {:?} may (deny.toml)", fence.name, fence.wrappers));
        }
    }
    found
}

fn deny() -> toml::Table {
    read("deny.toml").parse().unwrap()
}

#[test]
fn a_fenced_library_is_linked_only_where_it_may_be() {
    let fences = fences(&deny());
    assert!(fences.len() > 10, "deny.toml holds the fences");
    report("fences of deny.toml", &breaches(&fences, &users(&metadata())));
}

#[test]
fn a_breach_of_a_fence_is_caught() {
    let fence = [Fence { name: "sqlx".into(), wrappers: BTreeSet::from(["muster-store".to_owned()]) }];
    let of = |user: &str| BTreeMap::from([("sqlx".to_owned(), BTreeSet::from([user.to_owned()]))]);
    assert_eq!(breaches(&fence, &of("muster-server")).len(), 1);
    assert!(breaches(&fence, &of("muster-store")).is_empty());
}
