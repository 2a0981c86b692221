//! Business hours: days of the week with hours, in which users are left alone.

use super::DayHours;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Monday first, as people say it.
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Hours of some days of the week by the device's own clock, `mon-fri 08:00-18:00`. Hours that go past midnight belong to the day on which they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BusinessHours {
    /// A bit for each day, that of Monday lowest.
    days: u8,
    hours: DayHours,
}

impl BusinessHours {
    /// Whether what a clock shows is in them: the day of the week, 0 for Monday, and the minute of the day.
    #[must_use]
    pub const fn contain(self, day: u8, minute: u16) -> bool {
        let before = (day + 6) % 7;
        // Past midnight they are those of the day before.
        let of = if self.hours.from() > self.hours.to() && minute < self.hours.to() { before } else { day };
        self.days & (1 << of) != 0 && self.hours.contains(minute)
    }

    /// The hours of each of its days.
    #[must_use]
    pub const fn hours(self) -> DayHours {
        self.hours
    }

    const fn has(self, day: usize) -> bool {
        self.days & (1 << day) != 0
    }
}

impl fmt::Display for BusinessHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut day, mut first) = (0, true);
        while day < NAMES.len() {
            let run = (day..NAMES.len()).take_while(|day| self.has(*day)).count();
            if run > 0 {
                let end = day + run - 1;
                let comma = if first { "" } else { "," };
                match run {
                    1 => write!(f, "{comma}{}", NAMES[day])?,
                    _ => write!(f, "{comma}{}-{}", NAMES[day], NAMES[end])?,
                }
                first = false;
            }
            day += run.max(1);
        }
        write!(f, " {}", self.hours)
    }
}

fn day(text: &str) -> Option<usize> {
    NAMES.iter().position(|name| name.eq_ignore_ascii_case(text))
}

fn days(text: &str) -> Option<u8> {
    let mut days = 0;
    for part in text.split(',') {
        let (from, to) = part.split_once('-').map_or((part, part), |(from, to)| (from, to));
        let (mut at, to) = (day(from)?, day(to)?);
        days |= 1 << at;
        // `sat-mon` goes past the end of the week.
        while at != to {
            at = (at + 1) % NAMES.len();
            days |= 1 << at;
        }
    }
    Some(days)
}

impl FromStr for BusinessHours {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write business hours like mon-fri 08:00-18:00, or mon,wed,sat 22:00-06:00";
        let (named, hours) = text.split_once(' ').ok_or(WRONG)?;
        match (days(named), hours.parse()) {
            (Some(days), Ok(hours)) => Ok(Self { days, hours }),
            _ => Err(WRONG),
        }
    }
}

impl TryFrom<String> for BusinessHours {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<BusinessHours> for String {
    fn from(hours: BusinessHours) -> Self {
        hours.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_are_written_and_read() {
        for (typed, shown) in [
            ("mon-fri 08:00-18:00", "mon-fri 08:00-18:00"),
            ("sat-mon 08:00-18:00", "mon,sat-sun 08:00-18:00"),
            ("Wed,mon,tue 09:30-12:00", "mon-wed 09:30-12:00"),
            ("fri 22:00-06:00", "fri 22:00-06:00"),
            ("mon-sun 00:00-23:59", "mon-sun 00:00-23:59"),
            ("mon,wed,fri-sat 08:00-18:00", "mon,wed,fri-sat 08:00-18:00"),
        ] {
            let hours: BusinessHours = typed.parse().unwrap();
            assert_eq!(hours.to_string(), shown);
            assert_eq!(shown.parse(), Ok(hours));
        }
        for wrong in [
            "",
            "08:00-18:00",
            "mon-fri",
            "mon- 08:00-18:00",
            "mon,, 08:00-18:00",
            "foo 08:00-18:00",
            "mon 08:00-08:00",
        ] {
            assert!(wrong.parse::<BusinessHours>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let friday: BusinessHours = "fri 22:00-06:00".parse().unwrap();
        assert!(friday.contain(4, 22 * 60) && friday.contain(5, 0) && friday.contain(5, 359));
        assert!(!friday.contain(4, 0) && !friday.contain(5, 360) && !friday.contain(5, 22 * 60));
        let sunday: BusinessHours = "sun 22:00-06:00".parse().unwrap();
        assert!(sunday.contain(0, 10) && !sunday.contain(6, 10), "Monday follows Sunday");
    }
}
