//! How fast connections of one address come in: a handshake is the dearest thing that a stranger can ask for. Beyond a measure they
//! wait their turn, and so does nobody else.

use super::gate::sender;
use lru::LruCache;
use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Addresses that are remembered; the one that was quiet for longest is forgotten first.
const ADDRESSES: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
/// Whoever would wait longer is closed, and comes again: clients wait 20 seconds for a connection, and none is to be served who left.
const LONGEST: f64 = 8.0;

/// The measure of all addresses.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: f64,
    at_once: f64,
    left: Mutex<LruCache<IpAddr, (f64, Instant)>>,
}

impl Pace {
    /// So many in a minute; a fifth of them at once.
    pub(crate) fn new(per_minute: u32) -> Self {
        let per_second = f64::from(per_minute) / 60.0;
        let at_once = (f64::from(per_minute) / 5.0).max(1.0);
        Self { per_second, at_once, left: Mutex::new(LruCache::new(ADDRESSES)) }
    }

    /// How long one more of this address waits; nothing: it has waited too often already.
    pub(crate) fn turn(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, at) = left.get_or_insert_mut(sender(address), || (self.at_once, now));
        let earned = now.saturating_duration_since(*at).as_secs_f64() * self.per_second;
        (*tokens, *at) = ((*tokens + earned).min(self.at_once), now);
        let wait = (1.0 - *tokens).max(0.0) / self.per_second;
        if wait > LONGEST {
            return None;
        }
        *tokens -= 1.0;
        Some(Duration::from_secs_f64(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_address_wait_their_turn_and_no_others() {
        let pace = Pace::new(600);
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let now = Instant::now();
        assert!((0..120).all(|_| pace.turn(a, now) == Some(Duration::ZERO)));
        assert_eq!(pace.turn(a, now), Some(Duration::from_millis(100)), "ten a second");
        assert_eq!(pace.turn(a, now), Some(Duration::from_millis(200)));
        assert_eq!(pace.turn(b, now), Some(Duration::ZERO));
        let waiting = (0..1_000).filter(|_| pace.turn(a, now).is_some()).count();
        assert!((75..=80).contains(&waiting), "8 seconds of them wait: {waiting}");
        assert_eq!(pace.turn(a, now), None);
        assert!(pace.turn(a, now + Duration::from_secs(1)).is_some());
        assert_eq!(pace.turn(a, now + Duration::from_secs(600)), Some(Duration::ZERO));
    }
}
