//! What the machine says of itself for discovery: the few facts by which queries and collections know a system, honest for Linux.

use super::Collector;
use crate::os::{Machine, facts::Gaps, smbios::Smbios};
use muster_model::{
    api::ResourceKind,
    discovery::{Fact, Facts, check_facts, plain},
    limits::{DISCOVERY_VALUE_BYTES, DISCOVERY_VALUES},
    time::UnixMillis,
};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// How hypervisors name their machines.
const VIRTUAL_MODELS: [&str; 7] =
    ["Virtual Machine", "VirtualBox", "KVM", "HVM domU", "Bochs", "BHYVE", "Google Compute Engine"];
/// Makers of nothing but virtual machines.
const VIRTUAL_MAKERS: [&str; 5] =
    ["QEMU", "Xen", "innotek GmbH", "Parallels Software International Inc.", "Amazon EC2"];

impl Collector {
    /// The facts of this moment. Reads some small files, writes nothing, starts nothing.
    ///
    /// # Errors
    /// When the machine's files cannot be opened.
    pub fn discovery(&self, now: UnixMillis) -> io::Result<Facts> {
        let machine = Machine::open(self.root())?;
        // What cannot be read is absent; the inventory says why.
        let mut gaps = Gaps::new();
        let mut facts = Facts::new();
        let system = machine.system(now.0);
        text(&mut facts, "ResourceDomainORWorkgroup", system.domain.as_deref());
        if let Some(os) = machine.operating_system(&mut gaps) {
            text(&mut facts, "OperatingSystemNameandVersion", Some(&os.caption));
            text(&mut facts, "Build", os.version.as_deref());
        }
        let full = system.domain.as_ref().map(|domain| format!("{}.{domain}", system.host_name));
        list(&mut facts, "ResourceNames", [Some(system.host_name.clone()), full].into_iter().flatten());
        let firmware = machine.firmware(&mut gaps).unwrap_or_default();
        text(&mut facts, "SMBIOSGUID", firmware.product.as_ref().and_then(|product| product.uuid.as_deref()));
        if let Some(is) = is_virtual(&firmware) {
            facts.insert("IsVirtualMachine".to_owned(), Fact::Number(i64::from(is)));
        }
        let users = machine.console_users(&mut gaps).unwrap_or_default();
        let last = users.iter().max_by_key(|user| (user.last, &user.name)).map(|user| user.name.as_str());
        text(&mut facts, "LastLogonUserName", system.console_user.as_deref().or(last));
        network(&machine, &mut facts, &mut gaps);
        fit(&mut facts);
        Ok(facts)
    }
}

fn text(facts: &mut Facts, name: &str, value: Option<&str>) {
    let value = plain(value.unwrap_or_default(), DISCOVERY_VALUE_BYTES);
    if !value.is_empty() {
        facts.insert(name.to_owned(), Fact::Text(value));
    }
}

fn list(facts: &mut Facts, name: &str, values: impl Iterator<Item = String>) {
    let values = values.map(|value| plain(&value, DISCOVERY_VALUE_BYTES)).filter(|value| !value.is_empty());
    let values: BTreeSet<String> = values.collect();
    if !values.is_empty() {
        facts.insert(name.to_owned(), Fact::List(values.into_iter().take(DISCOVERY_VALUES).collect()));
    }
}

/// Makes the facts fit into what a site takes: a router with many networks has more addresses than that. The longest list gives first.
fn fit(facts: &mut Facts) {
    while check_facts(facts, ResourceKind::System).is_err() {
        let longest = facts.values_mut().filter_map(|fact| match fact {
            Fact::List(list) if !list.is_empty() => Some(list),
            _ => None,
        });
        let Some(longest) = longest.max_by_key(|list| list.len()) else { return };
        longest.truncate(longest.len() / 2);
    }
    facts.retain(|_, fact| !matches!(fact, Fact::List(list) if list.is_empty()));
}

fn network(machine: &Machine, facts: &mut Facts, gaps: &mut Gaps) {
    let adapters = machine.adapters(gaps).unwrap_or_default();
    let all = || adapters.iter().flat_map(|adapter| &adapter.addresses).filter(|(address, _)| !address.is_loopback());
    let v4 = || all().filter(|(address, _)| address.is_ipv4());
    let v6 = || all().filter(|(address, _)| address.is_ipv6());
    let lasting = |address: &IpAddr| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    list(facts, "MACAddresses", adapters.iter().filter_map(|adapter| adapter.mac.clone()));
    list(facts, "IPAddresses", all().map(|(address, _)| address.to_string()));
    list(facts, "IPSubnets", v4().map(|(address, prefix)| start(*address, *prefix)));
    list(facts, "IPv6Addresses", v6().map(|(address, _)| address.to_string()));
    let prefixes = v6().filter(|(address, _)| lasting(address));
    list(facts, "IPv6Prefixes", prefixes.map(|(address, prefix)| start(*address, *prefix)));
}

/// The first address of a network, as Configuration Manager names subnets and prefixes.
fn start(address: IpAddr, prefix: u8) -> String {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(v4) & mask).to_string()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(v6) & mask).to_string()
        }
    }
}

/// By the name that each hypervisor gives its machines; where the model is not known, neither is this.
fn is_virtual(firmware: &Smbios) -> Option<bool> {
    let product = firmware.product.as_ref()?;
    let model = product.name.as_deref()?;
    let maker = product.vendor.as_deref().unwrap_or_default();
    let named = VIRTUAL_MODELS.contains(&model) || model.starts_with("VMware") || model.starts_with("Standard PC");
    Some(named || VIRTUAL_MAKERS.contains(&maker))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::report::DiscoveryReport;

    #[test]
    fn a_network_is_named_by_its_first_address() {
        let start = |text: &str, prefix| start(text.parse().unwrap(), prefix);
        assert_eq!(start("10.1.2.17", 24), "10.1.2.0");
        assert_eq!((start("10.1.2.17", 0), start("10.1.2.17", 32)), ("0.0.0.0".to_owned(), "10.1.2.17".to_owned()));
        assert_eq!(start("2001:db8:1::17", 64), "2001:db8:1::");
    }

    #[test]
    fn a_router_with_many_networks_says_what_fits() {
        let many = |width: usize| (0..DISCOVERY_VALUES).map(move |n| format!("{n:0width$}")).collect();
        let mut facts: Facts = ["IPAddresses", "IPv6Addresses", "IPv6Prefixes", "MACAddresses"]
            .map(|name| (name.to_owned(), Fact::List(many(39))))
            .into();
        facts.insert("Build".to_owned(), Fact::Text("12".to_owned()));
        assert!(!DiscoveryReport { facts: facts.clone() }.is_well_formed(), "more than a record has");
        fit(&mut facts);
        assert!(DiscoveryReport { facts: facts.clone() }.is_well_formed());
        assert_eq!(facts.len(), 5, "of each list some, and the rest as it was");
    }

    #[test]
    fn this_machine_says_what_a_site_takes() {
        let facts = Collector::this_machine().discovery(UnixMillis(1_790_000_000_000)).unwrap();
        assert!(facts.contains_key("ResourceNames"), "{facts:?}");
        assert!(DiscoveryReport { facts }.is_well_formed());
    }
}
