//! Schedules, as Configuration Manager has them: when something is due again. By the calendar alone: collections have it in UTC,
//! maintenance windows also as a clock on the wall shows it.

use crate::time::{DAY, HOUR, MINUTE, UnixMillis};
use serde::{Deserialize, Serialize};

/// How something comes again. Days of the week count from Sunday, which is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Recurrence {
    /// Not again.
    Once,
    /// After so long.
    Interval {
        /// Days, 0 to 31.
        #[serde(default)]
        days: u8,
        /// Hours, 0 to 23.
        #[serde(default)]
        hours: u8,
        /// Minutes, 0 to 59.
        #[serde(default)]
        minutes: u8,
    },
    /// On a day of the week.
    Weekly {
        /// 1 (Sunday) to 7.
        day: u8,
        /// Every so many weeks, 1 to 4.
        weeks: u8,
    },
    /// On a day of the month. A month that has no such day is left out.
    MonthlyByDate {
        /// 1 to 31; 0: the last one.
        day: u8,
        /// Every so many months, 1 to 12.
        months: u8,
    },
    /// On the first, second, ... such day of the week in a month.
    MonthlyByWeekday {
        /// 1 (Sunday) to 7.
        day: u8,
        /// 1 to 4; 0: the last one.
        week: u8,
        /// Every so many months, 1 to 12.
        months: u8,
        /// So many days later, 0 to 4: the day after patch Tuesday is 1.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset: u8,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// One token of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleToken {
    /// Not before, and at which time of the day.
    pub start: UnixMillis,
    /// How it comes again.
    pub every: Recurrence,
}

/// The latest start that is taken: the year 9999.
const LAST_START: i64 = 253_402_300_799_999;

impl ScheduleToken {
    /// Whether every number is in its range.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let numbers = match self.every {
            Recurrence::Once => true,
            Recurrence::Interval { days, hours, minutes } => {
                days <= 31 && hours <= 23 && minutes <= 59 && (days, hours, minutes) != (0, 0, 0)
            }
            Recurrence::Weekly { day, weeks } => (1..=7).contains(&day) && (1..=4).contains(&weeks),
            Recurrence::MonthlyByDate { day, months } => day <= 31 && (1..=12).contains(&months),
            Recurrence::MonthlyByWeekday { day, week, months, offset } => {
                (1..=7).contains(&day) && week <= 4 && (1..=12).contains(&months) && offset <= 4
            }
        };
        numbers && (0..=LAST_START).contains(&self.start.0)
    }

    /// The first moment after `now` at which it is due; `None`: never again.
    #[must_use]
    pub fn after(&self, now: UnixMillis) -> Option<UnixMillis> {
        let start = self.start.0;
        let stepped = |first: i64, step: i64| {
            let steps = if now.0 < first { 0 } else { now.since(UnixMillis(first)) / step + 1 };
            Some(UnixMillis(first.saturating_add(step.saturating_mul(steps))))
        };
        match self.every {
            Recurrence::Once => (start > now.0).then_some(self.start),
            Recurrence::Interval { days, hours, minutes } => {
                let step = i64::from(days) * DAY + i64::from(hours) * HOUR + i64::from(minutes) * MINUTE;
                if step == 0 { None } else { stepped(start, step) }
            }
            Recurrence::Weekly { day, weeks } => {
                let wait = (i64::from(day) - 1 - weekday(start.div_euclid(DAY))).rem_euclid(7);
                stepped(start + wait * DAY, i64::from(weeks.max(1)) * 7 * DAY)
            }
            Recurrence::MonthlyByDate { day, months } => self.monthly(now, months, |year, month| {
                let last = month_days(year, month);
                let day = if day == 0 { last } else { i64::from(day) };
                (day <= last).then(|| days_of(year, month, day))
            }),
            Recurrence::MonthlyByWeekday { day, week, months, offset } => self.monthly(now, months, |year, month| {
                let (day, last) = (i64::from(day) - 1, month_days(year, month));
                let first = 1 + (day - weekday(days_of(year, month, 1))).rem_euclid(7);
                let at = if week == 0 { first + (last - first) / 7 * 7 } else { first + (i64::from(week) - 1) * 7 };
                (at <= last).then(|| days_of(year, month, at) + i64::from(offset))
            }),
        }
    }

    /// The last moment until `now` at which it was due; `None`: it was not yet.
    #[must_use]
    pub fn latest(&self, now: UnixMillis) -> Option<UnixMillis> {
        let first = self.after(UnixMillis(self.start.0.saturating_sub(1))).filter(|first| *first <= now)?;
        let step = match self.every {
            Recurrence::Once => return Some(first),
            Recurrence::Interval { days, hours, minutes } => {
                i64::from(days) * DAY + i64::from(hours) * HOUR + i64::from(minutes) * MINUTE
            }
            Recurrence::Weekly { weeks, .. } => i64::from(weeks.max(1)) * 7 * DAY,
            Recurrence::MonthlyByDate { months, .. } | Recurrence::MonthlyByWeekday { months, .. } => {
                // Far enough back that one lies in between, though months are left out that have no such day.
                let months = i64::from(months.max(1));
                let mut behind = 32 * DAY * months;
                let mut from = first;
                while behind <= now.since(first) {
                    if let Some(due) = self.after(now.plus(-behind)).filter(|due| *due <= now) {
                        from = due;
                        break;
                    }
                    behind *= 2;
                }
                while let Some(due) = self.after(from).filter(|due| *due <= now) {
                    from = due;
                }
                return Some(from);
            }
        };
        (step > 0).then(|| first.plus(now.since(first) / step * step))
    }

    /// Month by month from the start on, in steps; none of the days is looked for longer than some years.
    fn monthly(&self, now: UnixMillis, months: u8, day_in: impl Fn(i64, i64) -> Option<i64>) -> Option<UnixMillis> {
        let month_of = |millis: i64| {
            let (year, month, _) = date_of(millis.div_euclid(DAY));
            year * 12 + month - 1
        };
        let (begin, step, of_day) = (month_of(self.start.0), i64::from(months.max(1)), self.start.0.rem_euclid(DAY));
        // One before: its day and an offset may lie in the month after it.
        let behind = ((month_of(now.0.clamp(self.start.0, LAST_START)) - begin) / step - 1).max(0);
        let candidates = (behind..behind + 100).filter_map(|at| {
            let month = begin + at * step;
            Some(day_in(month.div_euclid(12), month.rem_euclid(12) + 1)? * DAY + of_day)
        });
        candidates.map(UnixMillis).find(|due| *due >= self.start && *due > now)
    }
}

