//! What the agent's collectors read of the machine: every parser of files and tables that other programs wrote.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::os::{
    linux::{account, apk, assignments, dpkg, identity, logons, net, proc, rpm, sysv, unit},
    pe, smbios,
};

fuzz_target!(|bytes: &[u8]| {
    let _ = account::parse_passwd(bytes, "nobody");
    let _ = apk::parse_installed(bytes);
    let _ = apk::parse_owners(bytes, &["/usr/lib/libc.so".to_owned()].into());
    let _ = assignments::parse_assignments(bytes);
    let _ = assignments::parse_udev(bytes);
    let _ = dpkg::parse_status(bytes, true);
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
    unit::parse_unit(bytes).name_is("name@instance");
});
