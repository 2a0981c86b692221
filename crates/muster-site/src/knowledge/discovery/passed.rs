//! How much time passed for discovery: that in which the site looked. A clock that is wrong for a while, or a site that was off for long,
//! makes nothing older, for nothing could have been found again meanwhile.

use crate::{Site, SiteError};
use muster_model::time::{DAY, HOUR, UnixMillis};
use muster_store::{Connection, db::setting, transaction};
use serde::{Deserialize, Serialize};

/// Under this name it stands in the store.
const SETTING: &str = "discovery_passed";
/// A longer step than this between two looks is none that the site lived through.
const STEP: i64 = DAY;
/// Steps that are remembered; older ones are put together.
const STEPS: usize = 500;

/// The steps of the clock that do not count.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Passed {
    /// When the site looked last.
    looked: Option<UnixMillis>,
    /// When a step was seen, and how long it was; backwards below zero.
    steps: Vec<(UnixMillis, i64)>,
}

impl Passed {
    /// The moment that is so long ago, without the time that does not count.
    pub(super) fn before(&self, now: UnixMillis, keep: i64) -> UnixMillis {
        let mut without = 0_i64;
        for (at, step) in self.steps.iter().rev() {
            if *at < now.plus(-keep.saturating_add(without.max(0))) {
                break;
            }
            without = without.saturating_add(*step);
        }
        now.plus(-keep.saturating_add(without.max(0)))
    }

    /// As of now, where there is something to be kept.
    fn at(&self, now: UnixMillis) -> Option<Self> {
        let Some(looked) = self.looked else { return Some(Self { looked: Some(now), ..self.clone() }) };
        let step = now.since(looked);
        if (0..HOUR).contains(&step) {
            return None;
        }
        let mut next = Self { looked: Some(now), ..self.clone() };
        if !(-HOUR..=STEP).contains(&step) {
            next.steps.push((now, step));
        }
        if next.steps.len() > STEPS {
            let (_, oldest) = next.steps.remove(0);
            next.steps[0].1 = next.steps[0].1.saturating_add(oldest);
        }
        Some(next)
    }
}

/// What is kept.
pub(super) async fn read(conn: &mut Connection) -> Result<Passed, SiteError> {
    let text = setting::get(conn, SETTING).await?;
    // What does not parse is begun anew: it only makes that less is removed for a while.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Notes that the site looks now. It is written once an hour, and when the clock made a step.
pub(super) async fn note(site: &Site, now: UnixMillis) -> Result<(), SiteError> {
    if read(&mut *site.store.reader().await?).await?.at(now).is_none() {
        return Ok(());
    }
    transaction!(site.store, "discovery_passed", |tx| {
        if let Some(next) = read(tx.conn()).await?.at(now) {
            let text = serde_json::to_string(&next).map_err(|error| SiteError::Fault(error.to_string()))?;
            setting::set(tx, SETTING, &text).await?;
        }
        Ok::<_, SiteError>(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock goes through these moments, in days.
    fn lived(days: impl IntoIterator<Item = i64>) -> Passed {
        days.into_iter().fold(Passed::default(), |passed, day| passed.at(UnixMillis(day * DAY)).unwrap_or(passed))
    }

    fn before(passed: &Passed, day: i64, keep: i64) -> i64 {
        passed.before(UnixMillis(day * DAY), keep * DAY).0 / DAY
    }

    #[test]
    fn only_time_that_was_lived_through_counts() {
        assert_eq!(before(&lived(0..=100), 100, 90), 10);
        // It was off for 200 days, or the clock went forward by them.
        assert_eq!(before(&lived((0..=100).chain([300])), 300, 90), 10);
        assert_eq!(before(&lived((0..=100).chain(300..=350)), 350, 90), 60);
        assert_eq!(before(&lived((0..=100).chain(300..=400)), 400, 90), 310, "all of the 90 days are after it");
        // Forward, and back again.
        let wrong = lived((0..=100).chain([300, 100]).chain(101..=120));
        assert_eq!(before(&wrong, 120, 90), 30);
        // Back alone makes nothing older than it is.
        assert_eq!(before(&lived([300, 301, 100, 101, 102]), 102, 14), 88);
    }

    #[test]
    fn it_is_bounded_and_seldom_written() {
        let passed = lived(0..=3);
        assert_eq!(passed.at(UnixMillis(3 * DAY + HOUR - 1)), None);
        assert!(passed.steps.is_empty() && passed.at(UnixMillis(3 * DAY + HOUR)).is_some());
        let weekends = lived((0..2_000).map(|week| week * 3));
        assert_eq!(weekends.steps.len(), STEPS);
        assert_eq!(weekends.steps.iter().map(|(_, step)| step).sum::<i64>(), 1_999 * 3 * DAY);
    }
}
