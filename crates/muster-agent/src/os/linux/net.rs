//! Network adapters, addresses, routes, leases and the resolver.

use super::{
    assignments::{parse_assignments, parse_udev},
    files::{Files, TABLE_BYTES, TEXT_BYTES, unread},
    kernel::Kernel,
    proc::{parse_if_inet6, parse_ipv6_route, parse_route},
};
use crate::os::facts::{Adapter, Gaps, Resolver};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Adapters that are taken.
const ADAPTERS: usize = 500;
/// Addresses of one adapter that are taken.
const ADDRESSES: usize = 100;
/// Adapters that containers and tests make and unmake all day.
const PASSING: [&str; 6] = ["veth", "ifb", "dummy", "cali", "lxc", "vnet"];
/// Bytes of a file of DHCP leases; dhclient appends for months.
const LEASES_BYTES: u64 = 4 << 20;

/// The adapters with their addresses; `None` when the kernel does not show any.
pub fn adapters(files: &Files, kernel: &Kernel, gaps: &mut Gaps) -> Option<Vec<Adapter>> {
    let names = match files.names("/sys/class/net") {
        Ok(names) => names,
        Err(error) => {
            gaps.push(unread("The network adapters are not known", "/sys/class/net", &error));
            return None;
        }
    };
    let tables = Tables::read(files, kernel);
    let lasting = names.iter().filter(|name| !PASSING.iter().any(|prefix| name.starts_with(prefix)));
    Some(lasting.take(ADAPTERS).filter_map(|name| adapter(files, name, &tables)).collect())
}

struct Tables {
    ipv4: Vec<(String, Ipv4Addr, u8)>,
    ipv6: Vec<(String, Ipv6Addr, u8)>,
    gateways: Vec<(String, IpAddr, u64)>,
}

impl Tables {
    fn read(files: &Files, kernel: &Kernel) -> Self {
        let table = |path| files.bytes(path, TABLE_BYTES).unwrap_or_default();
        let v4 = parse_route(&table("/proc/net/route")).into_iter().map(|(n, g, m)| (n, IpAddr::V4(g), m));
        let v6 = parse_ipv6_route(&table("/proc/net/ipv6_route")).into_iter().map(|(n, g, m)| (n, IpAddr::V6(g), m));
        Self {
            ipv4: kernel.ipv4(),
            ipv6: parse_if_inet6(&table("/proc/net/if_inet6")),
            gateways: v4.chain(v6).collect(),
        }
    }

    fn addresses(&self, name: &str) -> Vec<(IpAddr, u8)> {
        let v4 = self.ipv4.iter().filter(|(n, ..)| n == name).map(|(_, a, p)| (IpAddr::V4(*a), *p));
        let v6 = self.ipv6.iter().filter(|(n, ..)| n == name).map(|(_, a, p)| (IpAddr::V6(*a), *p));
        // The kernel gives them in the order in which they came; sorted, the same addresses are the same row.
        let mut all: Vec<_> = v4.chain(v6).collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(ADDRESSES);
        all
    }

    fn gateways(&self, name: &str) -> Vec<(IpAddr, u64)> {
        let mut all: Vec<_> = self.gateways.iter().filter(|(n, ..)| n == name).map(|(_, a, m)| (*a, *m)).collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(ADDRESSES);
        all
    }
}

fn adapter(files: &Files, name: &str, tables: &Tables) -> Option<Adapter> {
    let base = format!("/sys/class/net/{name}");
    let text = |file: &str| files.line(&format!("{base}/{file}"));
    // ARPHRD_ETHER, INFINIBAND, RAWIP (mobile broadband), and NONE (tunnels); 772 is the loopback.
    let hardware = files.number(&format!("{base}/type"))?;
    let device = files.link(&format!("{base}/device"));
    let uevent = files.bytes(&format!("{base}/uevent"), TEXT_BYTES).map(|b| parse_assignments(&b)).unwrap_or_default();
    let kind = match (hardware, uevent.get("DEVTYPE").map(String::as_str)) {
        (772, _) => return None,
        (_, Some("wlan")) => "Wireless",
        (_, Some("bridge")) => "Bridge",
        (_, Some("bond")) => "Bond",
        (_, Some("vlan")) => "VLAN",
        (_, Some("wireguard")) => "Tunnel",
        (1, _) if files.exists(&format!("{base}/tun_flags")) => "Tunnel",
        (1, _) => "Ethernet 802.3",
        (32, _) => "InfiniBand",
        (519, _) => "Mobile broadband",
        (65_534, _) if files.exists(&format!("{base}/tun_flags")) => "Tunnel",
        // Tunnels that the kernel makes for itself (sit0, ip6tnl0) are there on every machine and mean nothing.
        _ if device.is_none() => return None,
        _ => "Other",
    };
    let index = files.number(&format!("{base}/ifindex"))?;
    let udev = files.bytes(&format!("/run/udev/data/n{index}"), TEXT_BYTES).map(|b| parse_udev(&b)).unwrap_or_default();
    let driver = files.link_name(&format!("{base}/device/driver"));
    let (dhcp, dhcp_server) = lease(files, name, index);
    Some(Adapter {
        name: name.to_owned(),
        index,
        kind: kind.to_owned(),
        product: udev.get("ID_MODEL_FROM_DATABASE").or(udev.get("ID_MODEL")).cloned(),
        vendor: udev.get("ID_VENDOR_FROM_DATABASE").or(udev.get("ID_VENDOR")).cloned(),
        mac: text("address").filter(|mac| mac.len() == 17 && mac != "00:00:00:00:00:00").map(|m| m.to_uppercase()),
        driver,
        // -1 and 0 mean that the link is down or that the driver does not know.
        speed: files.number(&format!("{base}/speed")).filter(|m| (1..=10_000_000).contains(m)).map(|m| m * 1_000_000),
        bus_id: device.and_then(|d| d.rsplit('/').next().map(str::to_owned)),
        mtu: files.number(&format!("{base}/mtu")),
        addresses: tables.addresses(name),
        gateways: tables.gateways(name),
        dhcp,
        dhcp_server,
    })
}

