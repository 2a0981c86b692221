//! WQL, the query language of Configuration Manager: read, checked against the classes that are known, and printed.
//!
//! [`parse()`] makes a tree of a text, [`check::check`] resolves its names and types against a [`schema::Schema`]. What a query means is
//! written down once, at the checked tree ([`check`]); the store translates that tree to SQL, and [`eval`] computes it row by row.

pub mod check;
mod convert;
pub mod date;
pub mod eval;
pub mod like;
mod parse;
mod parse_condition;
mod print;
mod resolve;
pub mod schema;
mod suggest;
#[cfg(test)]
mod tests;
mod token;
pub mod tree;
pub mod visit;

pub use check::{Checked, check};
pub use parse::{Parsed, parse};
pub use schema::Schema;
pub use token::Number;

/// Where something stands in the text of a query, in bytes. Two trees that differ only in positions are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Span {}

impl Span {
    /// From one byte up to another.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The line and the column of its start, both from 1 on; a column is a character.
    #[must_use]
    pub fn line_and_column(self, text: &str) -> (usize, usize) {
        let before = text.get(..self.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// What kind of error a query has. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// It is no WQL.
    Syntax,
    /// It has a typographic quote.
    SmartQuote,
    /// It is over a limit.
    TooLarge,
    /// A class that is not known.
    UnknownClass,
    /// A class that is known, and not joined.
    NotJoined,
    /// An attribute that its class does not have.
    UnknownAttribute,
    /// It is well-formed, and means nothing.
    Meaning,
}

impl ErrorKind {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::SmartQuote => "smart_quote",
            Self::TooLarge => "too_large",
            Self::UnknownClass => "unknown_class",
            Self::NotJoined => "not_joined",
            Self::UnknownAttribute => "unknown_attribute",
            Self::Meaning => "meaning",
        }
    }
}

/// Why a query is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WqlError {
    /// What kind of error.
    pub kind: ErrorKind,
    /// One sentence without its full stop.
    pub message: String,
    /// Where.
    pub span: Span,
}

impl WqlError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>, span: Span) -> Self {
        Self { kind, message: message.into(), span }
    }

    /// The sentence, the line that it is about, and a mark under the place.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        let (line, column) = self.span.line_and_column(text);
        let shown = text.lines().nth(line - 1).unwrap_or_default();
        // A long line is shown around the place only.
        let skipped = column.saturating_sub(60);
        let part: String =
            shown.chars().skip(skipped).take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mark = " ".repeat(column - 1 - skipped);
        format!("line {line}, column {column}: {}\n  {part}\n  {mark}^", self.message)
    }
}
