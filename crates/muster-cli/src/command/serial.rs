//! `muster serial`: serial numbers that the site expects. They prove nothing; they help whoever decides.

use super::{Context, Part, ask::confirm};
use crate::{CliError, list, output, when};
use clap::Subcommand;
use muster_model::{
    api::{Reason, SerialEntry, SerialImport, is_serial},
    limits::SERIAL_ENTRIES,
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the serial numbers that are expected
    List(Part),
    /// Expect every serial number of a list: lines of SERIAL,NOTE
    Import {
        /// File with the list (CSV); a first line `serial,note` is passed over
        #[arg(long, value_name = "FILE")]
        list: PathBuf,
    },
    /// Expect a serial number no more
    Remove {
        /// The serial number
        serial: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List(part) => list(ctx, part).await,
            Self::Import { list } => import(ctx, &list).await,
            Self::Remove { serial, reason } => {
                confirm(ctx, &format!("Serial number {} is expected no more.", output::clean(&serial)))?;
                let removed = ctx.client().await?.serial_remove(&serial, &Reason { reason }).await?;
                ctx.out.value(&removed, |s| format!("Serial number {} is expected no more.", s.serial))
            }
        }
    }
}

async fn list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.serial_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page
            .items
            .iter()
            .map(|s| [s.serial.clone(), s.note.clone(), when::human(ctx.now, s.changed), s.changed_by.clone()]);
        let table = output::table(["SERIAL", "NOTE", "SINCE", "BY"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No serial number is expected.")
    })
}

async fn import(ctx: &Context, path: &std::path::Path) -> Result<(), CliError> {
    let text = crate::files::read_text(path)?;
    let list = list::read(&text, "serial,note", SERIAL_ENTRIES, serial).map_err(CliError::Usage)?;
    confirm(
        ctx,
        &format!(
            "{} serial numbers are expected. A device only states its number: it is shown to whoever decides, and approves \
             nobody, but in the mode \"all\" together with a token that was made for it.",
            list.len()
        ),
    )?;
    let entries = list.into_iter().map(|(serial, note)| SerialEntry { serial, note }).collect();
    let done = ctx.client().await?.serial_import(&SerialImport { entries }).await?;
    ctx.out.value(&done, |done| format!("{} serial numbers are expected.", done.imported))
}

fn serial(text: &str) -> Result<String, &'static str> {
    if is_serial(text) { Ok(text.to_owned()) } else { Err("a serial number has 1 to 64 characters that can be seen") }
}
