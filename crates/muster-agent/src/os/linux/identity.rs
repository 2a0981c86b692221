//! Names, versions and times of the machine and of its operating system.

use super::{
    assignments::parse_assignments,
    block::mounts,
    files::{Files, LINE_BYTES, TABLE_BYTES, TEXT_BYTES},
    kernel::Kernel,
    net::resolver,
    proc::parse_boot_time,
};
use crate::os::facts::{Gaps, OperatingSystem, System};
use jiff::{Timestamp, tz::TimeZone};
use muster_trust::sha256;
use std::collections::BTreeMap;

/// Bytes of a compiled time zone.
const ZONE_BYTES: u64 = 64 << 10;
/// Sessions that are looked at.
const SESSIONS: usize = 1_000;
/// Muster's application id for the id of an installation. Never changes: another one would make every client look new.
const APPLICATION: [u8; 16] =
    [0x5c, 0x0e, 0x3b, 0x71, 0x94, 0xd2, 0x4a, 0x6f, 0xb1, 0x08, 0x27, 0xce, 0x63, 0x9a, 0xf5, 0x4d];

/// Who the machine is at `now` (Unix milliseconds).
pub(super) fn system(files: &Files, kernel: &Kernel, now: i64) -> System {
    let full = files.line("/proc/sys/kernel/hostname").or_else(|| files.line("/etc/hostname")).unwrap_or_default();
    let (host, domain) = full.split_once('.').unwrap_or((&full, ""));
    let domain = Some(domain.to_owned())
        .filter(|d| !d.is_empty())
        .or_else(|| domain_in_hosts(&files.bytes("/etc/hosts", TEXT_BYTES).unwrap_or_default(), host))
        .or_else(|| resolver(files).search.into_iter().next());
    System {
        host_name: host.to_owned(),
        domain,
        machine: kernel.machine(),
        time_zone: time_zone(files, now),
        console_user: console_user(files),
    }
}

/// The domain of `host` in a hosts file: from the first name `host.domain` there.
#[must_use]
pub fn domain_in_hosts(bytes: &[u8], host: &str) -> Option<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| line.split_whitespace().skip(1))
        .filter_map(|name| name.split_once('.'))
        .find(|(name, domain)| *name == host && !domain.is_empty())
        .map(|(_, domain)| domain.to_owned())
}

/// The time zone, where a file says it.
pub(super) fn zone(files: &Files) -> Option<TimeZone> {
    TimeZone::tzif("local", &files.bytes("/etc/localtime", ZONE_BYTES).ok()?).ok()
}

/// Minutes east of UTC, and whether it is summer. A system without a time zone runs on UTC.
fn time_zone(files: &Files, now: i64) -> Option<(i64, bool)> {
    let Ok(bytes) = files.bytes("/etc/localtime", ZONE_BYTES) else { return Some((0, false)) };
    parse_zone(&bytes, now)
}

/// The offset in minutes and the summer-time flag that a compiled time zone (RFC 9636) has at `now` (Unix milliseconds).
#[must_use]
pub fn parse_zone(bytes: &[u8], now: i64) -> Option<(i64, bool)> {
    let zone = TimeZone::tzif("local", bytes).ok()?;
    let info = zone.to_offset_info(Timestamp::from_millisecond(now).ok()?);
    Some((i64::from(info.offset().seconds() / 60), info.dst().is_dst()))
}

/// The user of the active session at the first seat, as systemd-logind notes it.
fn console_user(files: &Files) -> Option<String> {
    const DIRECTORY: &str = "/run/systemd/sessions";
    files.names(DIRECTORY).ok()?.iter().filter(|n| !n.contains('.')).take(SESSIONS).find_map(|name| {
        let session = parse_assignments(&files.bytes(&format!("{DIRECTORY}/{name}"), TEXT_BYTES).ok()?);
        let is = |key: &str, value: &str| session.get(key).is_some_and(|v| v == value);
        (is("SEAT", "seat0") && is("ACTIVE", "1") && is("CLASS", "user")).then(|| session.get("USER").cloned())?
    })
}

/// The operating system; `None` when nothing says which it is.
pub(super) fn operating_system(files: &Files, gaps: &mut Gaps) -> Option<OperatingSystem> {
    let release = ["/etc/os-release", "/usr/lib/os-release"]
        .into_iter()
        .find_map(|path| files.bytes(path, TEXT_BYTES).ok())
        .map(|bytes| parse_assignments(&bytes))
        .unwrap_or_default();
    let say = |name: &str| release.get(name).filter(|v| !v.is_empty()).cloned();
    let kernel = files.line("/proc/sys/kernel/osrelease");
    let Some(caption) =
        say("PRETTY_NAME").or_else(|| say("NAME")).or_else(|| kernel.as_ref().map(|k| format!("Linux {k}")))
    else {
        gaps.push("The operating system is not known: there is no /etc/os-release.".to_owned());
        return None;
    };
    let (language, charset) = locale(files);
    let mounts = mounts(files).unwrap_or_default();
    let device = |point: &str| {
        mounts.iter().find(|m| m.point == point && m.source.starts_with("/dev/")).map(|m| m.source.clone())
    };
    let system_device = device("/");
    Some(OperatingSystem {
        caption,
        version: version(files, &release),
        id: say("ID"),
        manufacturer: say("VENDOR_NAME").or_else(|| say("NAME")),
        server: match release.get("VARIANT_ID").map(String::as_str) {
            Some("server") => Some(true),
            Some("workstation" | "desktop") => Some(false),
            _ => None,
        },
        kernel,
        installation_id: installation_id(files),
        // The machine id is made when the system is installed, or when an image starts for the first time.
        installed: files.modified("/etc/machine-id").filter(|_| files.size("/etc/machine-id") > Some(0)),
        booted: files.bytes("/proc/stat", TABLE_BYTES).ok().and_then(|b| parse_boot_time(&b)),
        max_processes: files.number("/proc/sys/kernel/pid_max"),
        language,
        charset,
        boot_device: device("/boot").or_else(|| device("/efi")).or_else(|| system_device.clone()),
        system_device,
    })
}

