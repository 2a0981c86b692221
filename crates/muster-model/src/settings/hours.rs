//! Hours of a day.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Hours of each day by the device's own clock, `08:00-18:00`; they may go past midnight. From the first minute, up to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DayHours {
    from: u16,
    to: u16,
}

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

impl DayHours {
    /// Whether that minute of the day, counted from midnight, is in them.
    #[must_use]
    pub const fn contains(self, minute: u16) -> bool {
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        }
    }

    /// Their first minute, counted from midnight.
    #[must_use]
    pub const fn from(self) -> u16 {
        self.from
    }

    /// The minute at which they are over, counted from midnight.
    #[must_use]
    pub const fn to(self) -> u16 {
        self.to
    }
}

impl fmt::Display for DayHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl FromStr for DayHours {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write hours of a day like 08:00-18:00, of which the second is another than the first";
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let two = |text: &str| {
                let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| text.parse::<u16>().ok()).flatten()
            };
            let (hour, minute) = (two(hour)?, two(minute)?);
            (minute < 60 && hour * 60 + minute < DAY_MINUTES).then_some(hour * 60 + minute)
        };
        let (from, to) = text.split_once('-').ok_or(WRONG)?;
        match (minute(from), minute(to)) {
            (Some(from), Some(to)) if from != to => Ok(Self { from, to }),
            _ => Err(WRONG),
        }
    }
}

impl TryFrom<String> for DayHours {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DayHours> for String {
    fn from(hours: DayHours) -> Self {
        hours.to_string()
    }
}
