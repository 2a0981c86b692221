//! The database that a site is copied into: empty before, marked meanwhile, a site afterwards.

use super::CopyError;
use crate::{
    db::{Dialect, Store, StoreError, inventory_class, migrate, schema},
    transaction,
};
use muster_model::catalogue::Catalogue;
use schema::Schema;
use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

/// In this table a half copied database says that it is one.
const MARKER: &str = "database_copy";
/// In this table a database from which a site was copied says where to.
pub(in crate::db) const MOVED: &str = "database_moved";

/// What is in a database that a site is to be copied into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Empty,
    /// A copy from there was begun.
    Half(String),
    /// Something else: one thing of it.
    Full(String),
}

/// Whether there is a table of that name.
///
/// # Errors
/// When the database cannot be read.
pub async fn has_table(conn: &mut AnyConnection, dialect: Dialect, name: &str) -> Result<bool, StoreError> {
    let statement = dialect.pick([
        "SELECT CAST(COUNT(*) AS BIGINT) FROM sqlite_master WHERE type = 'table' AND name = $1",
        "SELECT COUNT(*) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = current_schema() \
         WHERE CAST(c.relname AS TEXT) = $1 AND c.relkind = 'r'",
    ]);
    Ok(sqlx::query_scalar::<_, i64>(statement).bind(name).fetch_one(conn).await? > 0)
}

/// From where a copy into this database was begun that has not ended.
///
/// # Errors
/// When the database cannot be read.
pub async fn marker(conn: &mut AnyConnection, dialect: Dialect) -> Result<Option<String>, StoreError> {
    if !has_table(conn, dialect, MARKER).await? {
        return Ok(None);
    }
    let source: Option<String> = sqlx::query_scalar("SELECT source FROM database_copy").fetch_optional(conn).await?;
    Ok(Some(source.unwrap_or_else(|| "another database".to_owned())))
}

/// To where the site was copied from this database.
///
/// # Errors
/// When the database cannot be read.
pub async fn moved(conn: &mut AnyConnection, dialect: Dialect) -> Result<Option<String>, StoreError> {
    if !has_table(conn, dialect, MOVED).await? {
        return Ok(None);
    }
    let target: Option<String> = sqlx::query_scalar("SELECT target FROM database_moved").fetch_optional(conn).await?;
    Ok(Some(target.unwrap_or_else(|| "another database".to_owned())))
}

/// What is in the database at `url`.
///
/// # Errors
/// When it cannot be read.
pub async fn standing(url: &str) -> Result<Standing, StoreError> {
    let store = Store::connect(url, false).await?;
    let found = look(&mut *store.reader().await?, store.dialect).await;
    store.close().await;
    found
}

/// Tables and views, with their kind.
async fn objects(conn: &mut AnyConnection, dialect: Dialect) -> Result<Vec<(String, String)>, StoreError> {
    let statement = dialect.pick([
        "SELECT name AS n, type AS k FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' \
         ORDER BY type DESC, name",
        "SELECT CAST(c.relname AS TEXT) AS n, CASE WHEN c.relkind = 'v' THEN 'view' ELSE 'table' END AS k FROM pg_class c \
         JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = current_schema() \
         WHERE c.relkind IN ('r', 'v', 'p', 'f', 'm') ORDER BY 2 DESC, 1",
    ]);
    let rows = sqlx::query(statement).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("n")?, row.try_get("k")?))).collect()
}

async fn look(conn: &mut AnyConnection, dialect: Dialect) -> Result<Standing, StoreError> {
    if let Some(from) = marker(conn, dialect).await? {
        return Ok(Standing::Half(from));
    }
    let first = objects(conn, dialect).await?.into_iter().next();
    Ok(first.map_or(Standing::Empty, |(name, kind)| Standing::Full(format!("the {kind} {name}"))))
}

/// Marks an empty database; one that is marked already is emptied where `again` says so.
pub(super) async fn begin(store: &Store, source: String, again: bool) -> Result<(), CopyError> {
    match look(&mut *store.reader().await?, store.dialect).await? {
        Standing::Full(what) => return Err(CopyError::NotEmpty(what)),
        Standing::Half(from) if !again => return Err(CopyError::Half(from)),
        Standing::Half(_) => empty(store).await?,
        Standing::Empty => {}
    }
    transaction!(store, "copy_begin", |tx| {
        tx.conn().execute("CREATE TABLE IF NOT EXISTS database_copy (source TEXT NOT NULL)").await?;
        tx.conn().execute("DELETE FROM database_copy").await?;
        sqlx::query("INSERT INTO database_copy (source) VALUES ($1)").bind(&source).execute(tx.conn()).await?;
        Ok::<_, StoreError>(())
    })?;
    Ok(())
}

/// Takes everything out but the mark. The database was empty when it was made, so all of it came by the copy.
async fn empty(store: &Store) -> Result<(), CopyError> {
    let dialect = store.dialect;
    let all = objects(&mut *store.reader().await?, dialect).await?;
    let mut conn = store.write.acquire().await.map_err(StoreError::from)?;
    if dialect == Dialect::Sqlite {
        conn.execute("PRAGMA foreign_keys = OFF").await?;
    }
    for (name, kind) in all.iter().filter(|(name, _)| name != MARKER) {
        let cascade = if dialect == Dialect::Postgres { " CASCADE" } else { "" };
        conn.execute(AssertSqlSafe(format!("DROP {kind} IF EXISTS \"{name}\"{cascade}"))).await?;
    }
    if dialect == Dialect::Sqlite {
        conn.execute("PRAGMA foreign_keys = ON").await?;
    }
    Ok(())
}

/// Makes the schema: migrations, then the administrators' classes.
pub(super) async fn fill(store: &Store, catalogue: &Catalogue, wanted: &Schema) -> Result<(), CopyError> {
    migrate::run(store).await?;
    let statements = inventory_class::statements(store.dialect, catalogue)?;
    transaction!(store, "copy_schema", |tx| {
        for statement in &statements {
            tx.conn().execute(AssertSqlSafe(statement.clone())).await?;
        }
        Ok::<_, StoreError>(())
    })?;
    let there = schema::read(&mut *store.reader().await?, store.dialect).await?;
    match schema::compare(wanted, &there).into_iter().find(|finding| finding.serious) {
        Some(finding) => Err(CopyError::Schema(finding.what)),
        None => Ok(()),
    }
}

/// From now on the database is a site.
pub(super) async fn end(store: &Store) -> Result<(), CopyError> {
    transaction!(store, "copy_end", |tx| {
        tx.conn().execute("DROP TABLE database_copy").await?;
        Ok::<_, StoreError>(())
    })?;
    Ok(())
}
