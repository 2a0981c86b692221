//! `muster update`: which software updates devices miss. What may be installed is signed as an application and deployed as one.

use super::{Context, Part};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::api::{SoftwareUpdate, UpdateQuery};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List updates that devices miss, those that most of them miss first
    List {
        /// Part of the package's name
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        search: String,
        /// Only security updates
        #[arg(long)]
        security: bool,
        /// Those too that a later version replaced, or that no device is offered any more
        #[arg(long)]
        superseded: bool,
        #[command(flatten)]
        part: Part,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let Self::List { search, security, superseded, part } = self;
        let page = part.query();
        let wanted = UpdateQuery { search, security, superseded, offset: page.offset, limit: page.limit };
        let found = ctx.client().await?.update_list(&wanted).await?;
        ctx.out.value(&found, |found| {
            let table = output::table(
                ["PACKAGE", "VERSION", "ARCH", "SECURITY", "DEVICES", "FIRST SEEN", "ORIGIN", "SUPERSEDED BY"],
                found.items.iter().map(line),
            );
            output::listed(&table, found.items.len(), found.total, page.offset, "No device misses an update.")
        })
    }
}

fn line(update: &SoftwareUpdate) -> [String; 8] {
    [
        update.package.clone(),
        update.version.clone(),
        update.architecture.clone(),
        if update.security { "yes" } else { "no" }.to_owned(),
        update.devices.to_string(),
        when::full(update.first_seen),
        update.origin.clone(),
        update.superseded_by.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
