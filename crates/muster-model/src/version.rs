//! Package versions compared as each package system compares them.

use std::cmp::Ordering;

/// Whether the installed version is at least the wanted one, by the rules of the database that knows the package:
/// `dpkg`, `rpm` or `apk`. `None`: the database is not one of these. For `rpm` and `apk` a version without release is met by any
/// release of it.
#[must_use]
pub fn at_least(database: &str, installed: &str, wanted: &str) -> Option<bool> {
    let (installed, wanted) = match database {
        "dpkg" => (installed, wanted),
        "rpm" | "apk" => match (installed.rsplit_once('-'), wanted.rsplit_once('-')) {
            (Some((version, _)), None) => (version, wanted),
            (None, Some((version, _))) => (installed, version),
            _ => (installed, wanted),
        },
        _ => return None,
    };
    Some(compare(database, installed, wanted).is_ge())
}

/// How two versions follow each other by the rules of a database; of any other kind, number by number. This is an order: a version
/// without release stands before each release of it, so that lists can be sorted by it.
#[must_use]
pub fn compare(database: &str, a: &str, b: &str) -> Ordering {
    match database {
        "rpm" => rpm(a, b),
        "apk" => apk(a, b),
        _ => debian(a, b),
    }
}

/// Epoch, upstream version and revision; an epoch that is not a number counts as part of the version.
fn parts(version: &str) -> (u64, &str, Option<&str>) {
    let (epoch, rest) = match version.split_once(':').map(|(epoch, rest)| (epoch.parse(), rest)) {
        Some((Ok(epoch), rest)) => (epoch, rest),
        _ => (0, version),
    };
    match rest.rsplit_once('-') {
        Some((upstream, revision)) => (epoch, upstream, Some(revision)),
        None => (epoch, rest, None),
    }
}

/// As `dpkg --compare-versions`.
fn debian(a: &str, b: &str) -> Ordering {
    let ((epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b)) = (parts(a), parts(b));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| debian_part(upstream_a, upstream_b))
        .then_with(|| debian_part(revision_a.unwrap_or("0"), revision_b.unwrap_or("0")))
}

/// Non-digits and digits in turn; `~` before the end, the end before letters, letters before everything else.
fn debian_part(a: &str, b: &str) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None | Some(b'0'..=b'9') => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    };
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|c| !c.is_ascii_digit()) || b.first().is_some_and(|c| !c.is_ascii_digit()) {
            match weight(a.first()).cmp(&weight(b.first())) {
                Ordering::Equal => (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default()),
                order => return order,
            }
        }
        let ((number_a, rest_a), (number_b, rest_b)) = (take(a, u8::is_ascii_digit), take(b, u8::is_ascii_digit));
        match number(number_a, number_b) {
            Ordering::Equal => (a, b) = (rest_a, rest_b),
            order => return order,
        }
    }
    Ordering::Equal
}

fn take(text: &[u8], kind: fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|b| !kind(b)).unwrap_or(text.len()))
}

/// Two runs of digits of any length, as numbers.
fn number(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| digits.iter().position(|d| *d != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Epoch, version and release as rpm compares them. To rpm, one without release is like each release, which is no order.
fn rpm(a: &str, b: &str) -> Ordering {
    let ((epoch_a, version_a, release_a), (epoch_b, version_b, release_b)) = (parts(a), parts(b));
    epoch_a.cmp(&epoch_b).then_with(|| rpm_part(version_a, version_b)).then_with(|| match (release_a, release_b) {
        (Some(a), Some(b)) => rpm_part(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    })
}

/// As `rpmvercmp`: runs of digits and of letters in turn, separators ignored, `~` before and `^` after the end.
fn rpm_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let separator = |c: &u8| !c.is_ascii_alphanumeric() && *c != b'~' && *c != b'^';
        (a, b) = (take(a, separator).1, take(b, separator).1);
        match (a.first(), b.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), _) => return Ordering::Less,
            (_, Some(b'^')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            _ => {}
        }
        let digits = a[0].is_ascii_digit();
        if digits != b[0].is_ascii_digit() {
            return if digits { Ordering::Greater } else { Ordering::Less };
        }
        let kind = if digits { u8::is_ascii_digit } else { u8::is_ascii_alphabetic };
        let ((run_a, rest_a), (run_b, rest_b)) = (take(a, kind), take(b, kind));
        match if digits { number(run_a, run_b) } else { run_a.cmp(run_b) } {
            Ordering::Equal => (a, b) = (rest_a, rest_b),
            order => return order,
        }
    }
}

