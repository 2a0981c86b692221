//! `muster`, the administrator's tool: reads the command line, does one thing, says how it went.

use clap::Parser;
use muster_cli::{CliError, ClientError, command::Cli};
use muster_model::time::UnixMillis;
use std::{io::Write, process::ExitCode};

/// The one clock of this program.
#[expect(clippy::disallowed_methods, reason = "the one place where this program reads the time")]
fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.is_json();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(async {
            tokio::select! {
                done = cli.run(now()) => done,
                _ = tokio::signal::ctrl_c() => Err(CliError::Cancelled("stopped".to_owned())),
            }
        }),
        Err(error) => Err(CliError::Output(error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, json);
            ExitCode::from(error.exit_code())
        }
    }
}

fn report(error: &CliError, json: bool) {
    let mut err = std::io::stderr().lock();
    if let (true, CliError::Client(ClientError::Refused(problem))) = (json, error)
        && let Ok(text) = serde_json::to_string(problem)
    {
        let _ = writeln!(err, "{text}");
        return;
    }
    let code = match error {
        CliError::Client(client) => client.code().map(|code| format!(" ({code})")).unwrap_or_default(),
        _ => String::new(),
    };
    let _ = writeln!(err, "muster: {}{code}", muster_cli::output::clean(&error.to_string()));
    if let Some(next) = error.next_step() {
        let _ = writeln!(err, "{next}");
    }
}
