//! Ad-hoc SQL for reports: read-only three times over. The statement is looked at (`allow`), it runs where nothing can be written and,
//! on PostgreSQL, as a role that has SELECT on the views and nothing else, and it has so much time, so many rows and bytes.

mod allow;
mod expression;
mod role;

use allow::{Allowed, looked_at};
pub use allow::{SQL_BYTES, allowed};
pub(super) use role::grant;
pub use role::{Role, role};

use super::{
    Dialect, Store, StoreError,
    reader::{self, BYTES, Leave},
};
use futures_util::StreamExt as _;
use muster_model::{api::QueryColumn, inventory::Value};
use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, PgConnection, Row as _, SqlSafeStr as _, Statement as _, TypeInfo as _,
    ValueRef as _, sqlite::SqliteRow,
};
use std::time::Duration;

/// Bytes of a row as PostgreSQL writes it.
const ROW: usize = 4 << 20;

/// Why a statement is not run, or gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// It is too long.
    #[error("a statement has at most {SQL_BYTES} bytes")]
    TooLarge,
    /// It is no SQL.
    #[error("this is no SQL that is understood: {0}")]
    Syntax(String),
    /// It asks for more than it may.
    #[error("{0}")]
    Refused(String),
    /// The database has no role to run it as.
    #[error(
        "the database has no role for queries yet, so that none is run; `musterd database reader` makes it, or says who can"
    )]
    NoRole,
    /// The database says that it cannot be: no such column, no such view, a type that does not fit.
    #[error("the database says: {0}")]
    Said(String),
    /// It took too long.
    #[error("the query took longer than {} s and was stopped; ask for less", .0.as_secs())]
    TooLong(Duration),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a statement gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The columns.
    pub columns: Vec<QueryColumn>,
    /// The rows.
    pub rows: Vec<Vec<Option<Value>>>,
    /// Whether there are no more.
    pub complete: bool,
}

/// Runs a statement, after it was looked at. `leave` is kept until it has ended.
///
/// # Errors
/// See [`SqlError`].
pub async fn run(store: &Store, text: &str, limit: u32, time: Duration, leave: Leave) -> Result<Answer, SqlError> {
    let Allowed { text, members } = looked_at(store.dialect, text)?;
    let store = store.clone();
    let work = async move {
        match store.dialect {
            Dialect::Sqlite => on_sqlite(&store, &text, limit as usize, time).await,
            Dialect::Postgres => on_postgres(&store, (&text, &members), limit as usize, time).await,
        }
    };
    reader::to_the_end(leave, work).await.map_err(|error| match error {
        SqlError::Store(error) if reader::is_interrupted(&error) => SqlError::TooLong(time),
        SqlError::Store(StoreError::Database(sqlx::Error::Database(inner))) if is_said(inner.code().as_deref()) => {
            SqlError::Said(inner.message().chars().take(300).collect())
        }
        other => other,
    })
}

/// Whether the statement is to blame: SQLite's plain error, and what PostgreSQL says of names, types and values.
fn is_said(code: Option<&str>) -> bool {
    matches!(code, Some("1" | "20"))
        || code.is_some_and(|code| code.len() == 5 && (code.starts_with("42") || code.starts_with("22")))
}

fn kind(word: &str) -> &'static str {
    match word {
        "INTEGER" | "BIGINT" | "INT8" | "INT4" | "INT2" => "number",
        "BOOL" | "BOOLEAN" => "truth",
        "REAL" | "FLOAT4" | "FLOAT8" | "NUMERIC" | "DOUBLE PRECISION" => "real",
        _ => "text",
    }
}

/// Bytes of a row.
fn weight(row: &[Option<Value>]) -> usize {
    let one = |value: &Option<Value>| match value {
        Some(Value::Text(text)) => text.len() + 16,
        Some(Value::List(list)) => list.iter().map(|text| text.len() + 16).sum::<usize>(),
        _ => 16,
    };
    row.iter().map(one).sum()
}

/// Rows until one of the limits.
struct Heap {
    rows: Vec<Vec<Option<Value>>>,
    bytes: usize,
    limit: usize,
    complete: bool,
}

impl Heap {
    fn new(limit: usize) -> Self {
        Self { rows: Vec::new(), bytes: 0, limit, complete: true }
    }

    /// Whether there is room for more.
    fn push(&mut self, row: Vec<Option<Value>>) -> bool {
        self.bytes += weight(&row);
        self.complete = self.rows.len() < self.limit && self.bytes <= BYTES;
        if self.complete {
            self.rows.push(row);
        }
        self.complete
    }
}

async fn on_sqlite(store: &Store, text: &str, limit: usize, time: Duration) -> Result<Answer, SqlError> {
    let mut conn = reader::sqlite(store, time).await?;
    let statement = conn.prepare(AssertSqlSafe(text.to_owned()).into_sql_str()).await.map_err(StoreError::from)?;
    let mut columns: Vec<QueryColumn> = statement
        .columns()
        .iter()
        .map(|column| QueryColumn { name: column.name().to_owned(), kind: kind(column.type_info().name()).to_owned() })
        .collect();
    let mut heap = Heap::new(limit);
    let mut seen: Vec<Option<usize>> = vec![None; columns.len()];
    {
        let mut rows = sqlx::query(AssertSqlSafe(text.to_owned())).persistent(false).fetch(&mut conn);
        while let Some(row) = rows.next().await {
            let row = sqlite_cells(&row.map_err(StoreError::from)?).map_err(StoreError::from)?;
            for (kind, value) in seen.iter_mut().zip(&row) {
                *kind = (*kind).max(value.as_ref().map(rank));
            }
            if !heap.push(row) {
                break;
            }
        }
    }
    // An expression has no type in SQLite before it has a value.
    for (column, seen) in columns.iter_mut().zip(seen) {
        if let Some(seen) = seen {
            column.kind = ["number", "real", "text"][seen].to_owned();
        }
    }
    Ok(Answer { columns, rows: heap.rows, complete: heap.complete })
}

