//! Status messages of all devices, and what they sent that the site did not take.

use super::{
    format,
    paging::{Paging, query},
    shell::Shell,
};
use askama::Template;
use muster_model::{
    api::{Message, MessageQuery, Page, PageQuery, QuarantineItem},
    status::Severity,
};

/// `GET /messages`.
#[derive(Debug, Template)]
#[template(path = "messages.html")]
pub(crate) struct MessagesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What was asked for.
    pub(crate) query: MessageQuery,
    /// The messages.
    pub(crate) page: Page<Message>,
    paging: Paging,
}

impl MessagesPage {
    /// The page for these messages.
    pub(crate) fn new(shell: Shell, wanted: MessageQuery, page: Page<Message>) -> Self {
        let severity = wanted.severity.map_or("", Severity::as_str);
        let device = wanted.device.map(|d| d.to_string()).unwrap_or_default();
        let address = |offset: u64| {
            let offset = offset.to_string();
            format!("/messages{}", query(&[("severity", severity), ("device", &device), ("offset", &offset)]))
        };
        let paging = Paging::new(&page, wanted.limit, address);
        Self { shell, query: wanted, page, paging }
    }

    /// What the filter offers.
    fn severities(&self) -> [(Severity, &'static str); 2] {
        [(Severity::Warning, "Warnings and errors"), (Severity::Error, "Errors only")]
    }

    fn is_severity(&self, severity: &Severity) -> bool {
        self.query.severity == Some(*severity)
    }
}

/// `GET /quarantine`.
#[derive(Debug, Template)]
#[template(path = "quarantine.html")]
pub(crate) struct QuarantinePage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The items.
    pub(crate) page: Page<QuarantineItem>,
    paging: Paging,
}

impl QuarantinePage {
    /// The page for these items.
    pub(crate) fn new(shell: Shell, wanted: PageQuery, page: Page<QuarantineItem>) -> Self {
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/quarantine?offset={offset}"));
        Self { shell, page, paging }
    }
}
