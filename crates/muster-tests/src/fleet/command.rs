//! The command line of `muster-fleet`.

use super::{
    enrol::{self, Wanted},
    error::FleetError,
    limit,
    progress::Progress,
    run::{self, Kind, Summary},
    say,
    store::Fleet,
};
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Simulates devices of a Muster site on this machine: real TLS, real keys and signatures, real package lists.
#[derive(Debug, Parser)]
#[command(name = "muster-fleet", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct At {
    /// Directory of the fleet.
    #[arg(long, value_name = "DIR")]
    fleet: PathBuf,
    /// How many devices work at once.
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make tokens, enrol devices with them, and approve them.
    Enrol {
        #[command(flatten)]
        at: At,
        /// Directory of the administrator's profile; `musterd init` writes one into the site's `admin`.
        #[arg(long, value_name = "DIR")]
        profile: PathBuf,
        /// How many devices.
        #[arg(long)]
        count: u64,
        /// What makes this fleet another one than the next.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Hold live channels and check in at an interval.
    Idle {
        #[command(flatten)]
        at: At,
        /// For how long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Seconds between two check-ins of a device.
        #[arg(long, default_value_t = 10)]
        interval: u64,
    },
    /// Report inventories of 1,500 packages.
    Inventory {
        #[command(flatten)]
        at: At,
        /// Which.
        #[arg(long, value_enum, default_value = "full")]
        kind: Kind,
    },
    /// Send status messages.
    Status {
        #[command(flatten)]
        at: At,
        /// Messages of each device.
        #[arg(long, default_value_t = 10)]
        messages: u64,
        /// Messages in a report.
        #[arg(long, default_value_t = 1)]
        batch: u64,
    },
    /// Come back all at once, and stay for a while.
    Storm {
        #[command(flatten)]
        at: At,
        /// How long the connections are held afterwards.
        #[arg(long, default_value_t = 0)]
        seconds: u64,
    },
}

/// Runs the command that was asked for.
#[must_use]
pub fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    limit::raise_open_files();
    let outcome = tokio::runtime::Runtime::new()
        .map_err(FleetError::io("starting the threads"))
        .and_then(|runtime| runtime.block_on(execute(verb)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("muster-fleet: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn execute(verb: Verb) -> Result<(), FleetError> {
    let progress = Progress::default();
    match verb {
        Verb::Enrol { at, profile, count, seed } => {
            let fleet = enrol::enrol(&profile, Wanted { count, seed, concurrency: at.concurrency }, &progress).await?;
            fleet.write(&at.fleet)?;
            say(&format!("{count} devices are enrolled and active; they are kept in {}", at.fleet.display()));
        }
        Verb::Idle { at, seconds, interval } => {
            let fleet = Fleet::read(&at.fleet)?;
            let interval = Duration::from_secs(interval.max(1));
            tell("check-ins", run::idle(&fleet, Duration::from_secs(seconds), interval).await?);
        }
        Verb::Inventory { at, kind } => {
            let mut fleet = Fleet::read(&at.fleet)?;
            let summary = run::inventory(&mut fleet, kind, at.concurrency, &progress).await;
            fleet.write(&at.fleet)?;
            tell("inventories", summary?);
        }
        Verb::Status { at, messages, batch } => {
            let mut fleet = Fleet::read(&at.fleet)?;
            let summary = run::status(&mut fleet, messages, batch, at.concurrency, &progress).await;
            fleet.write(&at.fleet)?;
            tell("reports", summary?);
        }
        Verb::Storm { at, seconds } => {
            let fleet = Fleet::read(&at.fleet)?;
            tell("connections", run::storm(&fleet, at.concurrency, Duration::from_secs(seconds), &progress).await?);
        }
    }
    Ok(())
}

fn tell(what: &str, summary: Summary) {
    let Summary { done, failed, took, median, slowest } = summary;
    say(&format!(
        "{done} {what} in {took:.1?}, {failed} failed; half of them took at most {median:.1?}, one in a hundred over {slowest:.1?}"
    ));
}
