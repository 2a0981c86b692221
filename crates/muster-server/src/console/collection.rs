//! Collections: the list with a form for a new one, and one with its rules, members, picture and the reasons for a device.

use super::{
    confirm::ConfirmPage,
    format,
    paging::{Paging, query},
    picture::Picture,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, PageRefusal, ReasonFields, Rows, Visit, Wanted, go_done},
    window::WindowFields,
};
use askama::Template;
use muster_model::{
    api::{
        Collection, CollectionCreate, CollectionDetail, CollectionExplained, CollectionKind, CollectionMember,
        CollectionQuery, CollectionRule, CollectionWindow, DeviceQuery, Page, PageQuery, ResourceQuery, RuleSpec,
        Subject,
    },
    id::{CollectionId, DeviceId, ResourceId},
    problem::Code,
};
use muster_site::SiteError;

/// `GET /collections`.
#[derive(Debug, Template)]
#[template(path = "collections.html")]
pub(crate) struct CollectionsPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What is searched for.
    pub(crate) search: String,
    /// The collections.
    pub(crate) page: Page<Collection>,
    paging: Paging,
    /// What was wrong with the form.
    pub(crate) problem: Option<String>,
    /// What was in it.
    pub(crate) fields: NewFields,
}

impl CollectionsPage {
    /// The page for these.
    pub(crate) fn new(
        shell: Shell,
        wanted: &CollectionQuery,
        page: Page<Collection>,
        problem: Option<String>,
        fields: NewFields,
    ) -> Self {
        let search = wanted.search.clone();
        let paging = Paging::new(&page, wanted.limit, |offset| {
            format!("/collections{}", query(&[("search", &search), ("offset", &offset.to_string())]))
        });
        Self { shell, search, page, paging, problem, fields }
    }
}

/// How a collection stands, in a word for a pill.
fn state(collection: &Collection) -> &'static str {
    match collection {
        c if c.evaluation_error.is_some() => "failed",
        c if c.pending => "pending",
        _ => "",
    }
}

/// `GET /collections/{id}`.
#[derive(Debug, Template)]
#[template(path = "collection.html")]
pub(crate) struct CollectionPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The collection.
    pub(crate) detail: CollectionDetail,
    /// A page of its members.
    pub(crate) members: Page<CollectionMember>,
    paging: Paging,
    picture: Picture,
    /// Why a device is in it, where that was asked.
    pub(crate) explained: Option<CollectionExplained>,
    /// What was wrong with a form.
    pub(crate) problem: Option<String>,
    /// What was in the form of a rule.
    pub(crate) fields: RuleFields,
    /// Its maintenance windows, and what was in the form of a new one.
    pub(crate) windows: Vec<CollectionWindow>,
    /// See `windows`.
    pub(crate) window_fields: WindowFields,
}

impl CollectionPage {
    /// The page for these.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the page")]
    pub(crate) fn new(
        shell: Shell,
        detail: CollectionDetail,
        wanted: PageQuery,
        members: Page<CollectionMember>,
        explained: Option<CollectionExplained>,
        problem: Option<String>,
        fields: RuleFields,
        windows: (Vec<CollectionWindow>, WindowFields),
    ) -> Self {
        let (windows, window_fields) = windows;
        let id = detail.collection.id;
        let paging = Paging::new(&members, wanted.limit, |offset| format!("/collections/{id}?offset={offset}"));
        let picture = Picture::new(id, &detail.collection.name, &detail.graph);
        Self { shell, detail, members, paging, picture, explained, problem, fields, windows, window_fields }
    }

