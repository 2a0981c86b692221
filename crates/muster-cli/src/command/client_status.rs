//! `muster client-status`: which clients are active, and which are sound.

use super::{Context, Part, find};
use crate::{CliError, Client, output, when};
use clap::{Args, Subcommand};
use muster_model::api::{
    ClientActivity, ClientCheck, ClientStatus, ClientStatusQuery, ClientStatusScope, ClientStatusSettings,
    ClientStatusSummary, ClientStatusThreshold, ClientStatusThresholdSet, Page,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show how many clients are active and sound, now and on the days before
    Show {
        /// Of this collection: its name or id
        #[arg(long, value_name = "COLLECTION")]
        collection: Option<String>,
    },
    /// List clients with their status
    List {
        /// Only those that are active or inactive
        #[arg(long, value_name = "ACTIVITY")]
        activity: Option<ClientActivity>,
        /// Only those whose checks passed, failed, or are unknown
        #[arg(long, value_name = "CHECK")]
        check: Option<ClientCheck>,
        /// Only those that mended something at their last checks
        #[arg(long)]
        remedied: bool,
        /// Only members of this collection: its name or id
        #[arg(long, value_name = "COLLECTION")]
        collection: Option<String>,
        #[command(flatten)]
        part: Part,
    },
    /// Show the status of a client, with each of its checks
    Device {
        /// Name or id of the device
        device: String,
    },
    /// Show how old which sign of life may be, or set it
    Settings(Settings),
    /// List below which part of which collection there is an alert
    Thresholds,
    /// Set the threshold of a collection; without any number, it has none from now on
    Threshold {
        /// Name or id of the collection
        collection: String,
        /// Percent of its clients that must be active
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
        active: Option<u8>,
        /// Percent of its clients whose checks must have passed
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
        healthy: Option<u8>,
    },
}

/// What is not given stays as it is.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// Days after a policy request
    #[arg(long, value_name = "DAYS")]
    policy_request: Option<u32>,
    /// Days after a heartbeat
    #[arg(long, value_name = "DAYS")]
    heartbeat: Option<u32>,
    /// Days after an inventory
    #[arg(long, value_name = "DAYS")]
    inventory: Option<u32>,
    /// Days after a status message
    #[arg(long, value_name = "DAYS")]
    status_message: Option<u32>,
    /// Days after the live channel stood
    #[arg(long, value_name = "DAYS")]
    live_channel: Option<u32>,
    /// Days for which the client's own checks count
    #[arg(long, value_name = "DAYS")]
    check: Option<u32>,
}

impl Settings {
    const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self {
                policy_request: None,
                heartbeat: None,
                inventory: None,
                status_message: None,
                live_channel: None,
                check: None
            }
        )
    }

    fn over(&self, now: ClientStatusSettings) -> ClientStatusSettings {
        ClientStatusSettings {
            policy_request_days: self.policy_request.unwrap_or(now.policy_request_days),
            heartbeat_days: self.heartbeat.unwrap_or(now.heartbeat_days),
            inventory_days: self.inventory.unwrap_or(now.inventory_days),
            status_message_days: self.status_message.unwrap_or(now.status_message_days),
            live_channel_days: self.live_channel.unwrap_or(now.live_channel_days),
            check_days: self.check.unwrap_or(now.check_days),
        }
    }
}

async fn scope(client: &Client, word: Option<String>) -> Result<ClientStatusScope, CliError> {
    Ok(ClientStatusScope {
        collection: match word {
            Some(word) => Some(find::collection(client, &word).await?),
            None => None,
        },
    })
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        match self {
            Self::Show { collection } => {
                let scope = scope(&client, collection).await?;
                ctx.out.value(&client.client_status_summary(&scope).await?, summary)
            }
            Self::List { activity, check, remedied, collection, part } => {
                let collection = scope(&client, collection).await?.collection;
                let (offset, limit) = (part.offset, part.limit);
                let wanted = ClientStatusQuery { activity, check, remedied, collection, offset, limit };
                ctx.out.value(&client.client_status_list(&wanted).await?, |page| {
                    let rows = page.items.iter().map(|one| row(ctx, one));
                    let head = ["ID", "DEVICE", "ACTIVITY", "ONLINE", "CHECK", "FAILED", "MENDED", "CHECKED"];
                    let table = output::table(head, rows);
                    output::listed(&table, page.items.len(), page.total, page.offset, "No clients.")
                })
            }
            Self::Device { device } => device_show(ctx, &client, &device).await,
            Self::Settings(settings) => {
                let mut now = client.client_status_settings_show().await?;
                if !settings.is_empty() {
                    now = client.client_status_settings_update(&settings.over(now)).await?;
                }
                ctx.out.value(&now, |now| {
                    output::pairs([
                        ("Policy request", format!("{} days", now.policy_request_days)),
                        ("Heartbeat", format!("{} days", now.heartbeat_days)),
                        ("Inventory", format!("{} days", now.inventory_days)),
                        ("Status message", format!("{} days", now.status_message_days)),
                        ("Live channel", format!("{} days", now.live_channel_days)),
                        ("Own checks", format!("{} days", now.check_days)),
                    ])
                })
            }
            Self::Thresholds => ctx.out.value(&client.client_status_threshold_list().await?, thresholds),
            Self::Threshold { collection, active, healthy } => {
                let id = find::collection(&client, &collection).await?;
                let set = ClientStatusThresholdSet { active_percent: active, healthy_percent: healthy };
                ctx.out.value(&client.client_status_threshold_set(id, &set).await?, thresholds)
            }
        }
    }
}

