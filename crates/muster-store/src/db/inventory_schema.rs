//! The statements of the inventory classes, made from the class: tables, views, and how rows go in and out.
//!
//! Names of classes and attributes stand in statements as they are. Those that are built in are looked at by a test, those of
//! administrators by [`Definition::class`](muster_model::catalogue::Definition::class), and all of them once more by [`is_plain`] before
//! anything is made of them.

use super::{Dialect, StoreError};
use muster_model::catalogue::{Attribute, Catalogue, Class, Type};
use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{LazyLock, OnceLock},
};

/// A statement of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statement {
    /// Adds the rows of the JSON array `$1` that are not there yet: `[{"h": hash, "k": key, "r": row}]`.
    Intern,
    /// Ids of the rows with the hashes of the JSON array `$1`, each with its hash, as one text.
    Ids,
    /// Ids of rows with the keys of the JSON array `$1`, at most `$2`, each with its key, as one text.
    WithKeys,
    /// A page of the rows of device `$1`, in the order of their key: limit `$2`, offset `$3`.
    Rows,
    /// Ids of rows after `$1`, at most `$2`.
    After,
    /// Removes the rows with the ids of the JSON array `$1`.
    Remove,
    /// The rows with the ids of the JSON array `$1`, each with its key, as one text.
    Keys,
    /// A page of the rows with the ids of the JSON array `$1`, in the order of their key: limit `$2`, offset `$3`.
    RowsOf,
    /// Rows after `$1` that were not looked at by the rules `$2`, at most `$3`.
    Untitled,
    /// Removes up to `$1` entries of rows that are not there any more.
    TitleSweep,
}

const STATEMENTS: usize = 10;

/// The statement of a class for this database. Of a class that is built in it is made once, when it is first wanted; most sites
/// use few of them. Of an administrator's class it is made each time, because another version has another one.
pub(super) fn statement(dialect: Dialect, class: &Class, statement: Statement) -> Cow<'static, str> {
    type Texts = [[OnceLock<String>; STATEMENTS]; 2];
    static BUILT_IN: LazyLock<HashMap<&'static str, Texts>> = LazyLock::new(|| {
        let classes = Catalogue::built_in().classes().iter();
        classes.map(|class| (class.name.as_str(), [const { [const { OnceLock::new() }; STATEMENTS] }; 2])).collect()
    });
    match BUILT_IN.get(class.name.as_str()).filter(|_| class.version == 0) {
        Some(texts) => {
            let text = &texts[usize::from(dialect == Dialect::Postgres)][statement as usize];
            Cow::Borrowed(text.get_or_init(|| written(dialect, class, statement)))
        }
        None => Cow::Owned(written(dialect, class, statement)),
    }
}

/// The table of a class.
pub(super) fn table(class: &Class) -> String {
    format!("inv_{}", class.name.to_ascii_lowercase())
}

/// Columns hold what SQL has: truth as 0 and 1, moments as milliseconds, lists as JSON text.
const fn column_type(kind: Type) -> &'static str {
    match kind {
        Type::Text | Type::List => "TEXT",
        Type::Int { .. } | Type::Bool | Type::DateTime => "BIGINT",
        Type::Real => "DOUBLE PRECISION",
    }
}

/// What a schema text says for the ids in a section's `row_ids`, which differ by database.
pub(super) const fn each_row_id(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "json_each(s.row_ids) AS e",
        Dialect::Postgres => "LATERAL jsonb_array_elements_text(CAST(s.row_ids AS jsonb)) AS e(value)",
    }
}

/// The same for the ids that a change took from its section.
pub(super) const fn each_removed_id(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "json_each(h.removed) AS e",
        Dialect::Postgres => "LATERAL jsonb_array_elements_text(CAST(h.removed AS jsonb)) AS e(value)",
    }
}

