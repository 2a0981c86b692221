//! The parts of the agent that run for ever: each can be taken up again when it ended, or when it hangs.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

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

#[derive(Debug)]
struct Work {
    number: u64,
    name: &'static str,
    since: Instant,
    holds_thread: bool,
}

/// Which part works on something since when, by a clock that nobody sets.
#[derive(Debug, Default, Clone)]
pub struct Busy(Arc<Mutex<(u64, Vec<Work>)>>);

/// Work that goes on until this is dropped.
#[derive(Debug)]
pub struct BusyGuard {
    busy: Busy,
    number: u64,
}

impl Busy {
    fn inner(&self) -> MutexGuard<'_, (u64, Vec<Work>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, name: &'static str, since: Instant, holds_thread: bool) -> BusyGuard {
        let (number, works) = &mut *self.inner();
        *number += 1;
        works.push(Work { number: *number, name, since, holds_thread });
        BusyGuard { busy: self.clone(), number: *number }
    }

    /// A part begins to work.
    pub fn begin(&self, name: &'static str, since: Instant) -> BusyGuard {
        self.insert(name, since, false)
    }

    /// A part begins to work on a thread of its own, which nothing can end: the guard belongs to that work, not to whoever waits for it.
    pub fn begin_on_thread(&self, name: &'static str, since: Instant) -> BusyGuard {
        self.insert(name, since, true)
    }

    /// Parts that have worked for longer than that.
    pub fn longer(&self, length: Duration) -> Vec<&'static str> {
        let mut names: Vec<_> =
            self.inner().1.iter().filter(|work| work.since.elapsed() > length).map(|work| work.name).collect();
        names.dedup();
        names
    }

    /// Whether a thread is held by work of this part that did not return.
    pub fn holds_thread(&self, name: &str) -> bool {
        self.inner().1.iter().any(|work| work.holds_thread && work.name == name)
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.busy.inner().1.retain(|work| work.number != self.number);
    }
}
