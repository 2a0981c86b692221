//! The schema: the same on both databases, kept when it is opened again, and never touched by an older program.

use muster_model::{id::SettingsId, settings::Reach};
use muster_store::{
    Store, StoreError,
    db::{Dialect, client_settings, setting},
    testing::{TestStore, stores, tamper},
};
use serde_json::json;
use sqlx::{Row, any::AnyRow};
use std::collections::BTreeSet;

/// Table, column, kind of value, whether it may be NULL.
type Column = (String, String, String, bool);

/// A database's word for a type as this test compares it.
fn kind(word: &str) -> String {
    let kind = match word.to_lowercase().as_str() {
        "bigint" | "integer" => "integer",
        "blob" | "bytea" => "bytes",
        "double precision" => "real",
        "text" => "text",
        other => panic!("{other} is no type of ours"),
    };
    kind.to_owned()
}

async fn rows(store: &Store, statements: [&'static str; 2]) -> Vec<AnyRow> {
    let statement = match store.dialect() {
        Dialect::Sqlite => statements[0],
        Dialect::Postgres => statements[1],
    };
    sqlx::query(statement).fetch_all(&mut *store.reader().await.unwrap()).await.unwrap()
}

async fn columns(store: &Store) -> BTreeSet<Column> {
    let statements = [
        "SELECT m.name AS t, p.name AS c, p.type AS k, CAST(p.\"notnull\" = 0 AND p.pk = 0 AS BIGINT) AS n \
         FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
        "SELECT CAST(c.table_name AS TEXT) AS t, CAST(c.column_name AS TEXT) AS c, CAST(c.data_type AS TEXT) AS k, \
         CAST(CASE c.is_nullable WHEN 'YES' THEN 1 ELSE 0 END AS BIGINT) AS n \
         FROM information_schema.columns c JOIN information_schema.tables t \
         ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
         WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'",
    ];
    let column = |row: &AnyRow| {
        let word: String = row.get("k");
        (row.get("t"), row.get("c"), kind(&word), row.get::<i64, _>("n") == 1)
    };
    rows(store, statements).await.iter().map(column).collect()
}

async fn indexes(store: &Store) -> BTreeSet<String> {
    let statements = [
        "SELECT name AS i FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%'",
        "SELECT CAST(i.relname AS TEXT) AS i FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
         JOIN pg_namespace s ON s.oid = i.relnamespace WHERE s.nspname = 'public' \
         AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = x.indexrelid AND c.contype IN ('p', 'u'))",
    ];
    rows(store, statements).await.iter().map(|row| row.get("i")).collect()
}

#[tokio::test]
async fn the_schema_is_the_same_on_both_databases() {
    let stores: Vec<TestStore> = stores().await;
    let [first, rest @ ..] = &stores[..] else { panic!("no database") };
    let (expected, expected_indexes) = (columns(&first.store).await, indexes(&first.store).await);
    assert!(expected.contains(&("device".to_owned(), "last_seen".to_owned(), "integer".to_owned(), false)));
    assert!(expected.contains(&("device".to_owned(), "block_reason".to_owned(), "text".to_owned(), true)));
    for other in rest {
        assert_eq!(columns(&other.store).await, expected);
        assert_eq!(indexes(&other.store).await, expected_indexes);
    }
}

#[tokio::test]
async fn a_database_that_is_opened_again_is_as_it_was() {
    for test in stores().await {
        tamper(&test.store, "INSERT INTO setting (name, value, revision) VALUES ('kept', 'yes', 1)").await;
        let before = columns(&test.store).await;
        test.store.close().await;
        let again = Store::open(&test.url).await.unwrap();
        assert_eq!(columns(&again).await, before);
        let kept = rows(&again, ["SELECT value FROM setting WHERE name = 'kept'"; 2]).await;
        assert_eq!(kept[0].get::<String, _>("value"), "yes");
    }
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_left_alone() {
    for test in stores().await {
        tamper(&test.store, "INSERT INTO schema_version (version) VALUES (9999)").await;
        test.store.close().await;
        let error = Store::open(&test.url).await.unwrap_err();
        assert!(matches!(error, StoreError::SchemaTooNew { found: 9999, .. }), "{error}");
        assert!(error.to_string().contains("start a newer Muster"));
    }
}

#[tokio::test]
async fn a_migration_in_the_middle_that_is_not_known_is_a_newer_programs_too() {
    for test in stores().await {
        // Numbers come in any order; none of this program's is 0.
        tamper(&test.store, "INSERT INTO schema_version (version) VALUES (0)").await;
        assert_eq!(test.store.schema_state().await.unwrap().too_new, Some(0));
        let error = test.store.migrate().await.unwrap_err();
        assert!(matches!(error, StoreError::SchemaTooNew { found: 0, .. }), "{error}");
        test.store.close().await;
        let error = Store::open(&test.url).await.unwrap_err();
        assert!(matches!(error, StoreError::SchemaTooNew { found: 0, .. }), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_database_is_not_opened() {
    for url in ["", "site.db", "mysql://host/db", "http://user:secret@host/db"] {
        let error = Store::open(url).await.unwrap_err();
        assert!(matches!(error, StoreError::Url(_)), "{url}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn client_settings_of_an_earlier_version_become_the_default() {
    for test in stores().await {
        for statement in [
            "DROP TABLE client_settings_version",
            "DROP TABLE client_settings_collection",
            "DROP TABLE client_settings",
            "DELETE FROM schema_version WHERE version = 31",
            "INSERT INTO setting (name, value, revision) VALUES ('client_settings', \
             '{\"policy_poll\": 300000, \"inventory\": 3600000, \"heartbeat\": 3600000, \"content_rate\": 1000, \
             \"restart\": {\"allowed\": false, \"gone\": 1}, \"gone\": true}', 4)",
        ] {
            tamper(&test.store, statement).await;
        }
        test.store.close().await;
        let again = Store::open(&test.url).await.unwrap();
        let mut reader = again.reader().await.unwrap();
        let rows = client_settings::all(&mut reader).await.unwrap();
        assert_eq!((rows.len(), rows[0].id, rows[0].place, rows[0].version), (1, SettingsId::DEFAULT, 0, 1));
        // As it was stored then: groups as objects, numbers as they were said.
        let values = &rows[0].values;
        assert_eq!((&values.0["policy_poll"], &values.0["restart.allowed"]), (&json!(300_000), &json!(false)));
        assert_eq!(values.check(Reach::Everyone), Ok(()), "it can be changed: {values:?}");
        assert!(!values.0.contains_key("restart") && !values.0.contains_key("gone"), "{values:?}");
        let (versions, total) = client_settings::versions(&mut reader, SettingsId::DEFAULT, (0, 10)).await.unwrap();
        assert_eq!((total, &versions[0].values), (1, &rows[0].values));
        assert_eq!(setting::get(&mut reader, "client_settings").await.unwrap(), None);
        drop(reader);
        again.close().await;
    }
}