const fn rank(value: &Value) -> usize {
    match value {
        Value::Int(_) | Value::Bool(_) => 0,
        Value::Real(_) => 1,
        _ => 2,
    }
}

fn sqlite_cells(row: &SqliteRow) -> Result<Vec<Option<Value>>, sqlx::Error> {
    let cell = |at: usize| {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(None);
        }
        let kind = raw.type_info().name().to_owned();
        Ok(Some(match kind.as_str() {
            "INTEGER" => Value::Int(row.try_get_unchecked(at)?),
            "REAL" => Value::Real(row.try_get_unchecked(at)?),
            "BLOB" => Value::Text(hex::encode(row.try_get_unchecked::<&[u8], _>(at)?)),
            _ => Value::Text(row.try_get_unchecked(at)?),
        }))
    };
    (0..row.len()).map(cell).collect()
}

/// Functions that PostgreSQL would read in `a.b`: of one argument that may be a row.
async fn functions_among(conn: &mut PgConnection, members: &[String]) -> Result<Option<String>, SqlError> {
    let statement = "SELECT p.proname::text FROM pg_proc p JOIN pg_type t ON t.oid = p.proargtypes[0] \
         WHERE lower(p.proname::text) = ANY ($1) AND p.pronargs - p.pronargdefaults <= 1 \
         AND (t.typtype IN ('p', 'c') OR p.provariadic <> 0) LIMIT 1";
    Ok(sqlx::query_scalar(statement).bind(members).fetch_optional(conn).await.map_err(StoreError::from)?)
}

async fn on_postgres(
    store: &Store,
    (text, members): (&str, &[String]),
    limit: usize,
    time: Duration,
) -> Result<Answer, SqlError> {
    let mut conn = reader::postgres(store).await?;
    let Some(role) = role::name(&mut conn).await? else { return Err(SqlError::NoRole) };
    if let Some(function) = functions_among(&mut conn, members).await? {
        return Err(SqlError::Refused(format!(
            "the function {function} is not taken here; call a column by another name"
        )));
    }
    for setting in [
        "BEGIN READ ONLY".to_owned(),
        format!("SET LOCAL statement_timeout = {}", time.as_millis()),
        // A backslash in a text is one.
        "SET LOCAL standard_conforming_strings = on".to_owned(),
        // Names of functions are the database's own, whatever somebody defined beside the views.
        format!("SET LOCAL search_path = pg_catalog, \"{}\"", role.schema),
        format!("SET LOCAL ROLE \"{}\"", role.name),
    ] {
        conn.execute(AssertSqlSafe(setting)).await.map_err(StoreError::from)?;
    }
    let statement = conn.prepare(AssertSqlSafe(text.to_owned()).into_sql_str()).await.map_err(StoreError::from)?;
    let columns: Vec<QueryColumn> = statement
        .columns()
        .iter()
        .map(|column| QueryColumn { name: column.name().to_owned(), kind: kind(column.type_info().name()).to_owned() })
        .collect();
    // Whatever types there are, PostgreSQL writes them down. The statement is inside, so that it can be nothing but a question.
    let names: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
    let wrapped = format!(
        "SELECT CASE WHEN octet_length(j.t) <= {ROW} THEN j.t END FROM (SELECT CAST(row_to_json(q) AS TEXT) AS t \
         FROM ({text}) AS q ({})) AS j",
        names.join(", ")
    );
    let mut heap = Heap::new(limit);
    let mut rows = sqlx::query(AssertSqlSafe(wrapped)).persistent(false).fetch(&mut conn);
    while let Some(row) = rows.next().await {
        let line: Option<String> = row.and_then(|row| row.try_get(0)).map_err(StoreError::from)?;
        let Some(line) = line else { return Err(SqlError::Said(format!("a row has more than {} MB", ROW >> 20))) };
        if !heap.push(json_cells(&line, &names)?) {
            break;
        }
    }
    Ok(Answer { columns, rows: heap.rows, complete: heap.complete })
}

fn json_cells(line: &str, names: &[String]) -> Result<Vec<Option<Value>>, SqlError> {
    use serde_json::Value as Json;
    let mut row: serde_json::Map<String, Json> =
        serde_json::from_str(line).map_err(|_| StoreError::Corrupt("a row of PostgreSQL is no JSON".to_owned()))?;
    let cell = |name: &String| match row.remove(name) {
        None | Some(Json::Null) => None,
        Some(Json::Bool(truth)) => Some(Value::Bool(truth)),
        Some(Json::Number(number)) => {
            Some(number.as_i64().map_or_else(|| Value::Real(number.as_f64().unwrap_or(f64::NAN)), Value::Int))
        }
        Some(Json::String(text)) => Some(Value::Text(text)),
        Some(other) => Some(Value::Text(other.to_string())),
    };
    Ok(names.iter().map(cell).collect())
}
