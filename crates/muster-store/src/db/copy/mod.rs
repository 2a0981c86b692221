//! Moving a site that is at rest from one database into another, row by row, and looking at every row afterwards.
//!
//! The target says from the first moment to the last that it is half copied (the table `database_copy`), so that a copy that was
//! killed is never taken for a site. The source says at the end where the site went (`database_moved`), so that no server starts on it
//! again. Both sides are streams: what is in memory is a batch, however large the site is.

mod row;
mod side;
mod target;

pub(super) use target::MOVED;
pub use target::{Standing, has_table, marker, moved, standing};

use super::{Dialect, Store, StoreError, schema};
use muster_model::id::Hash;
use schema::{Finding, Schema, Table};
use side::{Side, Sink};

/// Rows between two words about the progress.
const STRIDE: u64 = 1_000;
/// The table of the migrations, which the target has by itself.
const OWN: &str = "schema_version";

/// Why a site was not copied. The source is as it was in every case.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A program works on a side.
    #[error("a server or another program of Muster works on the {0}; stop it first")]
    InUse(&'static str),
    /// Both sides are the same database.
    #[error("the site is in that database already")]
    Same,
    /// The source is not whole.
    #[error("the source is not whole ({} findings; the first: {}); `musterd database check` lists them", .0.len(), .0.first().map_or("", |finding| finding.what.as_str()))]
    Source(Vec<Finding>),
    /// The source has a table that would not come along.
    #[error(
        "the table {0} of the source is not empty, and this program does not know it: copy with the program that made it, or take \
         it out of the site's schema"
    )]
    Unknown(String),
    /// There is something in the target.
    #[error("the target is not empty: it holds {0}; make a new database for the site")]
    NotEmpty(String),
    /// A copy into the target was begun and not finished.
    #[error("a copy from {0} into the target was not finished; --again empties it and begins anew")]
    Half(String),
    /// The target has not the schema that was made for it.
    #[error("the target did not take the schema: {0}")]
    Schema(String),
    /// PostgreSQL has no character 0 in texts.
    #[error("row {row} of {table} has a character 0 in {column}, which PostgreSQL does not keep in texts")]
    Zero {
        /// The table.
        table: String,
        /// Its place in the order of the key, from 1.
        row: u64,
        /// The column.
        column: String,
    },
    /// What is in a row is not of the column's type.
    #[error("row {row} of {table} cannot be read: {error}")]
    Row {
        /// The table.
        table: String,
        /// Its place in the order of the key, from 1.
        row: u64,
        /// Why.
        error: sqlx::Error,
    },
    /// The two sides are not the same.
    #[error("row {row} of {table} is not the same on both sides; nothing may be believed of the target")]
    Differs {
        /// The table.
        table: String,
        /// Its place in the order of the key, from 1.
        row: u64,
    },
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A digest that is fed piece by piece. The store has no cryptography; whoever copies brings it.
pub trait Digest: Send {
    /// Takes in more bytes.
    fn update(&mut self, bytes: &[u8]);
    /// The digest of everything that was taken in.
    fn finish(self: Box<Self>) -> Hash;
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Rows are written.
    Copy,
    /// Every row is read on both sides and compared.
    Verify,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// What is being done.
    pub stage: Stage,
    /// With which table.
    pub table: &'a str,
    /// Tables that are done, and all.
    pub tables: (usize, usize),
    /// Rows that are done, and all.
    pub rows: (u64, u64),
}

/// A table that is the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// Digest of all of them in the order of their key.
    pub digest: Hash,
}

