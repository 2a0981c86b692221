//! How fast content may come: so many bytes a second, in those hours of the day in which the client settings say so.

use crate::agent::Agent;
use muster_model::{policy::ClientSettings, time::UnixMillis};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long the answer counts whether it is one of those hours: the zone is a file.
const LOOK: Duration = Duration::from_secs(10);

/// The limit of this client, for everything that it fetches.
#[derive(Debug)]
pub struct Rate {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bucket: Bucket,
    /// When it was looked whether the limit holds, and what came of it.
    looked: Option<(Instant, bool)>,
}

impl Default for Rate {
    fn default() -> Self {
        Self { began: Instant::now(), state: Mutex::default() }
    }
}

impl Rate {
    /// So many bytes came: waits until the next may.
    pub(super) async fn pass(&self, agent: &Agent, settings: &ClientSettings, bytes: u64) {
        let Some(rate) = settings.content_rate else { return };
        let holds = || limited(settings, agent.clock.now(), &agent.collector.time_zone());
        let wait = self.wait(Instant::now(), rate, bytes, holds);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn wait(&self, now: Instant, rate: u64, bytes: u64, holds: impl Fn() -> bool) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.looked.filter(|(at, _)| now.duration_since(*at) < LOOK);
        let (_, holds) = *state.looked.insert(known.unwrap_or_else(|| (now, holds())));
        match holds {
            true => state.bucket.take(now.duration_since(self.began), rate, bytes),
            false => Duration::ZERO,
        }
    }
}

/// Whether the limit holds at this time, by the device's own clock.
fn limited(settings: &ClientSettings, now: UnixMillis, zone: &jiff::tz::TimeZone) -> bool {
    let Some(hours) = settings.content_hours else { return true };
    let Ok(at) = jiff::Timestamp::from_millisecond(now.0) else { return true };
    let local = at.to_zoned(zone.clone());
    let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
    u16::try_from(minute).map_or(true, |minute| hours.contains(minute))
}

/// A token bucket that may owe: what came has come, and the next waits for it.
#[derive(Debug, Default)]
struct Bucket {
    /// Bytes that may come at once; below zero, that came too early.
    level: i128,
    at: Duration,
}

impl Bucket {
    /// So many bytes came at `now`; how long until more may. After a pause, at most what a second gives may come at once.
    fn take(&mut self, now: Duration, rate: u64, bytes: u64) -> Duration {
        let rate = i128::from(rate.max(1));
        let passed = now.saturating_sub(self.at).as_millis();
        let filled = self.level + rate * i128::try_from(passed).unwrap_or(i128::MAX / rate) / 1_000;
        (self.level, self.at) = (filled.min(rate) - i128::from(bytes), now);
        let millis = (-self.level).max(0) * 1_000 / rate;
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_as_much_as_the_limit_and_not_more() {
        let (mut bucket, mut now, mut moved) = (Bucket::default(), Duration::from_secs(5), 0_u64);
        let began = now;
        // A clock of its own: what it says to wait is what passes.
        while moved < 10_000_000 {
            moved += 16_384;
            now += bucket.take(now, 100_000, 16_384);
        }
        let seconds = (now - began).as_secs();
        assert!((98..=101).contains(&seconds), "{seconds}");
        // After an hour of silence, a second's worth comes at once, and no hour's.
        now += Duration::from_secs(3_600);
        assert_eq!(bucket.take(now, 100_000, 100_000), Duration::ZERO);
        assert_eq!(bucket.take(now, 100_000, 50_000), Duration::from_millis(500));
        // A higher limit holds at once.
        assert_eq!(bucket.take(now, 1_000_000, 0), Duration::from_millis(50));
    }

    #[test]
    fn the_limit_holds_in_its_hours_by_the_local_clock() {
        let hours = |text: &str| ClientSettings {
            content_rate: Some(1),
            content_hours: Some(text.parse().unwrap()),
            ..ClientSettings::default()
        };
        // 2026-09-21, 14:13:20 UTC.
        let now = UnixMillis(1_790_000_000_000);
        let (utc, tokyo) = (jiff::tz::TimeZone::UTC, jiff::tz::TimeZone::fixed(jiff::tz::offset(9)));
        assert!(limited(&hours("08:00-18:00"), now, &utc) && !limited(&hours("08:00-18:00"), now, &tokyo));
        assert!(limited(&hours("22:00-06:00"), now, &tokyo) && !limited(&hours("22:00-06:00"), now, &utc));
        assert!(limited(&ClientSettings::default(), now, &utc), "without hours it holds always");
    }

    #[test]
    fn whether_the_limit_holds_is_asked_again() {
        let (rate, now) = (Rate::default(), Instant::now());
        assert_eq!(rate.wait(now, 1_000, 5_000, || false), Duration::ZERO);
        assert_eq!(rate.wait(now + LOOK / 2, 1_000, 5_000, || true), Duration::ZERO, "known for a while");
        let wait = rate.wait(now + LOOK, 1_000, 6_000, || true);
        assert_eq!(wait, Duration::from_secs(5));
    }
}
