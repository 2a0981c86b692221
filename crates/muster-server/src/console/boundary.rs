//! Boundaries and boundary groups on one page: what there is, forms that add and change, and what is asked before one goes.

use super::{
    confirm::ConfirmPage,
    format,
    paging::Paging,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Rows, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{Boundary, BoundaryGroup, BoundaryGroupSet, BoundaryKind, BoundarySet, Page, PageQuery},
    id::{BoundaryGroupId, BoundaryId, Name},
    problem::Code,
};
use muster_site::SiteError;

/// `GET /boundaries`.
#[derive(Debug, Template)]
#[template(path = "boundaries.html")]
pub(crate) struct BoundariesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The groups.
    pub(crate) groups: Page<BoundaryGroup>,
    /// The boundaries.
    pub(crate) boundaries: Page<Boundary>,
    paging: Paging,
    /// What was wrong with a form, where something was.
    pub(crate) problem: Option<String>,
    /// What was in the form of a boundary.
    pub(crate) fields: BoundaryFields,
}

impl BoundariesPage {
    /// The page for these.
    pub(crate) fn new(
        shell: Shell,
        wanted: PageQuery,
        groups: Page<BoundaryGroup>,
        boundaries: Page<Boundary>,
        problem: Option<String>,
        fields: BoundaryFields,
    ) -> Self {
        let paging = Paging::new(&boundaries, wanted.limit, |offset| format!("/boundaries?offset={offset}"));
        Self { shell, groups, boundaries, paging, problem, fields }
    }

    fn kinds(&self) -> &'static [BoundaryKind] {
        BoundaryKind::ALL
    }
}

/// The form of a boundary; with an id it changes one.
#[derive(Debug, Default, Clone, serde::Deserialize)]
pub(crate) struct BoundaryFields {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) value: String,
}

/// The form of a group: ids and addresses, one a line.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct GroupFields {
    #[serde(default)]
    name: String,
    #[serde(default)]
    boundaries: String,
    #[serde(default)]
    management_points: String,
}

fn wrong(what: &str, reason: impl std::fmt::Display) -> String {
    format!("{what}: {reason}.")
}

impl BoundaryFields {
    fn parse(&self) -> Result<(Option<BoundaryId>, BoundarySet), String> {
        let id = match self.id.trim() {
            "" => None,
            id => Some(id.parse().map_err(|error| wrong("Id", error))?),
        };
        let name: Name = self.name.trim().parse().map_err(|error| wrong("Name", error))?;
        let kind = self.kind.parse().map_err(|error| wrong("Kind", error))?;
        Ok((id, BoundarySet { name, kind, value: self.value.trim().to_owned() }))
    }
}

impl GroupFields {
    fn parse(&self) -> Result<BoundaryGroupSet, String> {
        let lines = |text: &str| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
            lines.collect::<Vec<_>>()
        };
        let boundaries = lines(&self.boundaries).iter().map(|id| id.parse()).collect::<Result<_, _>>();
        Ok(BoundaryGroupSet {
            name: self.name.trim().parse().map_err(|error| wrong("Name", error))?,
            boundaries: boundaries.map_err(|error: muster_model::id::IdError| wrong("Boundaries", error))?,
            management_points: lines(&self.management_points),
        })
    }
}

async fn show(visit: Visit, rows: PageQuery, problem: Option<String>, fields: BoundaryFields) -> Answer {
    let boundaries = visit.ask(muster_site::boundary_list(&visit.ctx, visit.site(), rows).await)?;
    let all = PageQuery { offset: 0, limit: 500 };
    let groups = visit.ask(muster_site::boundary_group_list(&visit.ctx, visit.site(), all).await)?;
    let shell = visit.shell("boundaries").await?;
    visit.page(&BoundariesPage::new(shell, rows, groups, boundaries, problem, fields))
}

/// What a form came to: the list again, with what was wrong or with what was done.
async fn settle(visit: Visit, done: Result<(), SiteError>, of: Done, fields: BoundaryFields) -> Answer {
    match done {
        Ok(()) => Ok(go_done("/boundaries", of)),
        Err(error) if error.code() == Code::Malformed => {
            let problem = Some(error.problem().detail);
            show(visit, PageQuery::default(), problem, fields).await
        }
        Err(error) => Err(visit.refuse(error)),
    }
}

