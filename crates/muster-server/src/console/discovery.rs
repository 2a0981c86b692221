//! Discovery: the directories in which is looked, the ranges of the network, and how their last runs went.

use super::{
    format,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Visit, go_done},
};
use askama::Template;
use muster_model::{
    api::{
        DirectorySettings, DiscoveryRun, DiscoverySettings, DiscoverySource, NetworkDiscovery, NetworkSettings,
        ResourceKind,
    },
    problem::Code,
    time::{DAY, HOUR, MINUTE},
};

/// `GET /discovery`.
#[derive(Debug, Template)]
#[template(path = "discovery.html")]
pub(crate) struct DiscoveryPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The directories.
    pub(crate) sources: Vec<DiscoverySource>,
    /// The network.
    pub(crate) network: NetworkDiscovery,
    /// How long what was found is kept.
    pub(crate) settings: DiscoverySettings,
    /// What was wrong with a form, where something was.
    pub(crate) problem: Option<String>,
    /// What was in the form of a directory.
    pub(crate) fields: DirectoryFields,
}

impl DiscoveryPage {
    fn state(source: &DiscoverySource) -> &'static str {
        match source {
            source if source.running => "running",
            source if source.error.is_some() => "failed",
            source if !source.settings.enabled => "off",
            source if source.asked.is_some() => "asked for",
            _ => "on",
        }
    }

    fn every(source: &DiscoverySource) -> String {
        let DirectorySettings { full, delta, .. } = source.settings;
        let changes = if delta > 0 { format!(", for changes every {} min", delta / MINUTE) } else { String::new() };
        format!("in full every {} h{changes}", full / HOUR)
    }

    fn kinds(source: &DiscoverySource) -> String {
        source.settings.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// The form of a directory.
#[derive(Debug, Default, Clone, serde::Deserialize)]
pub(crate) struct DirectoryFields {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) containers: String,
    #[serde(default)]
    pub(crate) kinds: String,
    #[serde(default)]
    pub(crate) enabled: String,
    #[serde(default)]
    pub(crate) full_days: String,
    #[serde(default)]
    pub(crate) delta_minutes: String,
}

/// The form of the network.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct NetworkFields {
    #[serde(default)]
    ranges: String,
    #[serde(default)]
    enabled: String,
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn length(text: &str, unit: i64, default: i64) -> Result<i64, String> {
    match text.trim() {
        "" => Ok(default),
        text => {
            let number: i64 = text.parse().map_err(|_| format!("{text:?} is no number."))?;
            number.checked_mul(unit).ok_or_else(|| "That is too long.".to_owned())
        }
    }
}

impl DirectoryFields {
    fn parse(&self) -> Result<DirectorySettings, String> {
        let default = DirectorySettings::default();
        let kinds: Vec<ResourceKind> = self
            .kinds
            .split([',', ' '])
            .filter(|word| !word.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("Looked for: {error}."))?;
        Ok(DirectorySettings {
            enabled: !self.enabled.is_empty(),
            containers: lines(&self.containers),
            kinds: if kinds.is_empty() { default.kinds } else { kinds },
            full: length(&self.full_days, DAY, default.full)?,
            delta: length(&self.delta_minutes, MINUTE, default.delta)?,
            logon_days: 0,
            password_days: 0,
        })
    }
}

async fn show(visit: Visit, problem: Option<String>, fields: DirectoryFields) -> Answer {
    let sources = visit.ask(muster_site::discovery_list(&visit.ctx, visit.site()).await)?.items;
    let network = visit.ask(muster_site::network_discovery_show(&visit.ctx, visit.site()).await)?;
    let settings = visit.ask(muster_site::discovery_settings_show(&visit.ctx, visit.site()).await)?;
    let shell = visit.shell("discovery").await?;
    visit.page(&DiscoveryPage { shell, sources, network, settings, problem, fields })
}

/// `GET /discovery`
pub(crate) async fn discovery_list(visit: Visit) -> Answer {
    show(visit, None, DirectoryFields::default()).await
}

/// `POST /discovery`
pub(crate) async fn discovery_set(visit: Visit, Fields(fields): Fields<DirectoryFields>) -> Answer {
    let settings = match fields.parse() {
        Ok(settings) => settings,
        Err(problem) => return show(visit, Some(problem), fields).await,
    };
    let name = fields.name.trim().to_owned();
    // What this form does not have stays as it is.
    let settings = match muster_site::discovery_show(&visit.ctx, visit.site(), &name).await {
        Ok(DiscoverySource { settings: before, .. }) => {
            DirectorySettings { logon_days: before.logon_days, password_days: before.password_days, ..settings }
        }
        Err(_) => settings,
    };
    match muster_site::discovery_set(&visit.ctx, visit.site(), &name, settings).await {
        Ok(_) => Ok(go_done("/discovery", Done::DiscoverySaved)),
        Err(error) if matches!(error.code(), Code::Malformed | Code::Conflict) => {
            show(visit, Some(error.problem().detail), fields).await
        }
        Err(error) => Err(visit.refuse(error)),
    }
}

/// `POST /discovery/{name}/run`
pub(crate) async fn discovery_run(visit: Visit, Named(name): Named<String>) -> Answer {
    let run = DiscoveryRun { full: false };
    visit.ask(muster_site::discovery_run(&visit.ctx, visit.site(), &name, run).await)?;
    Ok(go_done("/discovery", Done::DiscoveryAsked))
}

/// `POST /discovery/network`
pub(crate) async fn network_set(visit: Visit, Fields(fields): Fields<NetworkFields>) -> Answer {
    let before = visit.ask(muster_site::network_discovery_show(&visit.ctx, visit.site()).await)?.settings;
    let enabled = !fields.enabled.is_empty();
    let settings = NetworkSettings { enabled, ranges: lines(&fields.ranges), ..before };
    match muster_site::network_discovery_set(&visit.ctx, visit.site(), settings).await {
        Ok(_) => Ok(go_done("/discovery", Done::DiscoverySaved)),
        Err(error) if error.code() == Code::Malformed => {
            show(visit, Some(error.problem().detail), DirectoryFields::default()).await
        }
        Err(error) => Err(visit.refuse(error)),
    }
}