/// The first moment after `now` at which one of the tokens is due.
#[must_use]
pub fn next(tokens: &[ScheduleToken], now: UnixMillis) -> Option<UnixMillis> {
    tokens.iter().filter_map(|token| token.after(now)).min()
}

/// The last moment until `now` at which one of the tokens was due.
#[must_use]
pub fn latest(tokens: &[ScheduleToken], now: UnixMillis) -> Option<UnixMillis> {
    tokens.iter().filter_map(|token| token.latest(now)).max()
}

/// 0 is Sunday; the first of January 1970 was a Thursday.
fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// How many days a month has.
#[must_use]
pub fn month_days(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_of(next_year, next_month, 1) - days_of(year, month, 1)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Hinnant's `days_from_civil`).
#[must_use]
pub fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
#[must_use]
pub fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days - era * 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: i64, month: i64, day: i64, hour: i64) -> UnixMillis {
        UnixMillis(days_of(year, month, day) * DAY + hour * HOUR)
    }

    fn token(start: UnixMillis, every: Recurrence) -> ScheduleToken {
        let token = ScheduleToken { start, every };
        assert!(token.is_sound());
        token
    }

    #[test]
    fn dates_go_both_ways() {
        assert_eq!(date_of(0), (1970, 1, 1));
        assert_eq!(days_of(2024, 2, 29) + 1, days_of(2024, 3, 1));
        for days in (-200_000..200_000).step_by(17) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
        }
    }

    #[test]
    fn an_interval_comes_again_from_its_start() {
        let every = token(at(2026, 1, 1, 4), Recurrence::Interval { days: 7, hours: 0, minutes: 0 });
        assert_eq!(every.after(at(2025, 1, 1, 0)), Some(at(2026, 1, 1, 4)));
        assert_eq!(every.after(at(2026, 1, 1, 4)), Some(at(2026, 1, 8, 4)), "after, and not at");
        assert_eq!(every.after(at(2026, 1, 9, 0)), Some(at(2026, 1, 15, 4)));
        assert_eq!(every.after(UnixMillis(i64::MAX)), Some(UnixMillis(i64::MAX)), "and nothing overflows");
    }

    #[test]
    fn weeks_and_months_have_their_days() {
        // 2026-09-01 is a Tuesday.
        let weekly = token(at(2026, 9, 1, 3), Recurrence::Weekly { day: 1, weeks: 2 });
        assert_eq!(weekly.after(at(2026, 9, 1, 3)), Some(at(2026, 9, 6, 3)));
        assert_eq!(weekly.after(at(2026, 9, 6, 3)), Some(at(2026, 9, 20, 3)));
        let last = token(at(2026, 1, 1, 0), Recurrence::MonthlyByDate { day: 0, months: 1 });
        assert_eq!(last.after(at(2028, 2, 1, 0)), Some(at(2028, 2, 29, 0)));
        let day31 = token(at(2026, 1, 1, 0), Recurrence::MonthlyByDate { day: 31, months: 1 });
        assert_eq!(day31.after(at(2026, 4, 1, 0)), Some(at(2026, 5, 31, 0)), "April has none");
        let patch = token(at(2026, 1, 1, 2), Recurrence::MonthlyByWeekday { day: 3, week: 2, months: 1, offset: 0 });
        assert_eq!(patch.after(at(2026, 9, 1, 0)), Some(at(2026, 9, 8, 2)), "the second Tuesday");
        let friday = token(at(2026, 1, 1, 2), Recurrence::MonthlyByWeekday { day: 6, week: 0, months: 3, offset: 0 });
        assert_eq!(friday.after(at(2026, 2, 1, 0)), Some(at(2026, 4, 24, 2)), "the last Friday of every third month");
        // 2026-09-30 is the last Wednesday of its month; two days later is October.
        let late = Recurrence::MonthlyByWeekday { day: 4, week: 0, months: 1, offset: 2 };
        let late = token(at(2026, 1, 1, 2), late);
        assert_eq!(late.after(at(2026, 10, 1, 0)), Some(at(2026, 10, 2, 2)));
        assert_eq!(late.after(at(2026, 10, 2, 2)), Some(at(2026, 10, 30, 2)));
    }

    #[test]
    fn the_last_time_is_the_one_after_which_none_came() {
        let start = at(2026, 1, 31, 3);
        let every = [
            Recurrence::Once,
            Recurrence::Interval { days: 0, hours: 7, minutes: 30 },
            Recurrence::Weekly { day: 3, weeks: 2 },
            Recurrence::MonthlyByDate { day: 31, months: 1 },
            Recurrence::MonthlyByDate { day: 0, months: 12 },
            Recurrence::MonthlyByWeekday { day: 3, week: 2, months: 1, offset: 1 },
        ];
        for token in every.map(|every| token(start, every)) {
            assert_eq!(token.latest(start.plus(-1)), None);
            for days in [0, 1, 40, 366, 3_000] {
                let now = start.plus(days * DAY);
                let Some(last) = token.latest(now) else {
                    assert!(token.after(start.plus(-1)).is_none_or(|first| first > now));
                    continue;
                };
                assert_eq!(token.after(last.plus(-1)), Some(last), "{token:?}");
                assert!(last <= now && token.after(last).is_none_or(|next| next > now), "{token:?} {days}");
            }
        }
    }

    #[test]
    fn what_never_comes_again_says_so_and_odd_numbers_are_refused() {
        let once = token(at(2026, 1, 1, 0), Recurrence::Once);
        assert_eq!(once.after(at(2026, 1, 1, 0)), None);
        assert_eq!(next(&[once, once], at(2025, 1, 1, 0)), Some(at(2026, 1, 1, 0)));
        let odd = [
            Recurrence::Interval { days: 0, hours: 0, minutes: 0 },
            Recurrence::Weekly { day: 0, weeks: 1 },
            Recurrence::MonthlyByDate { day: 32, months: 1 },
            Recurrence::MonthlyByWeekday { day: 1, week: 5, months: 1, offset: 0 },
        ];
        for every in odd {
            assert!(!ScheduleToken { start: UnixMillis(0), every }.is_sound());
        }
        assert!(!ScheduleToken { start: UnixMillis(i64::MAX), every: Recurrence::Once }.is_sound());
    }
}
