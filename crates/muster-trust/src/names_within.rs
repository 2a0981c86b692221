//! Which servers an issuing CA may name: the name constraints of its certificate (RFC 5280, 4.2.1.10). Whoever steals its key, or
//! makes somebody trust it for more than one site, still has no certificate for any other name.
//!
//! Client certificates carry one URI of the site's own, to which such constraints do not apply.

use crate::certificate::CertificateError;
use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use std::net::IpAddr;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// Subtrees that one CA may have.
const SUBTREES: usize = 100;

/// A DNS name with everything below it, or addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subtree {
    Dns(String),
    Addresses(IpAddr, u8),
}

/// What an issuing CA may name where nobody said it: the domain of each name that has one above it, and of the others just themselves.
#[must_use]
pub fn around(names: &[String]) -> Vec<String> {
    let mut within: Vec<String> = names.iter().map(|name| domain(name).to_ascii_lowercase()).collect();
    within.sort();
    within.dedup();
    within
}

/// `mp1.corp.example` is in `corp.example`; `corp.example`, `mp1` and addresses stand for themselves.
fn domain(name: &str) -> &str {
    match name.split_once('.') {
        Some((_, above)) if above.contains('.') && name.parse::<IpAddr>().is_err() => above,
        _ => name,
    }
}

fn parse(text: &str) -> Result<Subtree, CertificateError> {
    let bad = || CertificateError::NameWithin(text.to_owned());
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    if let Ok(address) = address.parse::<IpAddr>() {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |prefix| prefix.parse().map_err(|_| bad()))?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        return if prefix <= bits && first_of(address, prefix) == address {
            Ok(Subtree::Addresses(address, prefix))
        } else {
            Err(bad())
        };
    }
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_name = text.len() <= 253 && text.split('.').all(label);
    if is_name { Ok(Subtree::Dns(text.to_ascii_lowercase())) } else { Err(bad()) }
}

/// The first address of the network in which this one is.
fn first_of(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

fn everything(v6: bool) -> Subtree {
    let any = if v6 { IpAddr::from([0; 16]) } else { IpAddr::from([0; 4]) };
    Subtree::Addresses(any, 0)
}

fn general(subtree: &Subtree) -> GeneralSubtree {
    match subtree {
        Subtree::Dns(name) => GeneralSubtree::DnsName(name.clone()),
        Subtree::Addresses(address, prefix) => {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, *prefix))
        }
    }
}

/// The constraints for DNS names with all below them (`corp.example`) and networks (`10.0.0.0/8`, or one address). Of a form of which none
/// is given, all is excluded: a constraint on DNS names alone would leave every address free. Without any, there are none.
///
/// # Errors
/// [`CertificateError::NameWithin`].
pub(crate) fn constraints(within: &[String]) -> Result<Option<NameConstraints>, CertificateError> {
    if within.len() > SUBTREES {
        return Err(CertificateError::NameWithin(format!("{} names", within.len())));
    }
    let permitted = within.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    if permitted.is_empty() {
        return Ok(None);
    }
    let mut excluded = Vec::new();
    if !permitted.iter().any(|subtree| matches!(subtree, Subtree::Dns(_))) {
        excluded.push(GeneralSubtree::DnsName(String::new()));
    }
    // An IPv4 address matches no IPv6 network and the other way round, so one permitted network already closes the other kind.
    if !permitted.iter().any(|subtree| matches!(subtree, Subtree::Addresses(..))) {
        excluded.extend([general(&everything(false)), general(&everything(true))]);
    }
    Ok(Some(NameConstraints {
        permitted_subtrees: permitted.iter().map(general).collect(),
        excluded_subtrees: excluded,
    }))
}

/// Whether these can bound a CA.
///
/// # Errors
/// [`CertificateError::NameWithin`] names the first that cannot.
pub fn check(within: &[String]) -> Result<(), CertificateError> {
    constraints(within).map(drop)
}

/// What a CA's certificate (DER) may name. Empty: it has no constraints.
///
/// # Errors
/// [`CertificateError::Malformed`].
pub fn of_certificate(der: &[u8]) -> Result<Vec<String>, CertificateError> {
    let malformed = || CertificateError::Malformed;
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| malformed())?;
    let Some(extension) = certificate.name_constraints().map_err(|_| malformed())? else { return Ok(Vec::new()) };
    let permitted = extension.value.permitted_subtrees.as_deref().unwrap_or_default();
    permitted.iter().map(|subtree| shown(&subtree.base).ok_or_else(malformed)).collect()
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let half = bytes.len() / 2;
            let (address, mask) = bytes.split_at_checked(half)?;
            let prefix: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
            let address = match half {
                4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
                16 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
                _ => return None,
            };
            Some(format!("{address}/{prefix}"))
        }
        _ => None,
    }
}

/// Whether a CA that may name `within` may name this server. Without constraints it may name each.
#[must_use]
pub fn covers(within: &[String], name: &str) -> bool {
    within.is_empty() || within.iter().filter_map(|text| parse(text).ok()).any(|subtree| holds(&subtree, name))
}

fn holds(subtree: &Subtree, name: &str) -> bool {
    match (subtree, name.parse::<IpAddr>()) {
        (Subtree::Addresses(network, prefix), Ok(address)) => {
            network.is_ipv4() == address.is_ipv4() && first_of(address, *prefix) == *network
        }
        (Subtree::Dns(above), Err(_)) => {
            let name = name.to_ascii_lowercase();
            name.strip_suffix(above.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_name_is_within_its_domain_and_an_address_within_its_network() {
        let within = texts(&["corp.example", "localhost", "10.1.0.0/16", "fd00::/8"]);
        for name in ["corp.example", "MP1.Corp.Example", "a.b.corp.example", "localhost", "10.1.255.1", "fd12::1"] {
            assert!(covers(&within, name), "{name}");
        }
        for name in ["evilcorp.example", "example", "localhost.example", "10.2.0.1", "fe80::1", "127.0.0.1", ""] {
            assert!(!covers(&within, name), "{name}");
        }
        assert!(covers(&[], "anything"));
    }

    #[test]
    fn what_is_neither_a_name_nor_a_network_is_refused() {
        for text in [
            "",
            ".",
            ".corp.example",
            "a..b",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "fd00::/129",
            "a b",
            "-a",
            "b\u{fc}ro",
            "*.a.b",
        ] {
            assert!(constraints(&texts(&[text])).is_err(), "{text:?}");
        }
        assert!(constraints(&vec!["a".to_owned(); SUBTREES + 1]).is_err());
        assert!(constraints(&[]).unwrap().is_none());
    }

    #[test]
    fn names_that_nobody_bounded_are_bounded_by_their_domains() {
        let names =
            texts(&["mp1.corp.example", "mp2.corp.example", "corp.example", "mp", "localhost", "10.0.0.7", "fd00::7"]);
        assert_eq!(around(&names), texts(&["10.0.0.7", "corp.example", "fd00::7", "localhost", "mp"]));
        assert!(names.iter().all(|name| covers(&around(&names), name)));
    }
}