/// Whether the names of a class are letters, digits and underscores: the last look before they become statements.
///
/// # Errors
/// When one is not. It came around every check before this one.
pub(super) fn is_plain(class: &Class) -> Result<(), StoreError> {
    let plain = |name: &str| {
        !name.is_empty() && name.len() <= 55 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let names = class.attributes.iter().map(|a| &a.name).chain([&class.name]);
    match names.into_iter().find(|name| !plain(name)) {
        Some(odd) => {
            Err(StoreError::Corrupt(format!("{:?} is no name of inventory", odd.chars().take(100).collect::<String>())))
        }
        None => Ok(()),
    }
}

/// The statements that make the table of a class.
#[must_use]
pub fn class_table(class: &Class) -> String {
    let table = table(class);
    let columns: String =
        class.attributes.iter().map(|a| format!(", \"{}\" {}", a.name, column_type(a.kind))).collect();
    format!(
        "CREATE TABLE {table} (row_id {{serial}}, row_hash TEXT NOT NULL UNIQUE, row_key BIGINT NOT NULL{columns});\n\
         CREATE INDEX {table}_key ON {table} (row_key);\n"
    )
}

/// A column that a class gets later.
pub(super) fn class_column(class: &Class, attribute: &Attribute) -> String {
    format!("ALTER TABLE {} ADD COLUMN \"{}\" {}", table(class), attribute.name, column_type(attribute.kind))
}

/// The view of a class, as reports read it: a device is its number.
///
/// As in Configuration Manager, a column has a 0 at its end: so it is never a reserved word, and queries move over.
#[must_use]
pub fn class_view(class: &Class) -> String {
    let shown: String = class.attributes.iter().map(|a| format!(",\n    r.\"{0}\" AS {0}0", a.name)).collect();
    format!(
        "CREATE VIEW v_GS_{name} AS SELECT\n    d.resource_id AS ResourceID,\n    s.changed AS TimeStamp{shown}\n\
         FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {{each_row_id}}\n\
         JOIN {table} r ON r.row_id = CAST(e.value AS BIGINT)\nWHERE s.class = '{name}';\n",
        name = class.name,
        table = table(class),
    )
}

/// The view of what devices had of a class and have no more, as long as history is kept. `TimeStamp` is when it went.
#[must_use]
pub fn class_history_view(class: &Class) -> String {
    let shown: String = class.attributes.iter().map(|a| format!(",\n    r.\"{0}\" AS {0}0", a.name)).collect();
    format!(
        "CREATE VIEW v_HS_{name} AS SELECT\n    d.resource_id AS ResourceID,\n    h.happened AS TimeStamp{shown}\n\
         FROM device d JOIN section_change h ON h.device = d.id CROSS JOIN {{each_removed_id}}\n\
         JOIN {table} r ON r.row_id = CAST(e.value AS BIGINT)\nWHERE h.class = '{name}';\n",
        name = class.name,
        table = table(class),
    )
}

fn written(dialect: Dialect, class: &Class, statement: Statement) -> String {
    let table = table(class);
    match statement {
        Statement::Intern => {
            let names: String = class.attributes.iter().map(|a| format!(", \"{}\"", a.name)).collect();
            let values: String = class.attributes.iter().map(|a| format!(", {}", value(dialect, a))).collect();
            let (hash, row_key, from) = match dialect {
                Dialect::Sqlite => ("value->>'h'", "value->>'k'", "json_each($1) WHERE true"),
                Dialect::Postgres => {
                    ("e->>'h'", "CAST(e->>'k' AS BIGINT)", "jsonb_array_elements(CAST($1 AS jsonb)) AS e")
                }
            };
            format!(
                "INSERT INTO {table} (row_hash, row_key{names}) SELECT {hash}, {row_key}{values} FROM {from} \
                 ON CONFLICT (row_hash) DO NOTHING"
            )
        }
        Statement::Ids => {
            format!("SELECT {} FROM {table} WHERE row_hash IN {}", pairs(dialect, "row_hash"), texts(dialect))
        }
        Statement::WithKeys => format!(
            "SELECT {} FROM (SELECT row_id, row_key FROM {table} WHERE row_key IN {} LIMIT $2) AS r",
            pairs(dialect, "row_key"),
            integers(dialect)
        ),
        Statement::Rows => format!(
            "SELECT r.row_id{} FROM device_section s CROSS JOIN {} JOIN {table} r \
             ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = $1 AND s.class = '{}' \
             ORDER BY r.\"{}\", r.row_id LIMIT $2 OFFSET $3",
            columns(class),
            each_row_id(dialect),
            class.name,
            first(class),
        ),
        Statement::After => format!("SELECT row_id FROM {table} WHERE row_id > $1 ORDER BY row_id LIMIT $2"),
        Statement::Remove => format!("DELETE FROM {table} WHERE row_id IN {}", integers(dialect)),
        Statement::Keys => {
            format!("SELECT {} FROM {table} WHERE row_id IN {}", pairs(dialect, "row_key"), integers(dialect))
        }
        Statement::RowsOf => format!(
            "SELECT r.row_id{} FROM {table} r WHERE r.row_id IN {} ORDER BY r.\"{}\", r.row_id LIMIT $2 OFFSET $3",
            columns(class),
            integers(dialect),
            first(class),
        ),
        Statement::Untitled => format!(
            "SELECT r.row_id{} FROM {table} r WHERE r.row_id > $1 AND NOT EXISTS (SELECT 1 FROM software_row n \
             WHERE n.class = '{}' AND n.row_id = r.row_id AND n.rules = $2) ORDER BY r.row_id LIMIT $3",
            columns(class),
            class.name,
        ),
        Statement::TitleSweep => format!(
            "DELETE FROM software_row WHERE class = '{name}' AND row_id IN (SELECT row_id FROM software_row \
             WHERE class = '{name}' AND row_id NOT IN (SELECT row_id FROM {table}) LIMIT $1)",
            name = class.name,
        ),
    }
}

/// Ids, each with another column, as one text: `1 a 2 b`.
fn pairs(dialect: Dialect, column: &str) -> String {
    let gathered = match dialect {
        Dialect::Sqlite => "group_concat",
        Dialect::Postgres => "string_agg",
    };
    format!("COALESCE({gathered}(row_id || ' ' || {column}, ' '), '')")
}

fn columns(class: &Class) -> String {
    class.attributes.iter().map(|a| format!(", r.\"{}\"", a.name)).collect()
}

/// The column that rows are shown in the order of.
fn first(class: &Class) -> &str {
    class.attributes.first().map_or("row_id", |a| a.name.as_str())
}

fn texts(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "(SELECT value FROM json_each($1))",
        Dialect::Postgres => "(SELECT jsonb_array_elements_text(CAST($1 AS jsonb)))",
    }
}

