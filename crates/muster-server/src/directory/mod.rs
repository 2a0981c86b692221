//! Discovery in directories: reads what administrators asked for, from where the machine's administrator said, and hands it to the rules
//! a page at a time.
//!
//! It connects to the server that a file in the site's directory names, and to nothing else: referrals are not followed, and no name that
//! a directory holds is ever looked up. The next page is asked for only after the one before is committed.

mod connection;
mod entry;
mod file;
mod reader;
#[cfg(test)]
mod tests;

use crate::listen::Stop;
use connection::Connection;
use file::DirectoryFile;
pub(crate) use file::bytes as file_bytes;
use muster_site::{Ctx, DirectoryRun, Site, SiteError};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;
use tokio_rustls::rustls::time_provider::DefaultTimeProvider;

/// Time between two looks at which runs are due.
const LOOK: Duration = Duration::from_secs(5);
/// How long a whole run may take.
const WHOLE: Duration = Duration::from_secs(2 * 3_600);

/// The directories that the server knows, by the files about them.
#[derive(Debug, Clone)]
pub struct Directories {
    dir: PathBuf,
}

impl Directories {
    /// Those that files in `dir` describe. They are read at each run.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Makes the next run that is due, where one is; whether one was.
    ///
    /// # Errors
    /// When the store fails. What fails at the directory is noted at the source, and tried again later.
    pub async fn step(&self, site: &Site) -> Result<bool, SiteError> {
        let Some(mut run) = muster_site::directory_due(&ctx(site), site).await? else { return Ok(false) };
        let name = run.name.clone();
        let outcome = match timeout(WHOLE, self.read(site, &mut run)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("the run took longer than it may".to_owned()),
        };
        match &outcome {
            Ok((full, ..)) => tracing::info!(directory = name, full, "A directory was read."),
            Err(error) => tracing::warn!(directory = name, error, "A directory could not be read; it is tried again."),
        }
        muster_site::directory_end(&ctx(site), site, run, outcome).await?;
        Ok(true)
    }

    async fn read(&self, site: &Site, run: &mut DirectoryRun) -> reader::Outcome {
        let file = DirectoryFile::read(&self.dir, &run.name)?;
        let mut connection = Connection::open(&file, Arc::new(DefaultTimeProvider)).await?;
        connection.bind(&file).await?;
        let outcome = reader::read(site, run, &mut connection).await;
        connection.end().await;
        outcome
    }

    /// Makes the runs that are due for as long as the server runs.
    pub(crate) async fn keep_read(self, site: Arc<Site>, mut stop: Stop) {
        loop {
            let rest = tokio::select! {
                () = stop.wait() => return,
                done = self.step(&site) => match done {
                    Ok(true) => Duration::ZERO,
                    Ok(false) => LOOK,
                    Err(error) => {
                        tracing::error!(%error, "What is due in directories could not be done; trying again.");
                        LOOK
                    }
                },
            };
            tokio::select! {
                () = stop.wait() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }
}

fn ctx(site: &Site) -> Ctx {
    Ctx::site(site.sources.now())
}
