//! Building rows: values are cleaned and cut here, so that every row obeys its class.

use muster_model::{
    catalogue::{Catalogue, RowError},
    inventory::{Row, Value},
    limits::Limits,
};
use std::collections::BTreeSet;

/// Bytes of one text. The site takes more, but no honest name has this much.
const TEXT_BYTES: usize = 1_024;
/// Texts of one list.
const LIST_TEXTS: usize = 128;

/// Adds attributes to a row; what is `None` or blank is left out.
pub(super) trait Put {
    /// A text.
    fn text<'a>(&mut self, name: &str, value: impl Into<Option<&'a str>>);
    /// An unsigned number.
    fn number(&mut self, name: &str, value: impl Into<Option<u64>>);
    /// A signed number or a date.
    fn signed(&mut self, name: &str, value: impl Into<Option<i64>>);
    /// True or false.
    fn flag(&mut self, name: &str, value: impl Into<Option<bool>>);
    /// A list of texts.
    fn list(&mut self, name: &str, values: impl IntoIterator<Item = String>);
}

impl Put for Row {
    fn text<'a>(&mut self, name: &str, value: impl Into<Option<&'a str>>) {
        if let Some(value) = value.into().and_then(clean) {
            self.insert(name.to_owned(), Value::Text(value));
        }
    }

    fn number(&mut self, name: &str, value: impl Into<Option<u64>>) {
        self.signed(name, value.into().and_then(|n| i64::try_from(n).ok()));
    }

    fn signed(&mut self, name: &str, value: impl Into<Option<i64>>) {
        if let Some(value) = value.into() {
            self.insert(name.to_owned(), Value::Int(value));
        }
    }

    fn flag(&mut self, name: &str, value: impl Into<Option<bool>>) {
        if let Some(value) = value.into() {
            self.insert(name.to_owned(), Value::Bool(value));
        }
    }

    fn list(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        let values: Vec<String> = values.into_iter().filter_map(|v| clean(&v)).take(LIST_TEXTS).collect();
        if !values.is_empty() {
            self.insert(name.to_owned(), Value::List(values));
        }
    }
}

/// Without control characters and blanks at the ends, cut to the limit; `None` when nothing is left.
fn clean(text: &str) -> Option<String> {
    let text = text.trim();
    let mut out = match text.contains(char::is_control) {
        true => text.chars().filter(|c| !c.is_control()).collect(),
        false => text.to_owned(),
    };
    if out.len() > TEXT_BYTES {
        let cut = (0..=TEXT_BYTES).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
        out.truncate(cut);
    }
    (!out.is_empty()).then_some(out)
}

/// A number as an optional `u64`, for the small types that firmware has.
pub(super) fn wide<T: Into<u64>>(value: Option<T>) -> Option<u64> {
    value.map(Into::into)
}

/// Milliseconds of a Unix time in seconds.
pub(super) fn millis(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000)
}

/// Makes the rows obey their class: attributes that do not fit (a number out of its type's range) are dropped, rows
/// without a key or with the key of an earlier row too. Returns how many rows had to go.
pub(super) fn obey(class: &str, rows: Vec<Row>) -> (Vec<Row>, usize) {
    let limits = Limits::default();
    let Some(class) = Catalogue::built_in().class(class) else { return (Vec::new(), rows.len()) };
    let before = rows.len();
    let mut keys = BTreeSet::new();
    let mut kept: Vec<Row> = rows
        .into_iter()
        .filter_map(|mut row| {
            while let Err(error) = class.check(&row, &limits) {
                match error {
                    RowError::UnknownAttribute(name) | RowError::WrongType(name) | RowError::TooLarge(name) => {
                        row.remove(&name)?;
                    }
                    RowError::MissingKey(_) => return None,
                }
            }
            Some(row)
        })
        .filter(|row| keys.insert(super::diff::key_of(class, row)))
        .collect();
    kept.truncate(limits.section_rows);
    let refused = before - kept.len();
    (kept, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cleaned_and_cut() {
        let mut row = Row::new();
        row.text("A", " a\u{0}b\n ");
        row.text("B", "  ");
        row.text("C", "ü".repeat(TEXT_BYTES).as_str());
        row.number("D", u64::MAX);
        row.list("E", ["".to_owned()]);
        assert_eq!(row["A"], Value::Text("ab".to_owned()));
        assert_eq!(row["C"], Value::Text("ü".repeat(TEXT_BYTES / 2)));
        assert_eq!(row.len(), 2);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_the_rest_kept() {
        let row = |name: &str, size: i64| {
            let mut row = Row::new();
            row.text("DeviceID", name);
            row.signed("BytesPerSector", size);
            row
        };
        let (rows, refused) =
            obey("DISK", vec![row("/dev/sda", -1), row("/dev/sda", 512), row("", 512), row("/dev/sdb", 512)]);
        assert_eq!(refused, 2);
        assert_eq!(rows[0].len(), 1);
        assert_eq!(rows[1], row("/dev/sdb", 512));
    }
}
