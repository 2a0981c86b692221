//! What a database looks like, on both databases in the same words: read from one that is there, and made for one as this program
//! wants it. The schema as it should be comes from the migrations themselves, run in memory, so that there is no second list.

mod compare;
mod integrity;
mod read;

pub use compare::compare;
pub use integrity::integrity;
pub use read::read;

use super::{Dialect, Store, StoreError, inventory_class, inventory_schema, migrate};
use muster_model::catalogue::Catalogue;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a database, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the site is harmed; else it is only said.
    pub serious: bool,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

impl Finding {
    fn serious(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { serious: true, what: what.into(), next: next.into() }
    }
    fn note(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { serious: false, what: what.into(), next: next.into() }
    }
}

/// Tables, indexes and views.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// By name.
    pub tables: BTreeMap<String, Table>,
    /// Those that a statement made, by name; keys are with their table.
    pub indexes: BTreeMap<String, Index>,
    /// Name and columns, in small letters; `None`: it reads what is not there.
    pub views: BTreeMap<String, Option<Vec<String>>>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// In their order.
    pub columns: Vec<Column>,
    /// Columns of the primary key.
    pub key: Vec<String>,
    /// Columns that are unique together.
    pub unique: BTreeSet<Vec<String>>,
    /// Foreign keys.
    pub references: BTreeSet<Reference>,
    /// How many checks it has.
    pub checks: i64,
}

impl Table {
    /// A column by its name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column that the database numbers.
    #[must_use]
    pub fn numbered(&self) -> Option<&Column> {
        self.columns.iter().find(|column| column.numbered)
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be NULL.
    pub null: bool,
    /// Whether the database numbers it.
    pub numbered: bool,
    /// What it holds where nothing is said.
    pub default: Option<String>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A whole number of 64 bits.
    Int,
    /// A number of 64 bits with a point.
    Real,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// Something that Muster never uses.
    Other(String),
}

impl Kind {
    fn of(word: &str) -> Self {
        match word.to_lowercase().as_str() {
            "bigint" | "integer" => Self::Int,
            "double precision" => Self::Real,
            "text" => Self::Text,
            "blob" | "bytea" => Self::Bytes,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Int => "a whole number (BIGINT)",
            Self::Real => "a number (DOUBLE PRECISION)",
            Self::Text => "text (TEXT)",
            Self::Bytes => "bytes (BLOB or BYTEA)",
            Self::Other(word) => word,
        })
    }
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Columns of this table.
    pub columns: Vec<String>,
    /// The other table.
    pub table: String,
    /// Its columns.
    pub to: Vec<String>,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Of which table.
    pub table: String,
    /// Whether no two rows may have the same.
    pub unique: bool,
    /// Whether it holds only some rows.
    pub partial: bool,
    /// Columns and expressions, in order.
    pub columns: Vec<String>,
    /// Whether it is usable; PostgreSQL keeps one whose making failed.
    pub valid: bool,
}

/// The schema as this program wants it, with the classes of these administrators.
///
/// # Errors
/// When the migrations do not run, which a test would have told.
pub async fn expected(catalogue: &Catalogue) -> Result<Schema, StoreError> {
    sqlx::any::install_default_drivers();
    let mut conn = AnyConnection::connect("sqlite::memory:").await?;
    for statement in
        migrate::statements(Dialect::Sqlite).chain(inventory_class::statements(Dialect::Sqlite, catalogue)?)
    {
        conn.execute(AssertSqlSafe(statement)).await?;
    }
    let schema = read(&mut conn, Dialect::Sqlite).await?;
    conn.close().await?;
    Ok(schema)
}

/// Administrators' classes, as the database has them.
///
/// # Errors
/// When it cannot be read.
pub async fn catalogue(conn: &mut AnyConnection) -> Result<Catalogue, StoreError> {
    let own = inventory_class::all(conn).await?;
    for row in &own {
        inventory_schema::is_plain(&row.class)?;
    }
    Ok(Catalogue::with(own.into_iter().map(|row| row.class), 0))
}

/// Everything that can be said of a database, without changing it.
///
/// # Errors
/// When it cannot be read at all.
pub async fn check(store: &Store) -> Result<Vec<Finding>, StoreError> {
    let mut conn = store.reader().await?;
    if let Some(from) = super::copy::marker(&mut conn, store.dialect).await? {
        return Ok(vec![Finding::serious(
            format!("A copy from {from} into this database was not finished."),
            "Copy again with `musterd database copy --again`, or name another database.",
        )]);
    }
    let state = migrate::state(&mut conn, store.dialect).await?;
    if let Some(found) = state.too_new {
        let what =
            format!("The schema {found} was written by another Muster; this one has schema {}.", migrate::newest());
        return Ok(vec![Finding::serious(what, "Start a newer Muster.")]);
    }
    if !state.pending.is_empty() {
        let numbers: Vec<String> = state.pending.iter().map(|step| step.version.to_string()).collect();
        return Ok(vec![Finding::serious(
            format!("The schema is older than this program: {} are missing.", numbers.join(", ")),
            "Stop the server, make a backup, run `musterd database migrate`, and check again.",
        )]);
    }
    let mut found = read(&mut conn, store.dialect).await?;
    found.tables.remove(super::copy::MOVED);
    let mut findings = compare(&expected(&catalogue(&mut conn).await?).await?, &found);
    findings.extend(integrity(&mut conn, store.dialect, &found).await?);
    if let Some(to) = super::copy::moved(&mut conn, store.dialect).await? {
        findings.push(Finding::note(
            format!("The site was moved from this database to {to}, and no server starts on it."),
            "Name the other database in the configuration.",
        ));
    }
    Ok(findings)
}
