//! `muster query`: questions in WQL and SQL, now and kept.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::{
        PageQuery, QueryCheck, QueryChecked, QueryColumn, QueryFinding, QueryLanguage, QueryResult, QueryRun,
        QuerySave, QuerySql, SavedQuery, SavedQueryRun,
    },
    id::Name,
    inventory::Value,
    time::UnixMillis,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run a query
    Run {
        /// A query in WQL ("select Name from SMS_R_System where ..."), or the name of one that is kept
        #[arg(required_unless_present = "sql")]
        query: Option<String>,
        /// One SELECT in the database's SQL, over the views for reports (v_R_System, v_GS_...). It is noted in the audit log
        #[arg(long, value_name = "SELECT", conflicts_with = "query")]
        sql: Option<String>,
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
    /// Keep a query under a name, for all administrators; one of the same name is replaced
    Save {
        /// The name
        name: Name,
        /// The query, in WQL
        #[arg(required_unless_present = "sql")]
        query: Option<String>,
        /// One SELECT in the database's SQL instead
        #[arg(long, value_name = "SELECT", conflicts_with = "query")]
        sql: Option<String>,
        /// What it is for
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// List the queries that are kept
    List(Part),
    /// Show a query that is kept
    Show {
        /// Its name
        name: String,
    },
    /// Keep a query no more
    Delete {
        /// Its name
        name: String,
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
            Self::Run { query, sql, limit, utc_offset, csv } => {
                let asked = Asked { query: query.unwrap_or_default(), sql, limit, utc_offset };
                let found = asked.run(ctx).await?;
                if csv {
                    return ctx.out.line(as_csv(&found).trim_end());
                }
                ctx.out.value(&found, |found| table(&asked.query, found))
            }
            Self::Save { name, query, sql, comment } => {
                let language = if sql.is_some() { QueryLanguage::Sql } else { QueryLanguage::Wql };
                let save = QuerySave { name, language, query: sql.or(query).unwrap_or_default(), comment };
                let kept = ctx.client().await?.query_save(&save).await?;
                ctx.out.value(&kept, |kept| {
                    format!("The query {} is kept; `muster query run` runs it by its name.", kept.name)
                })
            }
            Self::List(part) => query_list(ctx, part).await,
            Self::Show { name } => {
                let kept = named(ctx, &name).await?;
                ctx.out.value(&kept, |kept| shown(ctx, kept))
            }
            Self::Delete { name } => {
                let kept = named(ctx, &name).await?;
                confirm(ctx, &format!("The query {} of {} is kept no more.", kept.name, kept.owner))?;
                let gone = ctx.client().await?.query_delete(kept.id).await?;
                ctx.out.value(&gone, |gone| format!("The query {} is kept no more.", gone.name))
            }
            Self::Check { query } => {
                let checked = ctx.client().await?.query_check(&QueryCheck { query: query.clone() }).await?;
                ctx.out.value(&checked, |checked| said(&query, checked))
            }
        }
    }
}

/// What is to be run.
struct Asked {
    query: String,
    sql: Option<String>,
    limit: u32,
    utc_offset: i32,
}

impl Asked {
    async fn run(&self, ctx: &Context) -> Result<QueryResult, CliError> {
        let (limit, utc_offset_minutes) = (self.limit, self.utc_offset);
        if let Some(statement) = self.sql.clone() {
            return Ok(ctx.client().await?.query_sql(&QuerySql { statement, limit }).await?);
        }
        // No name begins like this.
        let first = self.query.split_whitespace().next().unwrap_or_default();
        if first.eq_ignore_ascii_case("select") {
            let request = QueryRun { query: self.query.clone(), limit, utc_offset_minutes };
            return Ok(ctx.client().await?.query_run(&request).await?);
        }
        let kept = named(ctx, &self.query).await?;
        let request = SavedQueryRun { limit, utc_offset_minutes };
        Ok(ctx.client().await?.query_run_saved(kept.id, &request).await?)
    }
}

/// The query that is kept under this name.
async fn named(ctx: &Context, name: &str) -> Result<SavedQuery, CliError> {
    let client = ctx.client().await?;
    let mut offset = 0;
    loop {
        let page = client.query_list(&PageQuery { offset, limit: 500 }).await?;
        offset += page.items.len() as u64;
        let last = page.items.is_empty() || offset >= page.total;
        if let Some(found) = page.items.into_iter().find(|kept| kept.name.as_str() == name) {
            return Ok(found);
        }
        if last {
            return Err(CliError::Usage(format!(
                "no query is kept under the name {name:?}; `muster query list` shows them"
            )));
        }
    }
}

async fn query_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.query_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|kept| {
            [
                kept.name.to_string(),
                kept.language.to_string(),
                kept.owner.clone(),
                when::human(ctx.now, kept.changed),
                output::clean(&kept.comment),
            ]
        });
        let table = output::table(["NAME", "LANGUAGE", "OWNER", "CHANGED", "COMMENT"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No queries are kept.")
    })
}

fn shown(ctx: &Context, kept: &SavedQuery) -> String {
    let (changed, comment) = (when::human(ctx.now, kept.changed), output::clean(&kept.comment));
    let lines: Vec<String> = kept.query.lines().map(|line| format!("  {}", output::clean(line))).collect();
    format!(
        "{} ({}), of {}\nChanged {changed} by {}\n{comment}\n{}\n",
        kept.name,
        kept.language,
        kept.owner,
        kept.changed_by,
        lines.join("\n")
    )
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
