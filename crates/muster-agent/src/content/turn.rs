//! One fetch at a time: two would write to one file. What is due goes before what is fetched ahead.

use super::ContentError;
use std::{future::Future, time::Duration};
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    time::Instant,
};

/// For how long bytes of one application come before others have their turn; it goes on where it was.
const SLICE: Duration = Duration::from_secs(5 * 60);

/// Whose turn it is.
#[derive(Debug)]
pub struct Turn {
    lock: Mutex<()>,
    /// How many that are due wait.
    due: watch::Sender<usize>,
}

impl Default for Turn {
    fn default() -> Self {
        Self { lock: Mutex::new(()), due: watch::Sender::new(0) }
    }
}

/// One that is due waits for as long as this lives.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Turn {
    /// For a fetch that is due: what is fetched ahead stops, and keeps what it has.
    pub(super) async fn due(&self) -> MutexGuard<'_, ()> {
        self.due.send_modify(|count| *count += 1);
        let _waiting = Waiting(&self.due);
        self.lock.lock().await
    }

    /// For what must not meet a fetch: `None` while there is one.
    pub(super) fn between(&self) -> Option<MutexGuard<'_, ()>> {
        self.lock.try_lock().ok()
    }

    /// Fetches ahead, and begins again behind whatever becomes due meanwhile.
    pub(super) async fn ahead<F>(&self, work: impl Fn() -> F) -> Result<(), ContentError>
    where
        F: Future<Output = Result<(), ContentError>>,
    {
        let mut due = self.due.subscribe();
        loop {
            let _turn = self.lock.lock().await;
            tokio::select! {
                biased;
                _ = due.wait_for(|count| *count > 0) => {}
                done = work() => return done,
            }
        }
    }
}

/// How long what is due has been moving bytes. What is read and cut of the cache before does not count: it would never go on.
#[derive(Debug, Default)]
pub(super) struct Slice(Option<Instant>);

impl Slice {
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        now.duration_since(*self.0.get_or_insert(now)) >= SLICE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    #[test]
    fn a_slice_begins_with_the_first_bytes_and_ends_after_a_while() {
        let (mut slice, now) = (Slice::default(), Instant::now());
        assert!(!slice.is_over(now) && !slice.is_over(now + SLICE / 2));
        assert!(slice.is_over(now + SLICE));
    }

    #[tokio::test]
    async fn what_is_due_goes_first_and_what_is_ahead_begins_again() {
        let (turn, begun) = (Arc::new(Turn::default()), Arc::new(AtomicUsize::new(0)));
        let ahead = tokio::spawn({
            let (turn, begun) = (turn.clone(), begun.clone());
            async move {
                let work = || async {
                    begun.fetch_add(1, Ordering::SeqCst);
                    match begun.load(Ordering::SeqCst) {
                        // The first would take for ever.
                        1 => std::future::pending().await,
                        _ => Ok(()),
                    }
                };
                turn.ahead(work).await
            }
        });
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let patience = Duration::from_secs(20);
        let guard = tokio::time::timeout(patience, turn.due()).await.expect("it does not wait for what is ahead");
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        drop(guard);
        ahead.await.unwrap().unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }
}
