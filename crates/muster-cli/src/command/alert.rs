//! `muster alert`: what needs somebody.

use super::{Context, Part};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::{Alert, AlertQuery},
    id::AlertId,
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
        }
    }
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
