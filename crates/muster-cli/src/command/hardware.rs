//! `muster hardware`: TPMs that are believed without their vendor, awaited, or never let in.

use super::{Context, Part, ask::confirm};
use crate::{CliError, list, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{HardwareSet, HardwareStanding, Reason},
    id::Hash,
};
use std::path::PathBuf;

/// Rows of an imported list; a larger one is split.
const ROWS: usize = 5_000;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List hardware identities that somebody decided about
    List(Part),
    /// Believe a TPM although no pinned vendor vouches for it
    Allow(Decision),
    /// Believe a TPM, and approve the first device that proves it
    Await(Decision),
    /// Never let a TPM in, under whatever name and key; its device is locked out at once
    Block(Decision),
    /// Forget what was decided; only the TPM's vendor counts then
    Remove(Decision),
    /// Await every TPM of a list: lines of ID,NOTE
    Import {
        /// File with the list (CSV); a first line `id,note` is passed over
        #[arg(long, value_name = "FILE")]
        list: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct Decision {
    /// Hardware identity: SHA-256 of the endorsement key's public key in DER, 64 hexadecimal digits
    id: Hash,
    /// Why, or which machine it is
    #[arg(long)]
    reason: String,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List(part) => hardware_list(ctx, part).await,
            Self::Allow(decision) => decision.set(ctx, HardwareStanding::Allowed).await,
            Self::Await(decision) => decision.set(ctx, HardwareStanding::Awaited).await,
            Self::Block(decision) => decision.set(ctx, HardwareStanding::Blocked).await,
            Self::Remove(decision) => {
                confirm(ctx, &format!("What was decided about hardware {} is forgotten.", decision.id))?;
                let reason = Reason { reason: decision.reason };
                let removed = ctx.client().await?.hardware_remove(decision.id, &reason).await?;
                ctx.out.value(&removed, |h| format!("Hardware {} is {} no more.", h.id, h.standing))
            }
            Self::Import { list } => import(ctx, &list).await,
        }
    }
}

impl Decision {
    async fn set(self, ctx: &Context, standing: HardwareStanding) -> Result<(), CliError> {
        let consequence = match standing {
            HardwareStanding::Allowed => "A device that proves it is shown as attested; it still needs an approval.",
            HardwareStanding::Awaited => "The first device that proves it is approved without being asked about.",
            HardwareStanding::Blocked => {
                "Its device is locked out now, and no enrolment with this TPM comes in, under whatever name and key."
            }
        };
        confirm(ctx, &format!("Hardware {} is {standing}.\n{consequence}", self.id))?;
        let request = HardwareSet { standing, note: self.reason };
        let set = ctx.client().await?.hardware_set(self.id, &request).await?;
        ctx.out.value(&set, |h| format!("Hardware {} is {} now.", h.id, h.standing))
    }
}

async fn hardware_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.hardware_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|h| {
            [
                h.id.to_string(),
                h.standing.to_string(),
                h.note.clone(),
                when::human(ctx.now, h.changed),
                h.changed_by.clone(),
            ]
        });
        let table = output::table(["ID", "STANDING", "NOTE", "SINCE", "BY"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "Nothing was decided about any hardware.")
    })
}

async fn import(ctx: &Context, path: &std::path::Path) -> Result<(), CliError> {
    let text = crate::files::read_text(path)?;
    let list = list::read(&text, "id,note", ROWS, id).map_err(CliError::Usage)?;
    confirm(
        ctx,
        &format!(
            "{} TPMs are awaited: the first device that proves one is approved without being asked about.",
            list.len()
        ),
    )?;
    let client = ctx.client().await?;
    let mut done = Vec::new();
    for (id, note) in list {
        let request = HardwareSet { standing: HardwareStanding::Awaited, note };
        done.push(client.hardware_set(id, &request).await?);
    }
    ctx.out.value(&done, |done| format!("{} TPMs are awaited.", done.len()))
}

fn id(text: &str) -> Result<Hash, &'static str> {
    text.to_ascii_lowercase().parse().map_err(|_| "the id is not 64 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_digest_of_a_key() {
        assert!(id(&"aB".repeat(32)).is_ok());
        for odd in ["", "g", &"a".repeat(63)] {
            assert!(id(odd).is_err(), "{odd}");
        }
    }
}
