//! The command line of `muster-bench`.

use super::{
    collections, content, delta, deployments, flood, lists, live,
    process::Database,
    ratios::{self, Plan},
    report, role_limit, role_peer, size,
};
use crate::fleet::{FleetError, limit, progress::Progress, say};
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Measures Muster on this machine against the limit of its libraries and against a naive peer.
#[derive(Debug, Parser)]
#[command(name = "muster-bench", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct Ratios {
    /// Lines of the table of targets.
    #[arg(long = "line", value_delimiter = ',', default_values_t = [1, 2, 3, 4, 5, 6, 8, 12])]
    lines: Vec<u8>,
    /// Seconds of each run.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Idle clients of line 8.
    #[arg(long, default_value_t = 10_000)]
    clients: u64,
    /// Seconds for which the idle agent of line 12 is watched.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// What makes the simulated devices other ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Our site is on the PostgreSQL that scripts/with-postgres has started; the others stay on SQLite.
    #[arg(long)]
    postgres: bool,
    /// Where the site and its databases are made; it stays. Default: a directory that is removed.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Write the figures with every run as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table for docs/BENCHMARKS.md.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Lists {
    /// How many devices the site has.
    #[arg(long, default_value_t = 100_000)]
    devices: u32,
    /// Where the site is made; it stays. Default: a directory that is removed.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Collections {
    /// How many devices the site has.
    #[arg(long, default_value_t = 100_000)]
    devices: u64,
    /// How many collections, each with one query.
    #[arg(long, default_value_t = 1_000)]
    collections: usize,
    /// What makes the simulated devices other ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// An empty PostgreSQL database (postgres://...). Default: SQLite.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Where the site is made; it stays. Default: a directory that is removed.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Deployments {
    /// How many devices the site has.
    #[arg(long, default_value_t = 100_000)]
    devices: u64,
    /// An empty PostgreSQL database (postgres://...). Default: SQLite.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Where the site is made; it stays. Default: a directory that is removed.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Live {
    /// How many clients hold a live channel.
    #[arg(long, default_value_t = 15_000)]
    clients: u64,
    /// Where the site is made; it stays. Default: a directory that is removed.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Content {
    /// Seconds of each run.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Where the site is made; it stays. Default: a directory that is removed.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Delta {
    /// Megabytes of the package.
    #[arg(long, default_value_t = 200)]
    megabytes: usize,
    /// Where the site is made; it stays. Default: a directory that is removed.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Flood {
    /// Seconds of each run.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Where the site is made; it stays. Default: a directory that is removed.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Size {
    /// Devices by which the database grows.
    #[arg(long, default_value_t = 1_000)]
    devices: u64,
    /// On the PostgreSQL that scripts/with-postgres has started.
    #[arg(long)]
    postgres: bool,
    /// Where the site is made; it stays. Default: a directory that is removed.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RoleFlood {
    /// The directory of the fleet, of which the last device floods.
    #[arg(long)]
    fleet: PathBuf,
    /// What it does.
    #[arg(long, value_enum)]
    kind: flood::Kind,
    /// For how long.
    #[arg(long)]
    seconds: u64,
}

