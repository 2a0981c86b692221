//! Business hours over days on which clocks are set, and everything against a second calculation that goes minute by minute.

use super::{tests::*, *};
use crate::{settings::BusinessHours, time::SECOND};
use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

fn hours(text: &str) -> BusinessHours {
    text.parse().unwrap()
}

fn found(text: &str, place: &str, from: &str, minutes: i64) -> (String, String) {
    let zone = zone(place);
    let quiet = Quiet { hours: hours(text), zone: &zone, later: 0 };
    let opening = quiet.opens(utc(from), UnixMillis(i64::MAX), minutes * MINUTE).unwrap();
    pair(&WallTime::of_utc(opening.from).to_string(), &WallTime::of_utc(opening.to).to_string())
}

#[test]
fn an_hour_that_comes_twice_is_in_them_twice_and_one_that_is_left_out_never() {
    // 2026-10-25 in Berlin goes back from 03:00 to 02:00, which is 01:00 UTC; it is a Sunday.
    let early = "sun 02:00-02:30";
    assert_eq!(found(early, "Europe/Berlin", "2026-10-25T00:10", 20), pair("2026-10-25T00:30", "2026-10-25T01:00"));
    assert_eq!(found(early, "Europe/Berlin", "2026-10-25T01:10", 20), pair("2026-10-25T01:30", "2026-11-01T01:00"));
    // 2026-03-29 in Berlin goes from 02:00 to 03:00: half past two is not there, and the end of three is at once.
    let gap = "sun 02:10-02:50";
    let (from, _) = found(gap, "Europe/Berlin", "2026-03-29T00:50", 120);
    assert_eq!(from, "2026-03-29T00:50", "nothing of it is there");
    assert_eq!(
        found("sun 01:00-03:30", "Europe/Berlin", "2026-03-29T00:30", 20).0,
        "2026-03-29T01:30",
        "an hour shorter than on other days"
    );
    // The end of a working day in winter and in summer, and the weekend.
    let work = "mon-fri 08:00-18:00";
    assert_eq!(found(work, "America/New_York", "2026-03-06T20:00", 60), pair("2026-03-06T23:00", "2026-03-09T12:00"));
    assert_eq!(found(work, "America/New_York", "2026-03-09T20:00", 60), pair("2026-03-09T22:00", "2026-03-10T12:00"));
}

#[test]
fn a_deployment_begins_outside_of_business_hours_and_at_its_deadline_at_the_latest() {
    let zone = TimeZone::UTC;
    let at = |text: &str, windows: &[MaintenanceWindow], from: &str, deadline: &str, minutes: u32| {
        let quiet = Quiet { hours: hours(text), zone: &zone, later: 0 };
        match quiet.chance(windows, Work::Application, utc(from), utc(deadline), minutes * 60) {
            Chance::Now { .. } => "now".to_owned(),
            Chance::Later { opens, .. } => WallTime::of_utc(opens).to_string(),
            other => format!("{other:?}"),
        }
    };
    // The 7th of January 2026 is a Wednesday.
    let work = "mon-fri 08:00-18:00";
    assert_eq!(at(work, &[], "2026-01-07T07:00", "2026-01-09T12:00", 50), "now");
    assert_eq!(at(work, &[], "2026-01-07T07:10", "2026-01-09T12:00", 50), "2026-01-07T18:00", "it would run into them");
    assert_eq!(at(work, &[], "2026-01-07T09:00", "2026-01-07T12:00", 50), "2026-01-07T12:00", "its deadline");
    assert_eq!(at(work, &[], "2026-01-07T12:00", "2026-01-07T12:00", 50), "Free", "past it nothing waits");
    assert_eq!(at("mon-sun 08:00-07:30", &[], "2026-01-07T09:00", "2026-01-09T12:00", 50), "2026-01-09T12:00");
    let never = Quiet { hours: hours("mon-sun 08:00-07:30"), zone: &zone, later: 0 };
    let far = UnixMillis(i64::MAX);
    assert_eq!(never.opens(utc("2026-01-07T09:00"), far, HOUR), None, "and does not look for ever");
    assert!(
        matches!(never.chance(&[], Work::Update, utc("2026-01-07T09:00"), far, 3_600), Chance::Later { opens, .. } if opens == far)
    );
    let lunch = [window("2026-01-01T12:00", DAILY, 120)];
    assert_eq!(at(work, &lunch, "2026-01-07T09:00", "2026-01-08T18:30", 50), "2026-01-09T12:00", "the window after it");
    assert_eq!(at(work, &lunch, "2026-01-07T09:00", "2026-01-12T18:30", 50), "2026-01-10T12:00", "Saturday");
    assert_eq!(at(work, &lunch, "2026-01-07T09:00", "2026-01-07T12:30", 50), "2026-01-07T12:30", "inside of one");
    assert_eq!(at(work, &lunch, "2026-01-07T09:00", "2026-01-12T18:30", 120), "Never");
}

