//! Processors: `/proc/cpuinfo` and what `/sys` says about topology, clocks and caches.

use super::{
    files::{Files, TABLE_BYTES, unread},
    proc::{Thread, parse_cpuinfo},
};
use crate::os::facts::{Gaps, Processor};
use std::collections::{BTreeMap, BTreeSet};

/// Cache entries of one core that are looked at.
const CACHES: usize = 8;
/// ARM's part numbers of the cores that servers and small computers have.
const ARM_PARTS: [(u64, &str); 12] = [
    (0xd03, "ARM Cortex-A53"),
    (0xd05, "ARM Cortex-A55"),
    (0xd07, "ARM Cortex-A57"),
    (0xd08, "ARM Cortex-A72"),
    (0xd0b, "ARM Cortex-A76"),
    (0xd0c, "ARM Neoverse-N1"),
    (0xd40, "ARM Neoverse-V1"),
    (0xd41, "ARM Cortex-A78"),
    (0xd49, "ARM Neoverse-N2"),
    (0xd4f, "ARM Neoverse-V2"),
    (0xd83, "ARM Neoverse-V3"),
    (0xd8e, "ARM Neoverse-N3"),
];

/// One entry for each package; `None` when `/proc/cpuinfo` cannot be read.
pub fn processors(files: &Files, gaps: &mut Gaps) -> Option<Vec<Processor>> {
    let threads = match files.bytes("/proc/cpuinfo", TABLE_BYTES) {
        Ok(bytes) => parse_cpuinfo(&bytes),
        Err(error) => {
            gaps.push(unread("The processors are not known", "/proc/cpuinfo", &error));
            return None;
        }
    };
    let flags = threads.first().map(|t| t.flags.clone()).unwrap_or_default();
    let mut packages: BTreeMap<u64, Vec<Thread>> = BTreeMap::new();
    for mut thread in threads {
        let topology = |file| files.number(&format!("/sys/devices/system/cpu/cpu{}/topology/{file}", thread.number));
        // Only x86 has the package in cpuinfo; a virtual machine may say -1, which is no number.
        if thread.core.is_none() {
            (thread.package, thread.core) = (topology("physical_package_id").unwrap_or(0), topology("core_id"));
        }
        packages.entry(thread.package).or_default().push(thread);
    }
    Some(packages.into_values().map(|threads| package(files, &threads, &flags)).collect())
}

fn package(files: &Files, threads: &[Thread], flags: &[String]) -> Processor {
    let first = threads.first().cloned().unwrap_or_default();
    let cores: BTreeSet<u64> = threads.iter().filter_map(|t| t.core).collect();
    let (l2_kib, l3_kib) = caches(files, threads);
    let arm = first.vendor.as_deref() == Some("0x41");
    let arm_name =
        || ARM_PARTS.iter().find(|(part, _)| arm && Some(*part) == first.model).map(|(_, name)| (*name).to_owned());
    let vendor = match first.vendor.as_deref() {
        Some("0x41") => Some("ARM".to_owned()),
        Some("0xc0") => Some("Ampere".to_owned()),
        Some("0x51") => Some("Qualcomm".to_owned()),
        Some("0x61") => Some("Apple".to_owned()),
        other => other.map(str::to_owned),
    };
    Processor {
        name: first.name.clone().or_else(arm_name),
        vendor,
        signature: match (first.family, first.model, first.stepping) {
            (Some(family), Some(model), Some(stepping)) => Some((family, model, stepping)),
            _ => None,
        },
        cores: if cores.is_empty() { threads.len() as u64 } else { cores.len() as u64 },
        threads: threads.len() as u64,
        max_mhz: max_mhz(files, &first, flags),
        l2_kib,
        l3_kib,
        flags: flags.to_vec(),
    }
}

/// The highest clock. `cpu MHz` is what it is at this moment; it only stands for the highest where a hypervisor hides
/// the real clock, and then rounded, so that it does not make every inventory a change.
fn max_mhz(files: &Files, thread: &Thread, flags: &[String]) -> Option<u64> {
    let base = format!("/sys/devices/system/cpu/cpu{}/cpufreq", thread.number);
    match files.number(&format!("{base}/cpuinfo_max_freq")) {
        Some(khz) => Some(khz / 1_000),
        None if flags.iter().any(|f| f == "hypervisor") => thread.mhz.map(|mhz| (mhz + 50) / 100 * 100),
        None => None,
    }
    .filter(|mhz| *mhz > 0)
}

/// Level 2 and level 3 of the package in KiB: each cache counts once, however many threads share it.
fn caches(files: &Files, threads: &[Thread]) -> (Option<u64>, Option<u64>) {
    let mut sizes: BTreeMap<(u64, String), u64> = BTreeMap::new();
    for thread in threads {
        for index in 0..CACHES {
            let base = format!("/sys/devices/system/cpu/cpu{}/cache/index{index}", thread.number);
            let Some(level) = files.number(&format!("{base}/level")) else { break };
            if level >= 2
                && let Some(shared) = files.line(&format!("{base}/shared_cpu_list"))
                && let Some(size) = files.line(&format!("{base}/size")).and_then(|s| s.strip_suffix('K')?.parse().ok())
            {
                sizes.insert((level, shared), size);
            }
        }
    }
    let total = |wanted| {
        let sum: u64 = sizes.iter().filter(|((level, _), _)| *level == wanted).map(|(_, size)| size).sum();
        (sum > 0).then_some(sum)
    };
    (total(2), total(3))
}
