//! The database looked at, and copied: every pair of the two databases that this machine has.

use crate::commit;
use muster_model::{catalogue::definitions, id::Hash, time::UnixMillis};
use muster_store::{
    Store, StoreError,
    db::{
        Dialect,
        copy::{self, CopyError, Digest, Progress, Stage, Standing},
        inventory_class::{self, ClassRow},
        schema,
    },
    testing::{TestStore, command, stores},
};
use sqlx::{AssertSqlSafe, Executor as _};
use std::time::Duration;

/// A class with a column of each type.
const CLASS: &str = r#"{"name": "ODD_ONE", "attributes": [
    {"name": "Id", "type": "String", "key": true}, {"name": "Weight", "type": "Real64"}, {"name": "Count", "type": "SInt64"}]}"#;

/// Not SHA-256, and enough to tell texts apart in a test: FNV-1a, four times with other beginnings.
struct Fnv([u64; 4]);

impl Digest for Fnv {
    fn update(&mut self, bytes: &[u8]) {
        for lane in &mut self.0 {
            for byte in bytes {
                *lane = (*lane ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    fn finish(self: Box<Self>) -> Hash {
        let mut hash = [0; 32];
        for (at, lane) in self.0.iter().enumerate() {
            hash[at * 8..at * 8 + 8].copy_from_slice(&lane.to_be_bytes());
        }
        Hash(hash)
    }
}

fn digest() -> Box<dyn Digest> {
    Box::new(Fnv([0xcbf2_9ce4_8422_2325, 1, 2, 3]))
}

async fn run(store: &Store, statement: impl Into<String>) {
    let statement = statement.into();
    let mut tx = store.begin().await.unwrap();
    tx.conn().execute(AssertSqlSafe(statement)).await.unwrap();
    store.end("test", tx, Ok::<_, StoreError>(()), &mut 0).await.unwrap().unwrap();
}

/// Values that are awkward to write down, a class of an administrator, and numbers that were given and are gone.
async fn fill(store: &Store) {
    let class = definitions(CLASS).unwrap().remove(0).class().unwrap();
    let row = ClassRow { class, changed: UnixMillis(1), changed_by: "Ada".to_owned(), retired: None };
    commit!(store, |tx| { inventory_class::put(tx, None, &row).await? });
    for (at, text) in ["", "a\tb\\N\r\n\\.", "é \u{1F980} \u{7f}\u{1}", "'\"$$", "\\N", "NULL"].into_iter().enumerate()
    {
        commit!(store, |tx| {
            let statement = "INSERT INTO setting (name, value, revision) VALUES ($1, $2, $3)";
            let query = sqlx::query(statement).bind(format!("odd {at} {text}")).bind(text);
            query.bind(i64::MIN + i64::try_from(at).unwrap()).execute(tx.conn()).await?
        });
    }
    let every: Vec<u8> = (0..=255).collect();
    commit!(store, |tx| {
        let statement = "INSERT INTO trust_bundle (version, expires, envelope) VALUES ($1, $2, $3)";
        sqlx::query(statement).bind(i64::MAX).bind(0_i64).bind(&every[..]).execute(tx.conn()).await?
    });
    for (at, weight) in [0.1 + 0.2, -0.0, 1e300, f64::MIN_POSITIVE, f64::INFINITY].into_iter().enumerate() {
        commit!(store, |tx| {
            let statement = "INSERT INTO inv_odd_one (row_hash, row_key, \"Id\", \"Weight\", \"Count\") VALUES ($1, 1, NULL, $2, NULL)";
            sqlx::query(statement).bind(at.to_string()).bind(weight).execute(tx.conn()).await?
        });
    }
    run(store, "DELETE FROM inv_odd_one WHERE row_hash = '4'").await;
    for at in 0..300 {
        run(store, format!("INSERT INTO job (kind, subject, due, attempts) VALUES ('k', '{at}', 1, 0)")).await;
    }
}

/// An empty database on the same server, or in the same directory.
async fn empty(test: &TestStore) -> String {
    let name = format!("empty_{}", uuid::Uuid::new_v4().simple());
    match test.store.dialect() {
        Dialect::Sqlite => format!("sqlite:{}", test.directory.path().join(name).display()),
        Dialect::Postgres => {
            command(&test.url, &format!("CREATE DATABASE {name}")).await.unwrap();
            format!("{}/{name}", test.url.rsplit_once('/').unwrap().0)
        }
    }
}

/// Filled databases that nobody works on, each with another kind of database to go to, where there are two kinds.
async fn filled() -> Vec<(TestStore, String)> {
    let all = stores().await;
    let mut targets = Vec::new();
    for test in all.iter().rev() {
        targets.push(empty(test).await);
    }
    for test in &all {
        fill(&test.store).await;
        test.store.close().await;
    }
    all.into_iter().zip(targets).collect()
}

#[tokio::test]
async fn both_databases_have_the_same_schema_to_the_last_key() {
    for test in stores().await {
        fill(&test.store).await;
        let mut conn = test.store.reader().await.unwrap();
        let wanted = schema::expected(&schema::catalogue(&mut conn).await.unwrap()).await.unwrap();
        let found = schema::read(&mut conn, test.store.dialect()).await.unwrap();
        // All of it, with keys, foreign keys, indexes, checks, defaults, and what numbers itself; and not only what a finding names.
        assert_eq!(found, wanted);
        drop(conn);
        assert_eq!(schema::check(&test.store).await.unwrap(), []);
    }
}

#[tokio::test]
async fn what_somebody_did_to_a_database_is_found_and_comes_with_what_to_do() {
    for test in stores().await {
        let both = [
            (
                "DROP INDEX device_name",
                "The index device_name is missing",
                "CREATE INDEX device_name ON device (name, id);",
            ),
            ("DROP VIEW v_GS_FIRMWARE", "The view v_gs_firmware is missing", "musterd database migrate"),
            ("ALTER TABLE token ADD COLUMN extra TEXT", "The column token.extra is not Muster's", "DROP COLUMN"),
            ("ALTER TABLE site DROP COLUMN created", "The column site.created is missing", "backup"),
            ("DROP TABLE report_hour", "The table report_hour is missing", "backup"),
            ("CREATE UNIQUE INDEX mine ON token (name)", "refuses rows that Muster writes", "DROP INDEX mine;"),
        ];
        let postgres = [
            ("ALTER TABLE token ALTER COLUMN name DROP NOT NULL", "token.name may be NULL", "backup"),
            ("ALTER TABLE job ALTER COLUMN due TYPE NUMERIC", "job.due holds numeric", "backup"),
            ("ALTER TABLE session DROP CONSTRAINT session_admin_fkey", "session has other foreign keys", "backup"),
            (
                "ALTER TABLE timeline DISABLE TRIGGER ALL",
                "The foreign keys of timeline are switched off",
                "ENABLE TRIGGER ALL",
            ),
            ("SELECT setval('job_id_seq', 3)", "The numbers of job.id are at 3", "setval"),
            ("ALTER TABLE site DROP CONSTRAINT site_id_check", "site has other checks", "backup"),
        ];
        let sqlite = [(
            "PRAGMA foreign_keys = OFF; INSERT INTO channel (device, channel, last, head) VALUES ('nobody', 'c', 1, x'00'); \
             PRAGMA foreign_keys = ON",
            "1 rows of channel name rows of device that are not there",
            "backup",
        )];
        fill(&test.store).await;
        let own = if test.store.dialect() == Dialect::Sqlite { &sqlite[..] } else { &postgres[..] };
        for (statement, _, _) in both.iter().chain(own) {
            let mut conn = test.store.begin().await.unwrap();
            // Outside of a transaction, as a person would: SQLite ignores the pragma in one.
            conn.conn().execute("ROLLBACK").await.unwrap();
            conn.conn().execute(AssertSqlSafe(*statement)).await.unwrap();
            conn.conn().execute("BEGIN").await.unwrap();
            drop(conn);
        }
        run(&test.store, "CREATE VIEW v_mine AS SELECT 1 AS one").await;
        let findings = schema::check(&test.store).await.unwrap();
        for (statement, what, next) in both.iter().chain(own) {
            let found = findings.iter().find(|finding| finding.what.contains(what));
            let found = found.unwrap_or_else(|| panic!("{statement}: {findings:?}"));
            assert!(found.serious && found.next.contains(next), "{found:?}");
        }
        let mine = findings.iter().find(|finding| finding.what.contains("v_mine")).unwrap();
        assert!(!mine.serious, "a view of an administrator is nobody's fault: {mine:?}");
        let done = test.store.migrate().await.unwrap();
        assert!(done.views, "the view comes back");
        let findings = schema::check(&test.store).await.unwrap();
        assert!(!findings.iter().any(|finding| finding.what.contains("firmware")), "{findings:?}");
    }
}

#[tokio::test]
async fn a_site_goes_from_each_database_into_the_other_and_is_the_same_to_the_last_row() {
    for (test, to) in &filled().await {
        let (mut stages, mut last) = (Vec::new(), (0, 0));
        let mut watch = |progress: Progress<'_>| {
            stages.push(progress.stage);
            last = progress.rows;
        };
        let copied = copy::copy(&test.url, to, false, digest, &mut watch).await.unwrap();
        assert!(stages.contains(&Stage::Copy) && stages.contains(&Stage::Verify));
        assert!(last.0 == last.1 && last.0 > 300, "{last:?}");
        let names: Vec<&str> = copied.iter().filter(|t| t.rows > 0).map(|t| t.table.as_str()).collect();
        assert!(names.contains(&"inv_odd_one") && names.contains(&"schema_version"), "{names:?}");
        let again = Store::open(to).await.unwrap();
        assert_eq!(schema::check(&again).await.unwrap(), []);
        // What was given once is not given again.
        run(&again, "INSERT INTO inv_odd_one (row_hash, row_key) VALUES ('next', 1)").await;
        let statement = "SELECT row_id FROM inv_odd_one WHERE row_hash = 'next'";
        let next: i64 = sqlx::query_scalar(statement).fetch_one(&mut *again.reader().await.unwrap()).await.unwrap();
        assert_eq!(next, 6, "the fifth was given to a row that is gone");
        again.close().await;
        // A site is never written over.
        let error = copy::copy(&test.url, to, true, digest, &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, CopyError::NotEmpty(_)), "{error}");
    }
}

/// What comes of opening it, after the connections of those who worked on it have ended.
async fn opened(url: &str) -> Result<Store, StoreError> {
    for _ in 0..100 {
        match Store::open(url).await {
            Err(StoreError::InUse(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            opened => return opened,
        }
    }
    Store::open(url).await
}

/// A copy, begun when nobody works on either side any more.
async fn copied(from: &str, to: &str) -> Result<Vec<copy::Copied>, CopyError> {
    for _ in 0..100 {
        match copy::copy(from, to, false, digest, &mut |_| {}).await {
            Err(CopyError::InUse(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            ended => return ended,
        }
    }
    copy::copy(from, to, false, digest, &mut |_| {}).await
}

#[tokio::test]
async fn a_site_is_in_one_database_and_comes_with_all_that_it_has() {
    for (test, to) in &filled().await {
        command(&test.url, "CREATE TABLE newer (id BIGINT NOT NULL PRIMARY KEY)").await.unwrap();
        command(&test.url, "INSERT INTO newer (id) VALUES (1)").await.unwrap();
        let error = copied(&test.url, to).await.unwrap_err();
        assert!(matches!(&error, CopyError::Unknown(table) if table == "newer"), "{error}");
        assert!(matches!(copy::standing(to).await.unwrap(), Standing::Empty), "nothing was begun");
        opened(&test.url).await.unwrap().close().await;
        command(&test.url, "DELETE FROM newer").await.unwrap();
        copied(&test.url, to).await.unwrap();
        // The one that it was copied from is the site no more, until somebody says so.
        let error = opened(&test.url).await.unwrap_err();
        assert!(matches!(error, StoreError::Moved(_)), "{error}");
        assert!(error.to_string().contains("moved from this database to"), "{error}");
        let other = empty(test).await;
        let error = copied(&test.url, &other).await.unwrap_err();
        assert!(matches!(error, CopyError::Store(StoreError::Moved(_))), "{error}");
        opened(to).await.unwrap().close().await;
        command(&test.url, "DROP TABLE database_moved").await.unwrap();
        opened(&test.url).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_copy_that_ends_in_the_middle_is_no_site_until_it_is_done_again() {
    for (test, to) in &filled().await {
        let (send, mut stop) = tokio::sync::mpsc::unbounded_channel();
        let mut watch = move |progress: Progress<'_>| {
            // In the middle of the tables.
            if progress.table == "job" {
                let _ = send.send(());
            }
        };
        tokio::select! {
            biased;
            _ = stop.recv() => {}
            ended = copy::copy(&test.url, to, false, digest, &mut watch) => panic!("it was to be stopped: {ended:?}"),
        }
        let error = Store::open(to).await;
        // The connections of the dead go when the server notices.
        let mut error = error.unwrap_err();
        for _ in 0..100 {
            if !matches!(error, StoreError::InUse(_)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            error = Store::open(to).await.unwrap_err();
        }
        assert!(matches!(&error, StoreError::HalfCopied(_)), "{error}");
        assert!(error.to_string().contains("--again"), "{error}");
        assert!(matches!(copy::standing(to).await.unwrap(), Standing::Half(_)));
        let mut error = copy::copy(&test.url, to, false, digest, &mut |_| {}).await.unwrap_err();
        for _ in 0..100 {
            if !matches!(error, CopyError::InUse(_)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            error = copy::copy(&test.url, to, false, digest, &mut |_| {}).await.unwrap_err();
        }
        assert!(matches!(error, CopyError::Half(_)), "{error}");
        copy::copy(&test.url, to, true, digest, &mut |_| {}).await.unwrap();
        Store::open(to).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn one_row_that_differs_is_found() {
    let mut changes = [
        "UPDATE setting SET value = 'x' WHERE name = 'odd 4 \\N'",
        "UPDATE trust_bundle SET expires = 1",
        "DELETE FROM job WHERE subject = '299'",
    ]
    .into_iter()
    .cycle();
    for (test, to) in &filled().await {
        let Some(change) = changes.next() else { return };
        let url = to.clone();
        let mut watch = move |progress: Progress<'_>| {
            if progress.stage == Stage::Copy && progress.tables.0 == progress.tables.1 {
                let url = url.clone();
                let tamper = async move {
                    sqlx::any::install_default_drivers();
                    let mut conn = <sqlx::AnyConnection as sqlx::Connection>::connect(&url).await.unwrap();
                    conn.execute(change).await.unwrap();
                };
                let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                std::thread::spawn(move || runtime().block_on(tamper)).join().unwrap();
            }
        };
        let error = copy::copy(&test.url, to, false, digest, &mut watch).await.unwrap_err();
        assert!(matches!(error, CopyError::Differs { .. }), "{change}: {error}");
        let opened = Store::open(to).await.unwrap_err();
        assert!(matches!(opened, StoreError::HalfCopied(_) | StoreError::InUse(_)), "{opened}");
    }
}

#[tokio::test]
async fn a_database_that_is_worked_on_is_not_copied_and_one_that_is_copied_is_not_worked_on() {
    let both = stores().await;
    let [file, server] = &both[..] else { return };
    let to = empty(server).await;
    let open = Store::open(&to).await.unwrap();
    let error = copy::copy(&file.url, &to, false, digest, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, CopyError::InUse("target")), "{error}");
    open.close().await;
    let back = empty(file).await;
    let error = copy::copy(&server.url, &back, false, digest, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, CopyError::InUse("source")), "{error}");
    let url = server.url.clone();
    server.store.close().await;
    let mut asked = false;
    let mut watch = move |_: Progress<'_>| {
        if !asked {
            asked = true;
            let url = url.clone();
            let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let error = std::thread::spawn(move || runtime().block_on(Store::open(&url)).unwrap_err()).join().unwrap();
            assert!(matches!(error, StoreError::InUse(_)), "{error}");
        }
    };
    copy::copy(&server.url, &back, false, digest, &mut watch).await.unwrap();
    assert!(matches!(copy::copy(&back, &back, false, digest, &mut |_| {}).await.unwrap_err(), CopyError::Same));
}

#[tokio::test]
async fn a_schema_is_changed_under_nobody() {
    for test in stores().await {
        if test.store.dialect() == Dialect::Postgres {
            let error = Store::open_alone(&test.url).await.unwrap_err();
            assert!(matches!(error, StoreError::Others(count) if count >= 1), "{error}");
            assert!(error.to_string().contains("--with-others"), "{error}");
        }
        test.store.close().await;
        let mut alone = Store::open_alone(&test.url).await;
        for _ in 0..100 {
            if !matches!(alone, Err(StoreError::Others(_))) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            alone = Store::open_alone(&test.url).await;
        }
        let (store, alone) = alone.unwrap();
        assert!(!store.migrate().await.unwrap().views);
        if store.dialect() == Dialect::Postgres {
            let error = Store::open(&test.url).await.unwrap_err();
            assert!(matches!(error, StoreError::InUse(_)), "{error}");
        }
        store.close().await;
        alone.end().await;
        opened(&test.url).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_text_that_postgresql_cannot_keep_is_named() {
    let both = stores().await;
    let [file, server] = &both[..] else { return };
    run(&file.store, "INSERT INTO setting (name, value, revision) VALUES ('zero', CAST(x'610062' AS TEXT), 1)").await;
    let error = copy::copy(&file.url, &empty(server).await, false, digest, &mut |_| {}).await.unwrap_err();
    let CopyError::Zero { table, column, .. } = &error else { panic!("{error}") };
    assert_eq!((table.as_str(), column.as_str()), ("setting", "value"));
}
