//! Queries: in WQL checked, and run now; in SQL run now. Who may see may ask: an answer is what the lists and the inventory show as
//! well, and nothing is changed. A question in WQL is no event of the audit log; one in SQL is.

use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{QUERY_ROWS, QueryCheck, QueryChecked, QueryColumn, QueryFinding, QueryResult, QueryRun, QuerySql},
    inventory::Value,
    problem::Code,
    wql::{
        self, Checked, ErrorKind, Schema, Span, WqlError,
        date::Clock,
        eval::Cell,
        schema::{Kind, Shape},
    },
};
use muster_store::{
    db::{
        Leave,
        sql::{self, SqlError},
        wql as store,
    },
    transaction,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// A query that takes longer is stopped.
const TIME: Duration = Duration::from_secs(20);
/// Queries at the same time: the database has other work.
static RUNNING: Semaphore = Semaphore::const_new(4);
/// Minutes that any place on earth is ahead of UTC, or behind.
const OFFSET: i32 = 14 * 60;

fn finding(text: &str, name: &str, message: &str, span: Span) -> QueryFinding {
    let (line, column) = span.line_and_column(text);
    QueryFinding { name: name.to_owned(), message: format!("{message}."), line: line as u64, column: column as u64 }
}

fn lints(text: &str, checked: &Checked) -> Vec<QueryFinding> {
    checked.lints.iter().map(|lint| finding(text, lint.name, &lint.message, lint.span)).collect()
}

/// A refusal of WQL, with its place.
pub(super) fn refused_wql(text: &str, error: &WqlError) -> SiteError {
    let code = if error.kind == ErrorKind::TooLarge { Code::TooLarge } else { Code::Malformed };
    let (line, column) = error.span.line_and_column(text);
    SiteError::refused(code, format!("Line {line}, column {column}: {}.", error.message))
}

/// Says what a query means, and what is wrong with it.
///
/// # Errors
/// `unauthenticated`.
pub fn query_check(ctx: &Ctx, site: &Site, request: &QueryCheck) -> Result<QueryChecked, SiteError> {
    authz::see(ctx)?;
    let text = &request.query;
    let read = wql::parse(text);
    let canonical = read.as_ref().ok().map(|parsed| parsed.query.to_string());
    let checked = read.and_then(|parsed| wql::check(&parsed, &Schema::of(&site.catalogue.load())));
    Ok(match checked {
        Ok(checked) => QueryChecked {
            canonical,
            rule: checked.rule().is_ok(),
            classes: checked.classes().into_iter().collect(),
            error: None,
            lints: lints(text, &checked),
        },
        Err(error) => QueryChecked {
            canonical,
            rule: false,
            classes: Vec::new(),
            error: Some(finding(text, error.kind.as_str(), &error.message, error.span)),
            lints: Vec::new(),
        },
    })
}

/// Runs a query.
///
/// # Errors
/// `unauthenticated`; `malformed`, with the place: it is no query; `too_large`: it is over a limit, or took too long; `too_many`.
pub async fn query_run(ctx: &Ctx, site: &Site, request: QueryRun) -> Result<QueryResult, SiteError> {
    authz::see(ctx)?;
    let text = &request.query;
    rows(request.limit)?;
    if request.utc_offset_minutes.abs() > OFFSET {
        return Err(SiteError::refused(Code::Malformed, "No place is so many minutes ahead of UTC, or behind."));
    }
    let parsed = wql::parse(text).map_err(|error| refused_wql(text, &error))?;
    let checked =
        wql::check(&parsed, &Schema::of(&site.catalogue.load())).map_err(|error| refused_wql(text, &error))?;
    let leave = permit()?;
    let clock = Clock { now: ctx.now, offset_minutes: request.utc_offset_minutes };
    let Some(table) = store::run(&site.store, &checked, clock, request.limit, TIME, leave).await? else {
        let detail = format!("The query took longer than {} s and was stopped; ask for less.", TIME.as_secs());
        return Err(SiteError::refused(Code::TooLarge, detail));
    };
    let columns = columns(&checked);
    let rows = table
        .rows
        .into_iter()
        .map(|row| row.into_iter().zip(&columns).map(|(cell, column)| shown(cell, column)).collect());
    Ok(QueryResult { rows: rows.collect(), complete: table.complete, lints: lints(text, &checked), columns })
}

/// A refusal of SQL.
pub(super) fn refused_sql(error: SqlError) -> SiteError {
    let sentence = |error: &SqlError| {
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(char::to_uppercase);
        format!("{}{}.", first.map(String::from_iter).unwrap_or_default(), letters.as_str())
    };
    match error {
        SqlError::Store(error) => error.into(),
        SqlError::TooLarge | SqlError::TooLong(_) => SiteError::refused(Code::TooLarge, sentence(&error)),
        SqlError::NoRole => SiteError::refused(Code::Conflict, sentence(&error)),
        SqlError::Syntax(_) | SqlError::Refused(_) | SqlError::Said(_) => {
            SiteError::refused(Code::Malformed, sentence(&error))
        }
    }
}

/// Runs SQL over the views for reports. It is for those who may see everything, and it is an event of the audit log, with its text,
/// before it runs: a question that only a few can ask is worth knowing about. What is refused stands in the server's log.
///
/// # Errors
/// `unauthenticated`; `malformed`: it is no SELECT, or asks for more than the views; `too_large`: it is over a limit, or took too
/// long; `too_many`; `conflict`: the database has no role for it.
pub async fn query_sql(ctx: &Ctx, site: &Site, request: QuerySql) -> Result<QueryResult, SiteError> {
    authz::see(ctx)?;
    rows(request.limit)?;
    let text = sql::allowed(site.store.dialect(), &request.statement).map_err(|error| {
        tracing::warn!(actor = ctx.actor(), %error, "SQL was refused.");
        refused_sql(error)
    })?;
    let leave = permit()?;
    // As the database gets it: without comments and blanks, in which much could be hidden.
    transaction!(site.store, "query_sql", |tx| {
        audit::append(tx, ctx, "query_sql", "database".to_owned(), format!("SQL was asked: {text}")).await
    })?;
    let found = sql::run(&site.store, &request.statement, request.limit, TIME, leave).await.map_err(refused_sql)?;
    Ok(QueryResult { columns: found.columns, rows: found.rows, complete: found.complete, lints: Vec::new() })
}

/// Whether an answer may have so many rows.
fn rows(limit: u32) -> Result<(), SiteError> {
    if limit == 0 || limit > QUERY_ROWS {
        return Err(SiteError::refused(Code::TooLarge, format!("A query gives 1 to {QUERY_ROWS} rows.")));
    }
    Ok(())
}

/// Leave to ask the database something that may take long. The store keeps it until the database has done with it.
///
/// # Errors
/// `too_many`: others have asked.
pub(in crate::knowledge) fn permit() -> Result<Leave, SiteError> {
    let permit = RUNNING
        .try_acquire()
        .map_err(|_| SiteError::refused(Code::TooMany, "Other queries are running; try again in some seconds."))?;
    Ok(Some(Arc::new(permit)))
}

fn columns(checked: &Checked) -> Vec<QueryColumn> {
    if checked.select.count.is_some() {
        return vec![QueryColumn { name: "count".to_owned(), kind: "number".to_owned() }];
    }
    let column = |output: &wql::check::Output| {
        let kind = match (output.field.attribute.kind, output.field.attribute.shape) {
            (_, Shape::List) => "list",
            (Kind::Text, _) | (_, Shape::Many) => "text",
            (Kind::Number, _) => "number",
            (Kind::Truth, _) => "truth",
            (Kind::Real, _) => "real",
            (Kind::Moment, _) => "moment",
        };
        QueryColumn { name: output.name.clone(), kind: kind.to_owned() }
    };
    checked.select.outputs.iter().map(column).collect()
}

fn shown(cell: Option<Cell>, column: &QueryColumn) -> Option<Value> {
    Some(match cell? {
        Cell::Text(text) => Value::Text(text),
        Cell::Int(number) if column.kind == "truth" => Value::Bool(number != 0),
        Cell::Int(number) => Value::Int(number),
        Cell::Real(number) => Value::Real(number),
        Cell::List(list) => {
            let text = |cell| if let Cell::Text(text) = cell { Some(text) } else { None };
            Value::List(list.into_iter().filter_map(text).collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leave_is_given_to_few_at_a_time_and_comes_back_with_the_last_who_has_it() {
        let mut leaves: Vec<Leave> = (0..4).map(|_| permit().unwrap()).collect();
        let kept = leaves.last().cloned();
        assert_eq!(permit().unwrap_err().code(), Code::TooMany);
        leaves.pop();
        assert_eq!(permit().unwrap_err().code(), Code::TooMany, "the database still has it");
        drop(kept);
        assert!(permit().is_ok());
    }
}
