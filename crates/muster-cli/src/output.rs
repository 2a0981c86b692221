//! What a command prints: the API's JSON, or tables and lines for people. Texts of devices are shown and never obeyed.

use crate::CliError;
use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Standard output, in one of two forms.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// JSON instead of tables.
    pub json: bool,
}

impl Output {
    /// Prints a value: its JSON, or what `people` makes of it.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub fn value<T: Serialize>(self, value: &T, people: impl FnOnce(&T) -> String) -> Result<(), CliError> {
        if self.json {
            let text = serde_json::to_string_pretty(value).map_err(|e| CliError::Output(e.into()))?;
            return self.line(&text);
        }
        self.line(people(value).trim_end())
    }

    /// Prints one line of JSON: for a series of values.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub fn json_line<T: Serialize>(self, value: &T) -> Result<(), CliError> {
        let text = serde_json::to_string(value).map_err(|e| CliError::Output(e.into()))?;
        self.line(&text)
    }

    /// Prints text.
    ///
    /// # Errors
    /// [`CliError::Output`]. A reader that went away (`muster ... | head`) is not an error.
    pub fn line(self, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(CliError::Output),
        }
    }
}

/// Text from elsewhere, without anything that a terminal would obey or that would hide other text.
#[must_use]
pub fn clean(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// A table without lines; the head in bold where that is a terminal. Cells are cleaned.
#[must_use]
pub fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    wide_table(&head, rows.into_iter().map(Vec::from))
}

/// As [`table`], with as many columns as the head has.
#[must_use]
pub fn wide_table<H: AsRef<str>>(head: &[H], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head.iter().map(|name| Cell::new(clean(name.as_ref())).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    // What is copied stays in one piece, however narrow the terminal is.
    for (at, name) in head.iter().enumerate() {
        if let (true, Some(column)) = (["ID", "HASH"].contains(&name.as_ref()), table.column_mut(at)) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    trimmed(&table)
}

/// Names and values, one pair a line. Values are cleaned.
#[must_use]
pub fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {}\n", clean(value))).collect()
}

/// A list under a heading, or what to say when it is empty, and where the rest of it is.
#[must_use]
pub fn listed(table: &str, shown: usize, total: u64, offset: u64, none: &str) -> String {
    if total == 0 {
        return none.to_owned();
    }
    let end = offset + shown as u64;
    if shown == 0 {
        return format!("There are {total}, all before --offset {offset}.");
    }
    if end < total || offset > 0 {
        let next = if end < total { format!("; the next with --offset {end}") } else { String::new() };
        return format!("{table}\n\n{} to {end} of {total}{next}.", offset + 1);
    }
    table.to_owned()
}

/// The table's text without blanks at the ends of its lines.
fn trimmed(table: &Table) -> String {
    let lines: Vec<_> = table.trim_fmt().lines().map(str::to_owned).collect();
    lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// A count of bytes.
#[must_use]
pub fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_cannot_move_the_cursor_or_hide_text() {
        let shown = table(["NAME"], [["a\u{1b}[2J\u{202e}b\u{200b}".to_owned()]]);
        assert!(!shown.contains('\u{1b}') || !shown.contains("[2J"), "{shown:?}");
        assert!(!shown.contains('\u{202e}') && !shown.contains('\u{200b}'), "{shown:?}");
        assert!(pairs([("name", "x\ny".to_owned())]).lines().count() == 1);
    }

    #[test]
    fn a_list_says_where_its_rest_is() {
        assert_eq!(listed("T", 0, 0, 0, "None."), "None.");
        assert_eq!(listed("T", 2, 2, 0, "None."), "T");
        assert!(listed("T", 50, 120, 50, "None.").contains("51 to 100 of 120; the next with --offset 100"));
        assert!(listed("T", 20, 120, 100, "None.").ends_with("101 to 120 of 120."));
    }
}
