//! The database: SQLite or PostgreSQL, chosen by its URL, with the same statements. One file per noun.
//!
//! Statements are constants, written once for both databases; what must differ stands in [`dialect`]. Parameters are
//! `$1`, `$2`, ... in both. Sums need `CAST(... AS BIGINT)`, because PostgreSQL widens them to a type the driver does not pass on.

pub mod admin;
pub mod alert;
pub mod application;
pub mod assignment;
pub mod attestation;
pub mod audit;
pub mod baseline;
pub mod baseline_deployment;
pub mod boundary;
mod bulk;
pub mod certificate;
pub mod channel;
pub mod client_log;
pub mod client_settings;
pub mod client_status;
pub mod collection;
pub mod collection_member;
pub mod collection_turn;
mod column;
pub mod compliance;
pub mod compliance_total;
pub mod conflict;
pub mod content_peer;
pub mod content_row;
pub mod copy;
pub mod dashboard;
pub mod deployment;
pub mod deployment_approval;
pub mod deployment_control;
pub mod deployment_event;
pub mod deployment_phase;
pub mod deployment_related;
pub mod deployment_revision;
pub mod device;
pub mod device_change;
pub mod device_list;
pub mod dialect;
pub mod discovery;
pub mod discovery_source;
pub mod domain_account;
pub mod enrolment;
pub mod enterprise;
pub mod hardware;
pub mod inventory;
pub mod inventory_class;
pub mod inventory_history;
pub mod inventory_schema;
pub mod inventory_sweep;
pub mod issuer;
mod lock;
pub mod maintenance;
pub mod message;
mod migrate;
pub mod mobile;
pub mod network;
pub mod policy_body;
pub mod quarantine;
mod reader;
pub mod report_hour;
pub mod resource;
pub mod resource_group;
pub mod revocation;
pub mod saved_query;
pub mod schema;
pub mod secret;
pub mod serial;
pub mod session;
pub mod setting;
pub mod site_row;
pub mod software_title;
pub mod software_update;
pub mod sql;
pub mod status_action;
pub mod status_count;
pub mod status_rule;
pub mod subscription;
pub mod timeline;
pub mod token;
pub mod trust_bundle;
pub mod update_rule;
pub mod window;
pub mod wql;

pub use dialect::Dialect;
pub use lock::Alone;
pub use migrate::{State as SchemaState, Step as SchemaStep};
pub use reader::Leave;

use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Transaction, any::AnyPoolOptions, pool::PoolConnection};
use std::time::Duration;

/// A connection on which is read.
pub type Connection = AnyConnection;

/// What a caller of the store can do something about.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row is not there.
    #[error("not found")]
    NotFound,
    /// A row with this key is there already.
    #[error("there is one already")]
    Exists,
    /// The disk of the database is full. Nothing was changed; free some space and it goes on.
    #[error("the disk of the database is full; free some space, the work goes on by itself")]
    DiskFull,
    /// The database cannot be reached, or is busy with others. Nothing was changed; try again.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// The schema was written by a newer Muster.
    #[error("the database has schema {found}, which this Muster (schema {known}) does not know; start a newer Muster")]
    SchemaTooNew {
        /// The newest schema of the database that is not known.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// A copy into this database was begun and not finished.
    #[error(
        "a copy of the site from {0} into this database was not finished; copy again with `musterd database copy --again`, \
         or name another database"
    )]
    HalfCopied(String),
    /// The site was copied from here to another database.
    #[error(
        "the site was moved from this database to {0}; name that in the configuration, or, if no server has run there, say \
         `DROP TABLE database_moved` here to make this database the site again"
    )]
    Moved(String),
    /// Something that Muster did not make reads a view of a class whose columns have to change.
    #[error(
        "the view {view} has to be made anew, and {by} reads it; drop that, start again, and make it anew afterwards"
    )]
    ViewInUse {
        /// The view of the class.
        view: String,
        /// What reads it.
        by: String,
    },
    /// Another program has the database for itself.
    #[error("{0}")]
    InUse(&'static str),
    /// Others work on the site while its schema is to be changed.
    #[error(
        "{0} connections of other servers or programs of Muster work on the database, and may not know the new schema; stop them first, \
         or say --with-others"
    )]
    Others(i64),
    /// The URL is not one of a database that Muster speaks.
    #[error("{0:?} is not a database URL; use sqlite:<path> or postgres://...")]
    Url(String),
    /// What is stored is not what this program writes.
    #[error("the database holds something that is not well-formed: {0}")]
    Corrupt(String),
    /// Anything else that the database said.
    #[error("the database refused a statement: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        match &error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::Database(inner) if inner.kind() == ErrorKind::UniqueViolation => Self::Exists,
            // 13: SQLITE_FULL; 53100: PostgreSQL's disk_full.
            sqlx::Error::Database(inner) if matches!(inner.code().as_deref(), Some("13" | "53100")) => Self::DiskFull,
            // 55P03: PostgreSQL's lock_timeout.
            sqlx::Error::Database(inner) if inner.code().as_deref() == Some("55P03") => {
                Self::Unavailable("others work on the same table; try again".to_owned())
            }
            sqlx::Error::Database(inner) if inner.code().is_some_and(|code| is_away(&code)) => {
                Self::Unavailable(inner.message().to_owned())
            }
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Database(error),
        }
    }
}

