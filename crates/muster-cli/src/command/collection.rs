//! `muster collection`: devices in groups, by rules.

use super::{Context, Part, ask::confirm, collection_rule, collection_transfer, collection_window, find};
use crate::{CliError, Client, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{
        Collection, CollectionCreate, CollectionDetail, CollectionKind, CollectionQuery, CollectionSet, ResourceKind,
    },
    id::{CollectionId, Name},
    schedule::{Recurrence, ScheduleToken},
    time::UnixMillis,
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List collections
    List {
        /// A part of the name or the id
        #[arg(long, default_value = "")]
        search: String,
        #[command(flatten)]
        part: Part,
    },
    /// Show a collection: its rules, what it depends on, what depends on it
    Show {
        /// Id or name
        collection: String,
    },
    /// Make a collection; it is evaluated at once
    Create(Create),
    /// Show who would be in a collection, and make nothing
    Preview(Create),
    /// Change a collection: what is not said stays as it is
    Change(Change),
    /// Delete a collection on which nothing depends
    Delete {
        /// Id or name
        collection: String,
    },
    /// Rules of a collection
    #[command(subcommand)]
    Rule(collection_rule::Verb),
    /// Maintenance windows of a collection: when its members may be worked on
    #[command(subcommand)]
    Window(collection_window::Verb),
    /// List the members of a collection
    Members {
        /// Id or name
        collection: String,
        #[command(flatten)]
        part: Part,
    },
    /// Say why a device, a user or a group is in a collection, or is not
    Explain {
        /// Id or name of the collection
        collection: String,
        /// Id or host name of the device; number or name of a user or a group
        device: String,
    },
    /// Take the collections of a MOF file that Configuration Manager exported, or another site
    Import {
        /// The file, in UTF-16 or UTF-8
        file: PathBuf,
        /// Make nothing; only say what would be taken and what not
        #[arg(long)]
        what_if: bool,
    },
    /// Write collections as a MOF file: those that administrators made, or one
    Export {
        /// Id or name of the collection
        collection: Option<String>,
        /// Where to; in UTF-16, as Configuration Manager reads it [default: the standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show what the index in the server's memory is like, which answers the queries of rules
    Index,
    /// Evaluate a whole collection now
    Evaluate {
        /// Id or name
        collection: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What people call it
    #[arg(long)]
    name: Name,
    /// What it is for
    #[arg(long, default_value = "")]
    comment: String,
    /// What it holds: device or user
    #[arg(long, default_value = "device")]
    kind: CollectionKind,
    /// Id or name of the collection that limits it [default: SMS00001 of devices, SMS00004 of users]
    #[arg(long, value_name = "COLLECTION")]
    limiting: Option<String>,
    /// Take members only by what the site itself knows
    #[arg(long)]
    protected: bool,
    /// Ask its queries again as soon as what they ask about changes
    #[arg(long)]
    incremental: bool,
    /// Evaluate it as a whole every so often: 12h, 7d
    #[arg(long, value_name = "LENGTH", value_parser = when::parse_length)]
    every: Option<i64>,
    #[command(flatten)]
    rules: collection_rule::Wanted,
}

#[derive(Debug, Args)]
pub(super) struct Change {
    /// Id or name
    collection: String,
    /// What people call it
    #[arg(long)]
    name: Option<Name>,
    /// What it is for
    #[arg(long)]
    comment: Option<String>,
    /// Id or name of the collection that limits it
    #[arg(long, value_name = "COLLECTION")]
    limiting: Option<String>,
    /// Whether it takes members only by what the site itself knows
    #[arg(long, value_name = "BOOL")]
    protected: Option<bool>,
    /// Whether its queries are asked again as soon as what they ask about changes
    #[arg(long, value_name = "BOOL")]
    incremental: Option<bool>,
    /// Evaluate it as a whole every so often: 12h, 7d
    #[arg(long, value_name = "LENGTH", value_parser = when::parse_length, conflicts_with = "no_schedule")]
    every: Option<i64>,
    /// Evaluate it as a whole only when that is asked for
    #[arg(long)]
    no_schedule: bool,
}

/// A schedule of one interval.
fn schedule(length: i64, now: UnixMillis) -> Result<Vec<ScheduleToken>, CliError> {
    let minutes = length / 60_000;
    let part = |number: i64| u8::try_from(number).unwrap_or(u8::MAX);
    let (days, hours, minutes) = (part(minutes / 1_440), part(minutes / 60 % 24), part(minutes % 60));
    let token = ScheduleToken { start: now, every: Recurrence::Interval { days, hours, minutes } };
    if token.is_sound() {
        Ok(vec![token])
    } else {
        Err(CliError::Usage("--every takes 1 minute to 31 days".to_owned()))
    }
}

impl Create {
    async fn request(self, client: &Client, now: UnixMillis) -> Result<CollectionCreate, CliError> {
        Ok(CollectionCreate {
            name: self.name,
            comment: self.comment,
            kind: self.kind,
            limiting: match (self.limiting, self.kind) {
                (Some(limiting), _) => find::collection(client, &limiting).await?,
                (None, CollectionKind::Device) => CollectionId::ALL_SYSTEMS,
                (None, CollectionKind::User) => CollectionId::ALL_USERS,
            },
            protected: self.protected,
            incremental: self.incremental,
            schedule: self.every.map_or(Ok(Vec::new()), |length| schedule(length, now))?,
            rules: self.rules.rules(client).await?,
        })
    }
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        match self {
            Self::List { search, part } => collection_list(ctx, &client, search, part).await,
            Self::Show { collection } => {
                let id = find::collection(&client, &collection).await?;
                ctx.out.value(&client.collection_show(id).await?, |detail| shown(ctx, detail))
            }
            Self::Create(create) => {
                let request = create.request(&client, ctx.now).await?;
                let made = client.collection_create(&request).await?;
                ctx.out.value(&made, |d| {
                    let (name, id) = (&d.collection.name, d.collection.id);
                    format!("{name} is {id}.\nNext: muster collection members {id}")
                })
            }
            Self::Preview(create) => {
                let request = create.request(&client, ctx.now).await?;
                ctx.out.value(&client.collection_preview(&request).await?, |preview| {
                    let rows = preview.items.iter().map(|m| [member_device(m), m.name.clone(), member_state(m)]);
                    let table = output::table(["DEVICE", "NAME", "STATE"], rows);
                    output::listed(&table, preview.items.len(), preview.total, 0, "No device would be in it.")
                })
            }
            Self::Change(change) => collection_change(ctx, &client, change).await,
            Self::Delete { collection } => {
                let id = find::collection(&client, &collection).await?;
                let seen = client.collection_show(id).await?.collection;
                confirm(ctx, &format!("{} ({id}) with {} members goes; the devices stay.", seen.name, seen.members))?;
                client.collection_delete(id, Some(seen.revision)).await?;
                ctx.out.value(&seen, |seen| format!("{} is deleted.", seen.name))
            }
            Self::Rule(verb) => verb.run(ctx, &client).await,
            Self::Window(verb) => verb.run(ctx, &client).await,
            Self::Members { collection, part } => {
                let id = find::collection(&client, &collection).await?;
                ctx.out.value(&client.collection_members(id, &part.query()).await?, |page| {
                    let row = |m: &muster_model::api::CollectionMember| {
                        [member_device(m), m.resource_id.to_string(), m.name.clone(), member_state(m)]
                    };
                    let table = output::table(["DEVICE", "RESOURCE", "NAME", "STATE"], page.items.iter().map(row));
                    output::listed(&table, page.items.len(), page.total, page.offset, "No members.")
                })
            }
            Self::Explain { collection, device } => {
                let id = find::collection(&client, &collection).await?;
                let subject = find::subject(&client, &device).await?;
                ctx.out.value(&client.collection_explain(id, subject).await?, explained)
            }
            Self::Index => ctx.out.value(&client.collection_index().await?, |index| {
                let each = index.bytes / index.devices.max(1);
                format!(
                    "{} devices, {} bytes ({each} for each device)\n{} rules are answered by the index, {} by SQL",
                    index.devices, index.bytes, index.by_index, index.by_sql
                )
            }),
            Self::Import { file, what_if } => collection_transfer::import(ctx, &client, &file, what_if).await,
            Self::Export { collection, output } => {
                collection_transfer::export(ctx, &client, collection.as_deref(), output.as_deref()).await
            }
            Self::Evaluate { collection } => {
                let id = find::collection(&client, &collection).await?;
                let asked = client.collection_evaluate(id).await?;
                ctx.out.value(&asked, |c| format!("{} is evaluated now.", c.name))
            }
        }
    }
}

fn member_device(member: &muster_model::api::CollectionMember) -> String {
    member.device.map(|device| device.to_string()).unwrap_or_default()
}

fn member_state(member: &muster_model::api::CollectionMember) -> String {
    match (member.state, member.kind) {
        (Some(state), _) => state.to_string(),
        (None, ResourceKind::System) => "no client".to_owned(),
        (None, kind) => kind.to_string(),
    }
}

fn explained(said: &muster_model::api::CollectionExplained) -> String {
    let (device, collection) = (output::clean(&said.device_name), &said.collection_name);
    let word = if said.member { "is" } else { "is not" };
    let mut text = format!("{device} {word} in {collection}.\n");
    if said.member != said.stored {
        text.push_str("The last evaluation left it otherwise; the next one comes to this.\n");
    }
    for reason in &said.reasons {
        let sign = if reason.holds { '+' } else { '-' };
        text.push_str(&format!("{sign} {}\n", output::clean(&reason.text)));
        for (name, value) in &reason.row {
            text.push_str(&format!("    {}: {}\n", output::clean(name), output::clean(value)));
        }
    }
    text
}

async fn collection_change(ctx: &Context, client: &Client, change: Change) -> Result<(), CliError> {
    let id = find::collection(client, &change.collection).await?;
    let seen = client.collection_show(id).await?.collection;
    let limiting: Option<CollectionId> = match &change.limiting {
        Some(word) => Some(find::collection(client, word).await?),
        None => seen.limiting,
    };
    let set = CollectionSet {
        name: change.name.unwrap_or(seen.name),
        comment: change.comment.unwrap_or(seen.comment),
        limiting: limiting.unwrap_or(CollectionId::ALL_SYSTEMS),
        protected: change.protected.unwrap_or(seen.protected),
        incremental: change.incremental.unwrap_or(seen.incremental),
        schedule: match change.every {
            Some(length) => schedule(length, ctx.now)?,
            None if change.no_schedule => Vec::new(),
            None => seen.schedule,
        },
    };
    let changed = client.collection_change(id, &set, Some(seen.revision)).await?;
    ctx.out.value(&changed, |d| format!("{} ({id}) is changed.", d.collection.name))
}

async fn collection_list(ctx: &Context, client: &Client, search: String, part: Part) -> Result<(), CliError> {
    let wanted = CollectionQuery { search, offset: part.offset, limit: part.limit };
    let page = client.collection_list(&wanted).await?;
    ctx.out.value(&page, |page| {
        let row = |c: &Collection| {
            [
                c.id.to_string(),
                c.name.to_string(),
                c.members.to_string(),
                c.limiting.map(|id| id.to_string()).unwrap_or_default(),
                c.evaluated.map(|at| when::human(ctx.now, at)).unwrap_or_default(),
                state(c).to_owned(),
            ]
        };
        let table = output::table(["ID", "NAME", "MEMBERS", "LIMITED BY", "EVALUATED", ""], page.items.iter().map(row));
        output::listed(&table, page.items.len(), page.total, page.offset, "No collections.")
    })
}

fn state(c: &Collection) -> &'static str {
    match c {
        c if c.evaluation_error.is_some() => "failed",
        c if c.pending => "pending",
        c if c.protected && !c.built_in => "protected",
        _ => "",
    }
}