/// Who is told how far it is.
pub type Watch<'a> = &'a mut (dyn FnMut(Progress<'_>) + Send);

struct Work<'a> {
    source: Side,
    target: Side,
    schema: Schema,
    /// Rows of all tables.
    total: u64,
    watch: Watch<'a>,
}

/// Copies the site in the database `from` into the empty database `to`, and compares every row. `again` empties a target in which
/// a copy was begun before. A server that comes meanwhile finds the databases taken.
///
/// # Errors
/// See [`CopyError`]. After an error in the middle, the target says that it is half copied.
pub async fn copy(
    from: &str,
    to: &str,
    again: bool,
    digest: fn() -> Box<dyn Digest>,
    watch: Watch<'_>,
) -> Result<Vec<Copied>, CopyError> {
    if from == to {
        return Err(CopyError::Same);
    }
    let origin = Store::connect(from, false).await?;
    let place = Store::connect(to, false).await?;
    let outcome = between(&origin, &place, [from, to], again, digest, watch).await;
    origin.close().await;
    place.close().await;
    outcome
}

async fn between(
    origin: &Store,
    place: &Store,
    urls: [&str; 2],
    again: bool,
    digest: fn() -> Box<dyn Digest>,
    watch: Watch<'_>,
) -> Result<Vec<Copied>, CopyError> {
    let mut source = Side::open(origin.dialect, urls[0], "source").await?;
    let mut target = Side::open(place.dialect, urls[1], "target").await?;
    let place_of = without_password(urls[1]);
    // To the same place again: a copy may have ended between its last two acts.
    if let Some(other) = moved(&mut *origin.reader().await?, origin.dialect).await?.filter(|to| *to != place_of) {
        return Err(StoreError::Moved(other).into());
    }
    let findings: Vec<Finding> = schema::check(origin).await?.into_iter().filter(|finding| finding.serious).collect();
    if !findings.is_empty() {
        return Err(CopyError::Source(findings));
    }
    let catalogue = schema::catalogue(&mut *origin.reader().await?).await?;
    let wanted = schema::expected(&catalogue).await?;
    let there = schema::read(&mut *origin.reader().await?, origin.dialect).await?;
    let is_known = |name: &String| name == MOVED || wanted.tables.contains_key(name);
    let unknown: Vec<String> = there.tables.into_keys().filter(|name| !is_known(name)).collect();
    for name in unknown {
        if source.count(&name).await? > 0 {
            return Err(CopyError::Unknown(name));
        }
    }
    target::begin(place, without_password(urls[0]), again).await?;
    target::fill(place, &catalogue, &wanted).await?;
    let keys = target.open_tables(&wanted).await?;
    let mut work = Work { source, target, schema: wanted, total: 0, watch };
    work.source.hold().await?;
    work.count().await?;
    work.rows().await?;
    work.target.close_tables(&keys).await?;
    let copied = work.verify(digest).await?;
    let broken = schema::integrity(&mut *place.reader().await?, place.dialect, &work.schema).await?;
    if let Some(finding) = broken.into_iter().find(|finding| finding.serious) {
        return Err(CopyError::Schema(finding.what));
    }
    // First here: were it killed between the two, there would be no site, and not two.
    work.source.leave(&place_of).await?;
    target::end(place).await?;
    work.target.release();
    Ok(copied)
}

/// A URL for people.
#[must_use]
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // What follows the question mark may hold a password, too.
    let rest = rest.split('?').next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((user, host)) => format!("{scheme}://{}@{host}", user.split(':').next().unwrap_or_default()),
        None => format!("{scheme}://{rest}"),
    }
}

