//! The agent's clock. The real time enters the program here and nowhere else; tests bring their own.

use muster_model::time::{DAY, UnixMillis};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Where the time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A time that somebody sets: milliseconds since 1970 UTC.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now` until it is set.
    #[must_use]
    pub fn at(now: UnixMillis) -> Self {
        Self::Set(Arc::new(AtomicI64::new(now.0)))
    }

    /// Sets the time. Does nothing to the system's clock.
    pub fn set(&self, now: UnixMillis) {
        if let Self::Set(time) = self {
            time.store(now.0, Ordering::SeqCst);
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        match self {
            Self::System => {
                #[expect(clippy::disallowed_methods, reason = "the one place where the real time enters")]
                let now = std::time::SystemTime::now();
                match now.duration_since(std::time::UNIX_EPOCH) {
                    Ok(since) => UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
                    Err(_) => UnixMillis(0),
                }
            }
            Self::Set(time) => UnixMillis(time.load(Ordering::SeqCst)),
        }
    }
}

// The TLS library checks certificates at the same time as everything else.
impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let seconds = u64::try_from(self.now().0.div_euclid(1_000)).ok()?;
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The time by which the certificates of servers are judged: the client's, but never more than [`BEHIND`] before what the site has
/// signed at some time. Whoever can set the client's clock back must not bring certificates and statuses back that have ended.
#[derive(Debug, Clone)]
pub struct Floored {
    clock: Clock,
    floor: Arc<AtomicI64>,
}

/// The site's clock may have been ahead of the right time by so much when it signed, as policies are granted, too.
const BEHIND: i64 = DAY;

impl Floored {
    /// From a clock, without a floor yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, floor: Arc::new(AtomicI64::new(0)) }
    }

    /// The site signed something at this time. Every clone hears of it.
    pub fn raise(&self, to: UnixMillis) {
        self.floor.fetch_max(to.0, Ordering::Relaxed);
    }

    fn now(&self) -> UnixMillis {
        self.clock.now().max(UnixMillis(self.floor.load(Ordering::Relaxed)).plus(-BEHIND))
    }
}

impl rustls::time_provider::TimeProvider for Floored {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Clock::at(self.now()).current_time()
    }
}

/// Waiting times that grow with every failure and are spread at random, so that many clients never come at one moment.
#[derive(Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// From about `least` to at most `most`.
    #[must_use]
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, failures: 0 }
    }

    /// It worked: begin at the least again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed: how long to wait now; `random` spreads it between a half and the whole.
    pub fn next(&mut self, random: u32) -> Duration {
        let whole = self.least.saturating_mul(1 << self.failures.min(16)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        spread(whole, random)
    }
}

/// `whole`, shortened by at most a half.
#[must_use]
pub fn spread(whole: Duration, random: u32) -> Duration {
    whole / 2 + whole.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}

/// A moment as people read it.
#[must_use]
pub fn shown(at: UnixMillis) -> String {
    let shown = jiff::Timestamp::from_millisecond(at.0).map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
    shown.unwrap_or_else(|_| at.0.to_string())
}

/// 32 random bits for [`Backoff`]. Not a secret; without a random source everything waits the middle.
#[must_use]
pub fn random() -> u32 {
    let mut bytes = [0x80, 0, 0, 0];
    let _ = muster_trust::random(&mut bytes);
    u32::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_grows_and_stays_in_its_limits() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
        let waits: Vec<_> = (0..40).map(|_| backoff.next(u32::MAX).as_secs()).collect();
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits[39], 300);
        assert_eq!(backoff.next(0).as_secs(), 150);
        backoff.reset();
        assert_eq!(backoff.next(0), Duration::from_millis(500));
    }
}
