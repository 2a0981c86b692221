//! Of several servers on one database one evaluates collections: what two compute, one of them throws away. When it is silent while there
//! is work, another takes over.

use super::evaluate::collection_wanted;
use crate::{Site, SiteError};
use muster_model::time::UnixMillis;
use muster_store::{
    db::collection_turn::{self, Turn},
    transaction,
};
use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

/// How often who works says that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// How long it may be silent while there is work. Whoever writes what it computed meanwhile is told that it changed.
const SILENT: Duration = Duration::from_secs(3);

/// The turn as one process sees it.
#[derive(Debug)]
pub(super) struct Turns {
    me: String,
    /// Another one's last sign, and since when there was work and no other sign.
    other: Option<(Turn, Instant)>,
    beaten: Option<Instant>,
}

impl Turns {
    pub(super) fn new(site: &Site) -> Self {
        Self { me: site.sources.id().to_string(), other: None, beaten: None }
    }

    /// Whether there is work, and it is this process that does it.
    pub(super) async fn is_mine(&mut self, site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
        let (wanted, turn) = {
            let mut reader = site.store.reader().await?;
            (collection_wanted(&mut reader, now).await?, collection_turn::turn(&mut reader).await?)
        };
        if turn.worker == self.me {
            self.other = None;
            if wanted && self.beaten.is_none_or(|beaten| beaten.elapsed() >= BEAT) {
                return self.take(site, &turn).await;
            }
            return Ok(true);
        }
        // What this process knows grows old from now on.
        self.beaten = None;
        site.memory.collections.forget().await;
        if !wanted {
            self.other = None;
            return Ok(false);
        }
        let silent = match &self.other {
            _ if turn.worker.is_empty() => true,
            Some((seen, since)) if *seen == turn => since.elapsed() >= SILENT,
            _ => {
                self.other = Some((turn.clone(), Instant::now()));
                false
            }
        };
        Ok(silent && self.take(site, &turn).await?)
    }

    /// Works, and says meanwhile that it lives. Without the turn what was computed is of no use, but of no harm either.
    pub(super) async fn during<T>(&mut self, site: &Site, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(BEAT) => {
                    if let Err(error) = self.beat(site).await {
                        tracing::warn!(%error, "That this server evaluates collections could not be said; it goes on.");
                    }
                }
            }
        }
    }

    async fn beat(&mut self, site: &Site) -> Result<(), SiteError> {
        let turn = collection_turn::turn(&mut *site.store.reader().await?).await?;
        if turn.worker == self.me {
            self.take(site, &turn).await?;
        }
        Ok(())
    }

    /// Lets another one work at once.
    pub(super) async fn give_up(&mut self, site: &Site) -> Result<(), SiteError> {
        let turn = collection_turn::turn(&mut *site.store.reader().await?).await?;
        if turn.worker == self.me {
            transaction!(site.store, "collection_turn", |tx| { collection_turn::give(tx, "", &turn).await })?;
        }
        Ok(())
    }

    async fn take(&mut self, site: &Site, seen: &Turn) -> Result<bool, SiteError> {
        let me = self.me.clone();
        let taken = transaction!(site.store, "collection_turn", |tx| { collection_turn::give(tx, &me, seen).await })?;
        self.beaten = taken.then(Instant::now);
        Ok(taken)
    }
}
