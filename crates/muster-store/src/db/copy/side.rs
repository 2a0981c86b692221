//! A side of the copy: one connection of its own database's driver, on which rows are streams.

use super::{
    CopyError,
    row::{Cell, Row},
    select,
};
use crate::db::{
    Dialect, lock,
    schema::{Schema, Table},
};
use futures_util::{StreamExt as _, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection,
    postgres::{PgCopyIn, PgRow},
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

/// Bytes that are sent to PostgreSQL at once.
const PIECE: usize = 256 << 10;
/// Rows in one transaction of SQLite.
const BATCH: u64 = 20_000;

/// A locked file beside an SQLite file. Its name stays as long as the lock is held, else two could each have one.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(database: &Path, which: &'static str) -> Result<Self, CopyError> {
        let path = database.with_extension("copy-lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(sqlx::Error::Io)?;
        file.try_lock().map_err(|_| CopyError::InUse(which))?;
        Ok(Self { path, _file: file })
    }
}

enum Conn {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// A side.
pub(super) struct Side {
    conn: Conn,
    /// Keeps a second copy into the same SQLite file away.
    lock: Option<Lock>,
}

/// Rows of a table, in the order of its key.
pub(super) struct Rows<'c> {
    stream: Stream<'c>,
    table: &'c Table,
}

enum Stream<'c> {
    Sqlite(BoxStream<'c, Result<SqliteRow, sqlx::Error>>),
    Postgres(BoxStream<'c, Result<PgRow, sqlx::Error>>),
}

impl<'c> Rows<'c> {
    /// The next one; `row` is its place, for a sentence about it.
    pub(super) async fn next(&mut self, name: &str, row: u64) -> Result<Option<Row<'c>>, CopyError> {
        let failed = |error| CopyError::Row { table: name.to_owned(), row, error };
        match &mut self.stream {
            Stream::Sqlite(stream) => {
                let row = stream.next().await.transpose().map_err(failed)?;
                Ok(row.map(|row| Row::sqlite(row, self.table)))
            }
            Stream::Postgres(stream) => {
                let row = stream.next().await.transpose().map_err(failed)?;
                Ok(row.map(|row| Row::postgres(row, self.table)))
            }
        }
    }
}

/// A foreign key that is away while rows come in any order: its table, its name, what it says.
pub(super) struct Away(String, String, String);

impl Side {
    /// Connects, and takes the site for itself.
    pub(super) async fn open(dialect: Dialect, url: &str, which: &'static str) -> Result<Self, CopyError> {
        match dialect {
            Dialect::Postgres => {
                let mut conn = PgConnection::connect(url).await?;
                if !lock::alone(&mut conn).await? {
                    return Err(CopyError::InUse(which));
                }
                Ok(Self { conn: Conn::Postgres(conn), lock: None })
            }
            Dialect::Sqlite => {
                let options =
                    SqliteConnectOptions::from_str(url)?.busy_timeout(Duration::from_secs(2)).foreign_keys(false);
                let lock = (which == "target").then(|| Lock::take(options.get_filename(), which)).transpose()?;
                let conn = SqliteConnection::connect_with(&options).await?;
                Ok(Self { conn: Conn::Sqlite(conn), lock })
            }
        }
    }

