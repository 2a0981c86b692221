//! Evaluation in the background, beside the other work: neither waits for the other.

use super::{evaluate::collection_work, turn::Turns};
use crate::{Site, SiteError};
use std::{future::Future, pin::pin, sync::Arc, time::Duration};

/// How often is asked whether there is something to do: what was acknowledged shows within a second.
const REST: Duration = Duration::from_millis(250);
/// How long is waited after a failure.
const FAILED: Duration = Duration::from_secs(2);

/// Evaluates collections. Of several on one database one works, and another when that one is gone.
#[derive(Debug)]
pub struct CollectionWorker {
    site: Arc<Site>,
    turns: Turns,
}

impl CollectionWorker {
    /// A worker of this site.
    #[must_use]
    pub fn new(site: Arc<Site>) -> Self {
        let turns = Turns::new(&site);
        Self { site, turns }
    }

    /// Works until `shutdown` is there; what is in a transaction then is finished first.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let rest = match self.step().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => REST,
                Err(error) => {
                    tracing::error!(%error, "Collections could not be evaluated; it is tried again.");
                    FAILED
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = tokio::time::sleep(rest) => {}
            }
        }
        if let Err(error) = self.turns.give_up(&self.site).await {
            tracing::info!(%error, "Another server evaluates collections when it sees that this one is silent.");
        }
    }

    async fn step(&mut self) -> Result<bool, SiteError> {
        let (site, now) = (&*self.site, self.site.sources.now());
        Ok(self.turns.is_mine(site, now).await? && self.turns.during(site, collection_work(site, now)).await?)
    }
}
