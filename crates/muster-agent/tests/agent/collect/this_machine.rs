//! The machine that runs the tests, compared with what its own tools say.

use super::{assert_sound, skip, text};
use muster_agent::collect::{Collected, Collector};
use muster_model::{inventory::Row, time::UnixMillis};
use std::{collections::BTreeSet, process::Command};

fn collect() -> Collected {
    let found = Collector::this_machine().collect(UnixMillis(1_714_564_800_000));
    assert_sound(&found);
    found
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|o| o.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// The packages that dpkg calls installed, or half installed.
fn packages_of_dpkg() -> Option<BTreeSet<String>> {
    const THERE: [&str; 5] = ["installed", "triggers-pending", "triggers-awaited", "half-configured", "unpacked"];
    let list = output("dpkg-query", &["-W", "-f", "${db:Status-Status} dpkg:${Package}:${Architecture} ${Version}\n"])?;
    let there = |line: &str| line.split_once(' ').filter(|(state, _)| THERE.contains(state)).map(|(_, p)| p.to_owned());
    Some(list.lines().filter_map(there).collect())
}

#[test]
fn its_packages_are_those_of_dpkg() {
    // Somebody may be installing something at this moment: dpkg has to say the same before and after.
    for _ in 0..5 {
        let Some(wanted) = packages_of_dpkg() else {
            return skip("its_packages_are_those_of_dpkg", "this machine has no dpkg");
        };
        let found = collect();
        if packages_of_dpkg().as_ref() != Some(&wanted) {
            continue;
        }
        let of = |row: &Row| format!("{} {}", text(row, "SoftwareCode"), text(row, "ProductVersion"));
        let rows = found.classes["INSTALLED_SOFTWARE"].iter().filter(|row| text(row, "EvidenceSource") == "dpkg");
        let have: BTreeSet<String> = rows.clone().map(of).collect();
        let differing: Vec<&String> = wanted.symmetric_difference(&have).collect();
        assert!(differing.is_empty() && !have.is_empty(), "{differing:?}");
        let undated: Vec<String> = rows.filter(|row| !row.contains_key("InstallDate")).map(of).collect();
        assert!(undated.is_empty(), "{undated:?}");
        return;
    }
    skip("its_packages_are_those_of_dpkg", "packages were being installed all the time");
}

#[test]
fn its_name_memory_and_processors_are_those_of_the_kernel() {
    let found = collect();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = memory.lines().find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")).unwrap();
    assert_eq!(text(&found.classes["X86_PC_MEMORY"][0], "TotalPhysicalMemory"), total.trim());
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(text(&found.classes["COMPUTER_SYSTEM"][0], "Name"), name.trim().split('.').next().unwrap());
    let threads: i64 = found.classes["PROCESSOR"]
        .iter()
        .map(|row| text(row, "NumberOfLogicalProcessors").parse::<i64>().unwrap())
        .sum();
    let count =
        std::fs::read_to_string("/proc/cpuinfo").unwrap().lines().filter(|l| l.starts_with("processor\t")).count();
    assert_eq!(usize::try_from(threads).unwrap(), count);
}

#[test]
fn its_addresses_are_those_of_iproute() {
    let Some(list) = output("ip", &["-o", "-4", "address", "show", "scope", "global"]) else {
        return skip("its_addresses_are_those_of_iproute", "this machine has no ip (Debian package iproute2)");
    };
    let found = collect();
    let rows = &found.classes["NETWORK_ADAPTER_CONFIGURATION"];
    for line in list.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, address) = (words[1], words[3].split('/').next().unwrap());
        if let Some(row) = rows.iter().find(|row| text(row, "SettingID") == name) {
            assert!(text(row, "IPAddress").split(' ').any(|a| a == address), "{name} {address}: {row:?}");
        }
    }
}

#[test]
fn its_installation_id_is_what_systemd_would_derive() {
    let application = "5c0e3b7194d24a6fb10827ce639af54d";
    let Some(id) = output("systemd-id128", &["machine-id", "--app-specific", application]) else {
        return skip("its_installation_id_is_what_systemd_would_derive", "needs systemd-id128 and /etc/machine-id");
    };
    assert_eq!(text(&collect().classes["OPERATING_SYSTEM"][0], "SerialNumber"), id.trim());
}

#[test]
fn a_second_inventory_is_the_same() {
    let (mut first, mut second) = (collect(), collect());
    // What other programs start, mount and write meanwhile is theirs; the recorded machines prove those classes.
    for class in [
        "COMPUTER_SYSTEM",
        "OPERATING_SYSTEM",
        "PROCESSOR",
        "X86_PC_MEMORY",
        "DISK",
        "PARTITION",
        "SYSTEM_CONSOLE_USER",
    ] {
        for found in [&mut first, &mut second] {
            // The kernel's start time wavers by a second, which may be a step of a minute.
            found.classes.get_mut(class).into_iter().flatten().for_each(|row| drop(row.remove("LastBootUpTime")));
        }
        assert_eq!(first.classes.get(class), second.classes.get(class), "{class}");
    }
}
