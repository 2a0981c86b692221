//! Moments as Transact-SQL counts them: boundaries of parts, in the site's local time, from the year 1 to 9999.

use super::tree::Part;
use crate::{
    schedule::{date_of, days_of, month_days},
    time::{DAY, HOUR, MINUTE, SECOND, UnixMillis},
};

/// The site's clock: this moment, and how far its local time is ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// This moment.
    pub now: UnixMillis,
    /// Minutes that local time is ahead of UTC.
    pub offset_minutes: i32,
}

impl Clock {
    /// Milliseconds that local time is ahead of UTC.
    #[must_use]
    pub const fn offset(self) -> i64 {
        self.offset_minutes as i64 * MINUTE
    }
}

/// The first moment of the year 1.
pub const FIRST: i64 = -62_135_596_800_000;
/// The last moment of the year 9999.
pub const LAST: i64 = 253_402_300_799_999;

/// A moment, where it is one that can be counted with.
#[must_use]
pub fn known(moment: i64) -> Option<i64> {
    (FIRST..=LAST).contains(&moment).then_some(moment)
}

/// The number of the part that a local moment lies in, counted from some beginning.
fn index(part: Part, local: i64) -> i64 {
    let day = local.div_euclid(DAY);
    let (year, month, _) = date_of(day);
    match part {
        Part::Year => year,
        Part::Quarter => year * 4 + (month - 1) / 3,
        Part::Month => year * 12 + month,
        // 1970-01-01 was a Thursday.
        Part::Week => (day + 4).div_euclid(7),
        Part::DayOfYear | Part::Day | Part::Weekday => day,
        Part::Hour => local.div_euclid(HOUR),
        Part::Minute => local.div_euclid(MINUTE),
        Part::Second => local.div_euclid(SECOND),
        Part::Millisecond => local,
    }
}

/// How many boundaries of the part lie between two local moments.
#[must_use]
pub fn difference(part: Part, from: i64, to: i64) -> i64 {
    index(part, to) - index(part, from)
}

/// The part of a local moment.
#[must_use]
pub fn part(part: Part, local: i64) -> i64 {
    let day = local.div_euclid(DAY);
    let (year, month, of_month) = date_of(day);
    let of_year = day - days_of(year, 1, 1);
    let weekday = (day + 4).rem_euclid(7);
    match part {
        Part::Year => year,
        Part::Quarter => (month - 1) / 3 + 1,
        Part::Month => month,
        Part::DayOfYear => of_year + 1,
        Part::Day => of_month,
        Part::Week => (of_year + (weekday - of_year).rem_euclid(7)) / 7 + 1,
        Part::Weekday => weekday + 1,
        Part::Hour => local.rem_euclid(DAY) / HOUR,
        Part::Minute => local.rem_euclid(HOUR) / MINUTE,
        Part::Second => local.rem_euclid(MINUTE) / SECOND,
        Part::Millisecond => local.rem_euclid(SECOND),
    }
}

/// The moment that is so many parts later; a month later is at most the last day of that month.
#[must_use]
pub fn plus(part: Part, number: i64, local: i64) -> Option<i64> {
    let months = match part {
        Part::Year => number.checked_mul(12)?,
        Part::Quarter => number.checked_mul(3)?,
        Part::Month => number,
        _ => {
            let length = match part {
                Part::Week => 7 * DAY,
                Part::Hour => HOUR,
                Part::Minute => MINUTE,
                Part::Second => SECOND,
                Part::Millisecond => 1,
                _ => DAY,
            };
            return known(local.checked_add(number.checked_mul(length)?)?);
        }
    };
    let (year, month, of_month) = date_of(local.div_euclid(DAY));
    let index = year.checked_mul(12)?.checked_add(month - 1)?.checked_add(months)?;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    if !(1..=9_999).contains(&year) {
        return None;
    }
    let day = days_of(year, month, of_month.min(month_days(year, month)));
    known(day * DAY + local.rem_euclid(DAY))
}

/// A moment as text, as far as the second.
#[must_use]
pub fn text(local: i64) -> String {
    let (year, month, day) = date_of(local.div_euclid(DAY));
    let second = local.rem_euclid(DAY) / SECOND;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// The local moment that a text says, in the ways that SQL Server reads, or WMI's.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.is_empty() || text.len() > 60 || !text.is_ascii() {
        return None;
    }
    if let Some(moment) = parse_wmi(text) {
        return Some(moment);
    }
    let (date, time) = split_time(text);
    let day = parse_day(date.trim())?;
    known(day * DAY + parse_time(time.trim())?)
}

/// `yyyymmddHHMMSS.ffffff+ooo`; what is not given is `*`.
fn parse_wmi(text: &str) -> Option<i64> {
    let digits = text.get(..14).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit() || b == b'*'))?;
    if !matches!(text.as_bytes().get(14), None | Some(b'.')) {
        return None;
    }
    let number = |from: usize, to: usize| digits[from..to].parse::<i64>().ok();
    let day = day_of(number(0, 4)?, number(4, 6).unwrap_or(1), number(6, 8).unwrap_or(1))?;
    let (hour, minute, second) = (number(8, 10).unwrap_or(0), number(10, 12).unwrap_or(0), number(12, 14).unwrap_or(0));
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    known(day * DAY + hour * HOUR + minute * MINUTE + second * SECOND)
}

fn split_time(text: &str) -> (&str, &str) {
    let Some(colon) = text.find(':') else { return (text, "") };
    let start = text[..colon].rfind([' ', 'T', 't']).map_or(0, |at| at + 1);
    if start == 0 { ("", text) } else { (&text[..start - 1], &text[start..]) }
}

fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let fits = (1..=9_999).contains(&year) && (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day);
    fits.then(|| days_of(year, month, day))
}

