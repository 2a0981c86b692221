//! A query that somebody asks now: read-only, with so many rows and so much time at most.

use super::{
    super::{
        Dialect, Store, StoreError,
        reader::{self, BYTES, Leave},
    },
    Bound, Statement, bind,
};
use futures_util::StreamExt as _;
use muster_model::wql::{
    Checked,
    check::Select,
    date::{Clock, known},
    eval::Cell,
    schema::{Kind, Shape},
};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row, any::AnyRow, sqlite::SqliteRow};
use std::time::Duration;

/// What a query found.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The rows, in the order of the outputs; nothing where a value is not known.
    pub rows: Vec<Vec<Option<Cell>>>,
    /// Whether there are no more.
    pub complete: bool,
}

/// How a column is read.
fn shapes(select: &Select) -> Vec<(Kind, Shape)> {
    if select.count.is_some() {
        return vec![(Kind::Number, Shape::One)];
    }
    select.outputs.iter().map(|output| (output.field.attribute.kind, output.field.attribute.shape)).collect()
}

macro_rules! decode {
    ($name:ident, $row:ty) => {
        fn $name(row: &$row, shapes: &[(Kind, Shape)]) -> Result<Vec<Option<Cell>>, StoreError> {
            let mut cells = Vec::with_capacity(shapes.len());
            for (at, shape) in shapes.iter().enumerate() {
                cells.push(match shape {
                    (_, Shape::List) => row.try_get::<Option<String>, _>(at)?.map(|text| list(&text)),
                    (Kind::Text, _) | (_, Shape::Many) => row.try_get::<Option<String>, _>(at)?.map(Cell::Text),
                    (Kind::Real, _) => row.try_get::<Option<f64>, _>(at)?.map(Cell::Real),
                    (Kind::Moment, _) => row.try_get::<Option<i64>, _>(at)?.and_then(known).map(Cell::Int),
                    (Kind::Number | Kind::Truth, _) => row.try_get::<Option<i64>, _>(at)?.map(Cell::Int),
                });
            }
            Ok(cells)
        }
    };
}
decode!(any_cells, AnyRow);
decode!(sqlite_cells, SqliteRow);

fn list(text: &str) -> Cell {
    let values: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    Cell::List(values.into_iter().map(Cell::Text).collect())
}

type Cells = Vec<Option<Cell>>;

/// A statement, how its columns are read, and how long it may take.
struct Asked {
    text: String,
    bound: Vec<Bound>,
    shapes: Vec<(Kind, Shape)>,
    time: Duration,
}

/// What takes rows, and says whether it wants more.
trait Taker: Send {
    fn take(&mut self, row: Cells) -> bool;
}

/// Rows until there are enough.
struct Heap {
    rows: Vec<Cells>,
    bytes: usize,
    limit: usize,
    complete: bool,
}

impl Taker for Heap {
    fn take(&mut self, row: Cells) -> bool {
        self.bytes += row.iter().flatten().map(weight).sum::<usize>() + row.len() * 16;
        self.complete = self.rows.len() < self.limit && self.bytes <= BYTES;
        if self.complete {
            self.rows.push(row);
        }
        self.complete
    }
}

fn weight(cell: &Cell) -> usize {
    match cell {
        Cell::Text(text) => text.len() + 16,
        Cell::List(list) => list.iter().map(weight).sum(),
        Cell::Int(_) | Cell::Real(_) => 16,
    }
}

/// Numbers of resources.
struct Numbers(Vec<i64>);

impl Taker for Numbers {
    fn take(&mut self, row: Cells) -> bool {
        if let Some(Some(Cell::Int(number))) = row.first() {
            self.0.push(*number);
        }
        true
    }
}

/// Runs a query, on a connection that can only read. The answer has so many rows and 16 MB at most. `None`: it took longer than
/// `time`, and was stopped.
///
/// # Errors
/// When the database cannot be read.
pub async fn run(
    store: &Store,
    checked: &Checked,
    clock: Clock,
    limit: u32,
    time: Duration,
    leave: Leave,
) -> Result<Option<Table>, StoreError> {
    let mut statement = Statement::new(store.dialect, clock);
    let text = statement.rows(&checked.select, i64::from(limit) + 1);
    let asked = Asked { text, bound: statement.bound, shapes: shapes(&checked.select), time };
    let heap = Heap { rows: Vec::new(), bytes: 0, limit: limit as usize, complete: true };
    let store = store.clone();
    let work = async move {
        match store.dialect {
            Dialect::Sqlite => on_sqlite(&store, asked, heap).await,
            // Its own connection: what is not read of an answer is not waited for.
            Dialect::Postgres => on_postgres(&mut reader::postgres_any(&store).await?, asked, heap).await,
        }
    };
    let found = stopped(reader::to_the_end(leave, work).await)?;
    Ok(found.map(|Heap { rows, complete, .. }| Table { rows, complete }))
}

/// The resources that a rule's query finds, as [`members`](super::members) gives them. `None`: it took longer than `time`, and was
/// stopped.
///
/// # Errors
/// When the database cannot be read.
pub async fn members_within(
    store: &Store,
    checked: &Checked,
    clock: Clock,
    only: Option<&[i64]>,
    time: Duration,
    leave: Leave,
) -> Result<Option<Vec<i64>>, StoreError> {
    if checked.from().attribute("ResourceID").is_none() {
        return Ok(Some(Vec::new()));
    }
    let mut statement = Statement::new(store.dialect, clock);
    let text = statement.members(&checked.select, only);
    let asked = Asked { text, bound: statement.bound, shapes: vec![(Kind::Number, Shape::One)], time };
    let store = store.clone();
    let work = async move {
        match store.dialect {
            Dialect::Sqlite => on_sqlite(&store, asked, Numbers(Vec::new())).await,
            Dialect::Postgres => on_postgres(&mut *store.reader().await?, asked, Numbers(Vec::new())).await,
        }
    };
    Ok(stopped(reader::to_the_end(leave, work).await)?.map(|Numbers(found)| found))
}

fn stopped<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Err(error) if reader::is_interrupted(&error) => Ok(None),
        found => found.map(Some),
    }
}

async fn on_sqlite<T: Taker>(store: &Store, asked: Asked, mut taker: T) -> Result<T, StoreError> {
    let mut conn = reader::sqlite(store, asked.time).await?;
    let query = bind!(sqlx::query(AssertSqlSafe(asked.text)).persistent(false), asked.bound);
    let mut rows = query.fetch(&mut conn);
    while let Some(row) = rows.next().await {
        if !taker.take(sqlite_cells(&row?, &asked.shapes)?) {
            break;
        }
    }
    drop(rows);
    Ok(taker)
}

async fn on_postgres<T: Taker>(conn: &mut AnyConnection, asked: Asked, mut taker: T) -> Result<T, StoreError> {
    let mut tx = conn.begin_with("BEGIN READ ONLY").await?;
    let limit = format!("SET LOCAL statement_timeout = {}", asked.time.as_millis());
    (*tx).execute(AssertSqlSafe(limit)).await?;
    let query = bind!(sqlx::query(AssertSqlSafe(asked.text)).persistent(false), asked.bound);
    let mut rows = query.fetch(&mut *tx);
    while let Some(row) = rows.next().await {
        if !taker.take(any_cells(&row?, &asked.shapes)?) {
            break;
        }
    }
    drop(rows);
    Ok(taker)
}
