//! Many rows in few statements: an INSERT of several rows at once, in a handful of fixed sizes, so that each is prepared once.

use super::{Dialect, StoreError, Tx};
use sqlx::{Any, any::AnyArguments, query::Query};
use std::{fmt::Display, sync::OnceLock};

/// Rows per statement: any number of rows takes few statements. 256 rows of 11 columns stay far below the 32,766 parameters
/// that SQLite takes.
const SIZES: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// An INSERT of many rows.
#[derive(Debug)]
pub(super) struct Bulk {
    /// `INSERT INTO table (columns)`.
    head: &'static str,
    columns: usize,
    /// What follows the values: `ON CONFLICT ...`, or nothing.
    tail: &'static str,
    /// By database, then by size.
    texts: [[OnceLock<String>; SIZES.len()]; 2],
}

/// A statement of a [`Bulk`] while its parameters are bound.
pub(super) type Binding = Query<'static, Any, AnyArguments>;

impl Bulk {
    /// `head` and `tail` are statement text, `columns` is how many columns `head` names.
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { head, columns, tail, texts: [const { [const { OnceLock::new() }; SIZES.len()] }; 2] }
    }

    fn text(&'static self, dialect: Dialect, size: usize) -> &'static str {
        let texts = match dialect {
            Dialect::Sqlite => &self.texts[0],
            Dialect::Postgres => &self.texts[1],
        };
        texts[size].get_or_init(|| {
            // SQLite looks a numbered parameter up by its name, from the first one on, each time it is bound: with two
            // thousand of them that is most of the work. Without numbers there is nothing to look up.
            let parameter = |number: usize| match dialect {
                Dialect::Sqlite => "?".to_owned(),
                Dialect::Postgres => format!("${number}"),
            };
            let row = |row| {
                let parameters = (0..self.columns).map(|column| parameter(row * self.columns + column + 1));
                format!("({})", parameters.collect::<Vec<_>>().join(", "))
            };
            let rows: Vec<String> = (0..SIZES[size]).map(row).collect();
            format!("{} VALUES {} {}", self.head, rows.join(", "), self.tail)
        })
    }

    /// Inserts all rows; `bind` binds the columns of one row, in order. Returns how many rows were written.
    pub(super) async fn run<T>(
        &'static self,
        tx: &mut Tx,
        rows: &[T],
        bind: impl Fn(Binding, &T) -> Binding,
    ) -> Result<u64, StoreError> {
        let dialect = tx.dialect();
        let mut rest = rows;
        let mut written = 0;
        for (at, size) in SIZES.iter().enumerate() {
            while rest.len() >= *size {
                let (now, later) = rest.split_at(*size);
                let query = now.iter().fold(sqlx::query(self.text(dialect, at)), &bind);
                written += query.execute(tx.conn()).await?.rows_affected();
                rest = later;
            }
        }
        Ok(written)
    }
}

/// A JSON array of the texts of `items`, for a parameter of [`in_texts!`].
pub(super) fn json_texts<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    serde_json::Value::from(texts).to_string()
}

/// A statement with `IN (the texts of the JSON array $1)` in its middle, for [`super::Dialect::pick`].
macro_rules! in_texts {
    ($before:literal, $after:literal) => {
        [
            concat!($before, " IN (SELECT value FROM json_each($1)) ", $after),
            concat!($before, " IN (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) ", $after),
        ]
    };
}
pub(super) use in_texts;
