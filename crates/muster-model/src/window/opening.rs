//! When a window is open, moment by moment, in a time zone whose clocks are set forward and back.
//!
//! A window opens at the first moment at which the clock on the wall shows its start or later, and is open for its length. So in
//! an hour that is left out it opens when the clocks have gone forward, in one that comes twice it opens the first time and only
//! then, and its length is time that really passes.

use super::MaintenanceWindow;
use crate::{
    schedule::ScheduleToken,
    time::{DAY, HOUR, UnixMillis},
};
use jiff::{
    Timestamp,
    tz::{AmbiguousOffset, Offset, TimeZone},
};

/// More than clocks are ever set at once: a place that changed the side of the date line left a day out.
const SET_AT_ONCE: i64 = 26 * HOUR;

/// A time during which a window is open, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// When it opens.
    pub from: UnixMillis,
    /// When it closes.
    pub to: UnixMillis,
}

fn millis(offset: Offset) -> i64 {
    i64::from(offset.seconds()) * 1_000
}

/// What a clock of that zone, or of UTC, shows, as milliseconds since 1970 by the same clock.
pub(super) fn wall(zone: Option<&TimeZone>, at: UnixMillis) -> i64 {
    let Some(zone) = zone else { return at.0 };
    Timestamp::from_millisecond(at.0).map_or(at.0, |stamp| at.0.saturating_add(millis(zone.to_offset(stamp))))
}

/// When the clocks of that zone are set next. `None`: they are not.
pub(super) fn zone_change(zone: &TimeZone, after: UnixMillis) -> Option<UnixMillis> {
    let next = zone.following(Timestamp::from_millisecond(after.0).ok()?).next()?;
    Some(UnixMillis(next.timestamp().as_millisecond()))
}

/// The first moment at which a clock of that zone shows this or later.
fn reached(zone: Option<&TimeZone>, wall: i64) -> UnixMillis {
    let (Some(zone), Ok(as_utc)) = (zone, Timestamp::from_millisecond(wall)) else { return UnixMillis(wall) };
    match zone.to_ambiguous_timestamp(Offset::UTC.to_datetime(as_utc)).offset() {
        AmbiguousOffset::Unambiguous { offset } => UnixMillis(wall - millis(offset)),
        AmbiguousOffset::Fold { before, .. } => UnixMillis(wall - millis(before)),
        AmbiguousOffset::Gap { before, after } => {
            // The moment at which the clocks are set lies between these two.
            let (early, late) = (wall - millis(after), wall - millis(before));
            let set = Timestamp::from_millisecond(early).ok().and_then(|early| {
                zone.following(early).find(|change| change.offset() == after).map(|change| change.timestamp())
            });
            UnixMillis(set.map_or(late, |set| set.as_millisecond().clamp(early, late)))
        }
    }
}

/// The openings of a window that end after a moment, in their order, without an end of their own.
#[must_use]
pub fn openings<'a>(window: &'a MaintenanceWindow, zone: &'a TimeZone, after: UnixMillis) -> Openings<'a> {
    let zone = (!window.utc).then_some(zone);
    let last = UnixMillis(wall(zone, after).saturating_sub(window.length() + SET_AT_ONCE + DAY));
    Openings { token: window.token(), length: window.length(), zone, last: Some(last), after }
}

/// See [`openings`].
#[derive(Debug, Clone)]
pub struct Openings<'a> {
    token: ScheduleToken,
    length: i64,
    /// `None`: UTC.
    zone: Option<&'a TimeZone>,
    /// The start before, as the clock on the wall showed it. `None`: there is no other.
    last: Option<UnixMillis>,
    after: UnixMillis,
}

impl Iterator for Openings<'_> {
    type Item = Opening;

    fn next(&mut self) -> Option<Opening> {
        loop {
            self.last = self.token.after(self.last?);
            let from = reached(self.zone, self.last?.0);
            let to = from.plus(self.length);
            if to > self.after {
                return Some(Opening { from, to });
            }
        }
    }
}

/// When a window is open next, or already.
#[must_use]
pub fn opens(window: &MaintenanceWindow, zone: &TimeZone, after: UnixMillis) -> Option<Opening> {
    openings(window, zone, after).next()
}
