//! How often one address may ask: a bucket of tokens for each, and a bounded number of buckets.

use crate::listen::gate::sender;
use lru::LruCache;
use muster_model::time::{MINUTE, UnixMillis};
use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

/// Addresses that are remembered; the one that was quiet for longest is forgotten first.
const ADDRESSES: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Limits the requests of each address.
#[derive(Debug)]
pub(crate) struct Rate {
    per_minute: f64,
    buckets: Mutex<LruCache<IpAddr, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: UnixMillis,
}

impl Rate {
    /// So many in a minute; as many at once.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute: f64::from(per_minute), buckets: Mutex::new(LruCache::new(ADDRESSES)) }
    }

    /// Whether one more of `address` is allowed at `now`.
    pub(crate) fn allow(&self, address: IpAddr, now: UnixMillis) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Bucket { tokens: self.per_minute, at: now };
        let bucket = buckets.get_or_insert_mut(sender(address), || full);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds between two requests")]
        let passed = now.since(bucket.at).max(0) as f64;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a minute")]
        let earned = passed / MINUTE as f64 * self.per_minute;
        bucket.tokens = (bucket.tokens + earned).min(self.per_minute);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_asks_too_often_waits_and_no_other_does() {
        let rate = Rate::new(3);
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let at = |seconds: i64| UnixMillis(seconds * 1_000);
        assert!((0..3).all(|_| rate.allow(a, at(0))));
        assert!(!rate.allow(a, at(1)));
        assert!(rate.allow(b, at(1)), "another address");
        assert!(rate.allow(a, at(21)), "a third of a minute later");
        assert!(!rate.allow(a, at(21)));
        assert!(!rate.allow(a, at(5)), "a clock that goes back earns nothing");
        assert_eq!((0..9).filter(|_| rate.allow(a, at(900))).count(), 3, "never more than the bucket holds");
    }
}
