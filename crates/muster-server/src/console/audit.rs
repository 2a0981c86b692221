//! The audit log: who changed what, in a chain that a change would break.

use super::{format, paging::Paging, shell::Shell};
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
