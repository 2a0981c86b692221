//! `muster collection rule`: what makes devices members.

use super::{Context, find};
use crate::{CliError, Client, files, output};
use clap::{Args, Subcommand};
use muster_model::{
    api::{CollectionRule, RuleSpec},
    id::{Name, ResourceId},
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add rules; the collection is evaluated at once
    Add {
        /// Id or name of the collection
        collection: String,
        #[command(flatten)]
        rules: Wanted,
    },
    /// Remove a rule; the collection is evaluated at once
    Remove {
        /// Id or name of the collection
        collection: String,
        /// Number of the rule, as `muster collection show` says it
        rule: u64,
    },
}

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// A device: id or host name; as often as there are some
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<String>,
    /// A resource by its number, as `muster resource list` says it: a user, a group, or a system without a client; as often as there are some
    #[arg(long = "resource", value_name = "NUMBER")]
    resources: Vec<u32>,
    /// Every member of this collection, id or name; as often as there are some
    #[arg(long = "include", value_name = "COLLECTION")]
    includes: Vec<String>,
    /// No member of this collection, id or name; as often as there are some
    #[arg(long = "exclude", value_name = "COLLECTION")]
    excludes: Vec<String>,
    /// Every device that this WQL query gives
    #[arg(long, value_name = "WQL", conflicts_with = "query_file")]
    query: Option<String>,
    /// Every device that the WQL query in this file gives
    #[arg(long, value_name = "FILE")]
    query_file: Option<PathBuf>,
    /// What people call the query [default: query]
    #[arg(long, value_name = "NAME")]
    query_name: Option<Name>,
}

impl Wanted {
    /// The rules that these words mean.
    pub(super) async fn rules(self, client: &Client) -> Result<Vec<RuleSpec>, CliError> {
        let mut rules = Vec::new();
        for word in &self.devices {
            rules.push(RuleSpec::Direct { device: find::device(client, word).await? });
        }
        rules.extend(self.resources.iter().map(|number| RuleSpec::Resource { resource: ResourceId(*number) }));
        for word in &self.includes {
            rules.push(RuleSpec::Include { collection: find::collection(client, word).await? });
        }
        for word in &self.excludes {
            rules.push(RuleSpec::Exclude { collection: find::collection(client, word).await? });
        }
        let query = match (self.query, self.query_file) {
            (Some(query), _) => Some(query),
            (None, Some(file)) => Some(files::read_text(&file)?),
            (None, None) => None,
        };
        if let Some(query) = query {
            let name = match self.query_name {
                Some(name) => name,
                None => "query".parse().map_err(|_| CliError::Usage("give the query a name".to_owned()))?,
            };
            rules.push(RuleSpec::Query { name, query });
        }
        Ok(rules)
    }
}

/// A rule in a sentence.
pub(super) fn sentence(rule: &CollectionRule) -> String {
    let label = output::clean(&rule.label);
    match &rule.rule {
        RuleSpec::Direct { device } => format!("the device {label} ({device})"),
        RuleSpec::Resource { resource } => format!("the resource {label} ({resource})"),
        RuleSpec::Query { query, .. } => {
            let (query, answered) = (output::clean(query), output::clean(&rule.answered));
            format!("the query {label}: {query} (answered by: {answered})")
        }
        RuleSpec::Include { collection } => format!("everything in {label} ({collection})"),
        RuleSpec::Exclude { collection } => format!("nothing of {label} ({collection})"),
    }
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context, client: &Client) -> Result<(), CliError> {
        match self {
            Self::Add { collection, rules } => {
                let id = find::collection(client, &collection).await?;
                let rules = rules.rules(client).await?;
                if rules.is_empty() {
                    return Err(CliError::Usage(
                        "say which rule: --device, --resource, --query, --include or --exclude".to_owned(),
                    ));
                }
                let mut added = Vec::new();
                for rule in &rules {
                    added.push(client.collection_rule_add(id, rule).await?);
                }
                ctx.out.value(&added, |added| {
                    let lines = added.iter().map(|rule| format!("Rule {}: {}.", rule.id, sentence(rule)));
                    lines.collect::<Vec<_>>().join("\n")
                })
            }
            Self::Remove { collection, rule } => {
                let id = find::collection(client, &collection).await?;
                client.collection_rule_remove(id, rule).await?;
                ctx.out.value(&rule, |rule| format!("Rule {rule} is removed."))
            }
        }
    }
}