/// Whether PostgreSQL says by this code that it is not there for us: it is stopped, starts, ended the connection (57P..), the
/// connection broke (08...), it has no connections or no memory left (53300, 53200). SQLite's codes are shorter.
fn is_away(code: &str) -> bool {
    code.len() == 5 && (code.starts_with("57P") || code.starts_with("08") || matches!(code, "53300" | "53200"))
}

impl StoreError {
    /// Whether the same transaction may work when it is run again at once.
    fn is_transient(&self) -> bool {
        // 5, 6: SQLITE_BUSY, SQLITE_LOCKED (517: BUSY_SNAPSHOT); 40001, 40P01: serialization failure, deadlock.
        // 23503: what a row was to hang on was removed by another meanwhile; run again, the work finds that out.
        const CODES: &[&str] = &["5", "6", "261", "517", "40001", "40P01", "23503"];
        match self {
            Self::Database(sqlx::Error::Database(inner)) => inner.code().is_some_and(|code| CODES.contains(&&*code)),
            _ => false,
        }
    }
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    write: AnyPool,
    read: AnyPool,
    dialect: Dialect,
}

/// A transaction. Everything in it is committed together, or not at all.
pub struct Tx {
    inner: Transaction<'static, Any>,
    dialect: Dialect,
}

/// What reads can run inside a transaction too: a `&mut Tx` is taken wherever a connection is.
impl std::ops::Deref for Tx {
    type Target = AnyConnection;
    fn deref(&self) -> &AnyConnection {
        &self.inner
    }
}
impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }
}

impl Tx {
    /// The connection, for a function of this crate that only reads.
    pub fn conn(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// How often a transaction is run before its transient error is the caller's.
const ATTEMPTS: u32 = 5;

impl Store {
    /// Opens the database at `url` (`sqlite:<path>` or `postgres://...`), makes it where it is SQLite and not there, and
    /// brings its schema up to date.
    ///
    /// # Errors
    /// When it cannot be opened, or its schema is newer than this program.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let store = Self::open_as_it_is(url).await?;
        if let Err(error) = store.is_a_site().await {
            store.close().await;
            return Err(error);
        }
        migrate::run(&store).await?;
        Ok(store)
    }

    /// Whether a site may be here. By itself, because a connection that is out would keep the store from closing.
    async fn is_a_site(&self) -> Result<(), StoreError> {
        let mut conn = self.reader().await?;
        if let Some(from) = copy::marker(&mut conn, self.dialect).await? {
            return Err(StoreError::HalfCopied(from));
        }
        match copy::moved(&mut conn, self.dialect).await? {
            Some(to) => Err(StoreError::Moved(to)),
            None => Ok(()),
        }
    }

    /// Opens the database, and leaves its schema alone: to look at it, or to bring it up to date with
    /// [`Store::migrate`] when that was agreed to.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open_as_it_is(url: &str) -> Result<Self, StoreError> {
        Self::connect(url, true).await
    }

    /// As [`Store::open_as_it_is`], with nobody else on the site until what comes with it has ended.
    ///
    /// # Errors
    /// When it cannot be opened; [`StoreError::Others`].
    pub async fn open_alone(url: &str) -> Result<(Self, Alone), StoreError> {
        let store = Self::connect(url, false).await?;
        match Alone::take(store.dialect, url).await {
            Ok(alone) => Ok((store, alone)),
            Err(error) => {
                store.close().await;
                Err(error)
            }
        }
    }

