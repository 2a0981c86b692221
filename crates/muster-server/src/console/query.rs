//! Queries in WQL and SQL: the text, what is wrong with it and where, what it found, and those that are kept.

use super::{
    confirm::ConfirmPage,
    format,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, PageRefusal, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{
        Page, PageQuery, QueryCheck, QueryChecked, QueryFinding, QueryLanguage, QueryResult, QueryRun, QuerySave,
        QuerySql, SavedQuery,
    },
    id::{Name, SavedQueryId},
    inventory::Value,
    problem::Code,
};
use muster_site::SiteError;

/// Rows of the page; the API gives more.
const ROWS: u32 = 500;
/// Kept queries on the page; the API lists all.
const KEPT: u32 = 100;

/// `GET /queries`, and what a query came to.
#[derive(Debug, Template)]
#[template(path = "queries.html")]
pub(crate) struct QueriesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The query.
    pub(crate) query: String,
    /// Its language.
    pub(crate) language: QueryLanguage,
    /// What is to be said of it.
    pub(crate) checked: Option<QueryChecked>,
    /// What it found.
    pub(crate) result: Option<QueryResult>,
    /// Why it was not run, where it could have been.
    pub(crate) problem: Option<String>,
    /// Queries that are kept.
    pub(crate) kept: Page<SavedQuery>,
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
    #[serde(default)]
    language: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    comment: String,
}

impl QueryFields {
    fn language(&self) -> QueryLanguage {
        self.language.parse().unwrap_or(QueryLanguage::Wql)
    }

    fn text(&self) -> String {
        self.query.replace("\r\n", "\n")
    }
}

/// Which kept query the page shall begin with.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct KeptWanted {
    #[serde(default)]
    kept: Option<SavedQueryId>,
    #[serde(default)]
    example: String,
}

/// The devices that the tile of the overview counts.
const RESTART: &str = "select SMS_R_System.Name, SMS_G_System_MUSTER_PENDING_RESTART.Reasons\nfrom SMS_R_System inner join SMS_G_System_MUSTER_PENDING_RESTART\n  on SMS_G_System_MUSTER_PENDING_RESTART.ResourceID = SMS_R_System.ResourceId\nwhere SMS_G_System_MUSTER_PENDING_RESTART.Pending = 1";

async fn kept(visit: &Visit) -> Result<Page<SavedQuery>, PageRefusal> {
    let page = PageQuery { offset: 0, limit: KEPT.min(visit.site().limits.page_rows) };
    visit.ask(muster_site::query_list(&visit.ctx, visit.site(), page).await)
}

/// `GET /queries`
pub(crate) async fn query_show(visit: Visit, Wanted(wanted): Wanted<KeptWanted>) -> Answer {
    let example = "select Name, OperatingSystemNameandVersion, ClientVersion\nfrom SMS_R_System\nwhere Name like \"%\"";
    let (query, language) = match wanted.kept {
        Some(id) => {
            let kept = visit.ask(muster_site::query_show(&visit.ctx, visit.site(), id).await)?;
            (kept.query, kept.language)
        }
        None if wanted.example == "restart" => (RESTART.to_owned(), QueryLanguage::Wql),
        None => (example.to_owned(), QueryLanguage::Wql),
    };
    let (shell, kept) = (visit.shell("queries").await?, kept(&visit).await?);
    visit.page(&QueriesPage { shell, query, language, checked: None, result: None, problem: None, kept })
}

/// `POST /queries`
pub(crate) async fn query_run(visit: Visit, Fields(fields): Fields<QueryFields>) -> Answer {
    let (query, language) = (fields.text(), fields.language());
    let ran = match language {
        QueryLanguage::Wql => wql(&visit, &query).await?,
        QueryLanguage::Sql => {
            let request = QuerySql { statement: query.clone(), limit: ROWS };
            (None, Some(muster_site::query_sql(&visit.ctx, visit.site(), request).await))
        }
    };
    let (checked, result, problem) = match ran {
        (checked, Some(Ok(result))) => (checked, Some(result), None),
        (checked, Some(Err(error))) => (checked, None, Some(error.problem().detail)),
        (checked, None) => (checked, None, None),
    };
    let (shell, kept) = (visit.shell("queries").await?, kept(&visit).await?);
    visit.page(&QueriesPage { shell, query, language, checked, result, problem, kept })
}

/// What is to be said of a query in WQL, and what came of it, where it could be run.
type Ran = (Option<QueryChecked>, Option<Result<QueryResult, SiteError>>);

async fn wql(visit: &Visit, query: &str) -> Result<Ran, PageRefusal> {
    let check = QueryCheck { query: query.to_owned() };
    let checked = visit.ask(muster_site::query_check(&visit.ctx, visit.site(), &check))?;
    if checked.error.is_some() {
        return Ok((Some(checked), None));
    }
    let request = QueryRun { query: query.to_owned(), limit: ROWS, utc_offset_minutes: 0 };
    let ran = muster_site::query_run(&visit.ctx, visit.site(), request).await;
    Ok((Some(checked), Some(ran)))
}

/// `POST /queries/keep`
pub(crate) async fn query_save(visit: Visit, Fields(fields): Fields<QueryFields>) -> Answer {
    let (query, language) = (fields.text(), fields.language());
    let problem = match fields.name.trim().parse::<Name>() {
        Err(_) => "A query that is kept needs a name.".to_owned(),
        Ok(name) => {
            let save = QuerySave { name, language, query: query.clone(), comment: fields.comment.trim().to_owned() };
            match muster_site::query_save(&visit.ctx, visit.site(), save).await {
                Ok(_) => return Ok(go_done("/queries", Done::QueryKept)),
                Err(error) if matches!(error.code(), Code::Malformed | Code::TooLarge | Code::TooMany) => {
                    error.problem().detail
                }
                Err(error) => return Err(visit.refuse(error)),
            }
        }
    };
    let (shell, kept) = (visit.shell("queries").await?, kept(&visit).await?);
    visit.page(&QueriesPage { shell, query, language, checked: None, result: None, problem: Some(problem), kept })
}

/// `GET /queries/{id}/delete`
pub(crate) async fn delete_confirm(visit: Visit, Named(id): Named<SavedQueryId>) -> Answer {
    let kept = visit.ask(muster_site::query_show(&visit.ctx, visit.site(), id).await)?;
    visit.page(&ConfirmPage {
        shell: visit.shell("queries").await?,
        title: "Delete query".to_owned(),
        object: kept.name.to_string(),
        consequences: vec!["The query is kept no more, for nobody. The audit log keeps its text.".to_owned()],
        reason: false,
        action: format!("/queries/{id}/delete"),
        button: "Delete query".to_owned(),
        danger: true,
        back: "/queries".to_owned(),
        hidden: vec![],
    })
}

/// `POST /queries/{id}/delete`
pub(crate) async fn query_delete(visit: Visit, Named(id): Named<SavedQueryId>) -> Answer {
    visit.ask(muster_site::query_delete(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done("/queries", Done::QueryDeleted))
}