impl Work<'_> {
    /// All tables whose rows are copied, in the order of their names.
    fn tables(&self) -> Vec<String> {
        self.schema.tables.keys().filter(|name| *name != OWN).cloned().collect()
    }

    async fn count(&mut self) -> Result<(), CopyError> {
        for name in self.schema.tables.keys() {
            self.total += self.source.count(name).await?;
        }
        Ok(())
    }

    async fn rows(&mut self) -> Result<(), CopyError> {
        let tables = self.tables();
        let mut done = 0;
        for (at, name) in tables.iter().enumerate() {
            let Some(table) = self.schema.tables.get(name) else { continue };
            let last = self.source.last_number(name, table).await?;
            let mut row = 0;
            {
                let mut rows = self.source.rows(name, table);
                let mut sink = Sink::begin(&mut self.target, name, table).await?;
                while let Some(next) = rows.next(name, row + 1).await? {
                    row += 1;
                    sink.write(&next, name, row).await?;
                    if row.is_multiple_of(STRIDE) {
                        let rows = (done + row, self.total);
                        (self.watch)(Progress { stage: Stage::Copy, table: name, tables: (at, tables.len()), rows });
                    }
                }
                sink.end().await?;
            }
            self.target.set_number(name, table, last).await?;
            done += row;
            let rows = (done, self.total);
            (self.watch)(Progress { stage: Stage::Copy, table: name, tables: (at + 1, tables.len()), rows });
        }
        Ok(())
    }

    /// Reads both sides in one order, row beside row.
    async fn verify(&mut self, digest: fn() -> Box<dyn Digest>) -> Result<Vec<Copied>, CopyError> {
        let names: Vec<String> = self.schema.tables.keys().cloned().collect();
        let (mut done, mut copied) = (0, Vec::with_capacity(names.len()));
        for (at, name) in names.iter().enumerate() {
            let Some(table) = self.schema.tables.get(name) else { continue };
            let (mut here, mut there) = (digest(), digest());
            let mut row = 0;
            {
                let (mut from, mut to) = (self.source.rows(name, table), self.target.rows(name, table));
                let (mut one, mut other) = (Vec::new(), Vec::new());
                loop {
                    let (a, b) = (from.next(name, row + 1).await?, to.next(name, row + 1).await?);
                    let (Some(a), Some(b)) = (&a, &b) else {
                        if a.is_none() && b.is_none() {
                            break;
                        }
                        return Err(CopyError::Differs { table: name.clone(), row: row + 1 });
                    };
                    row += 1;
                    let failed = |error| CopyError::Row { table: name.clone(), row, error };
                    a.canonical(&mut one).map_err(failed)?;
                    let failed = |error| CopyError::Row { table: name.clone(), row, error };
                    b.canonical(&mut other).map_err(failed)?;
                    if one != other {
                        return Err(CopyError::Differs { table: name.clone(), row });
                    }
                    here.update(&one);
                    there.update(&other);
                    if row.is_multiple_of(STRIDE) {
                        let rows = (done + row, self.total);
                        (self.watch)(Progress { stage: Stage::Verify, table: name, tables: (at, names.len()), rows });
                    }
                }
            }
            let (here, there) = (here.finish(), there.finish());
            let numbers = self.source.last_number(name, table).await? == self.target.last_number(name, table).await?;
            if here != there || !numbers {
                return Err(CopyError::Differs { table: name.clone(), row });
            }
            done += row;
            let rows = (done, self.total);
            (self.watch)(Progress { stage: Stage::Verify, table: name, tables: (at + 1, names.len()), rows });
            copied.push(Copied { table: name.clone(), rows: row, digest: here });
        }
        Ok(copied)
    }
}

/// The statement that reads a table in the one order that both databases have.
fn select(dialect: Dialect, name: &str, table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let all = || table.columns.iter().map(|column| column.name.clone()).collect();
    let key: Vec<String> = if table.key.is_empty() { all() } else { table.key.clone() };
    let order = key.iter().map(|name| {
        let text = table.column(name).is_some_and(|column| column.kind == schema::Kind::Text);
        // Letters are ordered by their bytes in SQLite; in PostgreSQL as the database was made, unless it is said.
        let collate = if text && dialect == Dialect::Postgres { " COLLATE \"C\"" } else { "" };
        format!("\"{name}\"{collate} NULLS FIRST")
    });
    let order: Vec<String> = order.collect();
    format!("SELECT {} FROM \"{name}\" ORDER BY {}", columns.join(", "), order.join(", "))
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn a_password_is_not_shown() {
        let shown = |url| without_password(url);
        assert_eq!(shown("sqlite:site.db"), "sqlite:site.db");
        assert_eq!(shown("postgres://muster:secret@db:5432/site?password=x"), "postgres://muster@db:5432/site");
        assert_eq!(shown("postgres://muster:s@cret@db/site"), "postgres://muster@db/site");
        assert_eq!(shown("postgresql://db/site?password=x"), "postgresql://db/site");
    }
}