fn integers(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "(SELECT value FROM json_each($1))",
        Dialect::Postgres => "(SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e)",
    }
}

/// The value of an attribute in the JSON row `r` of one element. Names are letters, digits, underscores.
fn value(dialect: Dialect, attribute: &Attribute) -> String {
    let name = &attribute.name;
    match (dialect, attribute.kind) {
        (Dialect::Sqlite, _) => format!("json_extract(value, '$.r.{name}')"),
        (Dialect::Postgres, Type::Text | Type::List) => format!("e->'r'->>'{name}'"),
        (Dialect::Postgres, Type::Int { .. } | Type::DateTime) => format!("CAST(e->'r'->>'{name}' AS BIGINT)"),
        (Dialect::Postgres, Type::Bool) => format!("CAST(CAST(e->'r'->>'{name}' AS BOOLEAN) AS INTEGER)"),
        (Dialect::Postgres, Type::Real) => format!("CAST(e->'r'->>'{name}' AS DOUBLE PRECISION)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::catalogue::{COLLECTED, more};

    /// What the migration has by hand, before the tables of the classes.
    const TABLES: &str = "-- The tables of the classes that the agent does not collect, made from the catalogue.\n";

    fn classes() -> String {
        let by_program =
            |c: &&std::sync::Arc<Class>| !COLLECTED.contains(&c.name.as_str()) && !more().contains(&c.name);
        let others = Catalogue::built_in().classes().iter().filter(by_program);
        others.map(|class| class_table(class)).collect()
    }

    #[test]
    fn the_committed_migration_is_what_the_catalogue_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0014_catalogue.sql");
        let committed = std::fs::read_to_string(path).unwrap();
        let (by_hand, generated) = committed.split_once(TABLES).unwrap();
        if std::env::var("MUSTER_WRITE_GENERATED").is_ok() {
            std::fs::write(path, format!("{by_hand}{TABLES}{}", classes())).unwrap();
        }
        assert!(
            generated == classes(),
            "migrations/0014_catalogue.sql is not what the catalogue gives. A released migration is never changed: add a \
             new one. (Before the first release: MUSTER_WRITE_GENERATED=1 cargo nextest run -E 'test(committed)')"
        );
    }

    #[test]
    fn names_that_are_built_in_need_no_quoting_and_hostile_ones_are_refused() {
        for class in Catalogue::built_in().classes() {
            is_plain(class).unwrap();
        }
        let class = Class::clone(Catalogue::built_in().class("PC_BIOS").unwrap());
        for name in ["", "a'b", "a\"b", "a b", "a;b", "a{serial}", "é", &"a".repeat(56)] {
            assert!(is_plain(&Class { name: name.to_owned(), ..class.clone() }).is_err(), "{name}");
            let mut odd = class.clone();
            odd.attributes[3].name = name.to_owned();
            assert!(is_plain(&odd).is_err(), "{name}");
        }
    }
}
