//! `muster settings`: how often clients do what.

use super::{Context, ask::confirm};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    limits::DEFINITION_BYTES,
    policy::{ClientSettings, SoftwareScan},
};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the client settings
    Show,
    /// Change client settings; what is not named stays as it is
    Update {
        /// How often clients ask for policy when no change calls them
        #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
        policy_poll: Option<i64>,
        /// How often clients take inventory
        #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
        inventory: Option<i64>,
        /// How often clients say that they are there
        #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
        heartbeat: Option<i64>,
        /// JSON file that says which files clients report: {"paths": [{"path", "names", "recursive"}], "exclude", "files", "seconds", "read": {"hash", "versions", "file_bytes", "total_bytes"}}
        #[arg(long, value_name = "FILE")]
        software: Option<PathBuf>,
        /// Report no files any more
        #[arg(long, conflicts_with = "software")]
        no_software: bool,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        let mut settings = client.settings_show().await?;
        if let Self::Update { policy_poll, inventory, heartbeat, software, no_software } = self {
            let lengths = [policy_poll, inventory, heartbeat];
            if lengths.iter().all(Option::is_none) && software.is_none() && !no_software {
                return Err(CliError::Usage("name at least one setting; see --help".to_owned()));
            }
            settings.policy_poll = policy_poll.unwrap_or(settings.policy_poll);
            settings.inventory = inventory.unwrap_or(settings.inventory);
            settings.heartbeat = heartbeat.unwrap_or(settings.heartbeat);
            if let Some(file) = software {
                settings.software = Some(scan(&file)?);
            } else if no_software {
                settings.software = None;
            }
            confirm(ctx, &format!("Every client gets these settings:\n{}", shown(&settings)))?;
            settings = client.settings_update(&settings).await?;
        }
        ctx.out.value(&settings, shown)
    }
}

fn scan(file: &Path) -> Result<SoftwareScan, CliError> {
    let bytes = crate::files::read_at_most(file, DEFINITION_BYTES as u64)?;
    let scan: SoftwareScan = serde_json::from_slice(&bytes)
        .map_err(|error| CliError::Usage(format!("{} does not say which files: {error}.", file.display())))?;
    scan.check().map_err(|reason| CliError::Usage(format!("{}: {reason}", file.display())))?;
    Ok(scan)
}

fn shown(settings: &ClientSettings) -> String {
    output::pairs([
        ("Policy polling", format!("every {}", when::length(settings.policy_poll))),
        ("Hardware inventory", format!("every {}", when::length(settings.inventory))),
        ("Heartbeat discovery", format!("every {}", when::length(settings.heartbeat))),
        ("Software inventory", files(settings)),
    ])
}

fn files(settings: &ClientSettings) -> String {
    let Some(scan) = &settings.software else { return "no files".to_owned() };
    let path = |path: &muster_model::policy::ScanPath| {
        let below = if path.recursive { " and below" } else { "" };
        format!("{} in {}{below}", path.names.join(" "), path.path)
    };
    let read = scan.read.as_ref().map(|read| match (read.hash, read.versions) {
        (true, true) => ", with hashes and versions",
        (true, false) => ", with hashes",
        (false, _) => ", with versions",
    });
    scan.paths.iter().map(path).collect::<Vec<_>>().join("; ") + read.unwrap_or_default()
}