/// Debian's `os-release` has only the major version; the point release stands in a file of its own.
fn version(files: &Files, release: &BTreeMap<String, String>) -> Option<String> {
    let version = release.get("VERSION_ID").or_else(|| release.get("BUILD_ID")).cloned()?;
    let point = files.line("/etc/debian_version").filter(|_| release.get("ID").is_some_and(|id| id == "debian"));
    Some(point.filter(|p| p.starts_with(&format!("{version}."))).unwrap_or(version))
}

/// Language tag and character set of the system: `de_DE.UTF-8` is `de-DE` and `UTF-8`.
fn locale(files: &Files) -> (Option<String>, Option<String>) {
    let lang = ["/etc/locale.conf", "/etc/default/locale"]
        .into_iter()
        .find_map(|path| parse_assignments(&files.bytes(path, TEXT_BYTES).ok()?).remove("LANG"));
    let Some(lang) = lang else { return (None, None) };
    let (language, charset) = lang.split_once('.').unwrap_or((&lang, ""));
    let language = Some(language.replace('_', "-")).filter(|l| !matches!(l.as_str(), "" | "C" | "POSIX"));
    let charset = charset.split('@').next().filter(|c| !c.is_empty()).map(str::to_owned);
    (language, charset)
}

/// The machine id is a secret that other programs derive keys from, so it is not reported. This is what systemd does
/// for `sd_id128_get_machine_app_specific`: HMAC-SHA-256 with the machine id as key.
fn installation_id(files: &Files) -> Option<String> {
    let secret = files.bytes("/etc/machine-id", LINE_BYTES).ok()?;
    derive_installation_id(&secret)
}

/// The id of an installation from the text of its `machine-id`; `None` when that is not 32 hexadecimal digits.
#[must_use]
pub fn derive_installation_id(machine_id: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(machine_id).ok()?.trim();
    let secret = u128::from_str_radix(text, 16).ok().filter(|id| text.len() == 32 && *id != 0)?.to_be_bytes();
    let mut id = *hmac_sha256(&secret, &APPLICATION).first_chunk::<16>()?;
    // A UUID of version 4, as systemd makes it.
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// RFC 2104 over the one digest that the trust layer gives, for a key of 16 bytes.
fn hmac_sha256(key: &[u8; 16], message: &[u8]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let inner = sha256(&[pad(0x36).as_slice(), message].concat());
    sha256(&[pad(0x5c).as_slice(), inner.0.as_slice()].concat()).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_id_does_not_leave_the_machine() {
        let secret = "0123456789abcdef0123456789abcdef";
        let id = derive_installation_id(format!("{secret}\n").as_bytes()).unwrap();
        assert_eq!(id.len(), 32);
        assert_ne!(id, secret);
        assert_eq!(Some(id), derive_installation_id(secret.as_bytes()));
        for other in ["", "uninitialized", "0123", &"0".repeat(32)] {
            assert_eq!(derive_installation_id(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn the_keyed_digest_is_that_of_the_standard() {
        // RFC 4231 has no key of 16 bytes; this one was computed with OpenSSL 3.0.
        let digest = hmac_sha256(&[0x0b; 16], b"Hi There");
        assert_eq!(hex(&digest[..8]), "492ce020fe2534a5");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_zone_has_summer_and_winter() {
        // A version 2 file without transitions: an empty old part, then one local time type, then the rule.
        let head = |types: u8, characters: u8| {
            [b"TZif2".as_slice(), &[0; 15 + 16], &[0, 0, 0, types, 0, 0, 0, characters]].concat()
        };
        let kind = [0, 0, 0x0e, 0x10, 0, 0, b'C', b'E', b'T', 0];
        let rule = b"\nCET-1CEST,M3.5.0,M10.5.0/3\n";
        let zone = [head(1, 4).as_slice(), &kind, &head(1, 4), &kind, rule].concat();
        assert_eq!(parse_zone(&zone, 1_705_320_000_000), Some((60, false)));
        assert_eq!(parse_zone(&zone, 1_721_044_800_000), Some((120, true)));
        assert_eq!(parse_zone(&zone[..60], 0), None);
    }

    #[test]
    fn a_hosts_file_knows_the_domain() {
        let hosts = b"127.0.0.1 localhost\n127.0.1.1 pc7.example.test pc7 # pc7.wrong\n";
        assert_eq!(domain_in_hosts(hosts, "pc7").as_deref(), Some("example.test"));
        assert_eq!(domain_in_hosts(hosts, "pc8"), None);
    }
}
