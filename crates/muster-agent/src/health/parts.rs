//! The parts of the agent that run for ever: each can be taken up again when it ended, or when it hangs.

use muster_model::time::UnixMillis;
use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::task::JoinHandle;

/// How long the end of a part may take: what waits in the kernel may never end.
const LETS_GO: Duration = Duration::from_secs(10);

type Made = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Part {
    make: Box<dyn Fn() -> Made + Send + Sync>,
    task: JoinHandle<()>,
}

/// Parts by name.
#[derive(Default)]
pub struct Parts(Mutex<BTreeMap<&'static str, Part>>);

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.inner().keys()).finish()
    }
}

impl Parts {
    fn inner(&self) -> MutexGuard<'_, BTreeMap<&'static str, Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a part. It is made anew by `make` when it has to be taken up again.
    pub fn spawn<F>(&self, name: &'static str, make: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let make = move || -> Made { Box::pin(make()) };
        let task = tokio::spawn(make());
        if let Some(before) = self.inner().insert(name, Part { make: Box::new(make), task }) {
            before.task.abort();
        }
    }

    /// Parts that ended, which none should.
    pub fn ended(&self) -> Vec<&'static str> {
        self.inner().iter().filter(|(_, part)| part.task.is_finished()).map(|(name, _)| *name).collect()
    }

    /// Ends a part and begins it anew, once the old one has let go. `false`: there is none of that name.
    pub async fn again(&self, name: &str) -> bool {
        let Some((name, part)) = self.inner().remove_entry(name) else { return false };
        part.task.abort();
        let _ = tokio::time::timeout(LETS_GO, part.task).await;
        let task = tokio::spawn((part.make)());
        self.inner().insert(name, Part { make: part.make, task });
        true
    }

    /// Ends all of them.
    pub async fn shutdown(&self) {
        let parts = std::mem::take(&mut *self.inner());
        for part in parts.values() {
            part.task.abort();
        }
        for (_, part) in parts {
            let _ = part.task.await;
        }
    }
}

/// Which part works on something since when.
#[derive(Debug, Default)]
pub struct Busy(Mutex<BTreeMap<&'static str, UnixMillis>>);

/// Work that goes on until this is dropped.
#[derive(Debug)]
pub struct BusyGuard<'a> {
    busy: &'a Busy,
    name: &'static str,
}

impl Busy {
    fn inner(&self) -> MutexGuard<'_, BTreeMap<&'static str, UnixMillis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part begins to work.
    pub fn begin(&self, name: &'static str, now: UnixMillis) -> BusyGuard<'_> {
        self.inner().insert(name, now);
        BusyGuard { busy: self, name }
    }

    /// Parts that have worked for longer than that.
    pub fn longer(&self, millis: i64, now: UnixMillis) -> Vec<&'static str> {
        self.inner().iter().filter(|(_, since)| now.since(**since) > millis).map(|(name, _)| *name).collect()
    }
}

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        self.busy.inner().remove(self.name);
    }
}