#[test]
fn what_is_spread_begins_later_and_then_stays_possible() {
    let zone = TimeZone::UTC;
    let quiet = Quiet { hours: hours("mon-fri 08:00-18:00"), zone: &zone, later: 30 * MINUTE };
    let never = UnixMillis(i64::MAX);
    let from = |at: &str| quiet.opens(utc(at), never, HOUR).map(|opening| WallTime::of_utc(opening.from).to_string());
    assert_eq!(from("2026-01-07T09:00").unwrap(), "2026-01-07T18:30");
    assert_eq!(from("2026-01-07T18:10").unwrap(), "2026-01-07T18:30", "also when it is looked at in between");
    assert_eq!(from("2026-01-07T18:40").unwrap(), "2026-01-07T18:40");
}

const DAYS: [&str; 5] = ["mon-fri", "mon-sun", "sat-sun", "sun", "tue,thu"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    // proves S13: business hours are exactly what a clock on the wall says.
    #[test]
    fn business_hours_are_what_a_clock_on_the_wall_says_minute_by_minute(
        ((place, around), windows) in place_and_day().prop_flat_map(|(place, around)| {
            (Just((place, around)), prop::collection::vec(any_window(around), 0..3))
        }),
        days in 0..DAYS.len(),
        begin in prop_oneof![0_u16..6 * 60, 0_u16..24 * 60],
        length in 1_u16..24 * 60,
        now in 0_usize..2 * 24 * 60,
        deadline in 0_usize..5 * 24 * 60,
        later in prop_oneof![Just(0_i64), 0_i64..=120],
        seconds in prop_oneof![1_u32..7_200, 1_u32..=86_400],
    ) {
        const MINUTES: usize = 8 * 24 * 60;
        let (zone, from) = (zone(ZONES[place]), around - 2 * DAY);
        let end = (begin + length) % (24 * 60);
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let hours = hours(&format!("{} {}-{}", DAYS[days], clock(begin), clock(end)));
        let quiet = Quiet { hours, zone: &zone, later: later * MINUTE };
        let minute = |at: usize| UnixMillis(from + i64::try_from(at).unwrap() * MINUTE);

        // What a clock on the wall shows, read off minute by minute in another way.
        let names = |at: i64| {
            let shown = Timestamp::from_millisecond(at).unwrap().to_zoned(zone.clone());
            let day = u8::try_from(shown.weekday().to_monday_zero_offset()).unwrap();
            let of_day = u16::try_from(i32::from(shown.hour()) * 60 + i32::from(shown.minute())).unwrap();
            let selected = |day: u8| match DAYS[days] {
                "mon-fri" => day < 5,
                "mon-sun" => true,
                "sat-sun" => day >= 5,
                "sun" => day == 6,
                _ => day == 1 || day == 3,
            };
            if begin < end {
                selected(day) && (begin..end).contains(&of_day)
            } else {
                selected(day) && of_day >= begin || selected((day + 6) % 7) && of_day < end
            }
        };
        let mut last = None;
        let free: Vec<bool> = (-later..i64::try_from(MINUTES).unwrap()).map(|at| {
            last = if names(from + at * MINUTE) { Some(at) } else { last };
            last.is_none_or(|last| at - last > later)
        }).skip(usize::try_from(later).unwrap()).collect();
        for (at, free) in free.iter().enumerate().step_by(7) {
            prop_assert_eq!(!quiet.is_business(minute(at)), *free);
        }
        let open = if windows.is_empty() { vec![true; MINUTES] } else { naive(&windows, &zone, from, MINUTES) };
        let needed = usize::try_from((i64::from(seconds) * SECOND + AFTERWARDS + MINUTE - 1) / MINUTE).unwrap();
        let runs = |of: &[bool], from: usize| of[from..].iter().take(needed).take_while(|is| **is).count() >= needed;
        // Where there are no windows, nothing bounds what runs from the deadline on.
        let fits = |at: &usize| (windows.is_empty() || runs(&open, *at)) && (*at >= deadline || runs(&free, *at));
        let first = (now..MINUTES - needed.min(MINUTES)).find(fits);
        match (quiet.chance(&windows, Work::Application, minute(now), minute(deadline), seconds), first) {
            (Chance::Free | Chance::Now { .. }, Some(first)) => prop_assert_eq!(first, now),
            (Chance::Later { opens, .. }, Some(first)) => {
                prop_assert_eq!(opens.since(UnixMillis(from)), i64::try_from(first).unwrap() * MINUTE, "{:?} {}", windows, hours);
            }
            (Chance::Later { opens, .. }, None) => prop_assert!(opens >= minute(MINUTES - needed)),
            (Chance::Never, None) => {}
            (said, first) => prop_assert!(false, "{said:?} but {first:?}: {windows:?} {hours}"),
        }
    }
}

#[test]
fn hours_that_end_later_on_a_device_are_whole_however_short_they_are() {
    let zone = TimeZone::UTC;
    let quiet = Quiet { hours: hours("wed 08:00-09:00"), zone: &zone, later: 2 * HOUR };
    // The 7th of January 2026 is a Wednesday.
    for (at, is_business) in
        [("07:59", false), ("08:00", true), ("09:30", true), ("10:30", true), ("10:59", true), ("11:00", false)]
    {
        assert_eq!(quiet.is_business(utc(&format!("2026-01-07T{at}"))), is_business, "{at}");
    }
    let opening = quiet.opens(utc("2026-01-07T08:10"), UnixMillis(i64::MAX), MINUTE).unwrap();
    assert_eq!(WallTime::of_utc(opening.from).to_string(), "2026-01-07T11:00");
}
