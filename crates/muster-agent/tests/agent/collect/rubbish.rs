//! Every parser takes any bytes: none of them panics, and what they find still obeys the catalogue.

use super::assert_sound;
use crate::{rpm_database, tree::Tree};
use muster_agent::{
    collect::Collector,
    os::{
        linux::{account, apk, assignments, dpkg, identity, logons, net, proc, rpm, sysv, unit},
        pe, smbios,
    },
};
use muster_model::time::UnixMillis;
use proptest::prelude::*;

fn parse_all(bytes: &[u8]) {
    let _ = account::parse_passwd(bytes, "nobody");
    let _ = apk::parse_installed(bytes);
    let _ = apk::parse_owners(bytes, &["/usr/lib/libc.so".to_owned()].into());
    let _ = assignments::parse_assignments(bytes);
    let _ = assignments::parse_udev(bytes);
    let _ = dpkg::parse_status(bytes, true);
    let _ = dpkg::parse_status(bytes, false);
    let _ = identity::domain_in_hosts(bytes, "host");
    let _ = identity::derive_installation_id(bytes);
    let _ = identity::parse_zone(bytes, 0);
    for layout in [logons::Layout::SHORT, logons::Layout::WIDE] {
        let _ = logons::sessions(&logons::parse_utmp(bytes, layout));
    }
    let _ = net::parse_leases(bytes, "eth0");
    let _ = net::parse_resolv(bytes);
    let _ = proc::parse_boot_time(bytes);
    let _ = proc::parse_cpuinfo(bytes);
    let _ = proc::parse_if_inet6(bytes);
    let _ = proc::parse_ipv6_route(bytes);
    let _ = proc::parse_meminfo(bytes);
    let _ = proc::parse_mountinfo(bytes);
    let _ = proc::parse_route(bytes);
    let _ = pe::parse_version(bytes);
    let _ = pe::version_in(bytes);
    let _ = rpm::parse_header(bytes);
    let _ = rpm::paths(bytes);
    let _ = smbios::parse_entry_point(bytes);
    let _ = smbios::parse_table(bytes);
    let _ = sysv::parse_script(bytes);
    let mut unit = unit::parse_unit(bytes);
    unit.name_is(&String::from_utf8_lossy(bytes));
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        parse_all(&bytes);
    }

    /// Text that looks as if it meant something: the words of all formats in any order.
    #[test]
    fn any_words(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..200)) {
        parse_all(words.concat().as_bytes());
    }
}

const WORDS: [&str; 44] = [
    "\n",
    "\n\n",
    " ",
    "\t",
    ":",
    "=",
    "\\",
    "\"",
    "'",
    "%",
    "%i",
    "@",
    "-",
    "/",
    "0",
    "9999999999999999999999",
    "-1",
    "0x",
    "ü",
    "\u{0}",
    "[Unit]",
    "[Service]",
    "ExecStart=",
    "Description=",
    "Package:",
    "Status: install ok installed",
    "Version:",
    "P:",
    "V:",
    "processor\t: ",
    "flags\t: ",
    "MemTotal:",
    " - ext4 /dev/sda ",
    "\\040",
    "lease {",
    "}",
    "interface \"eth0\";",
    "option dhcp-server-identifier ",
    "nameserver ",
    "search ",
    "E:",
    "#",
    "TZif2",
    "00000000 ",
];

#[test]
fn a_machine_of_rubbish_has_an_inventory_that_obeys() {
    for filler in ["\u{0}", "x", "\n", "ÿ=:/\n", "9"] {
        let tree = Tree::unpack("debian-12");
        for path in [
            "etc/os-release",
            "etc/hosts",
            "etc/resolv.conf",
            "etc/machine-id",
            "etc/localtime",
            "proc/meminfo",
            "proc/cpuinfo",
            "proc/stat",
            "proc/self/mountinfo",
            "proc/net/route",
            "proc/net/if_inet6",
            "proc/sys/kernel/hostname",
            "sys/firmware/dmi/tables/DMI",
            "var/lib/dpkg/status",
            "var/log/wtmp",
            "lib/apk/db/installed",
            "kernel.json",
            "sys/class/net/eno1/speed",
            "sys/class/net/eno1/address",
            "etc/systemd/system/x.service",
            "run/systemd/sessions/2",
        ] {
            tree.write(path, filler.repeat(3_000));
        }
        assert_sound(&Collector::at(tree.root()).collect(UnixMillis(i64::MAX)));
    }
}

/// More than a limit is a reason, not a slow agent.
#[test]
fn a_file_over_its_limit_is_refused() {
    let tree = Tree::empty();
    let status = std::fs::File::create(tree.at("var/lib/dpkg/status")).unwrap();
    status.set_len((64 << 20) + 1).unwrap();
    let found = Collector::at(tree.root()).collect(UnixMillis(0));
    assert!(!found.classes.contains_key("INSTALLED_SOFTWARE"));
    assert!(found.unread.iter().any(|u| u.reason.contains("more than 67108864 bytes")), "{:?}", found.unread);
}

/// A pipe in the place of a file would make a reader wait for ever.
#[test]
fn a_pipe_or_a_folder_is_no_file() {
    let tree = Tree::unpack("alpine-3.20");
    std::fs::remove_file(tree.at("proc/meminfo")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.at("proc/meminfo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    std::fs::remove_file(tree.at("proc/cpuinfo")).unwrap();
    std::fs::create_dir(tree.at("proc/cpuinfo")).unwrap();
    let found = Collector::at(tree.root()).collect(UnixMillis(0));
    assert!(!found.classes.contains_key("X86_PC_MEMORY") && !found.classes.contains_key("PROCESSOR"));
    assert!(found.classes.contains_key("SERVICE"));
}

#[test]
fn a_header_of_rpm_may_point_anywhere() {
    let package = rpm_database::Package {
        name: "x",
        epoch: None,
        version: "1",
        release: "1",
        architecture: None,
        vendor: None,
        installed: 0,
    };
    let good = rpm_database::header(&package);
    for word in (0..good.len() - 4).step_by(4) {
        for value in [0_u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let mut bad = good.clone();
            bad[word..word + 4].copy_from_slice(&value.to_be_bytes());
            let _ = rpm::parse_header(&bad);
        }
    }
}
