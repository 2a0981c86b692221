//! The background work on content: chunk lists for files that came, and for those that were here before there were lists.

use crate::{Site, SiteError, delivery::chunk::content_chunk};
use muster_model::{id::Hash, limits::CHUNKED_BYTES};
use muster_store::{StoreError, db::content_row, transaction};
use std::{future::Future, pin::pin, sync::Arc, time::Duration};

/// How long to wait after the database or the disk failed.
const AGAIN: Duration = Duration::from_secs(60);

/// The work on content in one process. It has its own turn, because a large file takes minutes.
#[derive(Debug)]
pub struct ContentWorker {
    site: Arc<Site>,
    /// How far this round is: one file that cannot be read does not keep the others from their lists.
    after: Option<Hash>,
}

impl ContentWorker {
    /// A worker of this site.
    #[must_use]
    pub fn new(site: Arc<Site>) -> Self {
        Self { site, after: None }
    }

    /// Works until `shutdown` is there: once over everything, then whenever a file comes.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let step = tokio::select! {
                biased;
                () = &mut shutdown => return,
                step = self.step() => step,
            };
            let rest = match step {
                Ok(true) => continue,
                Ok(false) => Duration::MAX,
                Err(error) => {
                    tracing::error!(%error, "The work on content failed; it is tried again.");
                    AGAIN
                }
            };
            self.after = None;
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = self.site.memory.content.notified() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// The next file without a list; whether there was one.
    ///
    /// # Errors
    /// When the store fails. A file that cannot be cut is said in the log, and served whole.
    pub async fn step(&mut self) -> Result<bool, SiteError> {
        let site = &self.site;
        let next = content_row::without_chunks(&mut *site.store.reader().await?, self.after, CHUNKED_BYTES).await?;
        let Some((hash, size)) = next else { return Ok(false) };
        self.after = Some(hash);
        let content = site.content.clone();
        let made = tokio::task::spawn_blocking(move || content_chunk(&content, hash, size)).await;
        let row = match made.map_err(|error| SiteError::Fault(error.to_string()))? {
            Ok(row) => row,
            Err(error) => {
                tracing::warn!(%hash, %error, "A content file has no chunk list; clients fetch it whole.");
                return Ok(true);
            }
        };
        let now = site.sources.now();
        let noted: Result<bool, StoreError> =
            transaction!(site.store, "content_chunks", |tx| { content_row::insert_chunks(tx, hash, &row, now).await });
        noted?;
        tracing::info!(%hash, size, chunks = row.chunks, packed = row.packed, "A content file has its chunk list.");
        Ok(true)
    }
}
