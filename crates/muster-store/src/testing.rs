//! A private database for a test. A story runs on SQLite, and on PostgreSQL where `MUSTER_TEST_POSTGRES` names a server.

pub mod server;
mod template;

use crate::db::Store;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

/// A store of one test's own; its files go when it is dropped.
#[derive(Debug)]
pub struct TestStore {
    /// The store.
    pub store: Store,
    /// Its URL, to open it again.
    pub url: String,
    /// Where content and other files of the test may go.
    pub directory: TempDir,
}

/// Opens a new, empty store on each database that this machine has.
///
/// # Panics
/// When a database cannot be made: the test cannot run then. With `CI=true`, also when PostgreSQL is missing.
pub async fn stores() -> Vec<TestStore> {
    let mut stores = vec![sqlite().await];
    match std::env::var("MUSTER_TEST_POSTGRES") {
        Ok(server) => stores.push(postgres(&server).await),
        Err(_) => {
            assert!(
                std::env::var("CI").is_err(),
                "MUSTER_TEST_POSTGRES is not set: run the tests through scripts/with-postgres"
            );
            tracing::warn!("SKIPPED on PostgreSQL: MUSTER_TEST_POSTGRES is not set; scripts/with-postgres sets it");
        }
    }
    return stores;

    async fn postgres(server: &str) -> TestStore {
        sqlx::any::install_default_drivers();
        let name = format!("muster_{}", uuid::Uuid::new_v4().simple());
        let (base, query) = server.split_once('?').map_or((server, ""), |(base, query)| (base, query));
        let root = base.rsplit_once('/').map_or(base, |(root, _)| root);
        let url = |name: &str| format!("{root}/{name}{}{query}", if query.is_empty() { "" } else { "?" });
        template::postgres(server, &url, &name).await;
        at(url(&name)).await
    }
}

/// Opens the store at this URL.
///
/// # Panics
/// When it does not open.
#[expect(clippy::expect_used, reason = "a test without its database has to stop")]
pub async fn at(url: String) -> TestStore {
    let store = Store::open(&url).await.expect("the store opens");
    TestStore { store, url, directory: TempDir::new().expect("a temporary directory") }
}

/// Runs a statement on a server, outside of a transaction; whether it took it.
pub async fn command(url: &str, statement: &str) -> Result<(), String> {
    sqlx::any::install_default_drivers();
    let mut conn = sqlx::AnyConnection::connect(url).await.map_err(|error| error.to_string())?;
    let done = conn.execute(AssertSqlSafe(statement.to_owned())).await.map(drop).map_err(|error| error.to_string());
    drop(conn.close().await);
    done
}

/// Opens a new, empty SQLite store.
///
/// # Panics
/// When it cannot be made.
#[expect(clippy::expect_used, reason = "a test without its database has to stop")]
pub async fn sqlite() -> TestStore {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("site.db");
    template::sqlite(&path).await;
    let url = format!("sqlite:{}", path.display());
    let store = Store::open(&url).await.expect("the store opens");
    TestStore { store, url, directory }
}

/// Runs a statement that no rule would: what an intruder in the database does.
///
/// # Panics
/// When the database refuses it.
#[expect(clippy::expect_used, reason = "a test without its database has to stop")]
pub async fn tamper(store: &Store, statement: &'static str) {
    let mut tx = store.begin().await.expect("a transaction");
    tx.conn().execute(statement).await.expect("the statement runs");
    let done = store.end("tamper", tx, Ok::<_, crate::StoreError>(()), &mut 0).await;
    done.expect("no retry").expect("the commit");
}
