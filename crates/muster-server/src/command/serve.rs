//! `musterd serve`.

use super::{complain, log, runtime, say};
use crate::{
    clock::System,
    config::{self, ConfigError},
    serve::Server,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{path::Path, process::ExitCode, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};

/// Every connection is an open file: takes as many as the system allows this process.
fn open_files(http: &config::Http) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, "The number of open files could not be raised.");
    }
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = (http.management_point_connections
        + http.enrolment_connections
        + http.revocation_connections
        + http.admin_connections) as u64;
    if most < connections {
        tracing::warn!(
            open_files = most,
            connections,
            "The system allows fewer open files than [http] allows connections; raise it (systemd: LimitNOFILE)."
        );
    }
}

/// Runs until a signal. Everything that is wrong at the start is one sentence; afterwards it is the log's.
pub(super) fn run(dir: &Path) -> Result<ExitCode, String> {
    let config = config::load(dir).map_err(|error: ConfigError| error.to_string())?;
    log::start(&config.log)?;
    open_files(&config.http);
    runtime()?.block_on(async {
        let server = Server::start(dir, config, Arc::new(System)).await.map_err(|error| error.to_string())?;
        let urls = server.urls();
        say(&format!("Management point  {}", urls.management_point));
        say(&format!("Enrolment         {}", urls.enrolment));
        if let Some(revocation) = &urls.revocation {
            say(&format!("Revocation        {revocation}"));
        }
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