#[derive(Debug, Args)]
struct Role {
    /// The site's directory.
    #[arg(long)]
    site: PathBuf,
    /// Where the database is made.
    #[arg(long)]
    scratch: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// For each line: limit, ours, peer, ours, limit. It fails nothing; it measures.
    Ratios(Ratios),
    /// How long an administrator waits for lists of devices at a site that has many.
    Lists(Lists),
    /// How long other devices wait while one floods the site.
    Flood(Flood),
    /// Content over mutual TLS, in pieces of 1 MB and 64 KB (line 11), beside the limit and nginx.
    Content(Content),
    /// A new version of a package on a client that has the old one: bytes moved and CPU, beside the whole, zsync and casync.
    Delta(Delta),
    /// What a device costs on the disk of the database.
    Size(Size),
    /// Membership of collections: the index against SQL, whole and after one device changed.
    Collections(Collections),
    /// A deployment to many devices: its what-if, and until each has its signed assignment.
    Deployments(Deployments),
    /// How long a change takes to reach many live channels, and a block to close them.
    Live(Live),
    #[command(hide = true)]
    RoleFlood(RoleFlood),
    #[command(hide = true)]
    ServeLimit(Role),
    #[command(hide = true)]
    ServePeer(Role),
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
            say(&format!("muster-bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn execute(verb: Verb) -> Result<(), FleetError> {
    match verb {
        Verb::ServeLimit(role) => role_limit::run(&role.site, &role.scratch).await,
        Verb::ServePeer(role) => role_peer::run(&role.site, &role.scratch).await,
        Verb::Ratios(asked) => measure(asked).await,
        Verb::Live(asked) => {
            let temporary = tempfile::tempdir().map_err(FleetError::io("making a directory"))?;
            let scratch = asked.scratch.as_deref().unwrap_or(temporary.path());
            std::fs::create_dir_all(scratch).map_err(|error| FleetError::file(scratch, error))?;
            say(&report::table(&live::measure(asked.clients, scratch, &Progress::default()).await?));
            Ok(())
        }
        Verb::Content(asked) => {
            let temporary = tempfile::tempdir().map_err(FleetError::io("making a directory"))?;
            let scratch = asked.scratch.as_deref().unwrap_or(temporary.path());
            std::fs::create_dir_all(scratch).map_err(|error| FleetError::file(scratch, error))?;
            let length = Duration::from_secs(asked.seconds.max(1));
            say(&report::table(&content::measure(length, scratch, &Progress::default()).await?));
            Ok(())
        }
        Verb::Delta(asked) => {
            let temporary = tempfile::tempdir().map_err(FleetError::io("making a directory"))?;
            let scratch = asked.scratch.as_deref().unwrap_or(temporary.path());
            std::fs::create_dir_all(scratch).map_err(|error| FleetError::file(scratch, error))?;
            say(&report::table(&delta::measure(asked.megabytes.max(1), scratch).await?));
            Ok(())
        }
        Verb::RoleFlood(role) => flood::role(&role.fleet, role.kind, Duration::from_secs(role.seconds)).await,
        Verb::Flood(asked) => {
            let temporary = tempfile::tempdir().map_err(FleetError::io("making a directory"))?;
            let scratch = asked.scratch.as_deref().unwrap_or(temporary.path());
            std::fs::create_dir_all(scratch).map_err(|error| FleetError::file(scratch, error))?;
            let length = Duration::from_secs(asked.seconds.max(1));
            say(&report::table(&flood::measure(length, scratch, &Progress::default()).await?));
            Ok(())
        }
        Verb::Size(asked) => {
            let temporary = tempfile::tempdir().map_err(FleetError::io("making a directory"))?;
            let scratch = asked.scratch.as_deref().unwrap_or(temporary.path());
            std::fs::create_dir_all(scratch).map_err(|error| FleetError::file(scratch, error))?;
            let figures =
                size::measure(asked.devices, database(asked.postgres)?, scratch, &Progress::default()).await?;
            say(&report::table(&figures));
            Ok(())
        }
        Verb::Collections(asked) => {
            let temporary = tempfile::tempdir().map_err(FleetError::io("making a directory"))?;
            let scratch = asked.scratch.as_deref().unwrap_or(temporary.path());
            std::fs::create_dir_all(scratch).map_err(|error| FleetError::file(scratch, error))?;
            let plan = collections::Plan {
                database: asked.database.as_deref(),
                scratch,
                devices: asked.devices,
                collections: asked.collections,
                seed: asked.seed,
            };
            say(&report::table(&collections::run(&plan).await?));
            Ok(())
        }
        Verb::Deployments(asked) => {
            let temporary = tempfile::tempdir().map_err(FleetError::io("making a directory"))?;
            let scratch = asked.scratch.as_deref().unwrap_or(temporary.path());
            std::fs::create_dir_all(scratch).map_err(|error| FleetError::file(scratch, error))?;
            let plan = deployments::Plan { database: asked.database.as_deref(), scratch, devices: asked.devices };
            say(&report::table(&deployments::run(&plan).await?));
            Ok(())
        }
        Verb::Lists(asked) => {
            let temporary = tempfile::tempdir().map_err(FleetError::io("making a directory"))?;
            let scratch = asked.scratch.as_deref().unwrap_or(temporary.path());
            std::fs::create_dir_all(scratch).map_err(|error| FleetError::file(scratch, error))?;
            say(&report::table(&lists::run(asked.devices, scratch).await?));
            Ok(())
        }
    }
}

fn database(postgres: bool) -> Result<Database, FleetError> {
    if postgres { Database::postgres() } else { Ok(Database::Sqlite) }
}

async fn measure(asked: Ratios) -> Result<(), FleetError> {
    let known = |line: &u8| ratios::LINES.contains(line) || *line == ratios::AGENT;
    if let Some(line) = asked.lines.iter().find(|line| !known(line)) {
        return Err(FleetError::Unusable(format!(
            "line {line} is not measured yet; these are: {:?} and {}",
            ratios::LINES,
            ratios::AGENT
        )));
    }
    let temporary = tempfile::tempdir().map_err(FleetError::io("making a directory"))?;
    let scratch = asked.scratch.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(scratch).map_err(|error| FleetError::file(scratch, error))?;
    let plan = Plan {
        lines: asked.lines,
        length: Duration::from_secs(asked.seconds.max(1)),
        clients: asked.clients,
        idle: Duration::from_secs(asked.idle.max(1)),
        seed: asked.seed,
        database: database(asked.postgres)?,
    };
    let figures = ratios::run(&plan, scratch, &Progress::default()).await?;
    say(&report::table(&figures));
    if let Some(path) = asked.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&figures)?).map_err(|error| FleetError::file(&path, error))?;
    }
    if let Some(path) = asked.markdown {
        std::fs::write(&path, report::markdown(&figures)).map_err(|error| FleetError::file(&path, error))?;
    }
    Ok(())
}