/// Whether the address is leased and by whom. Knows systemd-networkd, NetworkManager, dhclient and udhcpc's lock file.
fn lease(files: &Files, name: &str, index: u64) -> (Option<bool>, Option<String>) {
    if let Ok(bytes) = files.bytes(&format!("/run/systemd/netif/leases/{index}"), TEXT_BYTES) {
        return (Some(true), parse_assignments(&bytes).remove("SERVER_ADDRESS"));
    }
    if let Ok(bytes) = files.bytes(&format!("/run/NetworkManager/devices/{index}"), TEXT_BYTES) {
        let found = parse_assignments(&bytes);
        let server = found.get("dhcp_server_identifier").or(found.get("dhcp4.dhcp_server_identifier")).cloned();
        let managed = found.get("managed").is_some_and(|m| m == "true" || m == "1");
        return match (server, managed) {
            (Some(server), _) => (Some(true), Some(server)),
            // Managed, and no lease in its notes: the address was typed in, or the version does not note leases.
            (None, _) => (None, None),
        };
    }
    for path in [format!("/var/lib/dhcp/dhclient.{name}.leases"), "/var/lib/dhcp/dhclient.leases".to_owned()] {
        if let Ok(bytes) = files.tail(&path, LEASES_BYTES, 1)
            && let Some(server) = parse_leases(&bytes, name)
        {
            return (Some(true), Some(server));
        }
    }
    match files.number(&format!("/var/run/udhcpc.{name}.pid")) {
        Some(_) => (Some(true), None),
        None => (None, None),
    }
}

/// The server of the last lease for that adapter in a lease file of dhclient.
#[must_use]
pub fn parse_leases(bytes: &[u8], adapter: &str) -> Option<String> {
    let (mut here, mut server, mut last) = (false, None, None);
    for line in String::from_utf8_lossy(bytes).lines() {
        let words = line.trim().trim_end_matches(';');
        if let Some(name) = words.strip_prefix("interface ") {
            here = name.trim_matches('"') == adapter;
        } else if let Some(address) = words.strip_prefix("option dhcp-server-identifier ") {
            server = address.parse::<Ipv4Addr>().ok();
        } else if words == "}" {
            if here && server.is_some() {
                last = server;
            }
            (here, server) = (false, None);
        }
    }
    last.map(|address| address.to_string())
}

/// How names are resolved. Behind systemd's local resolver the real servers are asked for.
#[must_use]
pub fn resolver(files: &Files) -> Resolver {
    let read = |path| files.bytes(path, TEXT_BYTES).map(|b| parse_resolv(&b)).unwrap_or_default();
    let found = read("/etc/resolv.conf");
    match found.servers.iter().all(|s| s.starts_with("127.0.0.5")) && !found.servers.is_empty() {
        true => Some(read("/run/systemd/resolve/resolv.conf")).filter(|r| !r.servers.is_empty()).unwrap_or(found),
        false => found,
    }
}

/// Reads a `resolv.conf`.
#[must_use]
pub fn parse_resolv(bytes: &[u8]) -> Resolver {
    let mut found = Resolver::default();
    for line in String::from_utf8_lossy(bytes).lines().take(1_000) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => found.servers.extend(words.next().map(str::to_owned)),
            // The last of `search` and `domain` counts.
            Some("search" | "domain") => found.search = words.filter(|w| *w != ".").map(str::to_owned).collect(),
            _ => {}
        }
    }
    found.servers.truncate(ADDRESSES);
    found.search.truncate(ADDRESSES);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lease_of_the_adapter_counts() {
        let text = b"lease {\n  interface \"eth0\";\n  option dhcp-server-identifier 192.0.2.1;\n}\n\
                     lease {\n  interface \"eth1\";\n  option dhcp-server-identifier 192.0.2.2;\n}\n\
                     lease {\n  interface \"eth0\";\n  option dhcp-server-identifier 192.0.2.3;\n}\n";
        assert_eq!(parse_leases(text, "eth0").as_deref(), Some("192.0.2.3"));
        assert_eq!(parse_leases(text, "eth2"), None);
    }

    #[test]
    fn a_resolver_has_servers_and_a_search_list() {
        let found = parse_resolv(
            b"# x\nnameserver 192.0.2.53\nnameserver 2001:db8::53\ndomain old.test\nsearch a.test b.test\n",
        );
        assert_eq!(found.servers, ["192.0.2.53", "2001:db8::53"]);
        assert_eq!(found.search, ["a.test", "b.test"]);
    }
}