    /// From now on nothing changes under the reader.
    pub(super) async fn hold(&mut self) -> Result<(), CopyError> {
        match &mut self.conn {
            Conn::Sqlite(conn) => match conn.execute("BEGIN IMMEDIATE").await {
                Err(error) if error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("5")) => {
                    Err(CopyError::InUse("source"))
                }
                other => Ok(other.map(drop)?),
            },
            Conn::Postgres(conn) => {
                Ok(conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.map(drop)?)
            }
        }
    }

    /// Says in a source where the site is now, and lets it go.
    pub(super) async fn leave(&mut self, target: &str) -> Result<(), CopyError> {
        const TABLE: &str = "CREATE TABLE IF NOT EXISTS database_moved (target TEXT NOT NULL)";
        const CLEAR: &str = "DELETE FROM database_moved";
        const INSERT: &str = "INSERT INTO database_moved (target) VALUES ($1)";
        match &mut self.conn {
            Conn::Sqlite(conn) => {
                conn.execute(TABLE).await?;
                conn.execute(CLEAR).await?;
                sqlx::query(INSERT).bind(target).execute(&mut *conn).await?;
                conn.execute("COMMIT").await?;
            }
            Conn::Postgres(conn) => {
                // What it held was for reading only.
                conn.execute("COMMIT").await?;
                conn.execute("BEGIN").await?;
                conn.execute(TABLE).await?;
                conn.execute(CLEAR).await?;
                sqlx::query(INSERT).bind(target).execute(&mut *conn).await?;
                conn.execute("COMMIT").await?;
            }
        }
        Ok(())
    }

    /// After the last act: whoever comes now finds a site.
    pub(super) fn release(self) {
        if let Some(lock) = &self.lock {
            drop(std::fs::remove_file(&lock.path));
        }
    }

    pub(super) async fn count(&mut self, name: &str) -> Result<u64, CopyError> {
        let statement = AssertSqlSafe(format!("SELECT COUNT(*) FROM \"{name}\""));
        let query = sqlx::query_scalar::<_, i64>;
        let rows = match &mut self.conn {
            Conn::Sqlite(conn) => sqlx::query_scalar(statement).persistent(false).fetch_one(conn).await?,
            Conn::Postgres(conn) => query(statement).persistent(false).fetch_one(conn).await?,
        };
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    /// All rows of a table.
    pub(super) fn rows<'c>(&'c mut self, name: &str, table: &'c Table) -> Rows<'c> {
        let stream = match &mut self.conn {
            Conn::Sqlite(conn) => {
                let statement = AssertSqlSafe(select(Dialect::Sqlite, name, table));
                Stream::Sqlite(sqlx::query(statement).persistent(false).fetch(conn))
            }
            Conn::Postgres(conn) => {
                let statement = AssertSqlSafe(select(Dialect::Postgres, name, table));
                Stream::Postgres(sqlx::query(statement).persistent(false).fetch(conn))
            }
        };
        Rows { stream, table }
    }

    /// The last number that the database gave in a table that it numbers: also of rows that are gone, which have it for ever.
    pub(super) async fn last_number(&mut self, name: &str, table: &Table) -> Result<i64, CopyError> {
        let Some(column) = table.numbered().map(|column| &column.name) else { return Ok(0) };
        let last: Option<i64> = match &mut self.conn {
            Conn::Sqlite(conn) => {
                let statement = "SELECT seq FROM sqlite_sequence WHERE name = $1";
                sqlx::query_scalar(statement).bind(name).fetch_optional(conn).await?
            }
            Conn::Postgres(conn) => {
                let statement = "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence($1, $2) AS regclass))";
                sqlx::query_scalar(statement).bind(format!("\"{name}\"")).bind(column).fetch_one(conn).await?
            }
        };
        Ok(last.unwrap_or(0))
    }

    /// Makes the database go on numbering behind `last`.
    pub(super) async fn set_number(&mut self, name: &str, table: &Table, last: i64) -> Result<(), CopyError> {
        let Some(column) = table.numbered().map(|column| &column.name) else { return Ok(()) };
        if last == 0 {
            return Ok(());
        }
        match &mut self.conn {
            Conn::Sqlite(conn) => {
                sqlx::query("DELETE FROM sqlite_sequence WHERE name = $1").bind(name).execute(&mut *conn).await?;
                let statement = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
                sqlx::query(statement).bind(name).bind(last).execute(conn).await?;
            }
            Conn::Postgres(conn) => {
                let statement = "SELECT setval(CAST(pg_get_serial_sequence($1, $2) AS regclass), $3)";
                sqlx::query(statement).bind(format!("\"{name}\"")).bind(column).bind(last).execute(conn).await?;
            }
        }
        Ok(())
    }

    /// Takes the rows that migrations made out of all tables, and the foreign keys away, so that rows may come in any order.
    pub(super) async fn open_tables(&mut self, schema: &Schema) -> Result<Vec<Away>, CopyError> {
        let names: Vec<&String> = schema.tables.keys().filter(|name| *name != super::OWN).collect();
        match &mut self.conn {
            Conn::Sqlite(conn) => {
                for name in names {
                    conn.execute(AssertSqlSafe(format!("DELETE FROM \"{name}\""))).await?;
                }
                Ok(Vec::new())
            }
            Conn::Postgres(conn) => {
                let statement = "SELECT CAST(t.relname AS TEXT), CAST(k.conname AS TEXT), pg_get_constraintdef(k.oid) \
                     FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace s ON s.oid = t.relnamespace \
                     AND s.nspname = current_schema() WHERE k.contype = 'f' ORDER BY 1, 2";
                let keys: Vec<(String, String, String)> = sqlx::query_as(statement).fetch_all(&mut *conn).await?;
                for (table, key, _) in &keys {
                    conn.execute(AssertSqlSafe(format!("ALTER TABLE \"{table}\" DROP CONSTRAINT \"{key}\""))).await?;
                }
                let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
                conn.execute(AssertSqlSafe(format!("TRUNCATE {}", names.join(", ")))).await?;
                Ok(keys.into_iter().map(|(table, key, says)| Away(table, key, says)).collect())
            }
        }
    }

    /// Puts the foreign keys back, which looks at every row, and counts for the planner.
    pub(super) async fn close_tables(&mut self, keys: &[Away]) -> Result<(), CopyError> {
        match &mut self.conn {
            Conn::Sqlite(conn) => conn.execute("ANALYZE").await.map(drop)?,
            Conn::Postgres(conn) => {
                for Away(table, key, says) in keys {
                    conn.execute(AssertSqlSafe(format!("ALTER TABLE \"{table}\" ADD CONSTRAINT \"{key}\" {says}")))
                        .await?;
                }
                conn.execute("ANALYZE").await?;
            }
        }
        Ok(())
    }
}

