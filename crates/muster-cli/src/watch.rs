//! Waiting for something at the site: look, then wait for an event that may have changed it, or for a few seconds, and look again.

use crate::{CliError, Client, client::EventStream};
use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks when no event comes: the stream says everything, so this only bridges a lost one.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Looks until `look` finds something, at most for `patience`.
///
/// # Errors
/// Of `look`; [`CliError::Found`] when the time is over.
pub async fn until<T, F, L>(client: &Client, patience: Option<Duration>, what: &str, mut look: L) -> Result<T, CliError>
where
    L: FnMut() -> F,
    F: Future<Output = Result<Option<T>, CliError>>,
{
    let end = patience.map(|patience| Instant::now() + patience);
    // Before the first look, so that nothing happens unseen between the two.
    let mut events = client.events().await.ok();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        let again = Instant::now() + LOOK_AGAIN;
        let wake = end.map_or(again, |end| end.min(again));
        if end.is_some_and(|end| Instant::now() >= end) {
            return Err(CliError::Found(format!("{what} did not happen in the time given")));
        }
        wait(client, &mut events, wake).await;
    }
}

/// Waits for an event or until `wake`. A stream that ended is opened again at the next turn.
async fn wait(client: &Client, events: &mut Option<EventStream>, wake: Instant) {
    let Some(stream) = events else {
        sleep(wake.saturating_duration_since(Instant::now()).min(Duration::from_secs(1))).await;
        *events = client.events().await.ok();
        return;
    };
    match timeout_at(wake, stream.next()).await {
        Ok(Ok(Some(_))) | Err(_) => {}
        Ok(Ok(None) | Err(_)) => *events = None,
    }
}