    /// The page of a collection, with what was in its forms.
    pub(crate) async fn read(
        visit: &Visit,
        id: CollectionId,
        rows: PageQuery,
        explained: Option<CollectionExplained>,
        problem: Option<String>,
        fields: RuleFields,
        window_fields: WindowFields,
    ) -> Result<Self, PageRefusal> {
        let detail = visit.ask(muster_site::collection_show(&visit.ctx, visit.site(), id).await)?;
        let members = visit.ask(muster_site::collection_members(&visit.ctx, visit.site(), id, rows).await)?;
        let windows = visit.ask(muster_site::collection_window_list(&visit.ctx, visit.site(), id).await)?;
        let shell = visit.shell("collections").await?;
        Ok(Self::new(shell, detail, rows, members, explained, problem, fields, (windows, window_fields)))
    }

    /// Whether windows can be given to it.
    fn may_have_windows(&self) -> bool {
        self.may_change() && self.detail.collection.kind == CollectionKind::Device
    }

    fn is_again(&self, again: &str) -> bool {
        self.window_fields.again == again
    }

    fn may_change(&self) -> bool {
        self.shell.may_change() && !self.detail.collection.built_in
    }

    /// What a rule takes or leaves out, without what it names.
    fn kind(&self, rule: &CollectionRule) -> &'static str {
        match rule.rule {
            RuleSpec::Direct { .. } | RuleSpec::Resource { .. } => "Direct",
            RuleSpec::Query { .. } => "Query",
            RuleSpec::Include { .. } => "Include",
            RuleSpec::Exclude { .. } => "Exclude",
        }
    }

    /// The text of a rule: a query, or the address of what it names.
    fn text(&self, rule: &CollectionRule) -> String {
        match &rule.rule {
            RuleSpec::Direct { device } => device.to_string(),
            RuleSpec::Resource { resource } => resource.to_string(),
            RuleSpec::Query { query, .. } => query.clone(),
            RuleSpec::Include { collection } | RuleSpec::Exclude { collection } => collection.to_string(),
        }
    }

    fn is_kind(&self, kind: &str) -> bool {
        self.fields.kind == kind
    }
}

/// The form of a new collection.
#[derive(Debug, Default, Clone, serde::Deserialize)]
pub(crate) struct NewFields {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) comment: String,
    #[serde(default)]
    pub(crate) limiting: String,
    #[serde(default)]
    pub(crate) protected: String,
    #[serde(default)]
    pub(crate) incremental: String,
    #[serde(default)]
    pub(crate) kind: String,
}

impl NewFields {
    fn parse(&self) -> Result<CollectionCreate, String> {
        let kind = match self.kind.as_str() {
            "" => CollectionKind::Device,
            text => text.parse().map_err(|error| format!("Holds: {error}."))?,
        };
        let limiting = match self.limiting.trim() {
            "" if kind == CollectionKind::User => CollectionId::ALL_USERS,
            "" => CollectionId::ALL_SYSTEMS,
            text => text.parse().map_err(|error| format!("Limited by: {error}."))?,
        };
        Ok(CollectionCreate {
            name: self.name.trim().parse().map_err(|error| format!("Name: {error}."))?,
            comment: self.comment.trim().to_owned(),
            kind,
            limiting,
            protected: !self.protected.is_empty(),
            incremental: !self.incremental.is_empty(),
            schedule: Vec::new(),
            rules: Vec::new(),
        })
    }
}

/// The form of a rule: a kind, and a device, a collection or a query.
#[derive(Debug, Default, Clone, serde::Deserialize)]
pub(crate) struct RuleFields {
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) value: String,
}

/// A device by its id, or by a host name that only one has.
async fn device(visit: &Visit, text: &str) -> Result<DeviceId, String> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let query = DeviceQuery { search: text.to_owned(), limit: 50, ..DeviceQuery::default() };
    let found = muster_site::device_list(&visit.ctx, visit.site(), query).await;
    let found = found.map_err(|error| error.problem().detail)?.items;
    let mut named = found.into_iter().filter(|device| device.name.eq_ignore_ascii_case(text));
    match (named.next(), named.next()) {
        (Some(device), None) => Ok(device.id),
        (Some(_), Some(_)) => Err("Several devices have this name; say which by its id.".to_owned()),
        (None, _) => Err("There is no device with this name or id.".to_owned()),
    }
}

