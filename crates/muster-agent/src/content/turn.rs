//! One fetch at a time: two would write to one file. What is due goes before what is fetched ahead.

use super::ContentError;
use std::future::Future;
use tokio::sync::{Mutex, MutexGuard, watch};

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

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
