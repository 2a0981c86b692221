//! A schema as it is, held against the schema as it should be.

use super::{Column, Finding, Index, Schema, Table};

/// What helps where something that holds rows is wrong.
const RESTORE: &str = "Nothing of Muster does that. Restore the database from a backup from before it happened.";

/// Everything in which the two differ.
#[must_use]
pub fn compare(expected: &Schema, found: &Schema) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, table) in &expected.tables {
        match found.tables.get(name) {
            None => findings.push(Finding::serious(format!("The table {name} is missing."), RESTORE)),
            Some(there) => tables(name, table, there, &mut findings),
        }
    }
    for (name, index) in &expected.indexes {
        indexes(name, index, found.indexes.get(name), &mut findings);
    }
    for (name, columns) in &expected.views {
        let next = "Stop the server and run `musterd database migrate`: it makes the views of the classes anew. If it stays, restore a backup.";
        match found.views.get(name) {
            None => findings.push(Finding::serious(format!("The view {name} is missing."), next)),
            Some(None) => findings.push(Finding::serious(format!("The view {name} reads what is not there."), next)),
            Some(there) if there != columns => {
                findings.push(Finding::serious(format!("The view {name} has other columns than it should."), next));
            }
            Some(_) => {}
        }
    }
    strangers(expected, found, &mut findings);
    findings
}

/// What Muster did not make: an administrator's own report view is nobody's fault, and is only said.
fn strangers(expected: &Schema, found: &Schema, findings: &mut Vec<Finding>) {
    let next = "It does no harm here; `musterd database copy` leaves it out, so make it anew after a move.";
    let tables = found.tables.keys().filter(|name| !expected.tables.contains_key(*name)).map(|name| ("table", name));
    let views = found.views.keys().filter(|name| !expected.views.contains_key(*name)).map(|name| ("view", name));
    let indexes = found.indexes.iter().filter(|(name, index)| {
        !expected.indexes.contains_key(*name) && expected.tables.contains_key(&index.table) && !index.unique
    });
    let indexes = indexes.map(|(name, _)| ("index", name));
    for (what, name) in tables.chain(views).chain(indexes) {
        findings.push(Finding::note(format!("The {what} {name} is not Muster's."), next));
    }
    let rules = found.indexes.iter().filter(|(name, index)| {
        !expected.indexes.contains_key(*name) && expected.tables.contains_key(&index.table) && index.unique
    });
    for (name, index) in rules {
        let what =
            format!("The unique index {name} on {} is not Muster's, and refuses rows that Muster writes.", index.table);
        findings.push(Finding::serious(what, format!("DROP INDEX {name};")));
    }
}

fn tables(name: &str, expected: &Table, found: &Table, findings: &mut Vec<Finding>) {
    for column in &expected.columns {
        match found.column(&column.name) {
            None => findings.push(Finding::serious(format!("The column {name}.{} is missing.", column.name), RESTORE)),
            Some(there) => columns(name, column, there, findings),
        }
    }
    for column in found.columns.iter().filter(|column| expected.column(&column.name).is_none()) {
        let what = format!("The column {name}.{} is not Muster's.", column.name);
        findings.push(Finding::serious(what, format!("ALTER TABLE {name} DROP COLUMN \"{}\";", column.name)));
    }
    let mut differs = |what: &str, wanted: String, there: String| {
        if wanted != there {
            let what = format!("The table {name} has other {what} than it should: {there}, and not {wanted}.");
            findings.push(Finding::serious(what, RESTORE));
        }
    };
    let list = |columns: &[String]| columns.join(", ");
    differs("columns in its primary key", list(&expected.key), list(&found.key));
    let unique =
        |table: &Table| table.unique.iter().map(|columns| format!("({})", columns.join(", "))).collect::<String>();
    differs("unique columns", unique(expected), unique(found));
    let references = |table: &Table| {
        let each = table.references.iter();
        let each = each.map(|r| format!("({}) to {} ({})", list(&r.columns), r.table, list(&r.to)));
        each.collect::<Vec<_>>().join(", ")
    };
    differs("foreign keys", references(expected), references(found));
    differs("checks", expected.checks.to_string(), found.checks.to_string());
}

fn columns(table: &str, expected: &Column, found: &Column, findings: &mut Vec<Finding>) {
    let name = &expected.name;
    if expected.kind != found.kind {
        let what = format!("The column {table}.{name} holds {}, and not {}.", found.kind, expected.kind);
        findings.push(Finding::serious(what, RESTORE));
    }
    if expected.null != found.null {
        let (there, not) = if found.null { ("may be NULL", "DROP") } else { ("may not be NULL", "SET") };
        let what = format!(
            "The column {table}.{name} {there}; it is the other way round in Muster's schema ({not} NOT NULL happened)."
        );
        findings.push(Finding::serious(what, RESTORE));
    }
    if expected.numbered != found.numbered {
        let what = format!(
            "The column {table}.{name} is {}numbered by the database.",
            if found.numbered { "" } else { "not " }
        );
        findings.push(Finding::serious(what, RESTORE));
    }
    if expected.default != found.default {
        let word = |default: &Option<String>| default.clone().unwrap_or_else(|| "nothing".to_owned());
        let what = format!(
            "The column {table}.{name} is {} where nothing is said, and not {}.",
            word(&found.default),
            word(&expected.default)
        );
        findings.push(Finding::serious(what, RESTORE));
    }
}

fn indexes(name: &str, expected: &Index, found: Option<&Index>, findings: &mut Vec<Finding>) {
    let unique = if expected.unique { "UNIQUE " } else { "" };
    let make = if expected.partial {
        RESTORE.to_owned()
    } else {
        let columns: Vec<String> = expected.columns.clone();
        format!("CREATE {unique}INDEX {name} ON {} ({});", expected.table, columns.join(", "))
    };
    match found {
        None => findings.push(Finding::serious(format!("The index {name} is missing: what uses it is slow."), make)),
        Some(there) if !there.valid => {
            findings
                .push(Finding::serious(format!("The index {name} is not usable."), format!("REINDEX INDEX {name};")));
        }
        Some(there) if there != expected => {
            let what = format!("The index {name} is another one than it should be.");
            findings.push(Finding::serious(what, format!("DROP INDEX {name}; {make}")));
        }
        Some(_) => {}
    }
}
