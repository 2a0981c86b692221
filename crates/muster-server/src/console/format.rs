//! How numbers, times, sizes and fingerprints are written on a page.

use super::escape::Shown;
use askama::filters::{Escaper, Safe};
use jiff::Timestamp;
use muster_model::{
    id::Hash,
    time::{DAY, HOUR, MINUTE, SECOND, UnixMillis},
};
use std::borrow::Borrow;

/// A number with its thousands apart: `100,000`.
pub(crate) fn count(number: impl Borrow<u64>) -> String {
    let digits = number.borrow().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with its noun, in the singular for one: `1 device`, `2,000 devices`.
pub(crate) fn counted(number: impl Borrow<u64>, noun: &str) -> String {
    let number = *number.borrow();
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A size in decimal units: `14.2 MB`.
pub(crate) fn bytes(size: impl Borrow<u64>) -> String {
    let size = *size.borrow();
    let units = ["kB", "MB", "GB", "TB"];
    if size < 1_000 {
        return counted(size, "byte");
    }
    let (mut scaled, mut unit) = (size, 0);
    while scaled >= 1_000_000 && unit + 1 < units.len() {
        scaled /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", scaled / 1_000, scaled % 1_000 / 100, units[unit])
}

/// A length of time in its largest whole unit: `90 minutes`, `7 days`.
pub(crate) fn duration(millis: impl Borrow<i64>) -> String {
    let millis = *millis.borrow();
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")];
    let (unit, noun) = units.into_iter().find(|(unit, _)| millis % unit == 0 && millis >= *unit).unwrap_or((1, "ms"));
    match noun {
        "ms" => format!("{millis} ms"),
        noun => counted((millis / unit).unsigned_abs(), noun),
    }
}

/// How far `moment` is from `now`, in one unit: `3 min ago`, `in 29 days`.
pub(crate) fn relative(moment: impl Borrow<UnixMillis>, now: impl Borrow<UnixMillis>) -> String {
    let distance = moment.borrow().since(*now.borrow());
    let length = distance.saturating_abs();
    let text = match length {
        ..10_000 => return "now".to_owned(),
        l if l < MINUTE => format!("{} s", l / SECOND),
        l if l < HOUR => format!("{} min", l / MINUTE),
        l if l < DAY => format!("{} h", l / HOUR),
        l if l < 60 * DAY => counted((l / DAY).unsigned_abs(), "day"),
        l if l < 730 * DAY => counted((l / (30 * DAY)).unsigned_abs(), "month"),
        l => counted((l / (365 * DAY)).unsigned_abs(), "year"),
    };
    if distance < 0 { format!("{text} ago") } else { format!("in {text}") }
}

fn timestamp(moment: UnixMillis) -> Option<Timestamp> {
    Timestamp::from_millisecond(moment.0).ok()
}

/// `2026-11-24T06:48:17Z`; empty where the moment lies outside of the calendar.
pub(crate) fn iso(moment: UnixMillis) -> String {
    timestamp(moment).map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

/// `2026-11-24 06:48:17`, in UTC.
pub(crate) fn clock(moment: impl Borrow<UnixMillis>) -> String {
    timestamp(*moment.borrow())
        .map_or_else(|| "outside of the calendar".to_owned(), |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// `06:00`, in UTC.
pub(crate) fn hour(moment: impl Borrow<UnixMillis>) -> String {
    timestamp(*moment.borrow()).map(|t| t.strftime("%H:%M").to_string()).unwrap_or_default()
}

/// A moment in a list: how long ago, with the exact time to hover on.
pub(crate) fn when(moment: UnixMillis, now: UnixMillis) -> Safe<String> {
    let (iso, clock, relative) = (iso(moment), clock(moment), relative(moment, now));
    Safe(format!(r#"<time datetime="{iso}" title="{clock} UTC">{relative}</time>"#))
}

/// A moment where both readings count: the exact time, and how long ago.
pub(crate) fn stamp(moment: UnixMillis, now: UnixMillis) -> Safe<String> {
    let (iso, clock, relative) = (iso(moment), clock(moment), relative(moment, now));
    Safe(format!(
        r#"<time datetime="{iso}"><span class="clock">{clock}</span> <span class="ago">{relative}</span></time>"#
    ))
}

/// A sentence of a rule, with what stands between backticks as code. The text itself is escaped here.
pub(crate) fn prose(sentence: &str) -> Safe<String> {
    let mut out = String::with_capacity(sentence.len() + 32);
    let pieces: Vec<&str> = sentence.split('`').collect();
    for (at, piece) in pieces.iter().enumerate() {
        // Only a pair of backticks means code; a single one is a backtick.
        let code = at % 2 == 1 && at + 1 < pieces.len();
        out.push_str(if code {
            "<code>"
        } else if at % 2 == 1 {
            "`"
        } else {
            ""
        });
        // Writing to a string does not fail.
        let _ = Shown.write_escaped_str(&mut out, piece);
        out.push_str(if code { "</code>" } else { "" });
    }
    Safe(out)
}

/// The first twelve digits of a hash: enough to tell rows of a list apart, never enough to decide on.
pub(crate) fn short(hash: &Hash) -> String {
    hash.to_string().chars().take(12).collect()
}

/// A fingerprint in groups of four, to be compared by eye.
pub(crate) fn fingerprint(hash: &Hash) -> String {
    let digits = hash.to_string();
    let groups: Vec<&str> = (0..digits.len()).step_by(4).map(|at| &digits[at..at + 4]).collect();
    groups.join(" ")
}

/// An inventory class as words: `PC_BIOS` becomes `PC BIOS`, `LOGICAL_DISK` becomes `Logical disk`.
pub(crate) fn class_words(class: &str) -> String {
    let word = |(at, word): (usize, &str)| match word {
        "PC" | "BIOS" | "X86" | "USB" | "SCSI" | "IDE" | "TPM" | "CDROM" => word.to_owned(),
        _ if at == 0 => word.chars().take(1).chain(word.to_lowercase().chars().skip(1)).collect(),
        _ => word.to_lowercase(),
    };
    class.split('_').enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// A stable code as words: `not_signed` becomes `not signed`.
pub(crate) fn words(code: &str) -> String {
    code.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_counted() {
        assert_eq!([count(0), count(999), count(1_000), count(100_000)], ["0", "999", "1,000", "100,000"]);
        assert_eq!([counted(1, "device"), counted(0, "device")], ["1 device", "0 devices"]);
        assert_eq!([bytes(999), bytes(1_000), bytes(14_250_000)], ["999 bytes", "1.0 kB", "14.2 MB"]);
        assert_eq!(bytes(u64::MAX), "18446744.0 TB");
        assert_eq!([duration(HOUR), duration(90 * MINUTE), duration(7 * DAY)], ["1 hour", "90 minutes", "7 days"]);
        assert_eq!(duration(1_500), "1500 ms");
    }

    #[test]
    fn times_are_exact_and_relative() {
        let now = UnixMillis(1_795_502_897_000);
        assert_eq!(iso(now), "2026-11-24T06:48:17Z");
        assert_eq!(relative(now.plus(-3 * MINUTE), now), "3 min ago");
        assert_eq!(relative(now.plus(29 * DAY + 5), now), "in 29 days");
        assert_eq!(relative(now.plus(-5 * SECOND), now), "now");
        assert_eq!(relative(UnixMillis(0), now), "56 years ago");
        assert_eq!(clock(UnixMillis(i64::MAX)), "outside of the calendar");
        assert!(when(now, now).0.starts_with(r#"<time datetime="2026-11-24T06:48:17Z""#));
    }

    #[test]
    fn code_in_prose_is_code_and_nothing_else_is_markup() {
        assert_eq!(prose("run `a <b>` now & `c`").0, "run <code>a &lt;b&gt;</code> now &amp; <code>c</code>");
        assert_eq!(prose("it`s").0, "it`s");
        assert_eq!(prose("`a` b`c").0, "<code>a</code> b`c");
    }

    #[test]
    fn fingerprints_are_grouped() {
        let hash = Hash([0xab; 32]);
        assert_eq!(fingerprint(&hash).split(' ').count(), 16);
        assert_eq!(short(&hash), "abababababab");
    }
}
