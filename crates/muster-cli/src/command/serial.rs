//! `muster serial`: serial numbers that the site expects. They prove nothing; they help whoever decides.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::{Reason, SerialEntry, SerialImport, is_serial},
    limits::SERIAL_ENTRIES,
};
use std::{collections::BTreeMap, path::PathBuf};

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
    let list = parse(&text).map_err(CliError::Usage)?;
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

/// Lines of `SERIAL,NOTE`; the whole list or nothing. The note may stand in quotation marks, doubled inside.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut list = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || number == 0 && line.eq_ignore_ascii_case("serial,note") {
            continue;
        }
        let wrong = |what: &str| Err(format!("line {}: {what}", number + 1));
        let Some((serial, note)) = line.split_once(',') else { return wrong("not SERIAL,NOTE") };
        let serial = serial.trim();
        if !is_serial(serial) {
            return wrong("a serial number has 1 to 64 characters that can be seen");
        }
        let note = note.trim();
        let note = match note.strip_prefix('"').map(|rest| rest.strip_suffix('"')) {
            Some(Some(quoted)) => quoted.replace("\"\"", "\""),
            Some(None) => return wrong("a quotation mark is not closed"),
            None => note.to_owned(),
        };
        if note.is_empty() {
            return wrong("the note says which machine it is, and is missing");
        }
        if list.insert(serial.to_owned(), note).is_some() {
            return wrong("the same serial number again");
        }
        if list.len() > SERIAL_ENTRIES {
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
        let good = parse("\u{feff}serial,note\r\n5CD1,laptop 7\r\n\nA B-2,\"desk \"\"9\"\", room 4\"\n").unwrap();
        assert_eq!(good["5CD1"], "laptop 7");
        assert_eq!(good["A B-2"], "desk \"9\", room 4");
        for (bad, why) in [
            ("", "empty"),
            ("serial,note\n", "empty"),
            ("5CD1", "line 1: not SERIAL,NOTE"),
            ("5CD1,x\n5CD1,y", "line 2: the same"),
            ("5CD1, ", "the note"),
            ("5CD1,\"x", "not closed"),
            (",x", "1 to 64"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
