//! Queries in WQL: the text, what is wrong with it and where, and what it found.

use super::{
    format,
    shell::Shell,
    visit::{Answer, Fields, Visit},
};
use askama::Template;
use muster_model::{
    api::{QueryCheck, QueryChecked, QueryFinding, QueryResult, QueryRun},
    inventory::Value,
};

/// Rows of the page; the API gives more.
const ROWS: u32 = 500;

/// `GET /queries`, and what a query came to.
#[derive(Debug, Template)]
#[template(path = "queries.html")]
pub(crate) struct QueriesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The query.
    pub(crate) query: String,
    /// What is to be said of it.
    pub(crate) checked: Option<QueryChecked>,
    /// What it found.
    pub(crate) result: Option<QueryResult>,
    /// Why it was not run, where it could have been.
    pub(crate) problem: Option<String>,
}

impl QueriesPage {
    /// The line that a finding is about, and a mark under its place.
    fn place(&self, finding: &QueryFinding) -> String {
        let line = self.query.lines().nth(finding.line.saturating_sub(1) as usize).unwrap_or_default();
        let skipped = (finding.column as usize).saturating_sub(60);
        let part: String = line.chars().skip(skipped).take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{part}\n{}^", " ".repeat((finding.column as usize).saturating_sub(1 + skipped)))
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let Some(result) = &self.result else { return Vec::new() };
        let shown = |value: &Option<Value>, kind: &str| match value {
            None => String::new(),
            Some(Value::Text(text)) => text.clone(),
            Some(Value::Bool(truth)) => truth.to_string(),
            Some(Value::Int(moment)) if kind == "moment" => {
                format!("{} UTC", muster_model::wql::date::text(*moment))
            }
            Some(Value::Int(number)) => number.to_string(),
            Some(Value::Real(number)) => number.to_string(),
            Some(Value::List(list)) => list.join(", "),
        };
        let row = |row: &Vec<Option<Value>>| {
            row.iter().zip(&result.columns).map(|(value, column)| shown(value, &column.kind)).collect()
        };
        result.rows.iter().map(row).collect()
    }
}

/// The form.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct QueryFields {
    #[serde(default)]
    query: String,
}

/// `GET /queries`
pub(crate) async fn query_show(visit: Visit) -> Answer {
    let shell = visit.shell("queries").await?;
    let query = "select Name, OperatingSystemNameandVersion, ClientVersion\nfrom SMS_R_System\nwhere Name like \"%\"";
    visit.page(&QueriesPage { shell, query: query.to_owned(), checked: None, result: None, problem: None })
}

/// `POST /queries`
pub(crate) async fn query_run(visit: Visit, Fields(fields): Fields<QueryFields>) -> Answer {
    let query = fields.query.replace("\r\n", "\n");
    let checked =
        visit.ask(muster_site::query_check(&visit.ctx, visit.site(), &QueryCheck { query: query.clone() }))?;
    let request = QueryRun { query: query.clone(), limit: ROWS, utc_offset_minutes: 0 };
    let (result, problem) = match checked.error {
        Some(_) => (None, None),
        None => match muster_site::query_run(&visit.ctx, visit.site(), request).await {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error.problem().detail)),
        },
    };
    let shell = visit.shell("queries").await?;
    visit.page(&QueriesPage { shell, query, checked: Some(checked), result, problem })
}
