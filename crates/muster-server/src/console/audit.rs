//! The audit log: who changed what, in a chain that a change would break.

use super::{
    format,
    paging::Paging,
    shell::Shell,
    visit::{Answer, Rows, Visit, Wanted},
};
use askama::Template;
use muster_model::api::{AuditEntry, AuditVerdict, Page, PageQuery};

/// `GET /audit` and `GET /audit/verify`.
#[derive(Debug, Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The entries, the latest first.
    pub(crate) page: Page<AuditEntry>,
    /// The result of a check of the whole chain.
    pub(crate) verdict: Option<AuditVerdict>,
    paging: Paging,
}

impl AuditPage {
    /// The page for these entries.
    pub(crate) fn new(shell: Shell, wanted: PageQuery, page: Page<AuditEntry>, verdict: Option<AuditVerdict>) -> Self {
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/audit?offset={offset}"));
        Self { shell, page, verdict, paging }
    }
}

/// `GET /audit`
pub(crate) async fn audit_list(visit: Visit, Wanted(rows): Wanted<Rows>) -> Answer {
    let rows = PageQuery::from(rows);
    let page = visit.ask(muster_site::audit_list(&visit.ctx, visit.site(), rows).await)?;
    visit.page(&AuditPage::new(visit.shell("audit").await?, rows, page, None))
}

/// `GET /audit/verify`
pub(crate) async fn audit_verify(visit: Visit) -> Answer {
    let verdict = visit.ask(muster_site::audit_verify(&visit.ctx, visit.site()).await)?;
    let rows = PageQuery::default();
    let page = visit.ask(muster_site::audit_list(&visit.ctx, visit.site(), rows).await)?;
    visit.page(&AuditPage::new(visit.shell("audit").await?, rows, page, Some(verdict)))
}
