//! Status messages of all devices, and what they sent that the site did not take.

use super::{
    format,
    paging::{Paging, query},
    shell::Shell,
    visit::{Answer, Rows, Visit, Wanted, chosen},
};
use askama::Template;
use muster_model::{
    api::{Message, MessageQuery, Page, PageQuery, QuarantineItem},
    status::{Component, Severity},
    status_catalogue::MessageType,
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
            let part = wanted.component.map_or("", Component::as_str);
            let kind = wanted.kind.map_or("", MessageType::as_str);
            let asked = [("severity", severity), ("component", part), ("kind", kind), ("device", &device)];
            format!("/messages{}", query(&[&asked[..], &[("offset", &offset)]].concat()))
        };
        let paging = Paging::new(&page, wanted.limit, address);
        Self { shell, query: wanted, page, paging }
    }

    /// What the filter offers.
    fn severities(&self) -> [(Severity, &'static str); 2] {
        [(Severity::Warning, "Warnings and errors"), (Severity::Error, "Errors only")]
    }

    fn is_component(&self, component: &&Component) -> bool {
        self.query.component == Some(**component)
    }

    fn is_kind(&self, kind: &&MessageType) -> bool {
        self.query.kind == Some(**kind)
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

/// Which messages the address asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct MessagesWanted {
    #[serde(default)]
    device: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    component: String,
    #[serde(default)]
    kind: String,
}

/// `GET /messages`
pub(crate) async fn message_list(
    visit: Visit,
    Wanted(wanted): Wanted<MessagesWanted>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let rows = PageQuery::from(rows);
    let severities = [Severity::Information, Severity::Warning, Severity::Error];
    let query = MessageQuery {
        device: chosen(&visit, &wanted.device)?,
        severity: severities.into_iter().find(|severity| severity.as_str() == wanted.severity),
        component: Component::ALL.iter().copied().find(|component| component.as_str() == wanted.component),
        kind: MessageType::ALL.iter().copied().find(|kind| kind.as_str() == wanted.kind),
        offset: rows.offset,
        limit: rows.limit,
        ..MessageQuery::default()
    };
    let page = visit.ask(muster_site::message_list(&visit.ctx, visit.site(), &query).await)?;
    visit.page(&MessagesPage::new(visit.shell("messages").await?, query, page))
}

/// `GET /quarantine`
pub(crate) async fn quarantine_list(visit: Visit, Wanted(rows): Wanted<Rows>) -> Answer {
    let rows = PageQuery::from(rows);
    let page = visit.ask(muster_site::quarantine_list(&visit.ctx, visit.site(), rows).await)?;
    visit.page(&QuarantinePage::new(visit.shell("quarantine").await?, rows, page))
}
