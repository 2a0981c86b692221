//! `muster audit`: who changed what, and whether the log is whole.

use super::{Context, Part, audit_export};
use crate::{CliError, output, when};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List entries, the newest first
    List(Part),
    /// Check the chain over all entries; exit code 7 when it is broken
    Verify {
        /// An export of it: every file is checked, and the site must still have what is in it
        #[arg(long, value_name = "DIR")]
        export: Option<PathBuf>,
    },
    /// Write what is new into a directory, in files that are never written again, each with a signed head
    Export {
        /// The directory; it must be there
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List(part) => audit_list(ctx, part).await,
            Self::Verify { export: Some(directory) } => audit_export::verify(ctx, &directory).await,
            Self::Export { directory } => audit_export::export(ctx, &directory).await,
            Self::Verify { export: None } => {
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
