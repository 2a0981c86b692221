//! `muster alert`: what needs somebody.

use super::{Context, Part, ask::confirm, message::Least};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::{Alert, AlertKind, AlertQuery, Subscription, SubscriptionInfo},
    id::{AlertId, Name, SubscriptionId},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List what needs somebody, the latest first
    List {
        /// What is over, too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        part: Part,
    },
    /// Show an alert and its devices
    Show {
        /// Id of the alert
        alert: AlertId,
        #[command(flatten)]
        part: Part,
    },
    /// Hear nothing of an alert for a while
    Postpone {
        /// Id of the alert
        alert: AlertId,
        /// For so many hours
        #[arg(long, default_value_t = 24)]
        hours: u32,
    },
    /// Say that an alert is over that a filter rule raised
    Close {
        /// Id of the alert
        alert: AlertId,
    },
    /// List which targets are told of which alerts
    Subscriptions {
        #[command(flatten)]
        part: Part,
    },
    /// Have a target told of alerts
    Subscribe {
        /// Name of the subscription
        name: Name,
        /// The target: see `muster status targets`
        target: Name,
        /// Only alerts of this kind [default: all]
        #[arg(long)]
        kind: Vec<AlertKind>,
        /// Only alerts that are at least so serious
        #[arg(long)]
        severity: Option<Least>,
    },
    /// Tell a target no more
    Unsubscribe {
        /// Id of the subscription
        subscription: SubscriptionId,
    },
    /// Say that you have looked; it stays until it is so no longer
    Acknowledge {
        /// Id of the alert
        alert: AlertId,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        match self {
            Self::List { all, part } => {
                let wanted = AlertQuery { all, offset: part.offset, limit: part.limit };
                let page = client.alert_list(&wanted).await?;
                ctx.out.value(&page, |page| {
                    let rows = page.items.iter().map(|alert| row(ctx, alert));
                    let head = ["ID", "KIND", "STATE", "SEVERITY", "DEVICES", "SINCE", "WHAT"];
                    let table = output::table(head, rows);
                    output::listed(&table, page.items.len(), page.total, page.offset, "Nothing needs anybody.")
                })
            }
            Self::Show { alert, part } => {
                let found = client.alert_show(alert).await?;
                let devices = client.alert_devices(alert, &part.query()).await?;
                let both = serde_json::json!({ "alert": found, "devices": devices });
                ctx.out.value(&both, |_| {
                    let seen = found.acknowledged.zip(found.acknowledged_by.as_ref());
                    let mut text = output::pairs([
                        ("Alert", format!("{} ({})", found.kind, found.id)),
                        ("What", output::clean(&found.text)),
                        ("State", found.state.to_string()),
                        ("About", found.subject.clone()),
                        ("Since", when::both(ctx.now, found.opened)),
                        (
                            "Seen by",
                            seen.map(|(at, by)| format!("{by}, {}", when::human(ctx.now, at))).unwrap_or_default(),
                        ),
                        ("Over", found.closed.map(|at| when::both(ctx.now, at)).unwrap_or_default()),
                        ("Devices", found.devices.to_string()),
                    ]);
                    let rows = devices.items.iter().map(|d| [d.device.to_string(), d.name.clone()]);
                    let table = output::table(["ID", "DEVICE"], rows);
                    text.push('\n');
                    text.push_str(&output::listed(
                        &table,
                        devices.items.len(),
                        devices.total,
                        devices.offset,
                        "No devices.",
                    ));
                    text
                })
            }
            Self::Acknowledge { alert } => {
                ctx.out.value(&client.alert_acknowledge(alert).await?, |alert| format!("Acknowledged: {}", alert.text))
            }
            Self::Postpone { alert, hours } => {
                let shown = client.alert_postpone(alert, hours).await?;
                ctx.out.value(&shown, |alert| format!("Postponed: {}", output::clean(&alert.text)))
            }
            Self::Close { alert } => {
                let shown = client.alert_close(alert).await?;
                ctx.out.value(&shown, |alert| format!("Closed: {}", output::clean(&alert.text)))
            }
            Self::Subscriptions { part } => {
                let page = client.subscription_list(&part.query()).await?;
                ctx.out.value(&page, |page| {
                    let rows = page.items.iter().map(subscription);
                    let table = output::table(["ID", "NAME", "TARGET", "KINDS", "AT LEAST"], rows);
                    output::listed(&table, page.items.len(), page.total, page.offset, "Nobody is told of alerts.")
                })
            }
            Self::Subscribe { name, target, kind, severity } => {
                let wanted = Subscription { name, kinds: kind, severity: severity.map(Into::into), target };
                let made = client.subscription_create(&wanted).await?;
                ctx.out.value(&made, |made| format!("{} is told.", made.subscription.target))
            }
            Self::Unsubscribe { subscription } => {
                confirm(ctx, "The target is told no more.")?;
                client.subscription_delete(subscription).await?;
                ctx.out.line("The target is told no more.")
            }
        }
    }
}

fn subscription(info: &SubscriptionInfo) -> [String; 5] {
    let wanted = &info.subscription;
    let kinds: Vec<&str> = wanted.kinds.iter().map(|kind| kind.as_str()).collect();
    [
        info.id.to_string(),
        wanted.name.to_string(),
        wanted.target.to_string(),
        if kinds.is_empty() { "all".to_owned() } else { kinds.join(", ") },
        wanted.severity.map_or("", |severity| severity.as_str()).to_owned(),
    ]
}

fn row(ctx: &Context, alert: &Alert) -> [String; 7] {
    [
        alert.id.to_string(),
        alert.kind.to_string(),
        alert.state.to_string(),
        alert.severity.as_str().to_owned(),
        alert.devices.to_string(),
        when::human(ctx.now, alert.opened),
        alert.text.clone(),
    ]
}