fn summary(summary: &ClientStatusSummary) -> String {
    let counts = &summary.counts;
    let mut text = output::pairs([
        ("Clients", counts.devices.to_string()),
        ("Active", counts.active.to_string()),
        ("Inactive", counts.inactive().to_string()),
        ("Checks passed", counts.passed.to_string()),
        ("Checks failed", counts.failed.to_string()),
        ("Checks unknown", counts.unknown().to_string()),
        ("Mended themselves", counts.remedied.to_string()),
        ("Online at the site", summary.online.to_string()),
    ]);
    if !summary.days.is_empty() {
        let rows = summary.days.iter().map(|day| {
            let c = &day.counts;
            [
                when::day(day.day),
                c.devices.to_string(),
                c.active.to_string(),
                c.passed.to_string(),
                c.failed.to_string(),
            ]
        });
        text.push('\n');
        text.push_str(&output::table(["DAY", "CLIENTS", "ACTIVE", "PASSED", "FAILED"], rows));
    }
    text
}

fn row(ctx: &Context, one: &ClientStatus) -> [String; 8] {
    [
        one.device.to_string(),
        one.name.clone(),
        one.activity.to_string(),
        if one.online { "yes" } else { "no" }.to_owned(),
        one.check.to_string(),
        one.failed.to_string(),
        one.remedied.to_string(),
        one.checked.map(|at| when::human(ctx.now, at)).unwrap_or_default(),
    ]
}

fn thresholds(page: &Page<ClientStatusThreshold>) -> String {
    let percent = |percent: Option<u8>| percent.map(|percent| format!("{percent} %")).unwrap_or_default();
    let rows = page.items.iter().map(|one| {
        [one.collection.to_string(), one.name.clone(), percent(one.active_percent), percent(one.healthy_percent)]
    });
    let table = output::table(["ID", "COLLECTION", "ACTIVE", "HEALTHY"], rows);
    output::listed(&table, page.items.len(), page.total, page.offset, "No collection has a threshold.")
}

async fn device_show(ctx: &Context, client: &Client, word: &str) -> Result<(), CliError> {
    let id = find::device(client, word).await?;
    let found = client.client_status_show(id).await?;
    ctx.out.value(&found, |found| {
        let (one, signals) = (&found.status, &found.status.signals);
        let time =
            |at: Option<muster_model::time::UnixMillis>| at.map(|at| when::both(ctx.now, at)).unwrap_or_default();
        let mut text = output::pairs([
            ("Device", format!("{} ({})", one.name, one.device)),
            ("Activity", one.activity.to_string()),
            ("Online", if one.online { "yes" } else { "no" }.to_owned()),
            ("Policy request", time(signals.policy_request)),
            ("Heartbeat", time(signals.heartbeat)),
            ("Inventory", time(signals.inventory)),
            ("Status message", time(signals.status_message)),
            ("Live channel", time(signals.live_channel)),
            ("Check", one.check.to_string()),
            ("Checked", time(one.checked)),
            ("Mends itself", if one.remediates { "yes" } else { "no" }.to_owned()),
        ]);
        let rows = found.checks.iter().map(|check| {
            let (found, done) = (output::clean(&check.found), output::clean(&check.done));
            [check.name.clone(), check.outcome.as_str().to_owned(), format!("{found} {done}").trim().to_owned()]
        });
        text.push('\n');
        text.push_str(&output::table(["CHECK", "RESULT", "WHAT"], rows));
        text
    })
}
