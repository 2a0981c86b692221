//! Which site of an Active Directory this machine is in: the site of the longest subnet in the directory that holds one of its addresses. It is what
//! the client says of itself, and only ranks the management points that the site's signed policy names.

use super::{
    DirectoryConfig, LocateError,
    ldap::{Connection, Entry, PATIENCE},
};
use crate::clock::Clock;
use muster_model::{
    boundary::is_directory_site,
    ldap::{Filter, Scope},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::time::timeout;

/// Addresses of each family that are asked about: a directory looks for each of their networks by its name.
const ADDRESSES: usize = 8;
/// No subnet of a directory is larger.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 16;

/// Asks the directory. `None`: it knows no subnet of this machine.
///
/// # Errors
/// [`LocateError::Directory`].
pub async fn directory_site(
    config: &DirectoryConfig,
    addresses: &[IpAddr],
    clock: &Clock,
) -> Result<Option<String>, LocateError> {
    let failed = |reason: String| LocateError::Directory { server: config.server.clone(), reason };
    let names = networks(addresses);
    if names.is_empty() {
        return Ok(None);
    }
    let asked = async {
        let mut connection = Connection::open(config, clock).await?;
        connection.bind(config.bind.as_ref()).await?;
        let found = search(&mut connection, &names).await;
        connection.end().await;
        found
    };
    match timeout(PATIENCE, asked).await {
        Err(_) => Err(failed("did not answer in time".to_owned())),
        Ok(Err(reason)) => Err(failed(reason)),
        Ok(Ok(found)) => Ok(longest(&found, &names)),
    }
}

async fn search<S: super::ldap::Stream>(
    connection: &mut Connection<S>,
    names: &[String],
) -> Result<Vec<Entry>, String> {
    const CONTEXT: &str = "configurationNamingContext";
    let root = connection.search(("", Scope::Base), &Filter::Present("objectClass"), &[CONTEXT]).await?;
    let context = root.iter().find_map(|entry| value(entry, CONTEXT)).ok_or("is no Active Directory")?;
    let subnets = format!("CN=Subnets,CN=Sites,{context}");
    let one_of = names.iter().map(|name| Filter::Equal("cn", name)).collect();
    let filter = Filter::All(vec![Filter::Equal("objectClass", "subnet"), Filter::Any(one_of)]);
    connection.search((&subnets, Scope::Subtree), &filter, &["cn", "siteObject"]).await
}

fn value<'a>(entry: &'a Entry, name: &str) -> Option<&'a str> {
    let (_, values) = entry.iter().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    values.first().map(String::as_str)
}

/// The networks that hold these addresses, as the directory names its subnets; those with the longest prefix first.
fn networks(addresses: &[IpAddr]) -> Vec<String> {
    let v4 = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(u32::from(*address)),
        IpAddr::V6(_) => None,
    });
    let v6 = addresses.iter().filter_map(|address| match address {
        IpAddr::V6(address) => Some(u128::from(*address)),
        IpAddr::V4(_) => None,
    });
    let (v4, v6): (Vec<u32>, Vec<u128>) = (v4.take(ADDRESSES).collect(), v6.take(ADDRESSES).collect());
    let mut names = Vec::new();
    for length in (SHORTEST_V4..=32).rev() {
        let mask = u32::MAX << (32 - length);
        names.extend(v4.iter().map(|address| format!("{}/{length}", Ipv4Addr::from(address & mask))));
    }
    for length in (SHORTEST_V6..=128).rev() {
        let mask = u128::MAX << (128 - length);
        names.extend(v6.iter().map(|address| format!("{}/{length}", Ipv6Addr::from(address & mask))));
    }
    let mut known = std::collections::HashSet::new();
    names.retain(|name| known.insert(name.clone()));
    names
}

/// The site of the first of these networks that an entry has. Whatever else the directory sent is passed over.
fn longest(entries: &[Entry], names: &[String]) -> Option<String> {
    names.iter().find_map(|name| {
        let entry = entries.iter().find(|entry| value(entry, "cn").is_some_and(|cn| cn.eq_ignore_ascii_case(name)))?;
        site(value(entry, "siteObject")?)
    })
}

/// `CN=Berlin,CN=Sites,CN=Configuration,...` is Berlin.
fn site(object: &str) -> Option<String> {
    let (first, rest) = object.split_once(',')?;
    let name = first.get(..3).filter(|tag| tag.eq_ignore_ascii_case("cn=")).and_then(|_| first.get(3..))?;
    let is_site = rest.get(..9).is_some_and(|tag| tag.eq_ignore_ascii_case("cn=sites,"));
    (is_site && is_directory_site(name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(cn: &str, object: &str) -> Entry {
        vec![("cn".to_owned(), vec![cn.to_owned()]), ("siteObject".to_owned(), vec![object.to_owned()])]
    }

    #[test]
    fn the_longest_subnet_says_the_site() {
        let names = networks(&["10.1.2.17".parse().unwrap(), "2001:db8::17".parse().unwrap()]);
        assert!(names.len() == 25 + 113 && names[0] == "10.1.2.17/32" && names[8] == "10.1.2.0/24");
        assert!(names.contains(&"10.0.0.0/8".to_owned()) && names.contains(&"2001:db8::/32".to_owned()));
        let wide = entry("10.0.0.0/8", "CN=Europe,CN=Sites,CN=Configuration,DC=x");
        let near = entry("10.1.2.0/24", "CN=Berlin,CN=Sites,CN=Configuration,DC=x");
        assert_eq!(longest(&[wide.clone(), near], &names).as_deref(), Some("Berlin"));
        let foreign = entry("10.9.0.0/16", "CN=Elsewhere,CN=Sites,CN=Configuration,DC=x");
        assert_eq!(longest(&[foreign, wide], &names).as_deref(), Some("Europe"));
        assert_eq!(longest(&[], &names), None);
        assert!(networks(&[]).is_empty());
    }

    #[test]
    fn what_is_not_the_name_of_a_site_is_none() {
        // proves S12: what a directory says of a site is a name, and leads nowhere.
        for odd in [
            "",
            "CN=Berlin",
            "CN=a\\,b,CN=Sites,DC=x",
            "CN=\\\\192.0.2.77\\x,CN=Sites,DC=x",
            "OU=Berlin,CN=Sites,DC=x",
            "CN=Berlin,CN=Users,DC=x",
            "\u{e4}\u{e4}\u{e4},CN=Sites,DC=x",
        ] {
            assert_eq!(site(odd), None, "{odd:?}");
        }
        assert_eq!(site("cn=Berlin-2,cn=sites,DC=x").as_deref(), Some("Berlin-2"));
    }
}