    /// What the schema has, and what it lacks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        migrate::state(&mut *self.reader().await?, self.dialect).await
    }

    /// Brings the schema up to date, and makes views that are missing; what was done.
    ///
    /// # Errors
    /// When the database refuses it, is half copied, was moved, or is a newer program's.
    pub async fn migrate(&self) -> Result<SchemaState, StoreError> {
        self.is_a_site().await?;
        migrate::repair(self).await
    }

    /// Connects. `shared`: others see that the site is worked on, so that nobody copies it meanwhile.
    async fn connect(url: &str, shared: bool) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect =
            Dialect::of_url(url).ok_or_else(|| StoreError::Url(url.split('@').next_back().unwrap_or("").to_owned()))?;
        let url = dialect.connect_url(url);
        // SQLite has one writer at a time; to queue for it here is fair and never fails with "busy".
        let (writers, readers) = match dialect {
            Dialect::Sqlite => (1, 8),
            Dialect::Postgres => (16, 16),
        };
        let shared = shared && dialect == Dialect::Postgres;
        if shared {
            lock::ask(&url).await?;
        }
        let options = |max| {
            AnyPoolOptions::new()
                .max_connections(max)
                .acquire_timeout(Duration::from_secs(30))
                .max_lifetime(None)
                .after_connect(move |conn, _| {
                    Box::pin(async move {
                        if shared {
                            lock::share(conn).await?;
                        }
                        dialect.prepare(conn).await
                    })
                })
                // SQLite ends a transaction by itself when the disk is full; the driver then counts it as open for ever.
                // Such a connection is thrown away, and the next one works as soon as there is space.
                .before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }))
        };
        let write = options(writers).connect(&url).await?;
        let read = options(readers).connect_lazy(&url)?;
        Ok(Self { write, read, dialect })
    }

    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Begins a transaction. Use [`transaction!`](crate::transaction), which ends it and runs it again where that helps.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let inner = self.write.begin_with(self.dialect.begin()).await?;
        Ok(Tx { inner, dialect: self.dialect })
    }

    /// Ends a transaction: commits it when `result` is `Ok`, else rolls it back. `None`: run it again.
    ///
    /// The other half of [`transaction!`](crate::transaction).
    #[doc(hidden)]
    pub async fn end<T, E>(
        &self,
        name: &'static str,
        tx: Tx,
        result: Result<T, E>,
        attempt: &mut u32,
    ) -> Option<Result<T, E>>
    where
        E: From<StoreError> + AsStoreError,
    {
        let result = match result {
            Ok(value) => tx.inner.commit().await.map(|()| value).map_err(|error| StoreError::from(error).into()),
            Err(error) => {
                // A transaction that is dropped is rolled back.
                drop(tx);
                Err(error)
            }
        };
        *attempt += 1;
        let collided = result.as_ref().is_err_and(|error| error.as_store_error().is_some_and(StoreError::is_transient));
        if collided && *attempt < ATTEMPTS {
            metrics::counter!("muster_store_retries_total", "transaction" => name).increment(1);
            tokio::time::sleep(Duration::from_millis(5 << *attempt)).await;
            return None;
        }
        // Nothing was changed, and later it works: that is what a caller has to know of it.
        let busy = || StoreError::Unavailable("others work on the same rows; try again".to_owned()).into();
        let result = if collided { Err(busy()) } else { result };
        let outcome = if result.is_ok() { "commit" } else { "rollback" };
        metrics::counter!("muster_store_transactions_total", "transaction" => name, "outcome" => outcome).increment(1);
        Some(result)
    }

    /// A connection for reading outside of a transaction.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn reader(&self) -> Result<PoolConnection<Any>, StoreError> {
        Ok(self.read.acquire().await?)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Closes all connections, after what runs has ended.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Errors that may carry a store error, so that a transaction can be run again where that helps.
pub trait AsStoreError {
    /// The store error inside, where there is one.
    fn as_store_error(&self) -> Option<&StoreError>;
}

impl AsStoreError for StoreError {
    fn as_store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

/// Runs a block in one transaction: committed when it yields `Ok`, rolled back when it yields `Err`; the value is that `Result`.
///
/// The block may run several times, when the database says that two transactions collided. It must change nothing outside of
/// the transaction. A macro because a closure that borrows and is sent between threads cannot be written down yet.
///
/// ```ignore
/// transaction!(store, "token_create", |tx| {
///     token::insert(tx, &token).await?;
///     audit::append(tx, &entry).await
/// })
/// ```
#[macro_export]
macro_rules! transaction {
    ($store:expr, $name:literal, |$tx:ident| $work:block) => {{
        let mut attempt = 0;
        loop {
            let mut transaction = match $store.begin().await {
                Ok(transaction) => transaction,
                Err(error) => break Err(error.into()),
            };
            let result = {
                let $tx = &mut transaction;
                async { $work }.await
            };
            if let Some(result) = $store.end($name, transaction, result, &mut attempt).await {
                break result;
            }
        }
    }};
}
