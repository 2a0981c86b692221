//! Connections for what somebody asks now: of a driver of its own, on which nothing can be written and what takes too long is stopped.

use super::{Store, StoreError};
use sqlx::{
    AnyConnection, Connection as _, PgConnection,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use std::{
    any::Any,
    str::FromStr as _,
    sync::Arc,
    time::{Duration, Instant},
};

/// How many steps of its machine SQLite takes between two looks at the clock: one of them may search a whole text.
const STEPS: i32 = 500;

/// A connection to SQLite that is stopped after `time`. `query_only`: not even a table of this connection's own is made.
///
/// # Errors
/// When the database cannot be reached.
pub(super) async fn sqlite(store: &Store, time: Duration) -> Result<SqliteConnection, StoreError> {
    let url = store.read.connect_options().database_url.to_string();
    let options = SqliteConnectOptions::from_str(&url)?.read_only(true).busy_timeout(Duration::from_secs(10));
    let mut conn = SqliteConnection::connect_with(&options.pragma("query_only", "ON")).await?;
    let end = Instant::now() + time;
    conn.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < end);
    Ok(conn)
}

/// Leave to ask something that may take long: whatever the caller counts with. It is kept until the database has done with it.
pub type Leave = Option<Arc<dyn Any + Send + Sync>>;

/// Bytes of the values of an answer.
pub(super) const BYTES: usize = 16 << 20;

/// Work with the database to its end, also when nobody waits for it any more: who hangs up does not give back leave that the database
/// still uses.
///
/// # Errors
/// As the work.
pub(super) async fn to_the_end<T, E>(
    leave: Leave,
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let task = tokio::spawn(async move {
        let outcome = work.await;
        drop(leave);
        outcome
    });
    task.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the query broke off".to_owned()).into()))
}

/// A connection to PostgreSQL as those of the pool are. What is left of an answer that is too large ends with it.
///
/// # Errors
/// When the database cannot be reached.
pub(super) async fn postgres_any(store: &Store) -> Result<AnyConnection, StoreError> {
    let mut conn = AnyConnection::connect(store.read.connect_options().database_url.as_str()).await?;
    store.dialect.prepare(&mut conn).await?;
    Ok(conn)
}

/// A connection to PostgreSQL; the transaction says how long.
///
/// # Errors
/// When the database cannot be reached.
pub(super) async fn postgres(store: &Store) -> Result<PgConnection, StoreError> {
    Ok(PgConnection::connect(store.read.connect_options().database_url.as_str()).await?)
}

/// Whether a statement was stopped because it took too long: SQLITE_INTERRUPT; PostgreSQL's query_canceled.
pub(super) fn is_interrupted(error: &StoreError) -> bool {
    match error {
        StoreError::Database(sqlx::Error::Database(inner)) => matches!(inner.code().as_deref(), Some("9" | "57014")),
        _ => false,
    }
}
