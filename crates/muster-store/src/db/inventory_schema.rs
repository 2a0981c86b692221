//! The statements of the inventory classes, made from the catalogue that is built in: tables, views, and how rows go in and out.
//!
//! The migration's text is committed; a test makes it again and compares.

use super::Dialect;
use muster_model::catalogue::{Attribute, Catalogue, Class, Type};
use std::{collections::HashMap, sync::LazyLock};

/// The statements of one class.
#[derive(Debug)]
pub(super) struct ClassStatements {
    /// Adds the rows of the JSON array `$1` that are not there yet: `[{"h": hash, "k": key, "r": row}]`.
    pub(super) intern: [String; 2],
    /// Ids of the rows with the hashes of the JSON array `$1`.
    pub(super) ids: [String; 2],
    /// Ids of all rows with the keys of the JSON array `$1`.
    pub(super) with_keys: [String; 2],
    /// A page of the rows of device `$1`, in the order of their key: limit `$2`, offset `$3`.
    pub(super) rows: [String; 2],
    /// Removes up to `$1` rows that no device has.
    pub(super) sweep: [String; 2],
}

/// The statements of a class of the catalogue that is built in.
pub(super) fn statements(class: &str) -> Option<&'static ClassStatements> {
    static ALL: LazyLock<HashMap<&'static str, ClassStatements>> = LazyLock::new(|| {
        Catalogue::built_in().classes().iter().map(|class| (class.name.as_str(), ClassStatements::of(class))).collect()
    });
    ALL.get(class)
}

/// The table of a class.
fn table(class: &Class) -> String {
    format!("inv_{}", class.name.to_lowercase())
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

/// The migration that makes the tables and views. `{each_row_id}` is the dialect's.
#[must_use]
pub fn migration() -> String {
    let classes: String = Catalogue::built_in().classes().iter().map(class_schema).collect();
    // The row must be there before anybody locks it.
    format!("{classes}INSERT INTO setting (name, value, revision) VALUES ('inventory_sweeps', '', 1);\n")
}

/// What [`class_views`] is committed after, in migration 13.
#[cfg(test)]
const CLASS_VIEWS: &str =
    "-- The views of the inventory classes, made from the catalogue: they name a device by its number.\n";

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

/// Puts the views of all classes in the place of those of the first schema.
#[must_use]
pub fn class_views() -> String {
    let classes = Catalogue::built_in().classes().iter();
    classes.map(|class| format!("DROP VIEW v_GS_{};\n{}\n", class.name, class_view(class))).collect()
}

/// A class in the first schema. Its view was replaced later, by [`class_views`].
fn class_schema(class: &Class) -> String {
    let table = table(class);
    let columns: String =
        class.attributes.iter().map(|a| format!(",\n    \"{}\" {}", a.name, column_type(a.kind))).collect();
    // As in Configuration Manager, a view's column has a 0 at its end: so it is never a reserved word, and queries move over.
    let shown: String = class.attributes.iter().map(|a| format!(",\n    r.\"{0}\" AS {0}0", a.name)).collect();
    format!(
        "CREATE TABLE {table} (\n    row_id {{serial}},\n    row_hash TEXT NOT NULL UNIQUE,\n    row_key BIGINT NOT NULL{columns}\n);\n\
         CREATE INDEX {table}_key ON {table} (row_key);\n\
         CREATE VIEW v_GS_{name} AS SELECT\n    s.device AS ResourceID,\n    s.changed AS TimeStamp{shown}\n\
         FROM device_section s CROSS JOIN {{each_row_id}} JOIN {table} r ON r.row_id = CAST(e.value AS BIGINT)\n\
         WHERE s.class = '{name}';\n\n",
        name = class.name,
    )
}

impl ClassStatements {
    fn of(class: &Class) -> Self {
        let table = table(class);
        let names: String = class.attributes.iter().map(|a| format!(", \"{}\"", a.name)).collect();
        let both = |make: &dyn Fn(Dialect) -> String| [make(Dialect::Sqlite), make(Dialect::Postgres)];
        let key = class.attributes.first().map_or("row_id", |a| a.name.as_str());
        Self {
            intern: both(&|dialect| {
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
            }),
            ids: both(&|dialect| format!("SELECT row_id, row_hash FROM {table} WHERE row_hash IN {}", texts(dialect))),
            with_keys: both(&|dialect| {
                format!("SELECT row_id, row_key FROM {table} WHERE row_key IN {}", integers(dialect))
            }),
            rows: both(&|dialect| {
                format!(
                    "SELECT r.row_id{} FROM device_section s CROSS JOIN {} JOIN {table} r \
                     ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = $1 AND s.class = '{}' \
                     ORDER BY r.\"{key}\", r.row_id LIMIT $2 OFFSET $3",
                    class.attributes.iter().map(|a| format!(", r.\"{}\"", a.name)).collect::<String>(),
                    each_row_id(dialect),
                    class.name,
                )
            }),
            sweep: both(&|dialect| {
                format!(
                    "DELETE FROM {table} WHERE row_id IN (SELECT row_id FROM {table} WHERE row_id NOT IN \
                     (SELECT CAST(e.value AS BIGINT) FROM device_section s CROSS JOIN {} WHERE s.class = '{}') LIMIT $1)",
                    each_row_id(dialect),
                    class.name,
                )
            }),
        }
    }
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

/// The value of an attribute in the JSON row `r` of one element. Names are the catalogue's: letters, digits, underscores.
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

    #[test]
    fn the_committed_migration_is_what_the_catalogue_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0002_inventory.sql");
        if std::env::var("MUSTER_WRITE_GENERATED").is_ok() {
            std::fs::write(path, migration()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == migration(),
            "migrations/0002_inventory.sql is not what the catalogue gives. A released migration is never changed: \
             add a new one. (Before the first release: MUSTER_WRITE_GENERATED=1 cargo nextest run -p muster-store)"
        );
    }

    #[test]
    fn the_committed_views_are_what_the_catalogue_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0013_resource.sql");
        let committed = std::fs::read_to_string(path).unwrap();
        let (by_hand, generated) = committed.split_once(CLASS_VIEWS).unwrap();
        if std::env::var("MUSTER_WRITE_GENERATED").is_ok() {
            std::fs::write(path, format!("{by_hand}{CLASS_VIEWS}{}", class_views())).unwrap();
        }
        assert!(generated == class_views(), "migrations/0013_resource.sql is not what the catalogue gives");
    }

    #[test]
    fn attribute_names_need_no_quoting() {
        for class in Catalogue::built_in().classes() {
            for name in class.attributes.iter().map(|a| &a.name).chain([&class.name]) {
                assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}");
            }
        }
    }
}
