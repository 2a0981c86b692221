//! Resources: what discovery found, the list and one of them.

use super::{
    confirm::ConfirmPage,
    format,
    paging::{Paging, query},
    shell::{Done, Shell},
    visit::{Answer, Named, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{Page, Resource, ResourceDetail, ResourceKind, ResourceQuery},
    discovery::Fact,
    id::ResourceId,
};

/// `GET /resources`.
#[derive(Debug, Template)]
#[template(path = "resources.html")]
pub(crate) struct ResourcesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What is looked for.
    pub(crate) query: ResourceQuery,
    /// The resources.
    pub(crate) page: Page<Resource>,
    paging: Paging,
}

impl ResourcesPage {
    /// The page of these.
    pub(crate) fn new(shell: Shell, wanted: ResourceQuery, page: Page<Resource>) -> Self {
        let kind = wanted.kind.map_or("", ResourceKind::as_str);
        let paging = Paging::new(&page, wanted.limit, |offset| {
            let offset = offset.to_string();
            format!("/resources{}", query(&[("search", &wanted.search), ("kind", kind), ("offset", &offset)]))
        });
        Self { shell, query: wanted, page, paging }
    }

    fn kinds(&self) -> &'static [ResourceKind] {
        ResourceKind::ALL
    }

    fn is_kind(&self, kind: &ResourceKind) -> bool {
        self.query.kind == Some(*kind)
    }
}

/// `GET /resources/{id}`.
#[derive(Debug, Template)]
#[template(path = "resource.html")]
pub(crate) struct ResourcePage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The resource.
    pub(crate) detail: ResourceDetail,
}

impl ResourcePage {
    fn shown(value: &Fact) -> String {
        match value {
            Fact::Number(number) => number.to_string(),
            Fact::Text(text) => text.clone(),
            Fact::List(list) => list.join(", "),
        }
    }
}

/// What the address asks for.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct ResourcesWanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    offset: u64,
}

/// `GET /resources`
pub(crate) async fn resource_list(visit: Visit, Wanted(wanted): Wanted<ResourcesWanted>) -> Answer {
    let ResourcesWanted { search, kind, offset } = wanted;
    let wanted = ResourceQuery { search, kind: kind.parse().ok(), client: None, offset, limit: 50 };
    let page = visit.ask(muster_site::resource_list(&visit.ctx, visit.site(), wanted.clone()).await)?;
    let shell = visit.shell("resources").await?;
    visit.page(&ResourcesPage::new(shell, wanted, page))
}

/// `GET /resources/{id}`
pub(crate) async fn resource_show(visit: Visit, Named(id): Named<ResourceId>) -> Answer {
    let detail = visit.ask(muster_site::resource_show(&visit.ctx, visit.site(), id).await)?;
    let shell = visit.shell("resources").await?;
    visit.page(&ResourcePage { shell, detail })
}

/// `GET /resources/{id}/remove`
pub(crate) async fn remove_confirm(visit: Visit, Named(id): Named<ResourceId>) -> Answer {
    let detail = visit.ask(muster_site::resource_show(&visit.ctx, visit.site(), id).await)?;
    visit.page(&ConfirmPage {
        shell: visit.shell("resources").await?,
        title: "Remove resource".to_owned(),
        object: detail.resource.name,
        consequences: vec![
            "It goes from every collection, with all that discovery said of it.".to_owned(),
            "What finds it again makes a new one, with another number.".to_owned(),
        ],
        reason: false,
        action: format!("/resources/{id}/remove"),
        button: "Remove resource".to_owned(),
        danger: true,
        back: format!("/resources/{id}"),
        hidden: vec![],
    })
}

/// `POST /resources/{id}/remove`
pub(crate) async fn resource_remove(visit: Visit, Named(id): Named<ResourceId>) -> Answer {
    visit.ask(muster_site::resource_remove(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done("/resources", Done::ResourceRemoved))
}
