//! The approval mode: who is approved without being asked about, and the serial numbers that the site expects.

use super::{
    format,
    shell::{Done, Shell},
    visit::{Answer, Fields, Visit, chosen, go_done},
};
use askama::Template;
use muster_model::{
    api::{Approval, ApprovalMode, ApprovalSet, Page, PageQuery, Serial, TrustedDomain},
    problem::Code,
};

/// `GET /approval`.
#[derive(Debug, Template)]
#[template(path = "approval.html")]
pub(crate) struct ApprovalPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What is in force, or was asked for.
    pub(crate) approval: Approval,
    /// The domains as they stand in the form.
    pub(crate) domains: String,
    /// The first serial numbers.
    pub(crate) serials: Page<Serial>,
    /// What was wrong with the form.
    pub(crate) problem: Option<String>,
}

impl ApprovalPage {
    fn modes(&self) -> &'static [ApprovalMode] {
        ApprovalMode::ALL
    }

    fn is_mode(&self, mode: &ApprovalMode) -> bool {
        self.approval.mode == *mode
    }
}

async fn page(visit: &Visit, approval: Approval, domains: Option<String>, problem: Option<String>) -> Answer {
    let rows = PageQuery { offset: 0, limit: 100 };
    let serials = visit.ask(muster_site::serial_list(&visit.ctx, visit.site(), rows).await)?;
    let lines = || approval.domains.iter().map(|domain| format!("{domain}\n")).collect();
    let domains = domains.unwrap_or_else(lines);
    visit.page(&ApprovalPage { shell: visit.shell("approval").await?, approval, domains, serials, problem })
}

/// `GET /approval`
pub(crate) async fn approval_show(visit: Visit) -> Answer {
    let approval = visit.ask(muster_site::approval_show(&visit.ctx, visit.site()).await)?;
    page(&visit, approval, None, None).await
}

/// The form.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct ApprovalFields {
    mode: String,
    #[serde(default)]
    domains: String,
    #[serde(default)]
    confirmed: String,
}

/// `POST /approval`
pub(crate) async fn approval_update(visit: Visit, Fields(fields): Fields<ApprovalFields>) -> Answer {
    let mode = chosen(&visit, &fields.mode)?.unwrap_or_default();
    let lines = fields.domains.lines().map(str::trim).filter(|line| !line.is_empty());
    let problem = match lines.map(str::parse::<TrustedDomain>).collect::<Result<Vec<_>, _>>() {
        Err(problem) => problem,
        Ok(domains) => {
            let set = ApprovalSet { mode, domains, confirmed: fields.confirmed == "yes" };
            match muster_site::approval_update(&visit.ctx, visit.site(), set).await {
                Ok(_) => return Ok(go_done("/approval", Done::ApprovalSaved)),
                Err(error) if error.code() == Code::Malformed => error.problem().detail,
                Err(error) => return Err(visit.refuse(error)),
            }
        }
    };
    let mut approval = visit.ask(muster_site::approval_show(&visit.ctx, visit.site()).await)?;
    approval.mode = mode;
    page(&visit, approval, Some(fields.domains), Some(problem)).await
}
