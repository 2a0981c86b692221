//! Software: what is installed how often, under one name, and in which versions.

use super::{
    chart::{Rank, ranking},
    format,
    paging::{Paging, query},
    shell::Shell,
    visit::{Answer, Named, Rows, Visit, Wanted},
};
use askama::Template;
use muster_model::api::{Count, Page, PageQuery, SoftwareTitle, TitleDetail, TitleQuery};

/// `GET /software`.
#[derive(Debug, Template)]
#[template(path = "titles.html")]
pub(crate) struct TitlesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What was searched for.
    pub(crate) search: String,
    /// The rows.
    pub(crate) page: Page<SoftwareTitle>,
    ranks: Vec<Rank>,
    paging: Paging,
}

impl TitlesPage {
    /// The page for these rows.
    pub(crate) fn new(shell: Shell, wanted: &TitleQuery, page: Page<SoftwareTitle>) -> Self {
        let count = |title: &SoftwareTitle| Count { label: title.product.clone(), count: title.devices };
        let ranks = ranking(&page.items.iter().map(count).collect::<Vec<_>>());
        let limit = wanted.limit.to_string();
        let paging = Paging::new(&page, wanted.limit, |offset| {
            let offset = offset.to_string();
            format!("/software{}", query(&[("search", &wanted.search), ("offset", &offset), ("limit", &limit)]))
        });
        Self { shell, search: wanted.search.clone(), page, ranks, paging }
    }

    fn width(&self, at: &usize) -> u64 {
        self.ranks.get(*at).map_or(0, |rank| rank.width)
    }
}

/// `GET /software/{id}`.
#[derive(Debug, Template)]
#[template(path = "title.html")]
pub(crate) struct TitlePage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The title.
    pub(crate) detail: TitleDetail,
    ranks: Vec<Rank>,
}

impl TitlePage {
    /// The page of this title.
    pub(crate) fn new(shell: Shell, detail: TitleDetail) -> Self {
        let counts = detail.versions.iter().map(|v| Count { label: v.version.clone(), count: v.devices });
        let ranks = ranking(&counts.collect::<Vec<_>>());
        Self { shell, detail, ranks }
    }
}

/// What the address of the list asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct TitlesWanted {
    #[serde(default)]
    search: String,
}

/// `GET /software`
pub(crate) async fn title_list(
    visit: Visit,
    Wanted(wanted): Wanted<TitlesWanted>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let rows = PageQuery::from(rows);
    let wanted = TitleQuery { search: wanted.search.trim().to_owned(), offset: rows.offset, limit: rows.limit };
    let page = visit.ask(muster_site::title_list(&visit.ctx, visit.site(), wanted.clone()).await)?;
    visit.page(&TitlesPage::new(visit.shell("software").await?, &wanted, page))
}

/// `GET /software/{id}`
pub(crate) async fn title_show(visit: Visit, Named(id): Named<u64>) -> Answer {
    let detail = visit.ask(muster_site::title_show(&visit.ctx, visit.site(), id).await)?;
    visit.page(&TitlePage::new(visit.shell("software").await?, detail))
}
