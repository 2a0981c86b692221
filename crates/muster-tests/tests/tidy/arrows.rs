//! Nine crates, arrows only downward: who may use whom, as `docs/ARCHITECTURE.md` draws it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::tree::{metadata, report};

/// Every crate of the house, and the crates of the house it may name in its manifest, whatever the kind of dependency.
const ARROWS: [(&str, &[&str]); 10] = [
    ("muster-model", &[]),
    ("muster-trust", &["muster-model"]),
    ("muster-store", &["muster-model"]),
    ("muster-mdm", &["muster-model", "muster-trust"]),
    ("muster-site", &["muster-model", "muster-trust", "muster-store", "muster-mdm"]),
    ("muster-server", &["muster-model", "muster-trust", "muster-site"]),
    ("muster-agent", &["muster-model", "muster-trust"]),
    ("muster-cli", &["muster-model", "muster-trust"]),
    (
        "muster-tests",
        &[
            "muster-model",
            "muster-trust",
            "muster-store",
            "muster-mdm",
            "muster-site",
            "muster-server",
            "muster-agent",
            "muster-cli",
        ],
    ),
    ("muster-fuzz", &["muster-model", "muster-trust", "muster-mdm", "muster-agent"]),
];

/// What a build of the agent, and of the administrator's tool, must never hold, however it would get there.
const NEVER_IN_A_CLIENT: [&str; 8] =
    ["muster-store", "muster-mdm", "muster-site", "muster-server", "sqlx", "axum", "askama", "object_store"];

fn breaches(declared: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, uses) in declared {
        let Some((_, allowed)) = ARROWS.iter().find(|(crate_name, _)| crate_name == name) else {
            found.push(format!("{name} is a tenth crate: docs/ARCHITECTURE.md names the three reasons for one"));
            continue;
        };
        // A crate may name itself: its own tests turn on a feature that way.
        for used in uses.iter().filter(|u| *u != name && !allowed.contains(&u.as_str())) {
            found.push(format!("{name} uses {used}: that arrow is missing on purpose (docs/ARCHITECTURE.md)"));
        }
    }
    found
}

/// Our crates and which of our crates each one names in its manifest.
fn declared(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let ours = |name: &str| name.starts_with("muster-");
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["source"].is_null())
        .map(|p| {
            let uses = p["dependencies"].as_array().unwrap().iter();
            let uses = uses.map(|d| d["name"].as_str().unwrap().to_owned()).filter(|n| ours(n)).collect();
            (p["name"].as_str().unwrap().to_owned(), uses)
        })
        .collect()
}

/// Everything a crate links in a normal build, by name.
fn linked(metadata: &Value, crate_name: &str) -> BTreeSet<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let name_of = |id: &Value| {
        let package = metadata["packages"].as_array().unwrap().iter().find(|p| &p["id"] == id).unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    let start = nodes.iter().find(|n| name_of(&n["id"]) == crate_name).unwrap()["id"].clone();
    let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
    while let Some(id) = open.pop() {
        if !seen.insert(id.as_str().unwrap().to_owned()) {
            continue;
        }
        let node = nodes.iter().find(|n| n["id"] == id).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            if dependency["dep_kinds"].as_array().unwrap().iter().any(|k| k["kind"].is_null()) {
                open.push(dependency["pkg"].clone());
            }
        }
    }
    seen.iter().map(|id| name_of(&Value::String(id.clone()))).collect()
}

#[test]
fn arrows_point_only_downward() {
    let declared = declared(&metadata());
    assert_eq!(declared.len(), ARROWS.len(), "the workspace has the nine crates of the table, and the fuzz targets");
    report("crate arrows", &breaches(&declared));
}

#[test]
fn a_client_holds_no_server_code() {
    let metadata = metadata();
    let mut found = Vec::new();
    for client in ["muster-agent", "muster-cli"] {
        let linked = linked(&metadata, client);
        found.extend(NEVER_IN_A_CLIENT.iter().filter(|n| linked.contains(**n)).map(|n| format!("{client} links {n}")));
    }
    report("a client holds no server code", &found);
}

#[test]
fn the_three_missing_arrows_are_caught() {
    for (from, to) in
        [("muster-server", "muster-store"), ("muster-store", "muster-trust"), ("muster-agent", "muster-site")]
    {
        let sample = BTreeMap::from([(from.to_owned(), BTreeSet::from([to.to_owned()]))]);
        assert_eq!(breaches(&sample).len(), 1, "{from} to {to}");
    }
    let tenth = BTreeMap::from([("muster-extra".to_owned(), BTreeSet::new())]);
    assert_eq!(breaches(&tenth).len(), 1);
}
