//! How often somebody may fail: fixed windows in a bounded map. A newcomer pushes the oldest out, never the memory up.

use crate::SiteError;
use lru::LruCache;
use muster_model::{
    problem::Code,
    time::{MINUTE, UnixMillis},
};
use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

/// Windows that are remembered.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");
/// Length of a window.
const WINDOW: i64 = 5 * MINUTE;

/// The limiter.
#[derive(Debug)]
pub struct Limiter {
    window: i64,
    windows: Mutex<LruCache<String, (UnixMillis, u32)>>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::with_window(WINDOW)
    }
}

impl Limiter {
    /// With windows of this length, in milliseconds.
    #[must_use]
    pub fn with_window(window: i64) -> Self {
        Self::with(window, CAPACITY)
    }

    /// With windows of this length, so many of which are remembered.
    #[must_use]
    pub fn with(window: i64, capacity: NonZeroUsize) -> Self {
        Self { window, windows: Mutex::new(LruCache::new(capacity)) }
    }

    /// Counts one event of `who`; refuses where there were `limit` in this window already.
    ///
    /// # Errors
    /// `too_many`.
    pub fn count(&self, who: &str, limit: u32, now: UnixMillis) -> Result<(), SiteError> {
        self.check(who, limit, now)?;
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = windows.get_or_insert_mut_ref(who, || (now, 0));
        if now.since(entry.0) >= self.window || now < entry.0 {
            *entry = (now, 0);
        }
        entry.1 += 1;
        Ok(())
    }

    /// Refuses where `who` had `limit` events in this window already.
    ///
    /// # Errors
    /// `too_many`.
    pub fn check(&self, who: &str, limit: u32, now: UnixMillis) -> Result<(), SiteError> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        match windows.peek(who) {
            Some((since, count)) if *count >= limit && (0..self.window).contains(&now.since(*since)) => {
                metrics::counter!("muster_rate_limited_total").increment(1);
                Err(SiteError::refused(Code::TooMany, "Too many attempts from here; wait a while and try again."))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_counted_and_ends() {
        let (limiter, now) = (Limiter::default(), UnixMillis(1_000_000));
        for _ in 0..3 {
            limiter.count("a", 3, now).unwrap();
        }
        assert_eq!(limiter.count("a", 3, now.plus(WINDOW - 1)).unwrap_err().code(), Code::TooMany);
        assert!(limiter.count("b", 3, now).is_ok(), "another's failures are another's");
        assert!(limiter.count("a", 3, now.plus(WINDOW)).is_ok());
        assert!(limiter.count("a", 1, now.plus(-WINDOW)).is_ok(), "a clock that is set back locks nobody out");
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::default();
        for n in 0..CAPACITY.get() + 10 {
            limiter.count(&n.to_string(), 1, UnixMillis(1)).unwrap();
        }
        assert_eq!(limiter.windows.lock().unwrap().len(), CAPACITY.get());
    }
}
