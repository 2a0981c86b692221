//! Boundaries as Configuration Manager has them: what is inside an IP subnet, an address range, an IPv6 prefix, or a directory's site.

use crate::api::BoundaryKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A boundary that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boundary {
    /// Addresses from the first to the last, both included, of one family.
    Addresses(IpAddr, IpAddr),
    /// A site of the directory; the case of letters does not count.
    DirectorySite(String),
}

/// Why a text is no boundary of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoundaryError {
    /// A subnet.
    #[error("a subnet is an IPv4 address without host bits and the length of its prefix, like 10.1.2.0/24")]
    Subnet,
    /// A range.
    #[error("a range is two addresses of one family, the lower first, like 10.1.2.10-10.1.2.99")]
    Range,
    /// A prefix.
    #[error("a prefix is an IPv6 address without host bits and its length, like 2001:db8:1::/48")]
    Prefix,
    /// A site.
    #[error("a directory's site is a name of 1 to 63 letters, digits, hyphens and underscores")]
    DirectorySite,
}

impl Boundary {
    /// Parses the value of a boundary of this kind.
    ///
    /// # Errors
    /// See [`BoundaryError`].
    pub fn parse(kind: BoundaryKind, value: &str) -> Result<Self, BoundaryError> {
        match kind {
            BoundaryKind::IpSubnet => match network(value) {
                Some((IpAddr::V4(v4), prefix)) => subnet(v4, prefix).ok_or(BoundaryError::Subnet),
                _ => Err(BoundaryError::Subnet),
            },
            BoundaryKind::Ipv6Prefix => match network(value) {
                Some((IpAddr::V6(v6), length)) => prefix(v6, length).ok_or(BoundaryError::Prefix),
                _ => Err(BoundaryError::Prefix),
            },
            BoundaryKind::IpRange => range(value).ok_or(BoundaryError::Range),
            BoundaryKind::DirectorySite if is_directory_site(value) => Ok(Self::DirectorySite(value.to_lowercase())),
            BoundaryKind::DirectorySite => Err(BoundaryError::DirectorySite),
        }
    }

    /// Whether an address is inside.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        match self {
            // Addresses of different families are never inside: the order of `IpAddr` puts all of one before the other.
            Self::Addresses(first, last) => {
                first.is_ipv4() == address.is_ipv4() && *first <= address && address <= *last
            }
            Self::DirectorySite(_) => false,
        }
    }

    /// Whether it is this site of the directory.
    #[must_use]
    pub fn is_site(&self, name: &str) -> bool {
        matches!(self, Self::DirectorySite(site) if *site == name.to_lowercase())
    }
}

/// An address with the length of its prefix, `10.0.0.5/24`.
#[must_use]
pub fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok().filter(|number: &u8| number.to_string() == length)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (length <= most).then_some((address, length))
}

/// Whether a text is the name of a directory's site.
#[must_use]
pub fn is_directory_site(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn subnet(address: Ipv4Addr, length: u8) -> Option<Boundary> {
    let hosts = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
    let first = u32::from(address);
    let last = Ipv4Addr::from(first | hosts);
    (first & hosts == 0).then_some(Boundary::Addresses(address.into(), last.into()))
}

fn prefix(address: Ipv6Addr, length: u8) -> Option<Boundary> {
    let hosts = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
    let first = u128::from(address);
    let last = Ipv6Addr::from(first | hosts);
    (first & hosts == 0).then_some(Boundary::Addresses(address.into(), last.into()))
}

fn range(text: &str) -> Option<Boundary> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Boundary::Addresses(first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(kind: BoundaryKind, value: &str, address: &str) -> bool {
        Boundary::parse(kind, value).unwrap().has_address(address.parse().unwrap())
    }

    #[test]
    fn addresses_are_inside_from_the_first_to_the_last() {
        use BoundaryKind::{IpRange, IpSubnet, Ipv6Prefix};
        for (kind, value, within, without) in [
            (IpSubnet, "10.1.2.0/24", &["10.1.2.0", "10.1.2.255"][..], &["10.1.1.255", "10.1.3.0", "::a01:200"][..]),
            (IpSubnet, "10.1.2.3/32", &["10.1.2.3"], &["10.1.2.2", "10.1.2.4"]),
            (IpSubnet, "0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::1"]),
            (IpRange, "10.1.2.10-10.1.3.5", &["10.1.2.10", "10.1.2.200", "10.1.3.5"], &["10.1.2.9", "10.1.3.6"]),
            (IpRange, "2001:db8::1-2001:db8::9", &["2001:db8::5"], &["2001:db8::a", "10.0.0.1"]),
            (Ipv6Prefix, "2001:db8:1::/48", &["2001:db8:1::", "2001:db8:1:ffff::1"], &["2001:db8:2::", "2001:db8::"]),
            (Ipv6Prefix, "::/0", &["::", "ffff::1"], &["10.0.0.1"]),
            (Ipv6Prefix, "::1/128", &["::1"], &["::2"]),
        ] {
            for address in within {
                assert!(inside(kind, value, address), "{address} in {value}");
            }
            for address in without {
                assert!(!inside(kind, value, address), "{address} not in {value}");
            }
        }
        let site = Boundary::parse(BoundaryKind::DirectorySite, "Berlin-1").unwrap();
        assert!(site.is_site("BERLIN-1") && !site.is_site("Berlin") && !site.has_address("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_not_exactly_one_is_refused() {
        for (kind, values) in [
            (
                BoundaryKind::IpSubnet,
                &["", "10.1.2.0", "10.1.2.1/24", "10.1.2.0/33", "10.1.2.0/024", "2001:db8::/32", "10.1.2/24"][..],
            ),
            (
                BoundaryKind::IpRange,
                &["10.0.0.1", "10.0.0.2-10.0.0.1", "10.0.0.1-::1", "10.0.0.1 - 10.0.0.2", "a-b", ""],
            ),
            (BoundaryKind::Ipv6Prefix, &["2001:db8::1/32", "2001:db8::/129", "10.0.0.0/8", "2001:db8::", "/32"]),
            (BoundaryKind::DirectorySite, &["", "a b", "a/b", r"\\x", &"x".repeat(64)]),
        ] {
            for value in values {
                assert!(Boundary::parse(kind, value).is_err(), "{kind}: {value:?}");
            }
        }
    }
}