/// A device, or a user, a group or a system without a client, by number or name.
async fn subject(visit: &Visit, text: &str) -> Result<Subject, String> {
    if let Ok(number) = text.parse() {
        return Ok(Subject::Resource(ResourceId(number)));
    }
    let none = match device(visit, text).await {
        Ok(id) => return Ok(Subject::Device(id)),
        Err(sentence) => sentence,
    };
    let query = ResourceQuery { search: text.to_owned(), client: Some(false), limit: 50, ..ResourceQuery::default() };
    let found = muster_site::resource_list(&visit.ctx, visit.site(), query).await;
    let found = found.map_err(|error| error.problem().detail)?.items;
    let mut named = found.into_iter().filter(|resource| resource.name.eq_ignore_ascii_case(text));
    match (named.next(), named.next()) {
        (Some(resource), None) => Ok(Subject::Resource(resource.resource_id)),
        (Some(_), Some(_)) => Err("Several have this name; say which by its number.".to_owned()),
        (None, _) => Err(none),
    }
}

impl RuleFields {
    async fn parse(&self, visit: &Visit) -> Result<RuleSpec, String> {
        let value = self.value.trim();
        let collection = || value.parse().map_err(|error| format!("Collection: {error}."));
        match self.kind.as_str() {
            "direct" if value.parse::<u32>().is_ok() => {
                let number = value.parse().map_err(|_| "A resource has a number.".to_owned())?;
                Ok(RuleSpec::Resource { resource: ResourceId(number) })
            }
            "direct" => Ok(RuleSpec::Direct { device: device(visit, value).await? }),
            "include" => Ok(RuleSpec::Include { collection: collection()? }),
            "exclude" => Ok(RuleSpec::Exclude { collection: collection()? }),
            "query" => {
                let name = self.name.trim().parse().map_err(|error| format!("Name of the query: {error}."))?;
                Ok(RuleSpec::Query { name, query: value.to_owned() })
            }
            _ => Err("Choose what kind of rule it is.".to_owned()),
        }
    }
}

/// What the address of the list asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Searched {
    #[serde(default)]
    search: String,
}

/// What the address of one collection asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Explain {
    #[serde(default)]
    device: String,
}

async fn list(visit: Visit, wanted: CollectionQuery, problem: Option<String>, fields: NewFields) -> Answer {
    let page = visit.ask(muster_site::collection_list(&visit.ctx, visit.site(), &wanted).await)?;
    let shell = visit.shell("collections").await?;
    visit.page(&CollectionsPage::new(shell, &wanted, page, problem, fields))
}

/// `GET /collections`
pub(crate) async fn collection_list(
    visit: Visit,
    Wanted(searched): Wanted<Searched>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let rows = PageQuery::from(rows);
    let search = searched.search.trim().to_owned();
    list(visit, CollectionQuery { search, offset: rows.offset, limit: rows.limit }, None, NewFields::default()).await
}

/// Whether the person who filled a form can do something about it there.
pub(crate) fn is_of_form(error: &SiteError) -> bool {
    matches!(error.code(), Code::Malformed | Code::Conflict | Code::TooLarge)
}

/// `POST /collections`
pub(crate) async fn collection_create(visit: Visit, Fields(fields): Fields<NewFields>) -> Answer {
    let create = match fields.parse() {
        Ok(create) => create,
        Err(problem) => return list(visit, CollectionQuery::default(), Some(problem), fields).await,
    };
    match muster_site::collection_create(&visit.ctx, visit.site(), &create).await {
        Ok(made) => Ok(go_done(&format!("/collections/{}", made.collection.id), Done::CollectionSaved)),
        Err(error) if is_of_form(&error) => {
            list(visit, CollectionQuery::default(), Some(error.problem().detail), fields).await
        }
        Err(error) => Err(visit.refuse(error)),
    }
}

