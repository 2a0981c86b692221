//! The commands of `musterd`.

mod config;
mod database;
mod doctor;
mod init;
mod location;
mod log;
mod openapi;
mod serve;
mod trust;
mod trust_root;

pub use init::{InitArgs, InitError, Made, init};

use clap::{Parser, Subcommand};
use std::{io::Write, path::PathBuf, process::ExitCode};

/// The site server of Muster.
#[derive(Debug, Parser)]
#[command(name = "musterd", version, about, long_about = None, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Dir {
    /// The site's directory.
    #[arg(long, env = "MUSTERD_DIR", default_value = "/var/lib/musterd", value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a site: its keys, its trust bundle, its database and its first administrator.
    Init(Box<InitArgs>),
    /// Run the site server until it is told to stop.
    Serve(Dir),
    /// Look for what is wrong with a site, and say what to do about it. Ends with 1 when something fails.
    Doctor(Dir),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at the database, bring its schema up to date, or move the site into another one.
    Database {
        #[command(subcommand)]
        command: database::DatabaseCommand,
    },
    /// How clients find this site.
    Location {
        #[command(subcommand)]
        command: location::LocationCommand,
    },
    /// Work on the trust bundle, for most of which the trusted root key is needed.
    Trust {
        #[command(subcommand)]
        command: trust::TrustCommand,
    },
    /// Print the version.
    Version,
    /// Print the OpenAPI description of the administrators' API.
    Openapi,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say what is wrong with the configuration. Ends with 1 when something is.
    Check(Dir),
    /// Print the configuration in force, without secrets.
    Dump(Dir),
}

/// Runs the command that was asked for. Exit codes: 0 done, 1 it did not work and a sentence says why, 2 the command line is wrong.
#[must_use]
pub fn main() -> ExitCode {
    // What this program makes is its owner's, whoever starts it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let outcome = match Cli::parse().command {
        Command::Init(args) => init::run(&args),
        Command::Serve(at) => serve::run(&at.dir),
        Command::Doctor(at) => doctor::run(&at.dir),
        Command::Config { command: ConfigCommand::Check(at) } => config::check(&at.dir),
        Command::Config { command: ConfigCommand::Dump(at) } => config::dump(&at.dir),
        Command::Database { command } => database::run(&command),
        Command::Location { command } => location::run(&command),
        Command::Trust { command } => trust::run(&command),
        Command::Version => {
            say(concat!("musterd ", env!("CARGO_PKG_VERSION")));
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => openapi::run(),
    };
    match outcome {
        Ok(code) => code,
        Err(sentence) => {
            complain(&sentence);
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for whoever started the program. A reader that went away is not an error.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Prints why a command did not work.
fn complain(sentence: &str) {
    drop(writeln!(std::io::stderr(), "musterd: {sentence}"));
}

/// A runtime for the commands.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the system gives no threads: {error}"))
}
