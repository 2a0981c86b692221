//! Maintenance: what is removed when it has been kept for long enough, and how the runs went.

use super::{
    format,
    paging::Paging,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Rows, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{MaintenancePreview, MaintenanceRun, MaintenanceSettings, MaintenanceTask, Page, PageQuery, TaskName},
    problem::Code,
};

/// `GET /maintenance`.
#[derive(Debug, Template)]
#[template(path = "maintenance.html")]
pub(crate) struct MaintenancePage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The tasks.
    pub(crate) tasks: Vec<MaintenanceTask>,
}

/// `GET /maintenance/{task}`.
#[derive(Debug, Template)]
#[template(path = "maintenance_task.html")]
pub(crate) struct TaskPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The task.
    pub(crate) task: MaintenanceTask,
    /// What a run would remove now.
    pub(crate) preview: MaintenancePreview,
    /// Its runs.
    pub(crate) page: Page<MaintenanceRun>,
    /// What was wrong with the form, where something was.
    pub(crate) problem: Option<String>,
    paging: Paging,
}

/// What a task is called on pages.
pub(crate) fn title(name: impl std::borrow::Borrow<TaskName>) -> String {
    let words = format::words(name.borrow().as_str()).to_string();
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

impl TaskPage {
    /// The page of a task.
    pub(crate) fn new(
        shell: Shell,
        task: MaintenanceTask,
        preview: MaintenancePreview,
        (wanted, page): (PageQuery, Page<MaintenanceRun>),
        problem: Option<String>,
    ) -> Self {
        let name = task.name;
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/maintenance/{name}?offset={offset}"));
        Self { shell, task, preview, page, problem, paging }
    }

    /// Milliseconds of the longest transaction.
    fn longest(run: &MaintenanceRun) -> String {
        format!("{}.{} ms", run.longest / 1_000, run.longest % 1_000 / 100)
    }

    /// Width of the part of what there is that would go, in units of a thousand.
    fn part(&self) -> u64 {
        let thousandths = self.preview.rows.saturating_mul(1_000).checked_div(self.preview.total).unwrap_or(0);
        if self.preview.rows > 0 { thousandths.max(4) } else { 0 }
    }
}

/// The form of a task.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct TaskFields {
    #[serde(default)]
    enabled: String,
    #[serde(default)]
    keep_days: String,
    #[serde(default)]
    every_days: String,
    #[serde(default)]
    hours: String,
}

impl TaskFields {
    fn parse(&self, name: TaskName) -> Result<MaintenanceSettings, String> {
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| format!("{text:?} is no number of days."));
        let keep_days = Some(number(&self.keep_days)?);
        if name.is_continuous() {
            return Ok(MaintenanceSettings { keep_days, ..MaintenanceSettings::default() });
        }
        Ok(MaintenanceSettings {
            enabled: Some(!self.enabled.is_empty()),
            keep_days,
            every_days: Some(number(&self.every_days)?),
            hours: Some(self.hours.trim().to_owned()),
        })
    }
}

/// `GET /maintenance`
pub(crate) async fn maintenance_list(visit: Visit) -> Answer {
    let tasks = visit.ask(muster_site::maintenance_list(&visit.ctx, visit.site()).await)?.items;
    visit.page(&MaintenancePage { shell: visit.shell("maintenance").await?, tasks })
}

async fn show(visit: Visit, name: TaskName, wanted: PageQuery, problem: Option<String>) -> Answer {
    let task = visit.ask(muster_site::maintenance_show(&visit.ctx, visit.site(), name).await)?;
    let preview = visit.ask(muster_site::maintenance_preview(&visit.ctx, visit.site(), name, None).await)?;
    let page = visit.ask(muster_site::maintenance_history(&visit.ctx, visit.site(), name, wanted).await)?;
    let shell = visit.shell("maintenance").await?;
    visit.page(&TaskPage::new(shell, task, preview, (wanted, page), problem))
}

/// `GET /maintenance/{task}`
pub(crate) async fn maintenance_show(visit: Visit, Named(name): Named<TaskName>, Wanted(rows): Wanted<Rows>) -> Answer {
    show(visit, name, PageQuery::from(rows), None).await
}

/// `POST /maintenance/{task}`
pub(crate) async fn maintenance_set(
    visit: Visit,
    Named(name): Named<TaskName>,
    Fields(fields): Fields<TaskFields>,
) -> Answer {
    let wanted = match fields.parse(name) {
        Ok(wanted) => wanted,
        Err(problem) => return show(visit, name, PageQuery::default(), Some(problem)).await,
    };
    match muster_site::maintenance_set(&visit.ctx, visit.site(), name, &wanted).await {
        Ok(_) => Ok(go_done(&format!("/maintenance/{name}"), Done::MaintenanceSaved)),
        Err(error) if error.code() == Code::Malformed => {
            show(visit, name, PageQuery::default(), Some(error.problem().detail)).await
        }
        Err(error) => Err(visit.refuse(error)),
    }
}

/// `POST /maintenance/{task}/run`
pub(crate) async fn maintenance_run(visit: Visit, Named(name): Named<TaskName>) -> Answer {
    visit.ask(muster_site::maintenance_run(&visit.ctx, visit.site(), name).await)?;
    Ok(go_done(&format!("/maintenance/{name}"), Done::MaintenanceAsked))
}
