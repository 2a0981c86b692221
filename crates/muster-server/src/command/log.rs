//! Where log lines go and how they look.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts the log of this process.
pub(super) fn start(log: &Log) -> Result<(), String> {
    let filter: Targets =
        log.level.parse().map_err(|error| format!("log.level is {:?}, which is not a filter: {error}", log.level))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let started = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    started.map_err(|error| format!("the log cannot be started: {error}"))
}