/// Where rows are written.
pub(super) enum Sink<'c> {
    /// Several thousand rows in a transaction.
    Sqlite { conn: &'c mut SqliteConnection, statement: String, columns: usize },
    /// One COPY.
    Postgres { copy: PgCopyIn<&'c mut PgConnection>, buffer: Vec<u8> },
}

impl<'c> Sink<'c> {
    pub(super) async fn begin(side: &'c mut Side, name: &str, table: &Table) -> Result<Self, CopyError> {
        let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let list = columns.join(", ");
        match &mut side.conn {
            Conn::Sqlite(conn) => {
                let values = vec!["?"; columns.len()].join(", ");
                conn.execute("BEGIN").await?;
                let statement = format!("INSERT INTO \"{name}\" ({list}) VALUES ({values})");
                Ok(Self::Sqlite { conn, statement, columns: columns.len() })
            }
            Conn::Postgres(conn) => {
                let copy = conn.copy_in_raw(&format!("COPY \"{name}\" ({list}) FROM STDIN")).await?;
                Ok(Self::Postgres { copy, buffer: Vec::with_capacity(PIECE) })
            }
        }
    }

    pub(super) async fn write(&mut self, next: &Row<'_>, name: &str, row: u64) -> Result<(), CopyError> {
        match self {
            Self::Sqlite { conn, statement, columns } => {
                let mut query = sqlx::query(AssertSqlSafe(statement.clone()));
                let failed = |error| CopyError::Row { table: name.to_owned(), row, error };
                for at in 0..*columns {
                    query = match next.cell(at).map_err(failed)? {
                        Cell::Null => query.bind(None::<i64>),
                        Cell::Int(number) => query.bind(number),
                        Cell::Real(number) => query.bind(number),
                        Cell::Text(text) => query.bind(text.to_owned()),
                        Cell::Bytes(bytes) => query.bind(bytes.to_vec()),
                    };
                }
                query.execute(&mut **conn).await?;
                if row.is_multiple_of(BATCH) {
                    conn.execute("COMMIT").await?;
                    conn.execute("BEGIN").await?;
                }
            }
            Self::Postgres { copy, buffer } => {
                next.line(buffer, name, row)?;
                if buffer.len() >= PIECE {
                    copy.send(&buffer[..]).await?;
                    buffer.clear();
                }
            }
        }
        Ok(())
    }

    pub(super) async fn end(self) -> Result<(), CopyError> {
        match self {
            Self::Sqlite { conn, .. } => conn.execute("COMMIT").await.map(drop)?,
            Self::Postgres { mut copy, buffer } => {
                if !buffer.is_empty() {
                    copy.send(&buffer[..]).await?;
                }
                copy.finish().await?;
            }
        }
        Ok(())
    }
}
