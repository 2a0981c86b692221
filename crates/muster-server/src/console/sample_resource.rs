//! Sample data of resources.

use super::sample::{Flavour, NOW};
use muster_model::{
    api::{
        DirectorySettings, DiscoveryMethod, DiscoverySource, NetworkDiscovery, NetworkSettings, Resource,
        ResourceAlike, ResourceDetail, ResourceKind, ResourceRecord,
    },
    discovery::Fact,
    id::{DeviceId, ResourceId},
    time::HOUR,
};
use uuid::Uuid;

pub(super) fn resources(sample: Flavour) -> Vec<Resource> {
    if sample == Flavour::Empty {
        return vec![];
    }
    let resource = |(number, kind, name): (u32, ResourceKind, &str)| Resource {
        resource_id: ResourceId(16_777_216 + number),
        kind,
        name: sample.text(name),
        device: (number == 1).then(|| DeviceId(Uuid::from_u128(1))),
        methods: vec![DiscoveryMethod::Heartbeat, DiscoveryMethod::DirectorySystem],
        created: NOW.plus(-24 * HOUR),
        found: Some(NOW.plus(-HOUR)),
        gone: (number == 3).then(|| NOW.plus(-HOUR)),
        conflict: number == 4,
    };
    [
        (1, ResourceKind::System, "kiosk-lobby"),
        (2, ResourceKind::System, "SRV-01"),
        (3, ResourceKind::User, "CORP\\ada (Ada Lovelace)"),
        (4, ResourceKind::Group, "CORP\\Kiosks"),
    ]
    .map(resource)
    .into()
}

pub(super) fn sources(sample: Flavour) -> Vec<DiscoverySource> {
    if sample == Flavour::Empty {
        return vec![];
    }
    let source = |name: &str, error: Option<String>| DiscoverySource {
        name: sample.text(name),
        settings: DirectorySettings {
            enabled: true,
            containers: vec![sample.text("OU=Berlin,DC=corp,DC=example")],
            ..DirectorySettings::default()
        },
        changed: NOW.plus(-HOUR),
        changed_by: sample.text("amelia"),
        asked: None,
        running: false,
        full_ended: Some(NOW.plus(-HOUR)),
        delta_ended: None,
        failed: None,
        error,
        seen: 4_112,
        altered: 3,
        refused: 0,
    };
    vec![source("corp", None), source("lab", Some(sample.text("the server is not trusted")))]
}

pub(super) fn network(sample: Flavour) -> NetworkDiscovery {
    if sample == Flavour::Empty {
        return NetworkDiscovery::default();
    }
    let ranges = vec![sample.text("10.1.2.0/24")];
    let settings = NetworkSettings { enabled: true, ranges, ..NetworkSettings::default() };
    NetworkDiscovery { settings, looked: Some(NOW.plus(-HOUR)), seen: 17, error: Some(sample.text("/leases: gone")) }
}

pub(super) fn resource(sample: Flavour) -> ResourceDetail {
    let mut all = resources(if sample == Flavour::Empty { Flavour::Plain } else { sample });
    let resource = all.swap_remove(3);
    let facts = [
        ("DistinguishedName", Fact::Text(sample.text("CN=Kiosks,OU=Berlin,DC=corp,DC=example"))),
        ("UserAccountControl", Fact::Number(4_096)),
        ("SystemOUName", Fact::List(vec![sample.text("CORP.EXAMPLE/BERLIN")])),
    ];
    let record = ResourceRecord {
        method: DiscoveryMethod::DirectoryGroup,
        identity: sample.text("ad:0192f0c1-7a3b-7c4d-8e5f-0123456789ab"),
        first_found: NOW.plus(-24 * HOUR),
        found: NOW.plus(-HOUR),
        gone: None,
        facts: facts.map(|(name, fact)| (sample.text(name), fact)).into(),
    };
    let groups = if sample == Flavour::Empty { vec![] } else { vec![sample.text("CORP\\All Kiosks")] };
    let other = ResourceAlike {
        resource_id: ResourceId(16_777_217),
        name: sample.text("kiosk-lobby"),
        device: Some(DeviceId(Uuid::from_u128(1))),
    };
    let alike = if sample == Flavour::Empty { vec![] } else { vec![other] };
    ResourceDetail { resource, records: vec![record], groups, alike }
}
