//! Moments and lengths of time, as people write and read them.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use muster_model::time::{DAY, HOUR, MINUTE, SECOND, UnixMillis};

/// `3 min ago`, `in 2 h`, `just now`.
#[must_use]
pub fn human(now: UnixMillis, moment: UnixMillis) -> String {
    let away = moment.since(now);
    if away.abs() < 5 * SECOND {
        return "just now".to_owned();
    }
    let text = length(away.abs());
    if away < 0 { format!("{text} ago") } else { format!("in {text}") }
}

/// The date and time in the zone of this machine.
#[must_use]
pub fn full(moment: UnixMillis) -> String {
    match Timestamp::from_millisecond(moment.0) {
        Ok(timestamp) => timestamp.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        Err(_) => format!("{} ms", moment.0),
    }
}

/// The day in UTC: `2026-11-24`.
#[must_use]
pub fn day(moment: UnixMillis) -> String {
    match Timestamp::from_millisecond(moment.0) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d").to_string(),
        Err(_) => format!("{} ms", moment.0),
    }
}

/// Both: `2026-11-24 06:49:12 UTC (3 min ago)`.
#[must_use]
pub fn both(now: UnixMillis, moment: UnixMillis) -> String {
    format!("{} ({})", full(moment), human(now, moment))
}

/// A length in its largest unit.
#[must_use]
pub fn length(millis: i64) -> String {
    let (unit, name) = match millis {
        m if m >= 2 * DAY => (DAY, "days"),
        m if m >= 2 * HOUR => (HOUR, "h"),
        m if m >= 2 * MINUTE => (MINUTE, "min"),
        _ => (SECOND, "s"),
    };
    format!("{} {name}", millis / unit)
}

/// Reads a length: `90s`, `30m`, `2h`, `7d`.
///
/// # Errors
/// A sentence.
pub fn parse_length(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a length of time; write 90s, 30m, 2h or 7d");
    let unit = match text.chars().last() {
        Some('s') => SECOND,
        Some('m') => MINUTE,
        Some('h') => HOUR,
        Some('d') => DAY,
        _ => return Err(wrong()),
    };
    let number: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|n| *n > 0).ok_or_else(wrong)
}

/// A moment as written: `now`, `+2h`, `-7d`, `2026-12-01T10:00` in this machine's zone, or with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long after the command runs, or before it.
    After(i64),
    /// This moment.
    At(UnixMillis),
}

impl Moment {
    /// The moment itself.
    #[must_use]
    pub fn at(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::After(millis) => now.plus(millis),
            Self::At(moment) => moment,
        }
    }
}

/// Reads a moment.
///
/// # Errors
/// A sentence.
pub fn parse_moment(text: &str) -> Result<Moment, String> {
    if text == "now" {
        return Ok(Moment::After(0));
    }
    if let Some(length) = text.strip_prefix('+') {
        return parse_length(length).map(Moment::After);
    }
    if let Some(length) = text.strip_prefix('-') {
        return parse_length(length).map(|length| Moment::After(-length));
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(Moment::At(UnixMillis(timestamp.as_millisecond())));
    }
    let local = text.parse::<DateTime>().and_then(|civil| civil.to_zoned(TimeZone::system()));
    local
        .map(|zoned| Moment::At(UnixMillis(zoned.timestamp().as_millisecond())))
        .map_err(|_| format!("{text:?} is not a moment; write now, +2h, -7d, 2026-12-01T10:00 or 2026-12-01T10:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let now = UnixMillis(1_000 * DAY);
        for (away, text) in [
            (0, "just now"),
            (-30 * SECOND, "30 s ago"),
            (-5 * MINUTE, "5 min ago"),
            (3 * HOUR, "in 3 h"),
            (-49 * HOUR, "2 days ago"),
        ] {
            assert_eq!(human(now, now.plus(away)), text);
        }
    }

    #[test]
    fn moments_and_lengths_are_read() {
        assert_eq!(parse_length("90s"), Ok(90 * SECOND));
        assert_eq!(parse_moment("-2h").unwrap().at(UnixMillis(2 * HOUR)), UnixMillis(0));
        assert_eq!(parse_moment("+2h").unwrap().at(UnixMillis(1)), UnixMillis(2 * HOUR + 1));
        assert_eq!(parse_moment("1970-01-02T00:00:00Z").unwrap(), Moment::At(UnixMillis(DAY)));
        for bad in ["", "h", "-1h", "0s", "1w", "99999999999999999d", "é"] {
            assert!(parse_length(bad).is_err(), "{bad}");
        }
        for bad in ["yesterday", "+", "-", "2026-13-01T10:00"] {
            assert!(parse_moment(bad).is_err(), "{bad}");
        }
    }
}
