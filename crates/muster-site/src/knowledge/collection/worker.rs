//! Evaluation in the background, beside the other work: neither waits for the other.

use super::evaluate::collection_work;
use crate::Site;
use std::{future::Future, pin::pin, sync::Arc, time::Duration};

/// How often is asked whether there is something to do: what was acknowledged shows within a second.
const REST: Duration = Duration::from_millis(250);
/// How long is waited after a failure.
const FAILED: Duration = Duration::from_secs(2);

/// Evaluates collections. Several on one database do not disturb each other.
#[derive(Debug)]
pub struct CollectionWorker(Arc<Site>);

impl CollectionWorker {
    /// A worker of this site.
    #[must_use]
    pub fn new(site: Arc<Site>) -> Self {
        Self(site)
    }

    /// Works until `shutdown` is there; what is in a transaction then is finished first.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let rest = match collection_work(&self.0, self.0.sources.now()).await {
                Ok(true) => Duration::ZERO,
                Ok(false) => REST,
                Err(error) => {
                    tracing::error!(%error, "Collections could not be evaluated; it is tried again.");
                    FAILED
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }
}
