//! A query that somebody asks now: read-only, with so many rows and so much time at most.

use super::{
    super::{Dialect, Store, StoreError},
    Bound, Statement,
};
use muster_model::wql::{
    Checked,
    check::Select,
    date::{Clock, known},
    eval::Cell,
    schema::{Kind, Shape},
};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, Row,
    any::AnyRow,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow},
};
use std::{
    str::FromStr as _,
    time::{Duration, Instant},
};

/// What a query found.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The rows, in the order of the outputs; nothing where a value is not known.
    pub rows: Vec<Vec<Option<Cell>>>,
    /// Whether there are no more.
    pub complete: bool,
}

/// How many steps of its machine SQLite takes between two looks at the clock.
const STEPS: i32 = 10_000;

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

/// Runs a query, on a connection that can only read. `None`: it took longer than `time`.
///
/// # Errors
/// When the database cannot be read.
pub async fn run(
    store: &Store,
    checked: &Checked,
    clock: Clock,
    limit: u32,
    time: Duration,
) -> Result<Option<Table>, StoreError> {
    let mut statement = Statement::new(store.dialect, clock);
    let text = statement.rows(&checked.select, i64::from(limit) + 1);
    let shapes = shapes(&checked.select);
    let found = match store.dialect {
        Dialect::Sqlite => on_sqlite(store, text, statement.bound, time, &shapes).await,
        Dialect::Postgres => on_postgres(store, text, statement.bound, time, &shapes).await,
    };
    let mut rows = match found {
        Err(error) if is_interrupted(&error) => return Ok(None),
        found => found?,
    };
    let complete = rows.len() <= limit as usize;
    rows.truncate(limit as usize);
    Ok(Some(Table { rows, complete }))
}

fn is_interrupted(error: &StoreError) -> bool {
    match error {
        // SQLITE_INTERRUPT; PostgreSQL's query_canceled.
        StoreError::Database(sqlx::Error::Database(inner)) => matches!(inner.code().as_deref(), Some("9" | "57014")),
        _ => false,
    }
}

type Rows = Vec<Vec<Option<Cell>>>;

async fn on_sqlite(
    store: &Store,
    text: String,
    bound: Vec<Bound>,
    time: Duration,
    shapes: &[(Kind, Shape)],
) -> Result<Rows, StoreError> {
    let url = store.read.connect_options().database_url.to_string();
    let options = SqliteConnectOptions::from_str(&url)?.read_only(true).busy_timeout(Duration::from_secs(10));
    let mut conn = SqliteConnection::connect_with(&options).await?;
    let end = Instant::now() + time;
    conn.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < end);
    let mut query = sqlx::query(AssertSqlSafe(text)).persistent(false);
    for value in bound {
        query = match value {
            Bound::Text(text) => query.bind(text),
            Bound::Int(number) => query.bind(number),
            Bound::Real(number) => query.bind(number),
        };
    }
    let rows = query.fetch_all(&mut conn).await?;
    rows.iter().map(|row| sqlite_cells(row, shapes)).collect()
}

async fn on_postgres(
    store: &Store,
    text: String,
    bound: Vec<Bound>,
    time: Duration,
    shapes: &[(Kind, Shape)],
) -> Result<Rows, StoreError> {
    let mut tx = store.read.begin_with("BEGIN READ ONLY").await?;
    let limit = format!("SET LOCAL statement_timeout = {}", time.as_millis());
    (*tx).execute(AssertSqlSafe(limit)).await?;
    let mut query = sqlx::query(AssertSqlSafe(text)).persistent(false);
    for value in bound {
        query = match value {
            Bound::Text(text) => query.bind(text),
            Bound::Int(number) => query.bind(number),
            Bound::Real(number) => query.bind(number),
        };
    }
    let rows = query.fetch_all(&mut *tx).await?;
    rows.iter().map(|row| any_cells(row, shapes)).collect()
}
