//! `musterd serve`.

use super::{complain, log, runtime, say};
use crate::{
    clock::System,
    config::{self, ConfigError},
    serve::Server,
};
use std::{path::Path, process::ExitCode, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};

/// Runs until a signal. Everything that is wrong at the start is one sentence; afterwards it is the log's.
pub(super) fn run(dir: &Path) -> Result<ExitCode, String> {
    let config = config::load(dir).map_err(|error: ConfigError| error.to_string())?;
    log::start(&config.log)?;
    runtime()?.block_on(async {
        let server = Server::start(dir, config, Arc::new(System)).await.map_err(|error| error.to_string())?;
        let urls = server.urls();
        say(&format!("Management point  {}", urls.management_point));
        say(&format!("Enrolment         {}", urls.enrolment));
        say(&format!("Console and API   {}", urls.admin));
        let handler = |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
        let (mut interrupt, mut terminate) = (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("Stopping.");
        if !server.stop().await {
            complain("some connections did not end in time and were cut");
        }
        Ok(ExitCode::SUCCESS)
    })
}
