//! `muster hardware`: TPMs that are believed without their vendor, awaited, or never let in.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{HardwareSet, HardwareStanding, Reason},
    id::Hash,
};
use std::{collections::BTreeMap, path::PathBuf};

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
    let list = parse(&text).map_err(CliError::Usage)?;
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

/// Lines of `ID,NOTE`; the whole list or nothing. The note may stand in quotation marks, doubled inside.
fn parse(text: &str) -> Result<BTreeMap<Hash, String>, String> {
    let mut list = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || number == 0 && line.eq_ignore_ascii_case("id,note") {
            continue;
        }
        let wrong = |what: &str| Err(format!("line {}: {what}", number + 1));
        let Some((id, note)) = line.split_once(',') else { return wrong("not ID,NOTE") };
        let Ok(id) = id.trim().to_ascii_lowercase().parse::<Hash>() else {
            return wrong("the id is not 64 hexadecimal digits");
        };
        let note = note.trim();
        let note = match note.strip_prefix('"').map(|rest| rest.strip_suffix('"')) {
            Some(Some(quoted)) => quoted.replace("\"\"", "\""),
            Some(None) => return wrong("a quotation mark is not closed"),
            None => note.to_owned(),
        };
        if note.is_empty() {
            return wrong("the note says which machine it is, and is missing");
        }
        if list.insert(id, note).is_some() {
            return wrong("the same id again");
        }
        if list.len() > ROWS {
            return wrong("too many lines for one list");
        }
    }
    if list.is_empty() { Err("the list is empty".to_owned()) } else { Ok(list) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_taken_whole_or_not_at_all() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let good = parse(&format!("\u{feff}id,note\r\n{a},laptop 7\r\n\n{b},\"desk \"\"9\"\", room 4\"\n")).unwrap();
        assert_eq!(good.values().collect::<Vec<_>>(), ["laptop 7", "desk \"9\", room 4"]);
        for (bad, why) in [
            (String::new(), "empty"),
            ("id,note\n".to_owned(), "empty"),
            (a.clone(), "line 1: not ID,NOTE"),
            (format!("{a},x\n{a},y"), "line 2: the same id"),
            (format!("{a}, "), "the note"),
            (format!("{a},\"x"), "not closed"),
            (format!("{},x", "g".repeat(64)), "64 hexadecimal"),
        ] {
            let error = parse(&bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
