//! Business hours in the time of a device: what may begin before its deadline begins where users are left alone.
//!
//! Whether a moment is in them is what the clock on the wall says at that moment, and nothing else: an hour that comes twice is in
//! them twice, and one that is left out never. At its deadline nothing waits for them any more; windows go on to hold.

use super::{
    AFTERWARDS, Chance, MaintenanceWindow, Opening, Work,
    chance::chance,
    opening::{wall, zone_change},
};
use crate::{
    settings::BusinessHours,
    time::{DAY, MINUTE, SECOND, UnixMillis},
};
use jiff::tz::TimeZone;

/// How far ahead the end of quiet hours is looked for: past any week.
const AHEAD: i64 = 9 * DAY;
/// How far ahead room is looked for: what finds none in so many weeks, which are all alike, finds none.
const WEEKS: i64 = 5 * 7 * DAY;
/// How often business hours and windows are put against each other. What has found nothing until then waits for its deadline.
const LOOKS: usize = 400;

/// Business hours on one device.
#[derive(Debug, Clone, Copy)]
pub struct Quiet<'a> {
    /// The hours.
    pub hours: BusinessHours,
    /// The device's time zone.
    pub zone: &'a TimeZone,
    /// By how much they end later on this device, in milliseconds, so that not all begin at once.
    pub later: i64,
}

impl Quiet<'_> {
    fn by_wall(&self, at: UnixMillis) -> bool {
        let wall = wall(Some(self.zone), at);
        // The first of January 1970 was a Thursday.
        let day = u8::try_from((wall.div_euclid(DAY) + 3).rem_euclid(7)).unwrap_or(0);
        let minute = u16::try_from(wall.rem_euclid(DAY) / MINUTE).unwrap_or(0);
        self.hours.contain(day, minute)
    }

    /// Whether users are left alone at a moment.
    #[must_use]
    pub fn is_business(&self, at: UnixMillis) -> bool {
        if self.by_wall(at) {
            return true;
        }
        // They end later here: also what began and ended since is not over.
        let mut before = at.plus(-self.later);
        while before < at {
            if self.by_wall(before) {
                return true;
            }
            before = self.change(before);
        }
        false
    }

    /// The next moment at which that may change by the clock on the wall.
    fn change(&self, after: UnixMillis) -> UnixMillis {
        let wall = wall(Some(self.zone), after);
        let next = |minute: u16| {
            let of_day = i64::from(minute) * MINUTE;
            let next = (wall - of_day).div_euclid(DAY) * DAY + DAY + of_day;
            after.plus(next - wall)
        };
        let day = next(self.hours.hours().from()).min(next(self.hours.hours().to()));
        zone_change(self.zone, after).map_or(day, |set| set.min(day))
    }

    fn changes(&self, after: UnixMillis) -> UnixMillis {
        let own = self.change(after);
        // What begins later is looked at where it began.
        if self.later > 0 { own.min(self.change(after.plus(-self.later)).plus(self.later)) } else { own }
    }

    /// The first time, at a moment or later, that is not in business hours and has room for so many milliseconds. `None`: there is none
    /// in the next weeks, or it would begin no earlier than `until`.
    #[must_use]
    pub fn opens(&self, from: UnixMillis, until: UnixMillis, needed: i64) -> Option<Opening> {
        let (mut at, until) = (from, until.min(from.plus(WEEKS)));
        loop {
            while self.is_business(at) && at < until {
                at = self.changes(at);
            }
            if at >= until {
                return None;
            }
            let mut end = self.changes(at);
            while !self.is_business(end) && end.since(at) < AHEAD {
                end = self.changes(end);
            }
            if end.since(at) >= needed {
                return Some(Opening { from: at, to: end });
            }
            at = end;
        }
    }

    /// When something that may run for `seconds` and has a deadline may begin, at a moment or later: where windows have room for it, and before its
    /// deadline only where business hours leave as much.
    #[must_use]
    pub fn chance(
        &self,
        windows: &[MaintenanceWindow],
        work: Work,
        from: UnixMillis,
        deadline: UnixMillis,
        seconds: u32,
    ) -> Chance {
        let needed = i64::from(seconds) * SECOND + AFTERWARDS;
        let mut at = from;
        for _ in 0..LOOKS {
            let Some(quiet) = self.opens(at, deadline, needed) else { break };
            at = quiet.from;
            let closes = match chance(windows, work, self.zone, at, seconds) {
                Chance::Never => return Chance::Never,
                Chance::Free => quiet.to,
                Chance::Now { closes } => closes.min(quiet.to),
                Chance::Later { opens, .. } => {
                    at = opens;
                    continue;
                }
            };
            return if at <= from { Chance::Now { closes } } else { Chance::Later { opens: at, closes } };
        }
        let at = deadline.max(from);
        match chance(windows, work, self.zone, at, seconds) {
            Chance::Now { closes } if at > from => Chance::Later { opens: at, closes },
            Chance::Free if at > from => Chance::Later { opens: at, closes: UnixMillis(i64::MAX) },
            found => found,
        }
    }
}
