//! The recorded machines, each with its whole inventory as a snapshot, and the facts that matter said once more in words.

use super::{assert_sound, row, rpm::add_server_packages, text};
use crate::tree::Tree;
use muster_agent::collect::{Collected, Collector};
use muster_model::{catalogue::COLLECTED, time::UnixMillis};

/// 2024-05-01 12:00 UTC.
const NOW: UnixMillis = UnixMillis(1_714_564_800_000);

fn collect(name: &str, tree: &Tree) -> Collected {
    let found = Collector::at(tree.root()).collect(NOW);
    assert_sound(&found);
    assert_eq!(found, Collector::at(tree.root()).collect(UnixMillis(NOW.0 + 60_000)), "nothing changed in a minute");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../machines");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // The folder is another one on every run.
    let text = serde_json::to_string_pretty(&(&found.classes, &found.unread)).unwrap();
    settings.bind(|| insta::assert_snapshot!(name, text.replace(tree.root().to_str().unwrap(), "ROOT")));
    found
}

#[test]
fn a_desktop_with_debian() {
    let tree = Tree::unpack("debian-12");
    tree.write("sys/firmware/dmi/tables/DMI", desktop_table());
    tree.write("var/log/wtmp", desktop_logons());
    let found = collect("debian-12", &tree);
    let all: Vec<&str> = found.classes.keys().map(String::as_str).collect();
    let mut wanted = [COLLECTED, &["MUSTER_WRITE_FILTER", "WRITE_FILTER_STATE"]].concat();
    wanted.sort_unstable();
    assert_eq!((all, found.unread.len()), (wanted, 0));

    let software = &found.classes["INSTALLED_SOFTWARE"];
    assert_eq!(software.len(), 5, "a removed package is none, two architectures are two");
    let vim = row(&found, "INSTALLED_SOFTWARE", "dpkg:vim:amd64");
    assert_eq!((text(vim, "ProductVersion"), text(vim, "VersionMajor")), ("2:9.0.1378-2".into(), "9".into()));
    assert_eq!(text(vim, "InstallDate"), "1707350400000", "a day");

    let cron = row(&found, "SERVICE", "cron");
    assert_eq!(text(cron, "PathName"), "/usr/local/sbin/cron", "the drop-in counts, and its password stays here");
    assert_eq!((text(cron, "State"), text(cron, "StartName")), ("Running".into(), "cronuser".into()));
    let state = |name| (text(row(&found, "SERVICE", name), "StartMode"), text(row(&found, "SERVICE", name), "State"));
    assert_eq!(state("ssh"), ("Auto".into(), "Stopped".into()));
    assert_eq!(state("cups"), ("Disabled".into(), "Stopped".into()));
    assert_eq!(state("getty@tty1"), ("Auto".into(), "Running".into()));
    assert_eq!(state("systemd-poweroff"), ("Manual".into(), "Stopped".into()));
    assert_eq!(state("legacyd"), ("Auto".into(), "Running".into()));
    assert_eq!(found.classes["SERVICE"].len(), 7, "no alias, no template, nothing that the distribution masks");

    let system = row(&found, "COMPUTER_SYSTEM", "pc17");
    assert_eq!((text(system, "UserName"), text(system, "Domain")), ("ada".into(), "office.example".into()));
    assert_eq!(text(row(&found, "PROCESSOR", "CPU0"), "MaxClockSpeed"), "4100");
    assert_eq!(text(row(&found, "LOGICAL_DISK", "/"), "FreeSpace"), "121856", "whole GB of 122718 MB");
    assert_eq!(text(row(&found, "SYSTEM_CONSOLE_USER", "ada"), "TotalUserConsoleMinutes"), "480");
    let address = text(row(&found, "NETWORK_ADAPTER_CONFIGURATION", "2"), "IPAddress");
    assert_eq!(address, "192.0.2.17 2001:db8:0:2::17 fe80::862a:fdff:fe01:203", "no temporary address");
}

#[test]
fn a_virtual_machine_with_ubuntu_and_an_ordinary_user() {
    let tree = Tree::unpack("ubuntu-24.04");
    std::fs::create_dir_all(tree.at("sys/firmware/dmi/tables/DMI")).unwrap();
    let found = collect("ubuntu-24.04", &tree);
    assert!(found.unread.iter().any(|u| u.reason.starts_with("Serial numbers and UUID are not known")), "{found:?}");
    assert_eq!(text(row(&found, "COMPUTER_SYSTEM_PRODUCT", ""), "Name"), "Standard PC (Q35 + ICH9, 2009)");
    let volumes = &found.classes["LOGICAL_DISK"];
    assert_eq!(volumes.len(), 2, "packages of snapd are no volumes");
    let share = row(&found, "LOGICAL_DISK", "/mnt/share of all");
    assert_eq!((text(share, "DriveType"), text(share, "Size")), ("4".into(), String::new()));
    let adapter = row(&found, "NETWORK_ADAPTER_CONFIGURATION", "2");
    assert_eq!(text(adapter, "DNSServerSearchOrder"), "198.51.100.1", "not the stub");
    assert_eq!(
        (text(adapter, "DHCPServer"), text(adapter, "IPSubnet")),
        ("198.51.100.1".into(), "255.255.255.255".into())
    );
    assert_eq!(text(row(&found, "PROCESSOR", "CPU0"), "IsHyperthreadEnabled"), "true");
    assert_eq!(text(&found.classes["OPERATING_SYSTEM"][0], "Version"), "24.04", "not Debian's version");
}

