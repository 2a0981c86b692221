//! The networks that this machine is in, and when they change: the kernel says so over netlink, and nothing is polled.

use super::{
    files::{Files, TABLE_BYTES},
    kernel::Kernel,
    proc::{parse_if_inet6, parse_ipv6_route, parse_route},
};
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    os::{fd::AsRawFd, unix::net::UnixDatagram as StdDatagram},
    path::Path,
    time::Duration,
};
use tokio::net::UnixDatagram;

/// Addresses and routes of both families, and links: `RTMGRP_*` of `linux/rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// How long a change may go on before it is looked at: a new network comes in many steps.
const SETTLE: Duration = Duration::from_secs(2);

/// Where this machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Addresses with the length of their prefix, without loopback and link-local ones.
    pub addresses: BTreeSet<(IpAddr, u8)>,
    /// Gateways.
    pub gateways: BTreeSet<IpAddr>,
}

/// Whether an address says something of the network that a machine is in.
fn is_of_a_network(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified()),
    }
}

/// Where this machine is now; what the kernel does not show is left out.
#[must_use]
pub fn network() -> Network {
    let root = Path::new("/");
    let Ok(files) = Files::open(root) else { return Network::default() };
    let table = |path| files.bytes(path, TABLE_BYTES).unwrap_or_default();
    let v4 = Kernel::of(root).ipv4().into_iter().map(|(_, address, prefix)| (IpAddr::V4(address), prefix));
    let v6 = parse_if_inet6(&table("/proc/net/if_inet6")).into_iter().map(|(_, a, prefix)| (IpAddr::V6(a), prefix));
    let v4_routes = parse_route(&table("/proc/net/route")).into_iter().map(|(_, gateway, _)| IpAddr::V4(gateway));
    let v6_routes = parse_ipv6_route(&table("/proc/net/ipv6_route")).into_iter().map(|(_, g, _)| IpAddr::V6(g));
    Network {
        addresses: v4.chain(v6).filter(|(address, _)| is_of_a_network(address)).collect(),
        gateways: v4_routes.chain(v6_routes).filter(|gateway| !gateway.is_unspecified()).collect(),
    }
}

/// Hears of changes.
#[derive(Debug)]
pub struct Watch {
    socket: UnixDatagram,
}

impl Watch {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        // The standard library has no type for netlink. Reading it is reading datagrams, and only that is done.
        Ok(Self { socket: UnixDatagram::from_std(StdDatagram::from(fd))? })
    }

    /// Waits until something about links, addresses or routes changed, and it has settled.
    ///
    /// # Errors
    /// When the kernel ends it.
    pub async fn changed(&self) -> io::Result<()> {
        self.heard().await?;
        while let Ok(heard) = tokio::time::timeout(SETTLE, self.heard()).await {
            heard?;
        }
        Ok(())
    }

    /// What is said does not matter: the tables are read afterwards.
    async fn heard(&self) -> io::Result<()> {
        let mut message = [0; 8_192];
        match self.socket.recv(&mut message).await {
            Ok(_) => Ok(()),
            // So much happened that the kernel lost some of it: a change all the same.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_link_local_are_no_network() {
        let is = |text: &str| is_of_a_network(&text.parse().unwrap());
        for yes in ["10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert!(is(yes), "{yes}");
        }
        for no in ["127.0.0.1", "169.254.1.1", "0.0.0.0", "::1", "fe80::1", "::"] {
            assert!(!is(no), "{no}");
        }
        assert!(network().addresses.iter().all(|(address, _)| is_of_a_network(address)));
    }

    #[tokio::test]
    async fn a_quiet_network_wakes_nobody() {
        let watch = Watch::new().unwrap();
        // Other tests change networks of their own only.
        let woken = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
        assert!(woken.is_err() || woken.unwrap().is_ok());
    }
}
