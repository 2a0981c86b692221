//! Sample data of boundaries and of where devices are.

use super::sample::{Flavour, NOW};
use muster_model::{
    api::{Boundary, BoundaryGroup, BoundaryKind, DeviceLocation},
    id::{BoundaryGroupId, BoundaryId},
    time::HOUR,
};
use uuid::Uuid;

pub(super) fn device_location(sample: Flavour) -> DeviceLocation {
    DeviceLocation {
        seen_address: sample.text("10.1.2.17"),
        addresses: vec![sample.text("10.1.2.17/24"), sample.text("2001:db8:1::17/64")],
        directory_site: Some(sample.text("Berlin")),
        groups: vec![sample.name("Berlin, Mitte")],
        reported: NOW.plus(-HOUR),
    }
}

pub(super) fn boundaries(sample: Flavour) -> Vec<Boundary> {
    let values = [
        (BoundaryKind::IpSubnet, "10.1.2.0/24"),
        (BoundaryKind::IpRange, "10.9.0.10-10.9.0.200"),
        (BoundaryKind::Ipv6Prefix, "2001:db8:1::/48"),
        (BoundaryKind::DirectorySite, "Berlin"),
    ];
    let boundary = |(at, (kind, value)): (usize, (BoundaryKind, &str))| Boundary {
        id: BoundaryId(Uuid::from_u128(at as u128 + 1)),
        name: sample.name(value),
        kind,
        value: sample.text(value),
        groups: if at == 1 { vec![] } else { vec![BoundaryGroupId(Uuid::from_u128(1))] },
        changed: NOW.plus(-HOUR),
        changed_by: sample.text("amelia"),
    };
    values.into_iter().enumerate().map(boundary).collect()
}

pub(super) fn boundary_groups(sample: Flavour) -> Vec<BoundaryGroup> {
    let group = |number: u128, label: &str, points: &[&str]| BoundaryGroup {
        id: BoundaryGroupId(Uuid::from_u128(number)),
        name: sample.name(label),
        boundaries: if number == 1 { [1, 3, 4].map(|n| BoundaryId(Uuid::from_u128(n))).into() } else { vec![] },
        management_points: points.iter().map(|point| sample.text(point)).collect(),
        changed: NOW.plus(-HOUR),
        changed_by: sample.text("amelia"),
    };
    vec![
        group(1, "Berlin, Mitte", &["https://mp1.corp.example:8440", "https://mp2.corp.example:8440"]),
        group(2, "Nowhere yet", &[]),
    ]
}
