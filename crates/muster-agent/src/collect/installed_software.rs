//! `INSTALLED_SOFTWARE` (`SMS_InstalledSoftware`): installed packages.

use super::row::{Put, millis};
use crate::os::{
    Machine,
    facts::{Gaps, Package},
};
use muster_model::inventory::Row;

const DAY_SECONDS: i64 = 86_400;

pub(super) fn rows(machine: &Machine, gaps: &mut Gaps) -> Option<Vec<Row>> {
    Some(machine.packages(gaps)?.iter().map(row).collect())
}

fn row(package: &Package) -> Row {
    let mut row = Row::new();
    row.text("SoftwareCode", package.code.as_str());
    row.text("ProductName", package.name.as_str());
    row.text("ProductVersion", package.version.as_str());
    row.text("Publisher", package.publisher.as_deref());
    row.text("EvidenceSource", package.evidence);
    // A day, as on Windows; machines that were installed from one image on one day then have equal rows.
    row.signed("InstallDate", package.installed.map(|s| millis(s.div_euclid(DAY_SECONDS) * DAY_SECONDS)));
    let (major, minor) = parse_version(&package.version);
    row.number("VersionMajor", major);
    row.number("VersionMinor", minor);
    row
}

/// The first two numbers of a version; what stands before a colon (the epoch) is none of it.
fn parse_version(version: &str) -> (Option<u64>, Option<u64>) {
    let upstream = match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => version,
    };
    match number(upstream) {
        Some((major, rest)) => (Some(major), rest.strip_prefix('.').and_then(number).map(|(minor, _)| minor)),
        None => (None, None),
    }
}

/// The number at the beginning, and what follows it.
fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok().filter(|n| *n <= u64::from(u32::MAX))?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_begins_with_two_numbers() {
        assert_eq!(parse_version("2:9.0.1378-2"), (Some(9), Some(0)));
        assert_eq!(parse_version("20230311"), (Some(20_230_311), None));
        assert_eq!(parse_version("1.2.5-r0"), (Some(1), Some(2)));
        assert_eq!(parse_version("v1.2"), (None, None));
        assert_eq!(parse_version("20240101123456.7"), (None, None));
        assert_eq!(parse_version(""), (None, None));
    }
}
