//! `muster resource`: what discovery found, with a client or without.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{Resource, ResourceDetail, ResourceKind, ResourceQuery},
    discovery::Fact,
    id::ResourceId,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List resources: systems, users and groups
    List(List),
    /// Show a resource, and what each method of discovery said of it
    Show {
        /// Number of the resource
        #[arg(value_parser = number)]
        id: ResourceId,
    },
    /// Remove a resource on which no client runs, with all that was found of it
    Remove {
        /// Number of the resource
        #[arg(value_parser = number)]
        id: ResourceId,
    },
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only resources of this kind: system, user or group
    #[arg(long)]
    kind: Option<ResourceKind>,
    /// Part of the name
    #[arg(long, default_value = "")]
    search: String,
    /// Only those on which a client runs (true), or on which none does (false)
    #[arg(long)]
    client: Option<bool>,
    #[command(flatten)]
    part: Part,
}

fn number(text: &str) -> Result<ResourceId, String> {
    text.parse().map(ResourceId).map_err(|_| "a resource has a number; see `muster resource list`".to_owned())
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        match self {
            Self::List(List { kind, search, client: with, part }) => {
                let part = part.query();
                let wanted = ResourceQuery { search, kind, client: with, offset: part.offset, limit: part.limit };
                ctx.out.value(&client.resource_list(&wanted).await?, |page| {
                    let rows = page.items.iter().map(|resource| row(ctx, resource));
                    let table = output::table(["RESOURCE", "KIND", "NAME", "CLIENT", "FOUND", "BY"], rows);
                    output::listed(&table, page.items.len(), page.total, page.offset, "No resources.")
                })
            }
            Self::Show { id } => ctx.out.value(&client.resource_show(id).await?, |detail| shown(ctx, detail)),
            Self::Remove { id } => {
                confirm(ctx, &format!("Resource {id} goes, with what discovery said of it."))?;
                let removed = client.resource_remove(id).await?;
                ctx.out.value(&removed, |resource| format!("{} is removed.", output::clean(&resource.name)))
            }
        }
    }
}

fn row(ctx: &Context, resource: &Resource) -> [String; 6] {
    let by: Vec<&str> = resource.methods.iter().map(|method| method.as_str()).collect();
    let state = match (resource.device, resource.gone, resource.conflict) {
        (Some(_), ..) => "yes",
        (None, Some(_), _) => "no, gone",
        (None, None, true) => "no, conflict",
        (None, None, false) => "no",
    };
    [
        resource.resource_id.to_string(),
        resource.kind.to_string(),
        resource.name.clone(),
        state.to_owned(),
        resource.found.map(|found| when::human(ctx.now, found)).unwrap_or_default(),
        by.join(", "),
    ]
}

fn shown(ctx: &Context, detail: &ResourceDetail) -> String {
    let resource = &detail.resource;
    let facts = [
        ("Resource", Some(resource.resource_id.to_string())),
        ("Kind", Some(resource.kind.to_string())),
        ("Name", Some(resource.name.clone())),
        ("Client", Some(resource.device.map_or_else(|| "none".to_owned(), |device| device.to_string()))),
        ("Known since", Some(when::human(ctx.now, resource.created))),
        ("Gone since", resource.gone.map(|gone| when::human(ctx.now, gone))),
        ("Conflict", resource.conflict.then(|| "another resource has the same security identifier".to_owned())),
        ("Groups", (!detail.groups.is_empty()).then(|| detail.groups.join(", "))),
    ];
    let alike: Vec<_> = detail.alike.iter().map(|other| format!("{} ({})", other.name, other.resource_id)).collect();
    let alike = (!alike.is_empty()).then(|| alike.join(", "));
    let facts = facts.into_iter().chain([("Same hardware address", alike)]);
    let mut text = output::pairs(facts.filter_map(|(name, value)| Some((name, value?))));
    for record in &detail.records {
        let heading = format!("{} ({}), {}", record.method, record.identity, when::human(ctx.now, record.found));
        text.push_str(&format!("\n\n{}\n", output::clean(&heading)));
        let rows = record.facts.iter().map(|(name, value)| {
            let value = match value {
                Fact::Number(number) => number.to_string(),
                Fact::Text(text) => text.clone(),
                Fact::List(list) => list.join(", "),
            };
            [name.clone(), value]
        });
        text.push_str(&output::table(["ATTRIBUTE", "VALUE"], rows));
    }
    text
}
