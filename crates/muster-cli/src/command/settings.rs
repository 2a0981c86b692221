//! `muster settings`: how often clients do what, and how far they may go; for all, and for the members of collections.

use super::{Context, ask::confirm, find};
use crate::{CliError, Client, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{DeviceSetting, SettingInfo, SettingsAsk, SettingsObject, SettingsPreview, SettingsSet, SettingsVersion},
    id::{Name, SettingsId},
    limits::DEFINITION_BYTES,
    settings::{SettingValues, setting},
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What an object is called that is for all clients.
const DEFAULT: &str = "Default";

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the default and the custom settings, by priority
    List,
    /// Show what settings say, and for whom
    Show {
        /// Id or name; without it the default for all clients
        #[arg(default_value = DEFAULT)]
        settings: String,
    },
    /// Every setting that there is: what it takes, its default, and what it collects
    Catalogue,
    /// Make custom settings for the members of collections; they come after all others
    Create {
        /// What people call them
        name: Name,
        #[command(flatten)]
        change: Change,
    },
    /// Change settings; what is not named stays as it is
    Update {
        /// Id or name; without it the default for all clients
        #[arg(default_value = DEFAULT)]
        settings: String,
        /// Another name
        #[arg(long)]
        name: Option<Name>,
        #[command(flatten)]
        change: Change,
    },
    /// Give custom settings another priority; 1 wins over all others
    Move {
        /// Id or name
        settings: String,
        /// Their new priority
        priority: u32,
    },
    /// What settings were, the newest version first
    History {
        /// Id or name; without it the default for all clients
        #[arg(default_value = DEFAULT)]
        settings: String,
    },
    /// Delete custom settings
    Delete {
        /// Id or name
        settings: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Change {
    /// A setting and its value: script_policy=restricted, cache_bytes=2GiB, deadline_spread=30m; see `muster settings catalogue`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_value)]
    values: Vec<(String, Value)>,
    /// Say this setting no more: what comes after holds
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    unset: Vec<String>,
    /// For the members of this collection (id or name); several may be named, and they take the place of those before
    #[arg(long = "collection", value_name = "COLLECTION")]
    collections: Vec<String>,
    /// For no collection any more
    #[arg(long, conflicts_with = "collections")]
    no_collection: bool,
    /// What they are for
    #[arg(long)]
    comment: Option<String>,
    /// How often clients ask for policy when no change calls them
    #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
    policy_poll: Option<i64>,
    /// How often clients take inventory
    #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
    inventory: Option<i64>,
    /// How often clients say that they are there
    #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
    heartbeat: Option<i64>,
    /// JSON file that says which files clients report: {"paths": [{"path", "names", "recursive"}], "exclude", "files", "seconds", "read": {"hash", "versions", "file_bytes", "total_bytes"}}
    #[arg(long, value_name = "FILE")]
    software: Option<PathBuf>,
    /// Report no files any more
    #[arg(long, conflicts_with = "software")]
    no_software: bool,
    /// Only show what would change, and for how many devices
    #[arg(long)]
    preview: bool,
}

fn parse_value(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not like policy_poll=30m"))?;
    let name = parse_name(name)?;
    let value = setting(&name).ok_or_else(|| format!("there is no setting {name}"))?.parse(value)?;
    Ok((name, value))
}

fn parse_name(name: &str) -> Result<String, String> {
    let known = setting(name).map(|setting| setting.name.to_owned());
    known.ok_or_else(|| format!("there is no setting {name:?}; `muster settings catalogue` shows all"))
}

impl Change {
    const fn is_empty(&self) -> bool {
        let lengths = self.policy_poll.is_none() && self.inventory.is_none() && self.heartbeat.is_none();
        let files = self.software.is_none() && !self.no_software;
        let collections = self.collections.is_empty() && !self.no_collection;
        lengths && files && collections && self.values.is_empty() && self.unset.is_empty() && self.comment.is_none()
    }

    /// What comes of settings by this change.
    async fn apply(&self, client: &Client, before: SettingsSet) -> Result<SettingsSet, CliError> {
        let SettingsSet { name, comment, values: SettingValues(mut values), mut collections } = before;
        values.extend(self.values.iter().cloned());
        let lengths = [("policy_poll", self.policy_poll), ("inventory", self.inventory), ("heartbeat", self.heartbeat)];
        for (name, length) in lengths {
            values.extend(length.map(|length| (name.to_owned(), Value::from(length))));
        }
        if let Some(file) = &self.software {
            values.insert("software".to_owned(), scan(file)?);
        } else if self.no_software {
            values.insert("software".to_owned(), Value::Null);
        }
        values.retain(|name, _| !self.unset.contains(name));
        if self.no_collection || !self.collections.is_empty() {
            collections.clear();
        }
        for word in &self.collections {
            collections.push(find::collection(client, word).await?);
        }
        Ok(SettingsSet {
            name,
            comment: self.comment.clone().unwrap_or(comment),
            values: SettingValues(values),
            collections,
        })
    }
}

fn scan(file: &Path) -> Result<Value, CliError> {
    let bytes = crate::files::read_at_most(file, DEFINITION_BYTES as u64)?;
    let text = String::from_utf8_lossy(&bytes);
    let files = setting("software").ok_or_else(|| CliError::Usage("there is no setting for files".to_owned()))?;
    files.parse(&text).map_err(|reason| CliError::Usage(format!("{}: {reason}", file.display())))
}

async fn find_settings(client: &Client, word: &str) -> Result<SettingsObject, CliError> {
    let found = client.settings_list().await?.into_iter();
    let found = found.into_iter().find(|object| object.id.to_string() == word || object.name.as_str() == word);
    found.ok_or_else(|| CliError::Usage(format!("there are no settings {word:?}; `muster settings list` shows all")))
}

fn set_of(object: &SettingsObject) -> SettingsSet {
    SettingsSet {
        name: object.name.clone(),
        comment: object.comment.clone(),
        values: object.values.clone(),
        collections: object.collections.iter().map(|collection| collection.id).collect(),
    }
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        match self {
            Self::List => ctx.out.value(&client.settings_list().await?, |objects| listed(ctx, objects)),
            Self::Show { settings } => {
                ctx.out.value(&find_settings(&client, &settings).await?, |object| shown(ctx, object))
            }
            Self::Catalogue => ctx.out.value(&client.settings_catalogue().await?, |infos| catalogue(infos)),
            Self::Create { name, change } => create(ctx, &client, name, &change).await,
            Self::Update { settings, name, change } => update(ctx, &client, &settings, name, &change).await,
            Self::Move { settings, priority } => {
                let object = find_settings(&client, &settings).await?;
                let ask = SettingsAsk { id: Some(object.id), priority: Some(priority), set: None };
                let preview = client.settings_preview(&ask).await?;
                confirm(ctx, &format!("{} gets priority {priority}.\n{}", object.name, previewed(&preview)))?;
                ctx.out.value(&client.settings_move(object.id, priority, Some(object.version)).await?, |object| {
                    shown(ctx, object)
                })
            }
            Self::History { settings } => {
                let id = match settings.parse::<SettingsId>() {
                    Ok(id) => id,
                    Err(_) => find_settings(&client, &settings).await?.id,
                };
                ctx.out.value(&client.settings_versions(id, 50).await?, |page| {
                    page.items.iter().map(|version| versioned(ctx, version)).collect::<Vec<_>>().join("\n")
                })
            }
            Self::Delete { settings } => {
                let object = find_settings(&client, &settings).await?;
                let ask = SettingsAsk { id: Some(object.id), priority: None, set: None };
                let preview = client.settings_preview(&ask).await?;
                confirm(ctx, &format!("The settings {} go.\n{}", object.name, previewed(&preview)))?;
                client.settings_delete(object.id, Some(object.version)).await?;
                ctx.out.value(&object, |object| format!("{} is deleted.", object.name))
            }
        }
    }
}

async fn create(ctx: &Context, client: &Client, name: Name, change: &Change) -> Result<(), CliError> {
    let empty = SettingsSet { name, comment: String::new(), values: SettingValues::default(), collections: vec![] };
    let set = change.apply(client, empty).await?;
    let preview = client.settings_preview(&SettingsAsk { id: None, priority: None, set: Some(set.clone()) }).await?;
    if change.preview {
        return ctx.out.value(&preview, previewed);
    }
    confirm(ctx, &previewed(&preview))?;
    ctx.out.value(&client.settings_create(&set).await?, |object| shown(ctx, object))
}

async fn update(
    ctx: &Context,
    client: &Client,
    word: &str,
    name: Option<Name>,
    change: &Change,
) -> Result<(), CliError> {
    if change.is_empty() && name.is_none() {
        return Err(CliError::Usage("name at least one setting; see --help".to_owned()));
    }
    let before = find_settings(client, word).await?;
    let mut set = change.apply(client, set_of(&before)).await?;
    set.name = name.unwrap_or(set.name);
    let ask = SettingsAsk { id: Some(before.id), priority: None, set: Some(set.clone()) };
    let preview = client.settings_preview(&ask).await?;
    if change.preview {
        return ctx.out.value(&preview, previewed);
    }
    confirm(ctx, &previewed(&preview))?;
    let object = client.settings_update(before.id, &set, Some(before.version)).await?;
    ctx.out.value(&object, |object| shown(ctx, object))
}

fn previewed(preview: &SettingsPreview) -> String {
    let SettingsPreview { devices, changed, changes } = preview;
    let row = |difference: &muster_model::api::SettingsDifference| {
        let examples = difference.examples.join(", ");
        [
            difference.setting.clone(),
            difference.from.clone(),
            difference.to.clone(),
            difference.devices.to_string(),
            examples,
        ]
    };
    let head = format!("{changed} of {devices} devices get other settings.");
    if changes.is_empty() {
        return head;
    }
    let table = output::table(["SETTING", "FROM", "TO", "DEVICES", "SOME OF THEM"], changes.iter().map(row));
    format!("{head}\n\n{table}")
}

fn listed(ctx: &Context, objects: &[SettingsObject]) -> String {
    let row = |object: &SettingsObject| {
        let names: Vec<_> = object.collections.iter().map(|collection| collection.name.as_str()).collect();
        let whom = if object.id == SettingsId::DEFAULT { "all".to_owned() } else { names.join(", ") };
        let changed = match object.version {
            0 => "never".to_owned(),
            _ => format!("{}, {}", object.changed_by, when::human(ctx.now, object.changed)),
        };
        let (id, name, values) = (object.id.to_string(), object.name.to_string(), object.values.0.len().to_string());
        [id, object.priority.to_string(), name, values, whom, changed]
    };
    let table = output::table(["ID", "PRIORITY", "NAME", "SAYS", "FOR", "CHANGED"], objects.iter().map(row));
    let warnings =
        objects.iter().flat_map(|object| &object.warnings).map(|w| format!("\nWarning: {}", output::clean(w)));
    table + &warnings.collect::<String>()
}

fn values(values: &SettingValues) -> String {
    let shown = |(name, value): (&String, &Value)| {
        let text = setting(name).map_or_else(|| value.to_string(), |setting| setting.shown(value));
        let unused = setting(name).is_none_or(|setting| !setting.in_force);
        (name.clone(), if unused { format!("{text} (not used by clients yet)") } else { text })
    };
    let pairs: Vec<_> = values.0.iter().map(shown).collect();
    if pairs.is_empty() {
        return "Nothing is said: each setting has its own default.\n".to_owned();
    }
    output::pairs(pairs.iter().map(|(name, text)| (name.as_str(), text.clone())))
}

fn shown(ctx: &Context, object: &SettingsObject) -> String {
    let names: Vec<_> = object.collections.iter().map(|collection| collection.name.as_str()).collect();
    let is_default = object.id == SettingsId::DEFAULT;
    let head = output::pairs([
        ("Settings", object.name.to_string()),
        ("Priority", if is_default { "after all others".to_owned() } else { object.priority.to_string() }),
        ("For", if is_default { "all clients".to_owned() } else { names.join(", ") }),
        ("Comment", object.comment.clone()),
        ("Version", format!("{}, {}", object.version, when::both(ctx.now, object.changed))),
    ]);
    let warnings = object.warnings.iter().map(|warning| format!("\nWarning: {}", output::clean(warning)));
    format!("{head}\n{}{}", values(&object.values), warnings.collect::<String>())
}

fn versioned(ctx: &Context, version: &SettingsVersion) -> String {
    let names: Vec<_> = version.collections.iter().map(|collection| collection.name.as_str()).collect();
    let head = output::pairs([
        ("Version", format!("{}, {}, {}", version.version, version.changed_by, when::both(ctx.now, version.changed))),
        ("Name", version.name.to_string()),
        ("Priority", version.priority.to_string()),
        ("For", names.join(", ")),
    ]);
    format!("{head}{}", values(&version.values))
}

fn catalogue(infos: &[SettingInfo]) -> String {
    let mut text = String::new();
    let mut group = "";
    for info in infos {
        if info.group != group {
            group = &info.group;
            text += &format!("\n{group}\n");
        }
        text += &format!("  {} = {} ({})\n      {}\n", info.name, info.default_shown, info.takes, info.about);
        if let Some(privacy) = &info.privacy {
            text += &format!("      Collects: {privacy}\n");
        }
        if let Some(dangerous) = &info.dangerous {
            text += &format!("      Only in custom settings for collections chosen by name: {dangerous}.\n");
        }
        if !info.in_force {
            text += "      Not used by clients yet.\n";
        }
    }
    text.trim_start().to_owned()
}

/// The settings of a device.
pub(super) fn of_device(settings: &[DeviceSetting]) -> String {
    let row = |setting: &DeviceSetting| {
        let source = match setting.source_id {
            Some(id) if id != SettingsId::DEFAULT => format!("{} (priority {})", setting.source, setting.priority),
            Some(_) => setting.source.clone(),
            None => "not set".to_owned(),
        };
        let used = if setting.in_force { "" } else { "not used yet" };
        [setting.group.clone(), setting.name.clone(), setting.shown.clone(), source, used.to_owned()]
    };
    output::table(["GROUP", "SETTING", "VALUE", "FROM", ""], settings.iter().map(row))
}
