//! One row, as either driver gives it, and the two forms that it is written in.

use super::CopyError;
use crate::db::schema::{Kind, Table};
use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'r> {
    Null,
    Int(i64),
    Real(f64),
    Text(&'r str),
    Bytes(&'r [u8]),
}

enum Inner {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A row of a table.
pub(super) struct Row<'t> {
    inner: Inner,
    table: &'t Table,
}

macro_rules! cell {
    ($row:expr, $at:expr, $kind:expr) => {
        match $kind {
            Kind::Int => $row.try_get::<Option<i64>, _>($at)?.map(Cell::Int),
            Kind::Real => $row.try_get::<Option<f64>, _>($at)?.map(Cell::Real),
            Kind::Text => $row.try_get::<Option<&str>, _>($at)?.map(Cell::Text),
            Kind::Bytes => $row.try_get::<Option<&[u8]>, _>($at)?.map(Cell::Bytes),
            Kind::Other(word) => return Err(sqlx::Error::Protocol(format!("no column of Muster's is {word}"))),
        }
    };
}

impl<'t> Row<'t> {
    pub(super) fn sqlite(row: SqliteRow, table: &'t Table) -> Self {
        Self { inner: Inner::Sqlite(row), table }
    }
    pub(super) fn postgres(row: PgRow, table: &'t Table) -> Self {
        Self { inner: Inner::Postgres(row), table }
    }

    pub(super) fn cell(&self, at: usize) -> Result<Cell<'_>, sqlx::Error> {
        let kind = self.table.columns.get(at).map_or(&Kind::Text, |column| &column.kind);
        let cell = match &self.inner {
            Inner::Sqlite(row) => cell!(row, at, kind),
            Inner::Postgres(row) => cell!(row, at, kind),
        };
        Ok(cell.unwrap_or(Cell::Null))
    }

    /// The bytes that two rows share exactly when they are the same: for each value its kind, its length, itself.
    pub(super) fn canonical(&self, bytes: &mut Vec<u8>) -> Result<(), sqlx::Error> {
        bytes.clear();
        let long = |bytes: &mut Vec<u8>, kind: u8, value: &[u8]| {
            bytes.push(kind);
            bytes.extend((value.len() as u64).to_be_bytes());
            bytes.extend(value);
        };
        for at in 0..self.table.columns.len() {
            match self.cell(at)? {
                Cell::Null => bytes.push(0),
                Cell::Int(number) => {
                    bytes.push(1);
                    bytes.extend(number.to_be_bytes());
                }
                // Minus zero is zero: SQLite does not keep it.
                Cell::Real(number) => {
                    bytes.push(2);
                    bytes.extend((number + 0.0).to_bits().to_be_bytes());
                }
                Cell::Text(text) => long(bytes, 3, text.as_bytes()),
                Cell::Bytes(value) => long(bytes, 4, value),
            }
        }
        Ok(())
    }

    /// A line as PostgreSQL's COPY takes it.
    pub(super) fn line(&self, line: &mut Vec<u8>, name: &str, row: u64) -> Result<(), CopyError> {
        use std::io::Write as _;
        for (at, column) in self.table.columns.iter().enumerate() {
            if at > 0 {
                line.push(b'\t');
            }
            let failed = |error| CopyError::Row { table: name.to_owned(), row, error };
            match self.cell(at).map_err(failed)? {
                Cell::Null => line.extend(b"\\N"),
                // Writing into memory does not fail.
                Cell::Int(number) => drop(write!(line, "{number}")),
                Cell::Real(number) => drop(write!(line, "{number:?}")),
                Cell::Text(text) => {
                    if text.contains('\0') {
                        return Err(CopyError::Zero { table: name.to_owned(), row, column: column.name.clone() });
                    }
                    escape(text, line);
                }
                Cell::Bytes(bytes) => {
                    line.extend(b"\\\\x");
                    line.extend(hex::encode(bytes).into_bytes());
                }
            }
        }
        line.push(b'\n');
        Ok(())
    }
}

fn escape(text: &str, line: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => line.extend(b"\\\\"),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            b'\t' => line.extend(b"\\t"),
            other => line.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_means_something_in_a_line_is_escaped() {
        let mut line = Vec::new();
        escape("a\tb\\N\r\n\\.é", &mut line);
        assert_eq!(line, "a\\tb\\\\N\\r\\n\\\\.é".as_bytes());
    }
}
