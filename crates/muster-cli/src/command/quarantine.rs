//! `muster quarantine`: what the site did not take.

use super::{Context, Part};
use crate::{CliError, output, when};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List what was put aside, the newest first
    List(Part),
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let Self::List(part) = self;
        let page = ctx.client().await?.quarantine_list(&part.query()).await?;
        ctx.out.value(&page, |page| {
            let rows = page.items.iter().map(|q| {
                [
                    when::full(q.received),
                    q.device.to_string(),
                    q.class.clone().unwrap_or_default(),
                    q.reason.clone(),
                    q.excerpt.chars().take(60).collect(),
                ]
            });
            let table = output::table(["RECEIVED", "DEVICE", "CLASS", "WHY", "BEGINS WITH"], rows);
            output::listed(&table, page.items.len(), page.total, page.offset, "Nothing was put aside.")
        })
    }
}
