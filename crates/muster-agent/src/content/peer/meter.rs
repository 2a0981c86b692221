//! How fast the other side of a connection is, from its beginning on: what it gained once is no patience for later.

use std::time::Duration;

/// Bytes, and the time in which the other side was waited for. What this side needs itself, for its disk or its own limit, is not
/// in it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Meter {
    bytes: u64,
    waited: Duration,
}

impl Meter {
    /// So many bytes moved, and the other side took so long.
    pub(super) fn add(&mut self, bytes: u64, waited: Duration) {
        self.bytes += bytes;
        self.waited += waited;
    }

    /// How long the other side may take for so many bytes more, before all that it moved was slower than `least` a second. In its
    /// first time, `grace`, it may be.
    pub(super) fn patience(&self, bytes: u64, least: u64, grace: Duration) -> Duration {
        grace.max(at(self.bytes.saturating_add(bytes), least)).saturating_sub(self.waited)
    }

    /// The time that it cost beside what its bytes take at `least` a second.
    pub(super) fn lost(&self, least: u64) -> Duration {
        self.waited.saturating_sub(at(self.bytes, least))
    }

    /// Whether it was slower than that for longer than `grace`.
    pub(super) fn is_below(&self, rate: u64, grace: Duration) -> bool {
        self.waited > grace.max(at(self.bytes, rate))
    }
}

/// How long so many bytes take.
pub(super) fn at(bytes: u64, rate: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1_000) / rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    /// For how long a side that moves `bytes` each `every` is borne.
    fn borne(bytes: u64, every: Duration, least: u64) -> Duration {
        let mut meter = Meter::default();
        while meter.waited < Duration::from_secs(3_600) {
            let patience = meter.patience(bytes, least, GRACE);
            if every > patience {
                return meter.waited + patience;
            }
            meter.add(bytes, every);
        }
        meter.waited
    }

    #[test]
    fn peers_that_are_slow_are_left_after_a_while_however_they_cut_it() {
        let (mib, least) = (1 << 20, 256 << 10);
        let hour = Duration::from_secs(3_600);
        assert_eq!(borne(mib, Duration::from_secs(4), least), hour, "just as fast as it must be");
        // A little slower, in large pieces and in small ones.
        assert!(borne(mib, Duration::from_millis(4_500), least) <= Duration::from_secs(12));
        assert!(borne(1_024, Duration::from_millis(100), least) <= GRACE);
        assert_eq!(borne(1, Duration::from_secs(29), 2 << 10), GRACE);
    }

    #[test]
    fn peers_cost_the_time_in_which_they_brought_nothing() {
        let mut meter = Meter::default();
        meter.add(1_000, Duration::from_secs(10));
        assert_eq!(meter.lost(500), Duration::from_secs(8));
        assert_eq!(meter.lost(50), Duration::ZERO);
        assert!(!meter.is_below(500, GRACE), "its first time");
        meter.add(0, Duration::from_secs(1));
        assert!(meter.is_below(500, GRACE) && !meter.is_below(50, GRACE));
    }
}
