//! WQL on the database: a checked query is one statement, the same on SQLite and PostgreSQL but for a few words.

pub mod facts;
mod relation;
mod run;
mod statement;
mod word;

pub use run::{Table, run};

use super::{Dialect, StoreError};
use muster_model::wql::{Checked, date::Clock};
use sqlx::{Any, AnyConnection, AssertSqlSafe, any::AnyArguments, query::QueryScalar};
use statement::{Bound, Statement};

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
    let mut query: QueryScalar<'_, Any, i64, AnyArguments> = sqlx::query_scalar(AssertSqlSafe(text)).persistent(false);
    for value in statement.bound {
        query = match value {
            Bound::Text(text) => query.bind(text),
            Bound::Int(number) => query.bind(number),
            Bound::Real(number) => query.bind(number),
        };
    }
    Ok(query.fetch_all(conn).await?)
}
