//! Software updates: which of them devices miss.

use super::{
    format,
    paging::{Paging, query},
    shell::Shell,
    visit::{Answer, Rows, Visit, Wanted},
};
use askama::Template;
use muster_model::api::{Page, PageQuery, SoftwareUpdate, UpdateQuery};

/// `GET /updates`.
#[derive(Debug, Template)]
#[template(path = "updates.html")]
pub(crate) struct UpdatesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What was asked for.
    pub(crate) wanted: UpdateQuery,
    /// The rows.
    pub(crate) page: Page<SoftwareUpdate>,
    /// Drafts that wait for a signature.
    pub(crate) drafts: u64,
    paging: Paging,
}

impl UpdatesPage {
    /// The page for these rows.
    pub(crate) fn new(shell: Shell, wanted: UpdateQuery, page: Page<SoftwareUpdate>, drafts: u64) -> Self {
        let limit = wanted.limit.to_string();
        let paging = Paging::new(&page, wanted.limit, |offset| {
            let offset = offset.to_string();
            let flag = |on: bool| if on { "true" } else { "false" };
            let parts = [
                ("search", wanted.search.as_str()),
                ("security", flag(wanted.security)),
                ("superseded", flag(wanted.superseded)),
                ("offset", &offset),
                ("limit", &limit),
            ];
            format!("/updates{}", query(&parts))
        });
        Self { shell, wanted, page, drafts, paging }
    }
}

/// What the address of the list asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct UpdatesWanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    security: bool,
    #[serde(default)]
    superseded: bool,
}

/// `GET /updates`
pub(crate) async fn update_list(
    visit: Visit,
    Wanted(wanted): Wanted<UpdatesWanted>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let rows = PageQuery::from(rows);
    let wanted = UpdateQuery {
        search: wanted.search.trim().to_owned(),
        security: wanted.security,
        superseded: wanted.superseded,
        offset: rows.offset,
        limit: rows.limit,
    };
    let page = visit.ask(muster_site::update_list(&visit.ctx, visit.site(), &wanted).await)?;
    let drafts = visit.ask(muster_site::update_draft_count(&visit.ctx, visit.site()).await)?;
    visit.page(&UpdatesPage::new(visit.shell("updates").await?, wanted, page, drafts))
}