/// `GET /boundaries`
pub(crate) async fn boundary_list(visit: Visit, Wanted(rows): Wanted<Rows>) -> Answer {
    show(visit, rows.into(), None, BoundaryFields::default()).await
}

/// `POST /boundaries`
pub(crate) async fn boundary_save(visit: Visit, Fields(fields): Fields<BoundaryFields>) -> Answer {
    let done = match fields.parse() {
        Err(problem) => return show(visit, PageQuery::default(), Some(problem), fields).await,
        Ok((None, set)) => muster_site::boundary_add(&visit.ctx, visit.site(), set).await,
        Ok((Some(id), set)) => muster_site::boundary_change(&visit.ctx, visit.site(), id, set).await,
    };
    settle(visit, done.map(drop), Done::BoundarySaved, fields).await
}

/// What the confirmation calls the thing. It is shown and nothing else.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct NameWanted {
    #[serde(default)]
    name: String,
}

/// `GET /boundaries/{id}/remove`
pub(crate) async fn remove_confirm(
    visit: Visit,
    Named(id): Named<BoundaryId>,
    Wanted(wanted): Wanted<NameWanted>,
) -> Answer {
    let consequence = "It goes from every group; devices that were in a group by it alone are in none.";
    confirm(visit, "Remove boundary", format!("/boundaries/{id}/remove"), wanted.name, consequence).await
}

/// `POST /boundaries/{id}/remove`
pub(crate) async fn boundary_remove(visit: Visit, Named(id): Named<BoundaryId>) -> Answer {
    visit.ask(muster_site::boundary_remove(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done("/boundaries", Done::BoundaryRemoved))
}

/// `POST /boundary-groups`
pub(crate) async fn group_add(visit: Visit, Fields(fields): Fields<GroupFields>) -> Answer {
    let done = match fields.parse() {
        Err(problem) => return show(visit, PageQuery::default(), Some(problem), BoundaryFields::default()).await,
        Ok(set) => muster_site::boundary_group_add(&visit.ctx, visit.site(), set).await,
    };
    settle(visit, done.map(drop), Done::BoundarySaved, BoundaryFields::default()).await
}

/// `POST /boundary-groups/{id}`
pub(crate) async fn group_change(
    visit: Visit,
    Named(id): Named<BoundaryGroupId>,
    Fields(fields): Fields<GroupFields>,
) -> Answer {
    let done = match fields.parse() {
        Err(problem) => return show(visit, PageQuery::default(), Some(problem), BoundaryFields::default()).await,
        Ok(set) => muster_site::boundary_group_change(&visit.ctx, visit.site(), id, set).await,
    };
    settle(visit, done.map(drop), Done::BoundarySaved, BoundaryFields::default()).await
}

/// `GET /boundary-groups/{id}/remove`
pub(crate) async fn group_remove_confirm(
    visit: Visit,
    Named(id): Named<BoundaryGroupId>,
    Wanted(wanted): Wanted<NameWanted>,
) -> Answer {
    let consequence = "Devices inside use any of the site's management points. The boundaries stay.";
    confirm(visit, "Remove boundary group", format!("/boundary-groups/{id}/remove"), wanted.name, consequence).await
}

/// `POST /boundary-groups/{id}/remove`
pub(crate) async fn group_remove(visit: Visit, Named(id): Named<BoundaryGroupId>) -> Answer {
    visit.ask(muster_site::boundary_group_remove(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done("/boundaries", Done::BoundaryRemoved))
}

async fn confirm(visit: Visit, title: &str, action: String, object: String, consequence: &str) -> Answer {
    visit.page(&ConfirmPage {
        shell: visit.shell("boundaries").await?,
        title: title.to_owned(),
        object,
        consequences: vec![consequence.to_owned()],
        reason: false,
        action,
        button: title.to_owned(),
        danger: true,
        back: "/boundaries".to_owned(),
        hidden: vec![],
    })
}
