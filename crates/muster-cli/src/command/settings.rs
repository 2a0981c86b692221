//! `muster settings`: how often clients do what.

use super::{Context, ask::confirm};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::policy::ClientSettings;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the client settings
    Show,
    /// Change client settings; what is not named stays as it is
    Update {
        /// How often clients ask for policy when no change calls them
        #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
        policy_poll: Option<i64>,
        /// How often clients take inventory
        #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
        inventory: Option<i64>,
        /// How often clients say that they are there
        #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
        heartbeat: Option<i64>,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        let mut settings = client.settings_show().await?;
        if let Self::Update { policy_poll, inventory, heartbeat } = self {
            if policy_poll.is_none() && inventory.is_none() && heartbeat.is_none() {
                return Err(CliError::Usage("name at least one setting; see --help".to_owned()));
            }
            settings.policy_poll = policy_poll.unwrap_or(settings.policy_poll);
            settings.inventory = inventory.unwrap_or(settings.inventory);
            settings.heartbeat = heartbeat.unwrap_or(settings.heartbeat);
            confirm(ctx, &format!("Every client gets these settings:\n{}", shown(&settings)))?;
            settings = client.settings_update(&settings).await?;
        }
        ctx.out.value(&settings, shown)
    }
}

fn shown(settings: &ClientSettings) -> String {
    output::pairs([
        ("Policy polling", format!("every {}", when::length(settings.policy_poll))),
        ("Hardware inventory", format!("every {}", when::length(settings.inventory))),
        ("Heartbeat discovery", format!("every {}", when::length(settings.heartbeat))),
    ])
}
