//! `NETWORK_ADAPTER` (`Win32_NetworkAdapter`) and `NETWORK_ADAPTER_CONFIGURATION` (`Win32_NetworkAdapterConfiguration`).
//!
//! Left out because they change with every renewal: `DHCPLeaseObtained`, `DHCPLeaseExpires`; and temporary IPv6 addresses.

use super::row::Put;
use crate::os::{
    Machine,
    facts::{Adapter, Gaps, Resolver, System},
};
use muster_model::inventory::Row;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn rows(machine: &Machine, system: &System, gaps: &mut Gaps) -> Option<[Vec<Row>; 2]> {
    let adapters = machine.adapters(gaps)?;
    let resolver = machine.resolver();
    let configurations = adapters.iter().map(|a| configuration(a, &resolver, system)).collect();
    Some([adapters.iter().map(adapter).collect(), configurations])
}

/// What people call it: the product, else the name with the driver.
fn title(adapter: &Adapter) -> String {
    match (&adapter.product, &adapter.driver) {
        (Some(product), _) => product.clone(),
        (None, Some(driver)) => format!("{} ({driver})", adapter.name),
        (None, None) => adapter.name.clone(),
    }
}

fn adapter(adapter: &Adapter) -> Row {
    let mut row = Row::new();
    row.text("DeviceID", adapter.name.as_str());
    for attribute in ["Name", "Caption", "Description"] {
        row.text(attribute, title(adapter).as_str());
    }
    row.text("ProductName", adapter.product.as_deref());
    row.text("Manufacturer", adapter.vendor.as_deref());
    row.text("AdapterType", adapter.kind.as_str());
    row.number("Index", adapter.index);
    row.flag("Installed", true);
    row.text("MACAddress", adapter.mac.as_deref());
    row.text("ServiceName", adapter.driver.as_deref());
    row.text("PNPDeviceID", adapter.bus_id.as_deref());
    // The speed of a radio changes with the weather.
    row.number("Speed", adapter.speed.filter(|_| adapter.kind != "Wireless"));
    row
}

fn configuration(adapter: &Adapter, resolver: &Resolver, system: &System) -> Row {
    let mut row = Row::new();
    row.number("Index", adapter.index);
    row.text("SettingID", adapter.name.as_str());
    row.text("Caption", title(adapter).as_str());
    row.text("Description", title(adapter).as_str());
    row.text("MACAddress", adapter.mac.as_deref());
    row.text("ServiceName", adapter.driver.as_deref());
    row.number("MTU", adapter.mtu);
    row.flag("IPEnabled", !adapter.addresses.is_empty());
    row.list("IPAddress", adapter.addresses.iter().map(|(address, _)| address.to_string()));
    row.list("IPSubnet", adapter.addresses.iter().map(|(address, prefix)| subnet(*address, *prefix)));
    row.list("DefaultIPGateway", adapter.gateways.iter().map(|(address, _)| address.to_string()));
    row.list("GatewayCostMetric", adapter.gateways.iter().map(|(_, metric)| (*metric).min(0xffff).to_string()));
    row.flag("DHCPEnabled", adapter.dhcp);
    row.text("DHCPServer", adapter.dhcp_server.as_deref());
    if !adapter.addresses.is_empty() {
        row.text("DNSHostName", system.host_name.as_str());
        row.text("DNSDomain", system.domain.as_deref());
        row.list("DNSServerSearchOrder", resolver.servers.iter().cloned());
        row.list("DNSDomainSuffixSearchOrder", resolver.search.iter().cloned());
    }
    row
}

/// Windows writes a mask for IPv4 and the prefix length for IPv6.
fn subnet(address: IpAddr, prefix: u8) -> String {
    match address {
        IpAddr::V4(_) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            Ipv4Addr::from(mask).to_string()
        }
        IpAddr::V6(_) => prefix.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_written_as_windows_does() {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(subnet(v4, 24), "255.255.255.0");
        assert_eq!((subnet(v4, 0).as_str(), subnet(v4, 32).as_str()), ("0.0.0.0", "255.255.255.255"));
        assert_eq!(subnet("2001:db8::1".parse().unwrap(), 64), "64");
    }
}
