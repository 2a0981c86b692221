//! `muster discovery`: how resources are found.

use super::Context;
use crate::{CliError, output};
use clap::Subcommand;
use muster_model::api::DiscoverySettings;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show how long what was found is kept
    Settings,
    /// Change how long what was found is kept
    Keep {
        /// Days after which a record that was not found again is removed
        #[arg(long)]
        days: u32,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        let settings = match self {
            Self::Settings => client.discovery_settings_show().await?,
            Self::Keep { days } => client.discovery_settings_update(&DiscoverySettings { keep_days: days }).await?,
        };
        ctx.out.value(&settings, |settings| {
            output::pairs([("What was found is kept for", format!("{} days", settings.keep_days))])
        })
    }
}
