//! Client settings: the default and the custom ones, one object with its form and its versions, and what a change would change.

use super::{
    collection::is_of_form,
    confirm::ConfirmPage,
    format,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, PageRefusal, ReasonFields, Visit, go_done},
};
use askama::Template;
use muster_model::{
    api::{Page, PageQuery, SettingsAsk, SettingsObject, SettingsPreview, SettingsSet, SettingsVersion},
    id::{CollectionId, SettingsId},
    settings::{CATALOGUE, ClientSettings, Kind, Setting, SettingValues},
};
use std::collections::BTreeMap;

/// `GET /settings`: the default, and the custom ones by priority.
#[derive(Debug, Template)]
#[template(path = "settings.html")]
pub(crate) struct SettingsPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The objects, the default first.
    pub(crate) objects: Vec<SettingsObject>,
    /// What was wrong with the form.
    pub(crate) problem: Option<String>,
    /// What was in it.
    pub(crate) fields: BTreeMap<String, String>,
}

impl SettingsPage {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn is_default(&self, object: &SettingsObject) -> bool {
        object.id == SettingsId::DEFAULT
    }
}

/// `GET /settings/{id}`: one object.
#[derive(Debug, Template)]
#[template(path = "settings_object.html")]
pub(crate) struct SettingsObjectPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The object.
    pub(crate) object: SettingsObject,
    /// What it was.
    pub(crate) versions: Page<SettingsVersion>,
    /// What is in the form.
    pub(crate) fields: BTreeMap<String, String>,
    /// What the form would change.
    pub(crate) preview: Option<SettingsPreview>,
    /// What was wrong with it.
    pub(crate) problem: Option<String>,
}

/// One setting of the form.
struct Row {
    setting: &'static Setting,
    /// Whether a group begins with it.
    first: bool,
    /// What is typed; empty: it is not said.
    value: String,
    /// What may be chosen, where it is a choice.
    choices: Vec<&'static str>,
    default: String,
}

impl SettingsObjectPage {
    /// Of what was filled in: shown again with a later one, it would overwrite what somebody saved meanwhile.
    fn revision(&self) -> String {
        self.fields.get("revision").cloned().unwrap_or_else(|| self.object.version.to_string())
    }

    fn rows(&self) -> Vec<Row> {
        let defaults = SettingValues::of(&ClientSettings::default());
        let mut group = "";
        let row = |setting: &'static Setting| {
            let first = group != setting.group;
            group = setting.group;
            let choices = match setting.kind {
                Kind::Flag => vec!["yes", "no"],
                Kind::Choice(words) => words.to_vec(),
                _ => Vec::new(),
            };
            let default = defaults.0.get(setting.name).map(|value| setting.shown(value)).unwrap_or_default();
            Row { setting, first, value: self.field(setting.name).to_owned(), choices, default }
        };
        CATALOGUE.iter().map(row).collect()
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn is_default(&self) -> bool {
        self.object.id == SettingsId::DEFAULT
    }

    /// What a version said, in words.
    fn said(&self, version: &SettingsVersion) -> String {
        let shown = |(name, value): (&String, &serde_json::Value)| {
            let setting = muster_model::settings::setting(name);
            format!("{name}: {}", setting.map_or_else(|| value.to_string(), |setting| setting.shown(value)))
        };
        let said: Vec<_> = version.values.0.iter().map(shown).collect();
        if said.is_empty() { "nothing".to_owned() } else { said.join("; ") }
    }
}

/// The fields of an object as it is.
pub(crate) fn filled(object: &SettingsObject) -> BTreeMap<String, String> {
    let typed = |setting: &&Setting| {
        let value = object.values.0.get(setting.name)?;
        Some((setting.name.to_owned(), setting.typed(value)))
    };
    let mut fields: BTreeMap<_, _> = CATALOGUE.iter().filter_map(|setting| typed(&setting)).collect();
    let ids: Vec<_> = object.collections.iter().map(|collection| collection.id.to_string()).collect();
    fields.insert("name".to_owned(), object.name.to_string());
    fields.insert("comment".to_owned(), object.comment.clone());
    fields.insert("collections".to_owned(), ids.join("\n"));
    fields
}

/// What a form says.
fn parse(fields: &BTreeMap<String, String>) -> Result<SettingsSet, String> {
    let field = |name: &str| fields.get(name).map_or("", |text| text.trim());
    let mut values = SettingValues::default();
    for setting in CATALOGUE {
        let text = field(setting.name);
        if !text.is_empty() {
            values.0.insert(setting.name.to_owned(), setting.parse(text)?);
        }
    }
    let words = field("collections").split_whitespace();
    let id = |word: &str| {
        let shown: String = word.chars().take(40).collect();
        word.parse::<CollectionId>().map_err(|error| format!("{shown:?}: {error}."))
    };
    Ok(SettingsSet {
        name: field("name").parse().map_err(|error| format!("Name: {error}."))?,
        comment: field("comment").to_owned(),
        values,
        collections: words.map(id).collect::<Result<_, _>>()?,
    })
}

async fn list(visit: Visit, problem: Option<String>, fields: BTreeMap<String, String>) -> Answer {
    let objects = visit.ask(muster_site::settings_list(&visit.ctx, visit.site()).await)?;
    visit.page(&SettingsPage { shell: visit.shell("settings").await?, objects, problem, fields })
}

/// `GET /settings`
pub(crate) async fn settings_list(visit: Visit) -> Answer {
    list(visit, None, BTreeMap::new()).await
}

