//! `muster device logs`: where the log of a device stands, and pieces of it.

use super::{Context, find};
use crate::{CliError, files, output, when};
use clap::Subcommand;
use muster_model::{
    api::{LogAlteration, LogCollect, LogCollected, LogState},
    id::LogRequestId,
    time::UnixMillis,
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Where the log of a device stands, and pieces of it that were asked for; exit code 7 where it was altered
    Show {
        /// Device id or host name
        device: String,
    },
    /// Ask a device for the end of its log
    Collect {
        /// Device id or host name
        device: String,
        /// Only what is not older: 90s, 30m, 2h or 7d
        #[arg(long, value_parser = when::parse_length)]
        since: Option<i64>,
        /// So many records at most, the last ones; 0: as many as there may be
        #[arg(long, default_value_t = 0)]
        limit: u32,
    },
    /// Write the lines of a piece to a file; exit code 7 where it was altered
    Download {
        /// Device id or host name
        device: String,
        /// Id of the piece
        piece: LogRequestId,
        /// The file, which must not be there yet; nobody else may read it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Show { device } => client_log_show(ctx, &device).await,
            Self::Collect { device, since, limit } => {
                let client = ctx.client().await?;
                let id = find::device(&client, &device).await?;
                let since = since.map(|length| ctx.now.plus(-length));
                let piece = client.client_log_collect(id, &LogCollect { since, limit }).await?;
                ctx.out.value(&piece, |piece| {
                    format!("Asked for; it comes with the device's next report. `muster device logs show {id}` shows piece {}.", piece.id)
                })
            }
            Self::Download { device, piece, out } => client_log_download(ctx, &device, piece, out).await,
        }
    }
}

fn altered(found: Option<LogAlteration>) -> String {
    let Some(found) = found else { return String::new() };
    let from = if found.from == UnixMillis(0) { "an unknown time".to_owned() } else { when::full(found.from) };
    format!("{} At record {}, between {from} and {}.", found.fault.sentence(), found.sequence, when::full(found.until))
}

/// An exit code for scripts.
fn judge(found: Option<LogAlteration>) -> Result<(), CliError> {
    match found {
        Some(_) => Err(CliError::Found(altered(found))),
        None => Ok(()),
    }
}

async fn client_log_show(ctx: &Context, device: &str) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let log = client.client_log_show(find::device(&client, device).await?).await?;
    ctx.out.value(&log, |log| {
        let mut text = match &log.standing {
            Some(at) => output::pairs(vec![
                ("Records", format!("{} to {}", at.first, at.sequence)),
                ("Head", at.head.to_string()),
                ("Said", when::both(ctx.now, at.received)),
            ]),
            None => "This device has not said where its log stands.\n".to_owned(),
        };
        if !log.pieces.is_empty() {
            let row = |piece: &LogCollected| {
                let range = piece.first.zip(piece.last).map(|(first, last)| format!("{first}-{last}"));
                [
                    piece.id.to_string(),
                    when::full(piece.asked),
                    piece.asked_by.clone(),
                    range.unwrap_or_default(),
                    piece.state.to_string(),
                    altered(piece.altered),
                ]
            };
            text.push('\n');
            let head = ["PIECE", "ASKED", "BY", "RECORDS", "STATE", "WHAT"];
            text.push_str(&output::table(head, log.pieces.iter().map(row)));
        }
        text
    })?;
    judge(log.standing.and_then(|at| at.altered))
}

async fn client_log_download(ctx: &Context, device: &str, id: LogRequestId, out: PathBuf) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let device = find::device(&client, device).await?;
    let lines = client.client_log_download(device, id).await?;
    files::write_private(&out, &lines, true)?;
    let log = client.client_log_show(device).await?;
    let Some(piece) = log.pieces.into_iter().find(|piece| piece.id == id) else { return Ok(()) };
    ctx.out.value(&piece, |piece| {
        let heads = piece.anchors;
        let whole = match piece.state {
            LogState::Intact => format!("It hangs together, and has {heads} head(s) that the site was told."),
            LogState::Awaited | LogState::Altered | LogState::Missing => altered(piece.altered),
        };
        format!("Written to {}. {whole}", out.display())
    })?;
    judge(piece.altered)
}
