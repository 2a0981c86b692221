//! Inventory: recorded machines of several distributions, this machine, differences, bytes that make no sense.

mod changes;
mod ordinary_user;
mod recorded;
mod rpm;
mod rubbish;
mod this_machine;

use muster_agent::collect::Collected;
use muster_model::{
    catalogue::Catalogue,
    inventory::{Row, Value},
    limits::Limits,
};
use std::collections::BTreeSet;

/// Every row obeys its class, no key is there twice, and what could not be read has a sentence.
fn assert_sound(found: &Collected) {
    for (name, rows) in &found.classes {
        let class = Catalogue::built_in().class(name).unwrap();
        let mut keys = BTreeSet::new();
        for row in rows {
            assert_eq!(class.check(row, &Limits::default()), Ok(()), "{name}: {row:?}");
            assert!(keys.insert(format!("{:?}", row.get(&class.attributes[0].name))), "{name}: twice {row:?}");
            assert!(!row.contains_key("SystemName"), "{name}: equal rows of two machines must be equal");
        }
    }
    for unread in &found.unread {
        assert!(unread.reason.ends_with('.') && unread.reason.len() < 400, "{unread:?}");
        assert!(Catalogue::built_in().class(&unread.class).is_some(), "{unread:?}");
    }
}

/// The row of a class whose key is `key`.
fn row<'a>(found: &'a Collected, class: &str, key: &str) -> &'a Row {
    let name = &Catalogue::built_in().class(class).unwrap().attributes[0].name;
    let is = |row: &&Row| row.get(name).is_some_and(|v| text_of(v) == key);
    found.classes[class].iter().find(is).unwrap_or_else(|| panic!("{class} has no {key}: {:?}", found.classes[class]))
}

/// An attribute as text; empty when it is absent.
fn text(row: &Row, name: &str) -> String {
    row.get(name).map(text_of).unwrap_or_default()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Real(n) => n.to_string(),
        Value::List(list) => list.join(" "),
    }
}

/// What `./test` counts: a test that could not run on this machine. With `CI=true` that is a failure.
fn skip(what: &str, why: &str) {
    use std::io::Write;
    let strict = std::env::var("CI").is_ok_and(|v| v == "true" || v == "1");
    assert!(!strict, "{what} was not run, and CI=true allows no skip: {why}");
    eprintln!("SKIPPED {what}: {why}");
    if let Some(path) = std::env::var_os("MUSTER_SKIP_LOG") {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path);
        log.and_then(|mut log| writeln!(log, "SKIPPED {what}: {why}")).unwrap();
    }
}