fn shown(ctx: &Context, detail: &CollectionDetail) -> String {
    let c = &detail.collection;
    let mut text = format!("{} ({})\n{} members", c.name, c.id, c.members);
    if let Some(at) = c.evaluated {
        text.push_str(&format!(", evaluated {} in {} ms", when::human(ctx.now, at), c.evaluation_took));
    }
    text.push('\n');
    if !c.comment.is_empty() {
        text.push_str(&format!("{}\n", output::clean(&c.comment)));
    }
    if let Some(error) = &c.evaluation_error {
        text.push_str(&format!("! {}\n", output::clean(error)));
    }
    let flags = [(c.built_in, "built in"), (c.protected, "protected"), (c.incremental, "incremental")];
    for (_, flag) in flags.iter().filter(|(set, _)| *set) {
        text.push_str(&format!("{flag}\n"));
    }
    for rule in &detail.rules {
        text.push_str(&format!("rule {}: {}\n", rule.id, collection_rule::sentence(rule)));
    }
    for edge in &detail.graph {
        let (from, to) = (&edge.dependent_name, &edge.source_name);
        text.push_str(&format!("{from} ({}) -> {to} ({}): {}\n", edge.dependent, edge.source, edge.relation));
    }
    for deployment in &detail.deployments {
        text.push_str(&format!("deployment {}: {}\n", deployment.id, deployment.name));
    }
    text
}