/// Two digits of a year: up to 49 is this century.
fn century(year: i64) -> i64 {
    match year {
        0..=49 => 2_000 + year,
        50..=99 => 1_900 + year,
        _ => year,
    }
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

fn parse_day(text: &str) -> Option<i64> {
    if text.is_empty() {
        // Only a time: the day from which SQL Server counts.
        return Some(days_of(1_900, 1, 1));
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
        return match text.len() {
            8 => day_of(number(0, 4)?, number(4, 6)?, number(6, 8)?),
            6 => day_of(century(number(0, 2)?), number(2, 4)?, number(4, 6)?),
            4 => day_of(number(0, 4)?, 1, 1),
            _ => None,
        };
    }
    let parts: Vec<&str> = text.split(['-', '/', '.', ' ', ',']).filter(|part| !part.is_empty()).collect();
    let [one, two, three] = parts.as_slice() else { return None };
    let named = |part: &str| {
        let start = part.get(..3)?.to_ascii_lowercase();
        MONTHS.iter().position(|month| *month == start).map(|at| at as i64 + 1)
    };
    let number = |part: &str| part.parse::<i64>().ok().filter(|number| (0..=9_999).contains(number));
    if let Some(month) = named(one) {
        return day_of(century(number(three)?), month, number(two)?);
    }
    if let Some(month) = named(two) {
        return day_of(century(number(three)?), month, number(one)?);
    }
    if one.len() == 4 {
        return day_of(number(one)?, number(two)?, number(three)?);
    }
    // In the order of the United States, which is SQL Server's own.
    day_of(century(number(three)?), number(one)?, number(two)?)
}

fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim_end_matches(['Z', 'z']).trim_end();
    if text.is_empty() {
        return Some(0);
    }
    let lower = text.to_ascii_lowercase();
    let (clock, half) = match (lower.strip_suffix("am"), lower.strip_suffix("pm")) {
        (Some(clock), _) => (clock.trim_end(), Some(0)),
        (_, Some(clock)) => (clock.trim_end(), Some(12)),
        _ => (lower.as_str(), None),
    };
    let mut parts = clock.split(':');
    let number = |part: Option<&str>| part.unwrap_or("0").parse::<i64>().ok().filter(|number| *number >= 0);
    let (hour, minute) = (number(parts.next())?, number(parts.next())?);
    let (second, fraction) = parts.next().map_or(("0", ""), |last| last.split_once('.').unwrap_or((last, "")));
    let second = number(Some(second))?;
    if parts.next().is_some() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let hour = match half {
        Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
        Some(_) => return None,
        None => hour,
    };
    (hour <= 23 && minute <= 59 && second <= 59).then_some(hour * HOUR + minute * MINUTE + second * SECOND + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn boundaries_are_counted_and_not_time() {
        let (late, early) = (at("2024-02-28 23:59"), at("2024-02-29 00:01"));
        assert_eq!(difference(Part::Day, late, early), 1);
        assert_eq!(difference(Part::Hour, late, early), 1);
        assert_eq!(difference(Part::Minute, late, early), 2);
        assert_eq!(difference(Part::Day, early, late), -1);
        assert_eq!(difference(Part::Year, at("2023-12-31"), at("2024-01-01")), 1);
        assert_eq!(difference(Part::Month, at("2024-01-31"), at("2024-03-01")), 2);
        assert_eq!(difference(Part::Quarter, at("2024-03-31"), at("2024-04-01")), 1);
        // From a Saturday to a Sunday.
        assert_eq!(difference(Part::Week, at("2024-06-01"), at("2024-06-02")), 1);
        assert_eq!(difference(Part::Week, at("2024-06-02"), at("2024-06-08")), 0);
        assert_eq!(difference(Part::Day, at("1969-12-31 23:00"), at("1970-01-01")), 1);
    }

    #[test]
    fn parts_are_added() {
        assert_eq!(plus(Part::Month, 1, at("2024-01-31 10:00")), Some(at("2024-02-29 10:00")));
        assert_eq!(plus(Part::Year, -1, at("2024-02-29")), Some(at("2023-02-28")));
        assert_eq!(plus(Part::Day, -30, at("2024-03-01")), Some(at("2024-01-31")));
        assert_eq!(plus(Part::Quarter, 1, at("2024-11-30")), Some(at("2025-02-28")));
        assert_eq!(plus(Part::Year, i64::from(i32::MAX), at("2024-01-01")), None);
        assert_eq!(part(Part::Week, at("2024-01-07")), 2, "a Sunday");
        assert_eq!(part(Part::Week, at("2024-01-06")), 1);
        assert_eq!((part(Part::Weekday, at("2024-01-07")), part(Part::DayOfYear, at("2024-12-31"))), (1, 366));
    }

    #[test]
    fn dates_are_read_as_the_server_does() {
        let moment = at("2024-01-05 13:30");
        for text in [
            "20240105 13:30",
            "1/5/2024 1:30 PM",
            "2024.01.05 13:30:00.000",
            "Jan 5 2024 1:30PM",
            "2024-01-05T13:30:00Z",
        ] {
            assert_eq!(at(text), moment, "{text}");
        }
        assert_eq!(at("20240105133000.000000+***"), moment);
        assert_eq!(at("240105"), at("2024-01-05"));
        for text in ["", "yesterday", "2024-13-01", "2024-02-30", "13:70", "99999999999999", "1/2", "2024-01-05 25:00"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(text(moment), "2024-01-05 13:30:00");
        for day in [-719_162, -1, 0, 59, 60, 19_782, 2_932_896] {
            let (year, month, of_month) = date_of(day);
            assert_eq!(days_of(year, month, of_month), day);
        }
    }
}
