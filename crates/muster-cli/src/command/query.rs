//! `muster query`: questions in WQL.

use super::Context;
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::{QueryCheck, QueryChecked, QueryColumn, QueryFinding, QueryResult, QueryRun},
    inventory::Value,
    time::UnixMillis,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run a query in WQL
    Run {
        /// The query: "select Name from SMS_R_System where ..."
        query: String,
        /// Rows at most
        #[arg(long, default_value_t = 1_000)]
        limit: u32,
        /// Minutes that the site's local time is ahead of UTC, for the days of GetDate() and of dates
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        utc_offset: i32,
        /// Comma-separated values instead of a table
        #[arg(long)]
        csv: bool,
    },
    /// Say what is wrong with a query, and what is often a mistake
    Check {
        /// The query
        query: String,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Run { query, limit, utc_offset, csv } => {
                let request = QueryRun { query, limit, utc_offset_minutes: utc_offset };
                let found = ctx.client().await?.query_run(&request).await?;
                if csv {
                    return ctx.out.line(as_csv(&found).trim_end());
                }
                ctx.out.value(&found, |found| table(&request.query, found))
            }
            Self::Check { query } => {
                let checked = ctx.client().await?.query_check(&QueryCheck { query: query.clone() }).await?;
                ctx.out.value(&checked, |checked| said(&query, checked))
            }
        }
    }
}

fn text(value: Option<&Value>, column: &QueryColumn) -> String {
    match value {
        None => String::new(),
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Bool(truth)) => truth.to_string(),
        Some(Value::Int(moment)) if column.kind == "moment" => when::full(UnixMillis(*moment)),
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::Real(number)) => number.to_string(),
        Some(Value::List(list)) => list.join(", "),
    }
}

fn cells<'a>(found: &'a QueryResult) -> impl Iterator<Item = Vec<String>> + 'a {
    found
        .rows
        .iter()
        .map(|row| row.iter().zip(&found.columns).map(|(value, column)| text(value.as_ref(), column)).collect())
}

fn table(query: &str, found: &QueryResult) -> String {
    let head: Vec<&str> = found.columns.iter().map(|column| column.name.as_str()).collect();
    let mut text = match found.rows.len() {
        0 => "Nothing was found.\n".to_owned(),
        _ => format!("{}\n", output::wide_table(&head, cells(found))),
    };
    if !found.complete {
        text.push_str(&format!("There are more than these {} rows (--limit).\n", found.rows.len()));
    }
    for lint in &found.lints {
        text.push_str(&format!("Note: {}\n", placed(query, lint)));
    }
    text
}

/// As RFC 4180 has it. A cell that a spreadsheet would take for a formula gets a quote before it.
fn as_csv(found: &QueryResult) -> String {
    let field = |text: &str| {
        let guard =
            if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err() { "'" } else { "" };
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    };
    let line = |cells: Vec<String>| cells.iter().map(|cell| field(cell)).collect::<Vec<_>>().join(",");
    let head = line(found.columns.iter().map(|column| column.name.clone()).collect());
    std::iter::once(head).chain(cells(found).map(line)).fold(String::new(), |text, line| text + &line + "\r\n")
}

/// A finding, the line that it is about, and a mark under its place.
fn placed(query: &str, finding: &QueryFinding) -> String {
    let (line, column) = (finding.line as usize, finding.column as usize);
    let shown = query.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let skipped = column.saturating_sub(60);
    let part: String = shown.chars().skip(skipped).take(120).collect();
    let mark = " ".repeat(column.saturating_sub(1 + skipped));
    let message = output::clean(&finding.message);
    format!("line {line}, column {column}: {message}\n  {}\n  {mark}^", output::clean(&part))
}

fn said(query: &str, checked: &QueryChecked) -> String {
    let mut text = String::new();
    match (&checked.error, &checked.canonical) {
        (Some(error), _) => text.push_str(&format!("Error: {}\n", placed(query, error))),
        (None, Some(canonical)) => {
            let rule = if checked.rule {
                "It can be the rule of a collection."
            } else {
                "It cannot be the rule of a collection."
            };
            text.push_str(&format!("The query is well-formed. {rule}\n  {}\n", output::clean(canonical)));
        }
        (None, None) => {}
    }
    for lint in &checked.lints {
        text.push_str(&format!("Note: {}\n", placed(query, lint)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_a_mark_stands_under_its_place() {
        let column = |name: &str| QueryColumn { name: name.to_owned(), kind: "text".to_owned() };
        let row = vec![Some(Value::Text("=cmd|'x'".to_owned())), Some(Value::Text("a \"b\"".to_owned())), None];
        let columns = vec![column("A"), column("B"), column("C")];
        let found = QueryResult { columns, rows: vec![row], complete: true, lints: Vec::new() };
        assert_eq!(as_csv(&found), "\"A\",\"B\",\"C\"\r\n\"'=cmd|'x'\",\"a \"\"b\"\"\",\"\"\r\n");
        let finding = QueryFinding { name: "syntax".to_owned(), message: "No.".to_owned(), line: 2, column: 3 };
        assert_eq!(placed("select\nab\u{1b}d", &finding), "line 2, column 3: No.\n  ab\u{fffd}d\n    ^");
    }
}
