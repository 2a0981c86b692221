//! Applications: the list, and one with everything that its author signed.

use super::{
    format,
    paging::Paging,
    shell::Shell,
    visit::{Answer, Named, Rows, Visit, Wanted},
};
use askama::Template;
use muster_model::{
    api::{ApplicationInfo, Page, PageQuery},
    application::{Command, Detection, FileName, Parameter, ParameterKind, Platform, ReturnMeaning},
    id::Hash,
    time::UnixMillis,
};

/// `GET /applications`.
#[derive(Debug, Template)]
#[template(path = "applications.html")]
pub(crate) struct ApplicationsPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The applications.
    pub(crate) page: Page<ApplicationInfo>,
    paging: Paging,
}

impl ApplicationsPage {
    /// The page for these applications.
    pub(crate) fn new(shell: Shell, wanted: PageQuery, page: Page<ApplicationInfo>) -> Self {
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/applications?offset={offset}"));
        Self { shell, page, paging }
    }
}

/// `GET /applications/{hash}`.
#[derive(Debug, Template)]
#[template(path = "application.html")]
pub(crate) struct ApplicationPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The application.
    pub(crate) info: ApplicationInfo,
    /// The secrets that it wants: for how many devices each is sealed, and when last.
    pub(crate) secrets: Vec<(FileName, u64, Option<UnixMillis>)>,
}

impl ApplicationPage {
    fn max_run(&self) -> String {
        run_time(self.info.application.max_run_seconds)
    }

    fn has_rules(&self) -> bool {
        let application = &self.info.application;
        application.uninstall.is_some()
            || application.repair.is_some()
            || application.retries.is_some()
            || !application.requirements.is_empty()
            || !application.return_codes.is_empty()
            || !application.dependencies.is_empty()
            || !application.supersedes.is_empty()
    }
}

/// What an exit code means, in words.
pub(crate) const fn meaning(meaning: &ReturnMeaning) -> &'static str {
    match meaning {
        ReturnMeaning::Success => "success",
        ReturnMeaning::SuccessRestart => "success; a restart completes it",
        ReturnMeaning::RestartFirst => "a restart comes first",
        ReturnMeaning::Retry => "it is tried again",
        ReturnMeaning::Failure => "failure",
    }
}

/// What a parameter takes, in words.
pub(crate) fn parameter(parameter: &Parameter) -> String {
    let kind = match &parameter.kind {
        ParameterKind::String { most_bytes, allowed } if allowed.is_empty() => {
            format!("a text of at most {most_bytes} bytes")
        }
        ParameterKind::String { allowed: values, .. } | ParameterKind::Choice { values } => {
            format!("one of {}", values.join(", "))
        }
        ParameterKind::Integer { least, most } => format!("a whole number from {least} to {most}"),
        ParameterKind::Boolean => "true or false".to_owned(),
        ParameterKind::Secret => "a secret".to_owned(),
    };
    match &parameter.default {
        Some(value) => format!("{kind}; {value} where nothing is said"),
        None => format!("{kind}; each deployment gives it"),
    }
}

/// How long something may run.
pub(crate) fn run_time(seconds: u32) -> String {
    format::duration(i64::from(seconds) * 1_000)
}

/// The name of a platform.
pub(crate) const fn platform(platform: &Platform) -> &'static str {
    match platform {
        Platform::Linux => "Linux",
        Platform::Windows => "Windows",
        Platform::Macos => "macOS",
    }
}

/// A command, one argument per line: what is shown is what the client is handed, without a shell in between.
pub(crate) fn arguments(command: &Command) -> Vec<&str> {
    std::iter::once(command.program.as_str()).chain(command.arguments.iter().map(String::as_str)).collect()
}

/// The exit codes that mean success.
pub(crate) fn success_codes(command: &Command) -> String {
    command.success_codes.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}

/// `GET /applications`
pub(crate) async fn application_list(visit: Visit, Wanted(rows): Wanted<Rows>) -> Answer {
    let rows = PageQuery::from(rows);
    let page = visit.ask(muster_site::application_list(&visit.ctx, visit.site(), rows).await)?;
    visit.page(&ApplicationsPage::new(visit.shell("applications").await?, rows, page))
}

/// `GET /applications/{hash}`
pub(crate) async fn application_show(visit: Visit, Named(hash): Named<Hash>) -> Answer {
    let info = visit.ask(muster_site::application_show(&visit.ctx, visit.site(), hash).await)?;
    let secrets = visit.ask(muster_site::secret_wanted(&visit.ctx, visit.site(), &info.application).await)?;
    visit.page(&ApplicationPage { shell: visit.shell("applications").await?, info, secrets })
}