#[test]
fn a_server_with_rocky() {
    let tree = Tree::unpack("rocky-9");
    add_server_packages(&tree);
    let found = collect("rocky-9", &tree);
    assert_eq!(found.classes["INSTALLED_SOFTWARE"].len(), 4, "two kernels, and a key is no software");
    let dbus = row(&found, "INSTALLED_SOFTWARE", "rpm:dbus-common-1:1.12.20-8.el9.noarch");
    assert_eq!((text(dbus, "VersionMajor"), text(dbus, "VersionMinor")), ("1".into(), "12".into()));
    assert_eq!(text(row(&found, "COMPUTER_SYSTEM", "db1"), "NumberOfProcessors"), "2");
    assert_eq!(text(row(&found, "DISK", "/dev/sda"), "BytesPerSector"), "4096");
    assert_eq!(found.classes["DISK"].len(), 2, "no mapped and no mirrored device");
    let service = row(&found, "SERVICE", "postgresql@16");
    assert_eq!(text(service, "PathName"), "/usr/pgsql-16/bin/postmaster");
    assert_eq!(text(service, "Description"), "PostgreSQL database server (16)");
    assert_eq!(text(&found.classes["OPERATING_SYSTEM"][0], "ProductType"), "3");
}

#[test]
fn a_small_computer_with_alpine() {
    let found = collect("alpine-3.20", &Tree::unpack("alpine-3.20"));
    let musl = row(&found, "INSTALLED_SOFTWARE", "apk:musl");
    assert_eq!(text(musl, "Publisher"), "Timo Teräs");
    let state = |name| (text(row(&found, "SERVICE", name), "StartMode"), text(row(&found, "SERVICE", name), "State"));
    assert_eq!(state("crond"), ("Auto".into(), "Running".into()));
    assert_eq!(state("sshd"), ("Manual".into(), "Stopped".into()));
    assert_eq!(text(row(&found, "COMPUTER_SYSTEM", "sensor"), "Model"), "Raspberry Pi 4 Model B Rev 1.4");
    assert_eq!(text(row(&found, "PROCESSOR", "CPU0"), "Name"), "ARM Cortex-A72");
    assert_eq!(text(row(&found, "NETWORK_ADAPTER_CONFIGURATION", "2"), "DHCPEnabled"), "true");
    assert!(found.unread.iter().any(|u| u.class == "SYSTEM_CONSOLE_USER"));
}

#[test]
fn a_machine_without_any_file_says_so_for_every_class() {
    let found = Collector::at(Tree::empty().root()).collect(NOW);
    assert_sound(&found);
    let gone = Collector::at("/nonexistent/root").collect(NOW);
    assert_sound(&gone);
    assert_eq!((gone.classes.len(), gone.unread.len()), (0, COLLECTED.len()));
}

fn structure(kind: u8, data: &[u8], texts: &[&str]) -> Vec<u8> {
    let mut bytes = vec![kind, u8::try_from(data.len() + 4).unwrap(), kind, 0];
    bytes.extend(data);
    texts.iter().for_each(|text| bytes.extend([text.as_bytes(), b"\0"].concat()));
    bytes.extend(if texts.is_empty() { &[0, 0][..] } else { &[0][..] });
    bytes
}

fn desktop_table() -> Vec<u8> {
    let mut bios = vec![1, 2, 0, 0xf0, 3, 0xff];
    bios.extend(0x0000_0000_7f8d_9ad0_u64.to_le_bytes());
    let mut product = vec![1, 2, 0, 3];
    product.extend([0x44, 0x45, 0x4c, 0x4c, 0x38, 0, 0x10, 0x4a, 0x80, 0x34, 0xb6, 0xc0, 0x4f, 0x37, 0x4b, 0x32]);
    product.extend([6, 4, 5]);
    let enclosure = [1, 3, 0, 2, 3, 3, 3, 3, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0];
    let mut socket = vec![1, 3, 0xcd, 2];
    socket.extend(0xbfeb_fbff_0009_06ea_u64.to_le_bytes());
    socket.extend([3, 0x8c, 100, 0, 0x68, 0x10, 0xb8, 0x0b, 0x41, 1]);
    [
        structure(0, &bios, &["Dell Inc.", "1.21.0", "07/06/2022"]),
        structure(1, &product, &["Dell Inc.", "OptiPlex 7060", "8J4K7K2", "085A", "OptiPlex"]),
        structure(3, &enclosure, &["Dell Inc.", "8J4K7K2", " "]),
        structure(4, &socket, &["U3E1", "Intel(R) Corporation", "Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz"]),
        // An empty socket is no processor.
        structure(4, &[1, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1], &["U3E2", "None"]),
        structure(11, &[2], &["Dell System", "1[085A]"]),
        structure(127, &[], &[]),
    ]
    .concat()
}

/// A day at the screen, a visit from the network, and a session that lasts.
fn desktop_logons() -> Vec<u8> {
    let record = |kind: u8, line: &str, user: &str, host: &str, seconds: u32| {
        let mut bytes = vec![0_u8; 384];
        bytes[0] = kind;
        bytes[8..8 + line.len()].copy_from_slice(line.as_bytes());
        bytes[44..44 + user.len()].copy_from_slice(user.as_bytes());
        bytes[76..76 + host.len()].copy_from_slice(host.as_bytes());
        bytes[340..344].copy_from_slice(&seconds.to_le_bytes());
        bytes
    };
    let start = 1_714_000_000;
    [
        record(2, "~", "reboot", "6.1.0-18-amd64", start),
        record(7, "tty7", "ada", ":0", start + 60),
        record(7, "pts/1", "eve", "192.0.2.99", start + 90),
        record(8, "tty7", "", "", start + 60 + 480 * 60),
        record(7, "tty7", "ada", ":0", start + 86_400),
    ]
    .concat()
}
