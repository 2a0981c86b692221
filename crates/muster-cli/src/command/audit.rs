//! `muster audit`: who changed what, and whether the log is whole.

use super::{Context, Part};
use crate::{CliError, output, when};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List entries, the newest first
    List(Part),
    /// Check the chain over all entries; exit code 7 when it is broken
    Verify,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List(part) => audit_list(ctx, part).await,
            Self::Verify => {
                let verdict = ctx.client().await?.audit_verify().await?;
                ctx.out.value(&verdict, |v| {
                    format!("{} entries were checked; the chain's head is {}.", v.entries, v.head)
                })?;
                match verdict.broken_at {
                    Some(number) => Err(CliError::Found(format!(
                        "the audit log is broken: entry {number} does not continue the chain; somebody changed the database"
                    ))),
                    None => Ok(()),
                }
            }
        }
    }
}

async fn audit_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.audit_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|e| {
            [
                e.number.to_string(),
                when::full(e.time),
                e.actor.clone(),
                e.action.clone(),
                e.object.clone(),
                e.detail.clone(),
            ]
        });
        let table = output::table(["NO", "TIME", "WHO", "DID", "TO", "DETAIL"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No entries.")
    })
}
