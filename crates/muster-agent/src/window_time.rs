//! The time by which maintenance windows are opened. It never goes back, so that no window opens twice; and a clock that is known to be
//! wrong, or of which nobody knows whether it is right any more, opens none.

use muster_model::time::{MINUTE, SECOND, UnixMillis};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// How far clocks may be apart: that of the site and of this machine, or this machine's and what really passed. Windows leave as
/// much over at their end.
pub const APART: i64 = 5 * MINUTE;

/// What is known of this machine's clock.
#[derive(Debug, Default)]
pub struct WindowTime(Mutex<Option<Compared>>, AtomicBool);

/// The last comparison with the site's clock, by this process.
#[derive(Debug, Clone, Copy)]
struct Compared {
    /// When, by a clock that nobody sets.
    at: Instant,
    /// What this machine's clock said.
    said: UnixMillis,
    /// By how much it was ahead of the site's, in milliseconds.
    ahead: i64,
}

/// What comes of a look at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believed {
    /// It is this late. The highest time that was used so far is that from now on.
    Time(UnixMillis),
    /// The clock is wrong, and the site said so.
    Wrong,
    /// The clock was set, or is behind what was used before: the site has to be asked.
    Unknown,
}

impl WindowTime {
    /// The site was asked, whatever came of it.
    pub fn asked(&self) {
        self.1.store(true, Ordering::Relaxed);
    }

    /// Whether the site was asked since this process started. Before that no window is opened: a machine may have started with a wrong clock.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    /// The site's clock was seen; this machine's said `said` and was so many seconds ahead of it.
    pub fn compared(&self, at: Instant, said: UnixMillis, ahead_seconds: i64) {
        let ahead = ahead_seconds.saturating_mul(SECOND);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Compared { at, said, ahead });
    }

    /// What is believed at a moment (`at`, by the clock that nobody sets), where this machine's clock says `says`; `used` is the highest time that was
    /// used before, and `signed` the highest that the site signed.
    #[must_use]
    pub fn believed(&self, at: Instant, says: UnixMillis, used: UnixMillis, signed: UnixMillis) -> Believed {
        let compared = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if signed.since(says) > APART {
            return Believed::Unknown;
        }
        let Some(compared) = compared else {
            // Since it started nobody told this process the time. It may go on, and never back.
            return if used.since(says) > APART {
                Believed::Unknown
            } else {
                Believed::Time(says.max(used).max(signed))
            };
        };
        let passed = i64::try_from(at.saturating_duration_since(compared.at).as_millis()).unwrap_or(i64::MAX);
        if says.since(compared.said).saturating_sub(passed).abs() > APART {
            return Believed::Unknown;
        }
        if compared.ahead.abs() > APART {
            return Believed::Wrong;
        }
        // Far behind what was used: that was a wrong clock, and the site says that this one is right.
        let used = if used.since(says) > APART { UnixMillis(0) } else { used };
        Believed::Time(says.max(used).max(signed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::time::{DAY, HOUR};
    use std::time::Duration;

    const NOON: UnixMillis = UnixMillis(1_800_000_000_000);
    const NEVER: UnixMillis = UnixMillis(0);

    #[test]
    fn time_never_goes_back_and_a_clock_that_did_is_not_believed() {
        let (time, at) = (WindowTime::default(), Instant::now());
        assert_eq!(time.believed(at, NOON, NEVER, NEVER), Believed::Time(NOON));
        let little = NOON.plus(-APART);
        assert_eq!(time.believed(at, little, NOON, NEVER), Believed::Time(NOON), "no window opens twice");
        assert_eq!(time.believed(at, little.plus(-1), NOON, NEVER), Believed::Unknown);
        assert_eq!(time.believed(at, NOON, NEVER, NOON.plus(APART)), Believed::Time(NOON.plus(APART)));
        assert_eq!(time.believed(at, NOON, NEVER, NOON.plus(DAY)), Believed::Unknown, "the site signed later");
    }

    #[test]
    fn the_site_says_whether_a_clock_is_right() {
        let (time, at) = (WindowTime::default(), Instant::now());
        time.compared(at, NOON, 3_600);
        assert_eq!(time.believed(at, NOON, NEVER, NEVER), Believed::Wrong);
        time.compared(at, NOON, -2);
        assert_eq!(time.believed(at, NOON, NEVER, NEVER), Believed::Time(NOON));
        assert_eq!(time.believed(at, NOON, NOON.plus(DAY), NEVER), Believed::Time(NOON), "what was used was wrong");
        let later = at + Duration::from_secs(7_200);
        let two = NOON.plus(2 * HOUR);
        assert_eq!(time.believed(later, two, NOON, NEVER), Believed::Time(two));
        for set in [two.plus(HOUR), two.plus(-HOUR)] {
            assert_eq!(time.believed(later, set, NOON, NEVER), Believed::Unknown, "set since then");
        }
        time.compared(later, two.plus(HOUR), 3_600);
        assert_eq!(time.believed(later, two, NOON, NEVER), Believed::Unknown, "set right; the site has to say it");
        time.compared(later, two, 0);
        assert_eq!(time.believed(later, two, NOON, NEVER), Believed::Time(two));
    }
}
