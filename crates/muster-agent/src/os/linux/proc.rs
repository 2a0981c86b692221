//! Text tables of `/proc`: memory, processors, start time, mounts, IPv4 routes, IPv6 addresses.

use crate::os::facts::Memory;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Lines of a table that are looked at.
const LINES: usize = 200_000;
/// Mounts that are looked at.
const MOUNTS: usize = 10_000;

fn lines(bytes: &[u8]) -> impl Iterator<Item = &str> {
    bytes.split(|b| *b == b'\n').take(LINES).filter_map(|line| std::str::from_utf8(line).ok())
}

/// Reads `/proc/meminfo`.
#[must_use]
pub fn parse_meminfo(bytes: &[u8]) -> Option<Memory> {
    let (mut total, mut swap) = (None, 0);
    for line in lines(bytes) {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let value = || rest.split_whitespace().next().and_then(|n| n.parse().ok());
        match name {
            "MemTotal" => total = value(),
            "SwapTotal" => swap = value().unwrap_or(0),
            _ => {}
        }
    }
    Some(Memory { total: total?, swap })
}

/// The start time in `/proc/stat`, Unix seconds.
#[must_use]
pub fn parse_boot_time(bytes: &[u8]) -> Option<i64> {
    lines(bytes).find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// One thread of `/proc/cpuinfo`. Only the fields that some collector asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thread {
    /// The kernel's number.
    pub number: u64,
    /// Package.
    pub package: u64,
    /// Core within the package.
    pub core: Option<u64>,
    /// Marketing name.
    pub name: Option<String>,
    /// Vendor; on ARM the implementer's number.
    pub vendor: Option<String>,
    /// Family; on ARM the architecture.
    pub family: Option<u64>,
    /// Model; on ARM the part.
    pub model: Option<u64>,
    /// Stepping; on ARM the revision.
    pub stepping: Option<u64>,
    /// MHz now.
    pub mhz: Option<u64>,
    /// Feature flags; kept for the first thread only, the others have the same.
    pub flags: Vec<String>,
}

/// Reads `/proc/cpuinfo` of x86 and ARM.
#[must_use]
pub fn parse_cpuinfo(bytes: &[u8]) -> Vec<Thread> {
    let mut threads: Vec<Thread> = Vec::new();
    for line in lines(bytes) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (name, value) = (name.trim(), value.trim());
        if name == "processor" {
            // Old ARM kernels write "Processor : ARMv7 ..." first, which is another name.
            threads.push(Thread { number: value.parse().unwrap_or(0), ..Thread::default() });
            continue;
        }
        let first = threads.len() == 1;
        let Some(thread) = threads.last_mut() else { continue };
        let text = || (!value.is_empty()).then(|| value.to_owned());
        match name {
            "physical id" => thread.package = value.parse().unwrap_or(0),
            "core id" => thread.core = value.parse().ok(),
            "model name" => thread.name = text(),
            "vendor_id" | "CPU implementer" => thread.vendor = text(),
            "cpu family" | "CPU architecture" => thread.family = number(value),
            "model" | "CPU part" => thread.model = number(value),
            "stepping" | "CPU revision" => thread.stepping = number(value),
            "cpu MHz" => thread.mhz = value.split('.').next().and_then(|n| n.parse().ok()),
            "flags" | "Features" if first => {
                thread.flags = value.split_whitespace().take(1_000).map(str::to_owned).collect();
            }
            _ => {}
        }
    }
    threads
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// `major:minor` of the file system.
    pub device: String,
    /// The part of the file system that is mounted.
    pub root: String,
    /// Where.
    pub point: String,
    /// Whether read-only.
    pub read_only: bool,
    /// Type of file system.
    pub kind: String,
    /// Source.
    pub source: String,
}

/// Reads `/proc/self/mountinfo`.
#[must_use]
pub fn parse_mountinfo(bytes: &[u8]) -> Vec<Mount> {
    lines(bytes).filter_map(mount).take(MOUNTS).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (device, root, point, options) = (left.next()?, left.next()?, left.next()?, left.next()?);
    let mut right = right.split(' ');
    Some(Mount {
        device: device.to_owned(),
        root: unescape(root),
        point: unescape(point),
        read_only: options.split(',').any(|o| o == "ro"),
        kind: right.next()?.to_owned(),
        source: unescape(right.next()?),
    })
}

/// The kernel writes blanks and backslashes in paths as `\040`.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let octal = bytes
            .get(at + 1..at + 4)
            .filter(|_| bytes[at] == b'\\')
            .and_then(|digits| u8::try_from(u32::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?).ok());
        out.push(octal.unwrap_or(bytes[at]));
        at += if octal.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads the default routes of `/proc/net/route`: interface, gateway, metric.