async fn show(
    visit: Visit,
    id: CollectionId,
    rows: PageQuery,
    explained: Option<CollectionExplained>,
    problem: Option<String>,
    fields: RuleFields,
) -> Answer {
    let page = CollectionPage::read(&visit, id, rows, explained, problem, fields, WindowFields::default()).await?;
    visit.page(&page)
}

/// `GET /collections/{id}`
pub(crate) async fn collection_show(
    visit: Visit,
    Named(id): Named<CollectionId>,
    Wanted(wanted): Wanted<Explain>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let mut problem = None;
    let mut explained = None;
    if !wanted.device.trim().is_empty() {
        match subject(&visit, wanted.device.trim()).await {
            Ok(subject) => {
                let said = muster_site::collection_explain(&visit.ctx, visit.site(), id, subject).await;
                explained = Some(visit.ask(said)?);
            }
            Err(sentence) => problem = Some(sentence),
        }
    }
    show(visit, id, rows.into(), explained, problem, RuleFields::default()).await
}

/// `POST /collections/{id}/rules`
pub(crate) async fn rule_add(
    visit: Visit,
    Named(id): Named<CollectionId>,
    Fields(fields): Fields<RuleFields>,
) -> Answer {
    let spec = match fields.parse(&visit).await {
        Ok(spec) => spec,
        Err(problem) => return show(visit, id, PageQuery::default(), None, Some(problem), fields).await,
    };
    match muster_site::collection_rule_add(&visit.ctx, visit.site(), id, &spec).await {
        Ok(_) => Ok(go_done(&format!("/collections/{id}"), Done::CollectionSaved)),
        Err(error) if is_of_form(&error) => {
            show(visit, id, PageQuery::default(), None, Some(error.problem().detail), fields).await
        }
        Err(error) => Err(visit.refuse(error)),
    }
}

/// `POST /collections/{id}/rules/{rule}/remove`
pub(crate) async fn rule_remove(visit: Visit, Named((id, rule)): Named<(CollectionId, u64)>) -> Answer {
    visit.ask(muster_site::collection_rule_remove(&visit.ctx, visit.site(), id, rule).await)?;
    Ok(go_done(&format!("/collections/{id}"), Done::CollectionSaved))
}

/// `POST /collections/{id}/evaluate`
pub(crate) async fn collection_evaluate(visit: Visit, Named(id): Named<CollectionId>) -> Answer {
    visit.ask(muster_site::collection_evaluate(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done(&format!("/collections/{id}"), Done::CollectionAsked))
}

/// `GET /collections/{id}/delete`
pub(crate) async fn delete_confirm(visit: Visit, Named(id): Named<CollectionId>) -> Answer {
    let collection = visit.ask(muster_site::collection_show(&visit.ctx, visit.site(), id).await)?.collection;
    visit.page(&ConfirmPage {
        shell: visit.shell("collections").await?,
        title: "Delete collection".to_owned(),
        object: collection.name.to_string(),
        consequences: vec![
            format!("Its rules go. Its members stay: {}.", format::counted(collection.members, "member")),
            "It is refused while another collection or a deployment depends on it.".to_owned(),
        ],
        reason: false,
        action: format!("/collections/{id}/delete"),
        button: "Delete collection".to_owned(),
        danger: true,
        back: format!("/collections/{id}"),
        hidden: vec![("revision".to_owned(), collection.revision.to_string())],
    })
}

/// `POST /collections/{id}/delete`
pub(crate) async fn collection_delete(
    visit: Visit,
    Named(id): Named<CollectionId>,
    Fields(fields): Fields<ReasonFields>,
) -> Answer {
    let revision = fields.revision.parse().ok();
    visit.ask(muster_site::collection_delete(&visit.ctx, visit.site(), id, revision).await)?;
    Ok(go_done("/collections", Done::CollectionDeleted))
}
