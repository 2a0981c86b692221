//! `muster site`: what this site is, and how it is doing.

use super::Context;
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::api::Spread;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the site
    Show,
    /// Show counts, recent messages and what needs somebody
    Dashboard,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Show => site_show(ctx).await,
            Self::Dashboard => dashboard_show(ctx).await,
        }
    }
}

async fn site_show(ctx: &Context) -> Result<(), CliError> {
    let site = ctx.client().await?.site_show().await?;
    ctx.out.value(&site, |site| {
        output::pairs([
            ("Site", format!("{} ({})", site.code, site.name)),
            ("Server", format!("musterd {} on {}", site.version, site.database)),
            ("Root key", site.root.to_string()),
            (
                "Trust bundle",
                format!("version {}, until {}", site.trust_version, when::both(ctx.now, site.trust_expires)),
            ),
            ("Management points", site.management_points.join(", ")),
        ])
    })
}

/// What is how frequent, one line for each kind.
fn spread(spread: &Spread) -> Vec<(&'static str, String)> {
    let models: Vec<_> = spread
        .models
        .iter()
        .map(|m| format!("{} {}", m.count, format!("{} {}", m.manufacturer, m.model).trim()))
        .collect();
    let makers: Vec<_> = spread.manufacturers.iter().map(|c| format!("{} {}", c.count, c.label)).collect();
    let titles: Vec<_> = spread.software.iter().map(|t| format!("{} {}", t.devices, t.product)).collect();
    let all = [("Models", models), ("Manufacturers", makers), ("Software", titles)];
    let restarts = (spread.restart_pending > 0).then(|| ("Restart needed", spread.restart_pending.to_string()));
    let lists = all.into_iter().filter(|(_, list)| !list.is_empty()).map(|(what, list)| (what, list.join(", ")));
    lists.chain(restarts).collect()
}

async fn dashboard_show(ctx: &Context) -> Result<(), CliError> {
    let dashboard = ctx.client().await?.dashboard_show().await?;
    ctx.out.value(&dashboard, |d| {
        let states: Vec<_> = d.devices.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let systems: Vec<_> = d.operating_systems.iter().map(|c| format!("{} {}", c.count, c.label)).collect();
        let mut rows = vec![
            ("Devices", states.join(", ")),
            ("Online", d.online.to_string()),
            ("Waiting for approval", d.pending.to_string()),
            ("Systems", systems.join(", ")),
        ];
        rows.extend(spread(&d.spread));
        rows.extend(d.warnings.iter().map(|warning| ("Needs somebody", warning.clone())));
        let messages = d.messages.iter().map(|m| [when::human(ctx.now, m.time), m.device_name.clone(), m.text.clone()]);
        let mut text = output::pairs(rows);
        if !d.messages.is_empty() {
            text.push_str(&format!("\n{}", output::table(["WHEN", "DEVICE", "WHAT"], messages)));
        }
        text
    })
}
