//! The firewall while the write filter is off: closed, but for the site and for name resolution.
//!
//! A table of its own with a policy of `drop`: what another table lets through is dropped here all the same. It is not persistent, so that
//! a restart opens it. Its text is made of parsed addresses and nothing else, and reaches `nft` by standard input.

use super::tool;
use std::{
    fmt::Write,
    io,
    net::{IpAddr, SocketAddr},
};

/// Addresses of one kind that are let through.
const MOST: usize = 32;
const TABLE: &str = "table inet muster_servicing";
const NFT: &str = "/usr/sbin/nft";

/// Whom the machine may still talk to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The site's management points.
    pub site: Vec<SocketAddr>,
    /// Servers of names.
    pub resolvers: Vec<IpAddr>,
}

fn is_one(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && address != IpAddr::from([255, 255, 255, 255])
}

/// The rules as `nft` reads them: the old table goes and the new one comes in one step.
#[must_use]
pub fn rules(allowed: &Allowed) -> String {
    let (mut from, mut to) = (String::new(), String::new());
    let mut pass = |address: IpAddr, protocol: &str, port: u16| {
        let family = if address.is_ipv4() { "ip" } else { "ip6" };
        // Writing to a text cannot fail.
        let _ = writeln!(from, "    {family} saddr {address} {protocol} sport {port} ct state established accept");
        let _ = writeln!(to, "    {family} daddr {address} {protocol} dport {port} accept");
    };
    for point in allowed.site.iter().filter(|point| is_one(point.ip())).take(MOST) {
        pass(point.ip(), "tcp", point.port());
    }
    for resolver in allowed.resolvers.iter().filter(|resolver| is_one(**resolver)).take(MOST) {
        pass(*resolver, "udp", 53);
        pass(*resolver, "tcp", 53);
    }
    let neighbours = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }";
    let head = |hook: &str| format!("  chain {hook} {{\n    type filter hook {hook} priority -150; policy drop;\n");
    format!(
        "{TABLE}\ndelete {TABLE}\n{TABLE} {{\n{}    iif \"lo\" accept\n{from}    ct state related icmp type destination-unreachable accept\n    \
         {neighbours} accept\n  }}\n{}  }}\n{}    oif \"lo\" accept\n{to}    {neighbours} accept\n  }}\n}}\n",
        head("input"),
        head("forward"),
        head("output"),
    )
}

/// Closes it.
///
/// # Errors
/// When there is no `nft`, or it refuses; nothing is closed then.
pub(super) fn close(allowed: &Allowed) -> io::Result<()> {
    tool::run(NFT, &["-f", "-"], rules(allowed).as_bytes())
}

/// Opens it; it is no error when it was not closed.
///
/// # Errors
/// When `nft` refuses.
pub(super) fn open() -> io::Result<()> {
    match tool::run(NFT, &["-f", "-"], format!("{TABLE}\ndelete {TABLE}\n").as_bytes()) {
        // Without it nothing was closed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_site_and_names_are_let_through() {
        let allowed = Allowed {
            site: vec![
                "192.0.2.7:8443".parse().unwrap(),
                "[2001:db8::7]:443".parse().unwrap(),
                "0.0.0.0:1".parse().unwrap(),
            ],
            resolvers: vec!["192.0.2.53".parse().unwrap(), "ff02::1".parse().unwrap()],
        };
        let rules = rules(&allowed);
        assert_eq!(rules.matches("policy drop;").count(), 3);
        assert!(rules.contains("    ip daddr 192.0.2.7 tcp dport 8443 accept\n"), "{rules}");
        assert!(rules.contains("    ip6 saddr 2001:db8::7 tcp sport 443 ct state established accept\n"), "{rules}");
        assert!(rules.contains("    ip daddr 192.0.2.53 udp dport 53 accept\n"), "{rules}");
        assert!(!rules.contains("0.0.0.0") && !rules.contains("ff02"), "no address of everybody: {rules}");
        assert!(rules.starts_with("table inet muster_servicing\ndelete table inet muster_servicing\n"), "{rules}");
    }
}
