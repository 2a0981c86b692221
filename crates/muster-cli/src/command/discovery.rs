//! `muster discovery`: how resources are found.

use super::{Context, ask::confirm};
use crate::{CliError, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{DirectorySettings, DiscoverySettings, DiscoverySource, NetworkDiscovery, NetworkSettings, ResourceKind},
    problem::Code,
    time::{HOUR, MINUTE},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the directories in which is looked
    List,
    /// Show a directory: what is wanted of it, and what its last run came to
    Show {
        /// Name of the directory
        name: String,
    },
    /// Set what is wanted of a directory; what is not said stays as it is, and the next run is a full one
    Set(Set),
    /// Ask for a run now
    Run {
        /// Name of the directory
        name: String,
        /// Everything, and not only what changed
        #[arg(long)]
        full: bool,
    },
    /// Look at a directory no longer; what was found stays until it ages
    Delete {
        /// Name of the directory
        name: String,
    },
    /// Show network discovery, or set in which ranges it looks; nothing is ever sent there
    Network(Network),
    /// Show how long what was found is kept
    Settings,
    /// Change how long what was found is kept
    Keep {
        /// Days after which a record that was not found again is removed
        #[arg(long)]
        days: u32,
    },
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// Name of the directory: that of the server's file about it, without .toml
    name: String,
    /// Whether anything is looked for
    #[arg(long)]
    enabled: Option<bool>,
    /// Distinguished name below which is looked, and nowhere else; several times for several
    #[arg(long = "container", value_name = "DN")]
    containers: Vec<String>,
    /// What is looked for: system, user or group; several times for several
    #[arg(long = "kind")]
    kinds: Vec<ResourceKind>,
    /// Time between two full runs, like 7d
    #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
    full: Option<i64>,
    /// Never look at what changed, only at everything
    #[arg(long, conflicts_with = "delta")]
    no_delta: bool,
    /// Time between two looks at what changed, like 5m
    #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
    delta: Option<i64>,
    /// Leave out systems that have not logged on for so many days; 0: none
    #[arg(long)]
    logon_days: Option<u32>,
    /// Leave out systems whose account's password is older than so many days; 0: none
    #[arg(long)]
    password_days: Option<u32>,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        match self {
            Self::List => ctx.out.value(&client.discovery_list().await?, |all| {
                let rows = all.items.iter().map(|source| row(ctx, source));
                let table = output::table(["NAME", "STATE", "LAST FULL", "LAST", "SEEN", "ALTERED"], rows);
                output::listed(&table, all.items.len(), all.items.len() as u64, 0, "No directories.")
            }),
            Self::Show { name } => ctx.out.value(&client.discovery_show(&name).await?, |one| shown(ctx, one)),
            Self::Set(set) => {
                let before = match client.discovery_show(&set.name).await {
                    Ok(source) => source.settings,
                    Err(error) if error.code() == Some(Code::NotFound) => DirectorySettings::default(),
                    Err(error) => return Err(error.into()),
                };
                let name = set.name.clone();
                ctx.out.value(&client.discovery_set(&name, &set.over(before)).await?, |one| shown(ctx, one))
            }
            Self::Run { name, full } => {
                let asked = client.discovery_run(&name, full).await?;
                ctx.out.value(&asked, |one| format!("Directory {} is read within seconds.", output::clean(&one.name)))
            }
            Self::Delete { name } => {
                confirm(ctx, &format!("Directory {} is not looked at any more.", output::clean(&name)))?;
                let gone = client.discovery_delete(&name).await?;
                ctx.out.value(&gone, |one| format!("Directory {} is gone.", output::clean(&one.name)))
            }
            Self::Network(wanted) => {
                let before = client.network_discovery_show().await?;
                let shown = if wanted.is_nothing() {
                    before
                } else {
                    client.network_discovery_set(&wanted.over(before.settings)).await?
                };
                ctx.out.value(&shown, |network| network_shown(ctx, network))
            }
            Self::Settings => ctx.out.value(&client.discovery_settings_show().await?, kept),
            Self::Keep { days } => {
                let wanted = DiscoverySettings { keep_days: days };
                ctx.out.value(&client.discovery_settings_update(&wanted).await?, kept)
            }
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Network {
    /// Whether it is looked at all
    #[arg(long)]
    enabled: Option<bool>,
    /// 10.1.2.0/24, 10.1.2.10-10.1.2.99 or 2001:db8:1::/48; several times for several
    #[arg(long = "range", value_name = "RANGE")]
    ranges: Vec<String>,
    /// Time between two looks, like 1h
    #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
    every: Option<i64>,
}

impl Network {
    fn is_nothing(&self) -> bool {
        self.enabled.is_none() && self.ranges.is_empty() && self.every.is_none()
    }

    fn over(self, before: NetworkSettings) -> NetworkSettings {
        NetworkSettings {
            enabled: self.enabled.unwrap_or(before.enabled),
            ranges: if self.ranges.is_empty() { before.ranges } else { self.ranges },
            every: self.every.unwrap_or(before.every),
        }
    }
}

fn network_shown(ctx: &Context, network: &NetworkDiscovery) -> String {
    let settings = &network.settings;
    let facts = [
        ("State", Some(if settings.enabled { "on" } else { "off" }.to_owned())),
        ("Ranges", Some(settings.ranges.join(", "))),
        ("Every", Some(when::length(settings.every))),
        ("Last look", network.looked.map(|looked| when::human(ctx.now, looked))),
        ("Seen", Some(network.seen.to_string())),
        ("Error", network.error.clone()),
    ];
    output::pairs(facts.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

fn kept(settings: &DiscoverySettings) -> String {
    output::pairs([("What was found is kept for", format!("{} days", settings.keep_days))])
}

impl Set {
    fn over(self, before: DirectorySettings) -> DirectorySettings {
        DirectorySettings {
            enabled: self.enabled.unwrap_or(before.enabled),
            containers: if self.containers.is_empty() { before.containers } else { self.containers },
            kinds: if self.kinds.is_empty() { before.kinds } else { self.kinds },
            full: self.full.unwrap_or(before.full),
            delta: if self.no_delta { 0 } else { self.delta.unwrap_or(before.delta) },
            logon_days: self.logon_days.unwrap_or(before.logon_days),
            password_days: self.password_days.unwrap_or(before.password_days),
        }
    }
}

fn state(source: &DiscoverySource) -> &'static str {
    match source {
        source if source.running => "running",
        source if source.error.is_some() => "failed",
        source if !source.settings.enabled => "off",
        source if source.asked.is_some() => "asked for",
        _ => "on",
    }
}

fn row(ctx: &Context, source: &DiscoverySource) -> [String; 6] {
    let when = |moment: Option<_>| moment.map(|moment| when::human(ctx.now, moment)).unwrap_or_default();
    [
        source.name.clone(),
        state(source).to_owned(),
        when(source.full_ended),
        when(source.delta_ended),
        source.seen.to_string(),
        source.altered.to_string(),
    ]
}

fn shown(ctx: &Context, source: &DiscoverySource) -> String {
    let settings = &source.settings;
    let when = |moment: Option<_>| moment.map(|moment| when::human(ctx.now, moment));
    let kinds: Vec<&str> = settings.kinds.iter().map(|kind| kind.as_str()).collect();
    let days = |days: u32| (days > 0).then(|| format!("for more than {days} days"));
    let facts = [
        ("Name", Some(source.name.clone())),
        ("State", Some(state(source).to_owned())),
        ("Containers", Some(settings.containers.join("; "))),
        ("Looked for", Some(kinds.join(", "))),
        ("In full every", Some(format!("{} h", settings.full / HOUR))),
        ("For changes every", Some(format!("{} min", settings.delta / MINUTE)).filter(|_| settings.delta > 0)),
        ("Left out: not logged on", days(settings.logon_days)),
        ("Left out: same password", days(settings.password_days)),
        ("Last full run", when(source.full_ended)),
        ("Last run", when(source.delta_ended)),
        ("Objects", Some(format!("{} seen, {} altered, {} refused", source.seen, source.altered, source.refused))),
        ("Failed", when(source.failed)),
        ("Error", source.error.clone()),
        ("Changed", Some(format!("{}, by {}", when::human(ctx.now, source.changed), source.changed_by))),
    ];
    output::pairs(facts.into_iter().filter_map(|(name, value)| Some((name, value?))))
}