/// `POST /settings`
pub(crate) async fn settings_create(visit: Visit, Fields(fields): Fields<BTreeMap<String, String>>) -> Answer {
    let set = match parse(&fields) {
        Ok(set) => set,
        Err(problem) => return list(visit, Some(problem), fields).await,
    };
    match muster_site::settings_create(&visit.ctx, visit.site(), &set).await {
        Ok(object) => Ok(go_done(&format!("/settings/{}", object.id), Done::SettingsSaved)),
        Err(error) if is_of_form(&error) => list(visit, Some(error.problem().detail), fields).await,
        Err(error) => Err(visit.refuse(error)),
    }
}

async fn page(
    visit: &Visit,
    id: SettingsId,
    fields: Option<BTreeMap<String, String>>,
    preview: Option<SettingsPreview>,
    problem: Option<String>,
) -> Result<SettingsObjectPage, PageRefusal> {
    let object = visit.ask(muster_site::settings_show(&visit.ctx, visit.site(), id).await)?;
    let rows = PageQuery { offset: 0, limit: 20 };
    let versions = visit.ask(muster_site::settings_versions(&visit.ctx, visit.site(), id, rows).await)?;
    let fields = fields.unwrap_or_else(|| filled(&object));
    Ok(SettingsObjectPage { shell: visit.shell("settings").await?, object, versions, fields, preview, problem })
}

/// `GET /settings/{id}`
pub(crate) async fn settings_show(visit: Visit, Named(id): Named<SettingsId>) -> Answer {
    let page = page(&visit, id, None, None, None).await?;
    visit.page(&page)
}

/// `POST /settings/{id}`: what it would change, or the change itself.
pub(crate) async fn settings_update(
    visit: Visit,
    Named(id): Named<SettingsId>,
    Fields(fields): Fields<BTreeMap<String, String>>,
) -> Answer {
    let set = match parse(&fields) {
        Ok(set) => set,
        Err(problem) => return visit.page(&page(&visit, id, Some(fields), None, Some(problem)).await?),
    };
    let (mut preview, mut problem) = (None, None);
    if fields.get("do").is_some_and(|what| what == "preview") {
        let ask = SettingsAsk { id: Some(id), priority: None, set: Some(set) };
        match muster_site::settings_preview(&visit.ctx, visit.site(), &ask).await {
            Ok(found) => preview = Some(found),
            Err(error) if is_of_form(&error) => problem = Some(error.problem().detail),
            Err(error) => return Err(visit.refuse(error)),
        }
    } else {
        let revision = fields.get("revision").and_then(|revision| revision.parse().ok());
        match muster_site::settings_update(&visit.ctx, visit.site(), id, &set, revision).await {
            Ok(_) => return Ok(go_done(&format!("/settings/{id}"), Done::SettingsSaved)),
            Err(error) if is_of_form(&error) || error.code() == muster_model::problem::Code::Changed => {
                problem = Some(error.problem().detail);
            }
            Err(error) => return Err(visit.refuse(error)),
        }
    }
    let page = page(&visit, id, Some(fields), preview, problem).await?;
    visit.page(&page)
}

/// The form of a move.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct MoveFields {
    #[serde(default)]
    priority: String,
    #[serde(default)]
    revision: String,
}

/// `POST /settings/{id}/move`
pub(crate) async fn settings_move(
    visit: Visit,
    Named(id): Named<SettingsId>,
    Fields(fields): Fields<MoveFields>,
) -> Answer {
    let priority = fields.priority.trim().parse().unwrap_or(0);
    let revision = fields.revision.parse().ok();
    match muster_site::settings_move(&visit.ctx, visit.site(), id, priority, revision).await {
        Ok(_) => Ok(go_done("/settings", Done::SettingsSaved)),
        Err(error) if is_of_form(&error) => {
            let page = page(&visit, id, None, None, Some(error.problem().detail)).await?;
            visit.page(&page)
        }
        Err(error) => Err(visit.refuse(error)),
    }
}

/// `GET /settings/{id}/delete`
pub(crate) async fn delete_confirm(visit: Visit, Named(id): Named<SettingsId>) -> Answer {
    let object = visit.ask(muster_site::settings_show(&visit.ctx, visit.site(), id).await)?;
    let ask = SettingsAsk { id: Some(id), priority: None, set: None };
    let preview = visit.ask(muster_site::settings_preview(&visit.ctx, visit.site(), &ask).await)?;
    let change = |change: &muster_model::api::SettingsDifference| {
        let devices = format::counted(change.devices, "device");
        format!("{} becomes {} instead of {} on {devices}.", change.setting, change.to, change.from)
    };
    let mut consequences = vec![format!("{} get other settings.", format::counted(preview.changed, "device"))];
    consequences.extend(preview.changes.iter().map(change));
    visit.page(&ConfirmPage {
        shell: visit.shell("settings").await?,
        title: "Delete client settings".to_owned(),
        object: object.name.to_string(),
        consequences,
        reason: false,
        action: format!("/settings/{id}/delete"),
        button: "Delete settings".to_owned(),
        danger: true,
        back: format!("/settings/{id}"),
        hidden: vec![("revision".to_owned(), object.version.to_string())],
    })
}

/// `POST /settings/{id}/delete`
pub(crate) async fn settings_delete(
    visit: Visit,
    Named(id): Named<SettingsId>,
    Fields(fields): Fields<ReasonFields>,
) -> Answer {
    let revision = fields.revision.parse().ok();
    visit.ask(muster_site::settings_delete(&visit.ctx, visit.site(), id, revision).await)?;
    Ok(go_done("/settings", Done::SettingsSaved))
}
