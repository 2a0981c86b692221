//! WQL on the database: a checked query is one statement, the same on SQLite and PostgreSQL but for a few words.

pub mod facts;
mod relation;
mod run;
mod statement;
mod word;

pub use run::{Table, members_within, run};

use super::{Dialect, StoreError};
use muster_model::wql::{Checked, date::Clock};
use sqlx::{Any, AnyConnection, AssertSqlSafe, any::AnyArguments, query::QueryScalar};
use statement::{Bound, Statement};

/// A query of any driver with its parameters.
macro_rules! bind {
    ($query:expr, $bound:expr) => {{
        let mut query = $query;
        for value in $bound {
            query = match value {
                Bound::Text(text) => query.bind(text),
                Bound::Int(number) => query.bind(number),
                Bound::Real(number) => query.bind(number),
            };
        }
        query
    }};
}
use bind;

/// The resources that a query finds, in the order of their numbers; only those of `only`, where it is given, which is for what
/// looks at a few that changed.
///
/// # Errors
/// When the database cannot be read.
pub async fn members(
    conn: &mut AnyConnection,
    dialect: Dialect,
    checked: &Checked,
    clock: Clock,
    only: Option<&[i64]>,
) -> Result<Vec<i64>, StoreError> {
    if checked.from().attribute("ResourceID").is_none() {
        return Ok(Vec::new());
    }
    let mut statement = Statement::new(dialect, clock);
    let text = statement.members(&checked.select, only);
    let query: QueryScalar<'_, Any, i64, AnyArguments> = sqlx::query_scalar(AssertSqlSafe(text)).persistent(false);
    let query = bind!(query, statement.bound);
    Ok(query.fetch_all(conn).await?)
}
