//! What goes wrong between two who work on one database: collisions are run again, so often and not more; programs that start at once
//! do not stumble over each other; and a view that somebody else reads is not torn away under them.

use crate::commit;
use muster_model::catalogue::definitions;
use muster_model::time::UnixMillis;
use muster_store::{
    Store, StoreError,
    db::{
        Dialect,
        inventory_class::{self, ClassRow},
        setting,
    },
    testing::{TestStore, command, stores, tamper},
    transaction,
};
use sqlx::Executor as _;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Barrier;

/// The test's PostgreSQL, where there is one.
async fn postgres() -> Option<TestStore> {
    stores().await.into_iter().find(|test| test.store.dialect() == Dialect::Postgres)
}

#[tokio::test]
async fn two_that_lock_each_other_out_both_come_through() {
    let Some(test) = postgres().await else { return };
    for name in ["a", "b"] {
        commit!(test.store, |tx| { setting::set(tx, name, "0").await? });
    }
    let (barrier, runs) = (Barrier::new(2), AtomicU32::new(0));
    let cross = async |first: &'static str, second: &'static str| -> Result<(), StoreError> {
        let mut met = false;
        transaction!(test.store, "t", |tx| {
            runs.fetch_add(1, Ordering::SeqCst);
            tx.conn().execute("SET LOCAL deadlock_timeout = '20ms'").await?;
            setting::set(tx, first, second).await?;
            if !std::mem::replace(&mut met, true) {
                barrier.wait().await;
            }
            setting::set(tx, second, first).await
        })
    };
    let (one, other) = tokio::join!(cross("a", "b"), cross("b", "a"));
    one.unwrap();
    other.unwrap();
    assert!(runs.load(Ordering::SeqCst) > 2, "one of them was run again");
    let revisions: i64 =
        sqlx::query_scalar("SELECT CAST(SUM(revision) AS BIGINT) FROM setting WHERE name IN ('a', 'b')")
            .fetch_one(&mut *test.store.reader().await.unwrap())
            .await
            .unwrap();
    assert_eq!(revisions, 6, "each wrote both once, whatever was begun in vain");
}

#[tokio::test]
async fn what_collides_again_and_again_is_refused_and_not_tried_for_ever() {
    let Some(test) = postgres().await else { return };
    for code in ["40001", "40P01"] {
        let mut runs = 0;
        let statement = format!("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$");
        let outcome: Result<(), StoreError> = transaction!(test.store, "t", |tx| {
            runs += 1;
            setting::set(tx, "never", "x").await?;
            tx.conn().execute(sqlx::AssertSqlSafe(statement.clone())).await?;
            Ok(())
        });
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
        assert_eq!(runs, 5);
    }
    assert_eq!(setting::get(&mut test.store.reader().await.unwrap(), "never").await.unwrap(), None);
}

#[tokio::test]
async fn servers_that_start_at_once_on_an_empty_database_share_its_making() {
    let Some(test) = postgres().await else { return };
    let name = format!("many_{}", uuid::Uuid::new_v4().simple());
    command(&test.url, &format!("CREATE DATABASE {name}")).await.unwrap();
    let url = format!("{}/{name}", test.url.rsplit_once('/').unwrap().0);
    let (a, b, c) = tokio::join!(Store::open(&url), Store::open(&url), Store::open(&url));
    for store in [a, b, c] {
        store.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_view_that_an_administrator_built_on_stays_when_a_class_grows() {
    for test in stores().await {
        let class = |attributes: &str| {
            let text = format!(r#"{{"name": "GROWS", "attributes": [{attributes}]}}"#);
            definitions(&text).unwrap().remove(0)
        };
        let id = r#"{"name": "Id", "type": "String", "key": true}"#;
        let first = class(id).class().unwrap();
        let more = class(&format!("{id}, {{\"name\": \"More\", \"type\": \"String\"}}"));
        let second = first.next(&more.class().unwrap()).unwrap().unwrap();
        let row = |class: &muster_model::catalogue::Class| ClassRow {
            class: class.clone(),
            changed: UnixMillis(1),
            changed_by: "Ada".to_owned(),
            retired: None,
        };
        commit!(test.store, |tx| { inventory_class::put(tx, None, &row(&first)).await? });
        tamper(&test.store, "CREATE VIEW v_mine AS SELECT ResourceID, Id0 FROM v_GS_GROWS").await;
        commit!(test.store, |tx| { inventory_class::put(tx, Some(&first), &row(&second)).await? });
        // A program whose views have another form makes all of them anew.
        tamper(&test.store, "UPDATE setting SET value = 'another form' WHERE name = 'inventory_views'").await;
        test.store.close().await;
        let store = Store::open(&test.url).await.unwrap();
        let mut conn = store.reader().await.unwrap();
        sqlx::query("SELECT More0 FROM v_GS_GROWS").fetch_all(&mut *conn).await.unwrap();
        sqlx::query("SELECT Id0 FROM v_mine").fetch_all(&mut *conn).await.unwrap();
    }
}

#[tokio::test]
async fn a_table_that_an_older_program_made_gets_the_columns_that_it_did_not_know() {
    for test in stores().await {
        tamper(&test.store, "DROP VIEW v_GS_SoftwareFile; DROP VIEW v_HS_SoftwareFile").await;
        tamper(&test.store, "ALTER TABLE inv_softwarefile DROP COLUMN \"FileHash\"").await;
        tamper(&test.store, "INSERT INTO inv_softwarefile (row_hash, row_key, \"FileName\") VALUES ('x', 1, 'kept')")
            .await;
        tamper(&test.store, "UPDATE setting SET value = 'another form' WHERE name = 'inventory_views'").await;
        test.store.close().await;
        let store = Store::open(&test.url).await.unwrap();
        let statement = "SELECT \"FileName\" FROM inv_softwarefile WHERE \"FileHash\" IS NULL";
        let kept: Vec<String> =
            sqlx::query_scalar(statement).fetch_all(&mut *store.reader().await.unwrap()).await.unwrap();
        assert_eq!(kept, ["kept"]);
        sqlx::query("SELECT FileHash0 FROM v_GS_SoftwareFile")
            .fetch_all(&mut *store.reader().await.unwrap())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_view_that_cannot_be_made_anew_under_another_one_is_named_and_nothing_is_changed() {
    let Some(test) = postgres().await else { return };
    tamper(&test.store, "DROP VIEW v_GS_FIRMWARE; CREATE VIEW v_GS_FIRMWARE AS SELECT 1 AS old_form").await;
    tamper(&test.store, "CREATE VIEW v_mine AS SELECT old_form FROM v_GS_FIRMWARE").await;
    tamper(&test.store, "UPDATE setting SET value = 'another form' WHERE name = 'inventory_views'").await;
    test.store.close().await;
    let error = Store::open(&test.url).await.unwrap_err();
    let StoreError::ViewInUse { view, by } = &error else { panic!("{error}") };
    assert_eq!((view.as_str(), by.as_str()), ("v_gs_firmware", "v_mine"));
    command(&test.url, "SELECT old_form FROM v_mine").await.unwrap();
    command(&test.url, "DROP VIEW v_mine").await.unwrap();
    Store::open(&test.url).await.unwrap().close().await;
    command(&test.url, "SELECT ResourceID FROM v_GS_FIRMWARE").await.unwrap();
}
