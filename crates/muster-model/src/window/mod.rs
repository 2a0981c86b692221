//! Maintenance windows: when a device may be worked on. Which they are, how long, and in whose time; [`chance`] says what fits
//! into them and when.
//!
//! Pure, as everything here: the time and the time zone come from whoever asks.

mod chance;
mod opening;
mod quiet;
#[cfg(test)]
mod quiet_tests;
#[cfg(test)]
mod tests;

pub use chance::{AFTERWARDS, Chance, HORIZON, Work, applying, chance};
pub use opening::{Opening, openings, opens};
pub use quiet::Quiet;

use crate::{
    id::Name,
    schedule::{Recurrence, ScheduleToken, date_of, days_of, month_days},
    time::{DAY, HOUR, MINUTE, UnixMillis},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The shortest window, in minutes.
pub const LEAST_MINUTES: u32 = 5;
/// The longest: a day.
pub const MOST_MINUTES: u32 = 24 * 60;

/// What a window is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WindowKind {
    /// All deployments.
    #[default]
    General,
    /// Software updates alone; a device that has such a window keeps its updates to them, and out of the general ones.
    Updates,
}

impl WindowKind {
    /// Every kind.
    pub const ALL: &[Self] = &[Self::General, Self::Updates];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Updates => "updates",
        }
    }
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for WindowKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| format!("{text:?} is not one of general, updates"))
    }
}

/// What a clock on the wall shows, to the minute; which moment that is depends on where the wall is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct WallTime(i64);

impl WallTime {
    /// What a clock that goes by UTC shows at this moment, from 1970 to 9999.
    #[must_use]
    pub fn of_utc(at: UnixMillis) -> Self {
        let last = days_of(10_000, 1, 1) * DAY - 1;
        Self(at.0.clamp(0, last).div_euclid(MINUTE))
    }

    /// The day of the week, 1 (Sunday) to 7.
    #[must_use]
    pub fn weekday(self) -> u8 {
        // The first of January 1970 was a Thursday.
        u8::try_from((self.as_utc().0.div_euclid(DAY) + 4).rem_euclid(7) + 1).unwrap_or(1)
    }

    /// The day of the month, from 1 on.
    #[must_use]
    pub fn day(self) -> u8 {
        u8::try_from(date_of(self.as_utc().0.div_euclid(DAY)).2).unwrap_or(1)
    }

    /// The moment at which a clock that goes by UTC shows it.
    #[must_use]
    pub const fn as_utc(self) -> UnixMillis {
        UnixMillis(self.0 * MINUTE)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_utc().0;
        let (year, month, day) = date_of(millis.div_euclid(DAY));
        let (hour, minute) = (millis.rem_euclid(DAY) / HOUR, millis.rem_euclid(HOUR) / MINUTE);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}")
    }
}

impl FromStr for WallTime {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write a time like 2026-12-01T01:00, from 1970 to 9999";
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse::<i64>().ok()
        };
        let parts = (number(0, 4), number(5, 7), number(8, 10), number(11, 13), number(14, 16));
        let (Some(year), Some(month), Some(day), Some(hour), Some(minute)) = parts else { return Err(WRONG) };
        let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':')];
        if text.len() != 16 || signs.iter().any(|(at, sign)| text.as_bytes()[*at] != *sign) {
            return Err(WRONG);
        }
        let there = year >= 1970 && (1..=12).contains(&month) && hour <= 23 && minute <= 59;
        if !there || !(1..=month_days(year, month)).contains(&day) {
            return Err(WRONG);
        }
        Ok(Self((days_of(year, month, day) * DAY + hour * HOUR + minute * MINUTE) / MINUTE))
    }
}

impl Serialize for WallTime {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MaintenanceWindow {
    /// What people call it.
    pub name: Name,
    /// What it is for.
    #[serde(default)]
    pub kind: WindowKind,
    /// Not before, and at which time of the day: `2026-12-01T01:00`.
    pub start: WallTime,
    /// How it comes again: not at all, after whole days, by the week or by the month.
    pub every: Recurrence,
    /// How long it is open: 5 to 1,440 minutes, of which clocks that are set take nothing.
    pub minutes: u32,
    /// Whether `start` is UTC; else it is the local time of each device.
    #[serde(default)]
    pub utc: bool,
}

/// What is wrong with a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Too short or too long.
    #[error("a window is open for {LEAST_MINUTES} to {MOST_MINUTES} minutes")]
    Length,
    /// Hours and minutes between two of them.
    #[error("a window comes again after whole days, 1 to 31")]
    Interval,
    /// A number is out of its range.
    #[error("the recurrence has a number that cannot be")]
    Recurrence,
}

impl MaintenanceWindow {
    /// Whether every number is in its range. Site and client both call it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), WindowError> {
        if !(LEAST_MINUTES..=MOST_MINUTES).contains(&self.minutes) {
            return Err(WindowError::Length);
        }
        if matches!(self.every, Recurrence::Interval { days, hours, minutes } if days == 0 || hours > 0 || minutes > 0)
        {
            return Err(WindowError::Interval);
        }
        if self.token().is_sound() { Ok(()) } else { Err(WindowError::Recurrence) }
    }

    /// The same by the calendar, as if the clock on the wall showed UTC.
    const fn token(&self) -> ScheduleToken {
        ScheduleToken { start: self.start.as_utc(), every: self.every }
    }

    /// The first time after this one at which its start comes again, both as its own clock shows them. `None`: never.
    #[must_use]
    pub fn next_start(&self, after: WallTime) -> Option<WallTime> {
        self.token().after(after.as_utc()).map(WallTime::of_utc)
    }

    /// How long it is open, in milliseconds.
    const fn length(&self) -> i64 {
        self.minutes as i64 * MINUTE
    }
}

/// `on every second Sunday at 01:00 for 180 minutes, in the device's local time`, without the name.
impl fmt::Display for MaintenanceWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start.to_string();
        let (date, time) = start.split_at(10);
        let time = &time[1..];
        match self.every {
            Recurrence::Once => write!(f, "once on {date}")?,
            Recurrence::Interval { days: 1, .. } => f.write_str("daily")?,
            Recurrence::Interval { days, .. } => write!(f, "every {days} days")?,
            Recurrence::Weekly { day, weeks } => {
                write!(f, "on {} of every {}", weekday(day), counted(weeks, "week"))?;
            }
            Recurrence::MonthlyByDate { day: 0, months } => {
                write!(f, "on the last day of every {}", counted(months, "month"))?;
            }
            Recurrence::MonthlyByDate { day, months } => {
                write!(f, "on day {day} of every {}", counted(months, "month"))?;
            }
            Recurrence::MonthlyByWeekday { day, week, months, offset } => {
                let which = ["last", "first", "second", "third", "fourth"].get(usize::from(week)).unwrap_or(&"?");
                if offset > 0 {
                    let plural = if offset == 1 { "" } else { "s" };
                    write!(f, "{offset} day{plural} after ")?;
                } else {
                    f.write_str("on ")?;
                }
                write!(f, "the {which} {} of every {}", weekday(day), counted(months, "month"))?;
            }
        }
        let whose = if self.utc { "in UTC" } else { "in the device's local time" };
        write!(f, " at {time} for {} minutes, {whose}", self.minutes)?;
        if self.every == Recurrence::Once { Ok(()) } else { write!(f, ", from {date} on") }
    }
}

fn weekday(day: u8) -> &'static str {
    let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    days.get(usize::from(day).wrapping_sub(1)).copied().unwrap_or("?")
}

fn counted(count: u8, what: &str) -> String {
    if count == 1 { what.to_owned() } else { format!("{count} {what}s") }
}