/// Alpine's versions, by rpm's rules after their own words for "before" are written as rpm writes it.
fn apk(a: &str, b: &str) -> Ordering {
    let written = |version: &str| {
        ["_alpha", "_beta", "_pre", "_rc"]
            .iter()
            .fold(version.to_owned(), |text, word| text.replace(word, &word.replace('_', "~")))
    };
    rpm(&written(a), &written(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From small to large.
    const DEBIAN: &[&str] = &[
        "0~~",
        "0~",
        "0",
        "0.1~rc1",
        "0.1",
        "0.1-1~bpo12+1",
        "0.1-1",
        "0.1-1+deb12u1",
        "0.1-2",
        "0.1-10",
        "0.1+b1",
        "0.9",
        "0.10",
        "1.0a",
        "1.0+dfsg",
        "1.0.1",
        "2:0.1",
    ];

    #[test]
    fn debian_versions_stand_in_their_order() {
        for (at, a) in DEBIAN.iter().enumerate() {
            for (other, b) in DEBIAN.iter().enumerate() {
                assert_eq!(debian(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        for (a, b) in [("1.0", "1.0-0"), ("0:1", "1"), ("1.01", "1.1"), ("1", "1")] {
            assert_eq!(debian(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn dpkg_itself_agrees() {
        let Ok(dpkg) = std::process::Command::new("dpkg").arg("--version").output() else { return };
        assert!(dpkg.status.success());
        for a in DEBIAN {
            for b in DEBIAN {
                let judge =
                    std::process::Command::new("dpkg").args(["--compare-versions", a, "ge", b]).status().unwrap();
                assert_eq!(Some(judge.success()), at_least("dpkg", a, b), "{a} {b}");
            }
        }
    }

    #[test]
    fn rpm_versions_stand_in_their_order() {
        let rpms = ["1.0~rc1-1", "1.0-1", "1.0-1.fc40", "1.0-2", "1.0^git1-1", "1.0.1-1", "1.1-1", "1.10-1", "1:0.1-1"];
        for (at, a) in rpms.iter().enumerate() {
            for (other, b) in rpms.iter().enumerate() {
                assert_eq!(rpm(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        assert_eq!(at_least("rpm", "1.0-7.el9", "1.0"), Some(true), "any release");
        assert_eq!(at_least("rpm", "1.0", "1.0-7.el9"), Some(true), "and the other way round");
        assert_eq!(at_least("rpm", "1.0-7.el9", "1.1"), Some(false));
        assert_eq!(rpm_part("1.0a", "1.0.a"), Ordering::Equal);
        assert_eq!(rpm_part("1.a", "1.1"), Ordering::Less);
    }

    #[test]
    fn versions_without_release_can_be_sorted_among_those_with_one() {
        for database in ["rpm", "apk"] {
            assert_eq!(compare(database, "1.0", "1.0-1"), Ordering::Less, "{database}");
            let mut list: Vec<String> = (1..60).map(|release| format!("1.0-{}", release * 37 % 59)).collect();
            list.extend(["1.0".to_owned(), "1.1".to_owned(), "1.0".to_owned()]);
            let c = &list[52];
            for a in &list {
                for b in &list[50..] {
                    let [ab, bc, ac] = [(a, b), (b, c), (a, c)].map(|(a, b)| compare(database, a, b));
                    assert!(ab.is_gt() || bc.is_gt() || ac.is_le(), "{database}: {a} {b} {c}");
                    assert_eq!(compare(database, b, a), ab.reverse());
                }
            }
            list.sort_by(|a, b| compare(database, a, b));
            assert_eq!((list[0].as_str(), list[1].as_str(), list[2].as_str()), ("1.0", "1.0", "1.0-0"), "{database}");
            assert_eq!((list[60].as_str(), list[61].as_str()), ("1.0-58", "1.1"), "{database}");
        }
    }

    #[test]
    fn alpine_versions_stand_in_their_order() {
        let apks = ["1.2.4-r9", "1.2.5_rc1-r0", "1.2.5-r0", "1.2.5-r1", "1.2.5-r10", "1.2.10-r0"];
        for pair in apks.windows(2) {
            assert_eq!(at_least("apk", pair[1], pair[0]), Some(true), "{pair:?}");
            assert_eq!(at_least("apk", pair[0], pair[1]), Some(false), "{pair:?}");
        }
        assert_eq!(at_least("pacman", "1", "1"), None);
    }
}