#[must_use]
pub fn parse_route(bytes: &[u8]) -> Vec<(String, Ipv4Addr, u64)> {
    lines(bytes)
        .skip(1)
        .filter_map(|line| {
            let f: Vec<&str> = line.split_whitespace().take(8).collect();
            let &[name, "00000000", gateway, _, _, _, metric, "00000000"] = f.as_slice() else { return None };
            // The kernel prints the four bytes as one number in the machine's byte order.
            let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes());
            (!gateway.is_unspecified()).then(|| (name.to_owned(), gateway, metric.parse().unwrap_or(0)))
        })
        .collect()
}

/// Reads the default routes of `/proc/net/ipv6_route`: interface, gateway, metric.
#[must_use]
pub fn parse_ipv6_route(bytes: &[u8]) -> Vec<(String, Ipv6Addr, u64)> {
    lines(bytes)
        .filter_map(|line| {
            let f: Vec<&str> = line.split_whitespace().take(10).collect();
            let &[destination, "00", _, _, gateway, metric, _, _, _, name] = f.as_slice() else { return None };
            let gateway = ipv6(gateway)?;
            (destination.bytes().all(|b| b == b'0') && !gateway.is_unspecified())
                .then(|| (name.to_owned(), gateway, u64::from_str_radix(metric, 16).unwrap_or(0)))
        })
        .collect()
}

/// Reads `/proc/net/if_inet6`: interface, address, prefix length. Temporary (privacy) addresses change every day and
/// are left out, as are tentative and failed ones.
#[must_use]
pub fn parse_if_inet6(bytes: &[u8]) -> Vec<(String, Ipv6Addr, u8)> {
    /// `IFA_F_TEMPORARY`, `IFA_F_DADFAILED`, `IFA_F_TENTATIVE`.
    const PASSING: u32 = 0x01 | 0x08 | 0x40;
    lines(bytes)
        .filter_map(|line| {
            let f: Vec<&str> = line.split_whitespace().take(6).collect();
            let &[address, _, prefix, _, flags, name] = f.as_slice() else { return None };
            let flags = u32::from_str_radix(flags, 16).ok()?;
            let prefix = u8::from_str_radix(prefix, 16).ok().filter(|p| *p <= 128)?;
            (flags & PASSING == 0).then_some((name.to_owned(), ipv6(address)?, prefix))
        })
        .collect()
}

fn ipv6(hex: &str) -> Option<Ipv6Addr> {
    (hex.len() == 32).then(|| u128::from_str_radix(hex, 16).ok().map(Ipv6Addr::from)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_needs_its_total() {
        let text = b"MemTotal:       16384000 kB\nMemFree: 1 kB\nSwapTotal:       2097148 kB\n";
        assert_eq!(parse_meminfo(text), Some(Memory { total: 16_384_000, swap: 2_097_148 }));
        assert_eq!(parse_meminfo(b"MemFree: 1 kB\n"), None);
    }

    #[test]
    fn a_mount_point_with_blanks_is_unescaped() {
        let line =
            b"36 35 98:0 / /mnt/my\\040disk\\134x rw,noatime shared:1 - ext4 /dev/sdb1 rw,errors=continue\nrubbish\n";
        let mounts = parse_mountinfo(line);
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].point, "/mnt/my disk\\x");
        assert_eq!((mounts[0].kind.as_str(), mounts[0].source.as_str()), ("ext4", "/dev/sdb1"));
    }

    #[test]
    fn only_lasting_addresses_count() {
        let table = b"fe80000000000000fc00fffe00000001 04 40 20 80     eth0\n\
                      20010db8000000000000000000000005 04 40 00 01     eth0\n\
                      20010db8000000000000000000000006 04 40 00 40     eth0\n";
        let found = parse_if_inet6(table);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1.to_string(), "fe80::fc00:fffe:0:1");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_default_route_names_its_gateway() {
        let table = b"Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                      eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                      eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(parse_route(table), [("eth0".to_owned(), Ipv4Addr::new(192, 0, 2, 1), 100)]);
    }

    #[test]
    fn an_arm_processor_has_numbers_for_names() {
        let text = b"processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n\
                     CPU architecture: 8\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\nprocessor\t: 1\n";
        let threads = parse_cpuinfo(text);
        assert_eq!(threads.len(), 2);
        assert_eq!((threads[0].vendor.as_deref(), threads[0].model), (Some("0x41"), Some(0xd0c)));
        assert_eq!(threads[0].flags, ["fp", "asimd"]);
    }
}
