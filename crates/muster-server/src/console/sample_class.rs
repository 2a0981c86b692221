//! Sample data of inventory classes.

use super::sample::{Flavour, NOW};
use muster_model::{
    api::{ClassAttribute, ClassOverview, Classes, InventoryClass, WaitingClass},
    time::HOUR,
};

pub(super) fn classes(sample: Flavour) -> Classes {
    if sample == Flavour::Empty {
        return Classes { items: vec![], waiting: vec![] };
    }
    let class = |name: &str, version: u32| ClassOverview {
        name: sample.text(name),
        provider: sample.text("Win32_Badge"),
        version,
        attributes: 12,
        changed: (version > 0).then(|| NOW.plus(-HOUR)),
        changed_by: (version > 0).then(|| sample.text("amelia")),
        retired: (version == 3).then(|| NOW.plus(-HOUR)),
    };
    let waiting =
        WaitingClass { name: sample.text("DOCKING_STATION"), devices: 412, bytes: 81_214, received: NOW.plus(-HOUR) };
    Classes {
        items: vec![class("BADGE_READER", 2), class("OLD_THING", 3), class("PROCESSOR", 0)],
        waiting: vec![waiting],
    }
}

pub(super) fn class(sample: Flavour) -> InventoryClass {
    let attribute =
        |name: &str, kind: &str, key| ClassAttribute { name: sample.text(name), kind: sample.text(kind), key };
    InventoryClass {
        name: sample.text("BADGE_READER"),
        provider: sample.text("Win32_Badge"),
        version: 2,
        attributes: vec![attribute("Name", "String", true), attribute("Slots", "UInt16[]", false)],
        changed: Some(NOW.plus(-HOUR)),
        changed_by: Some(sample.text("amelia")),
        retired: None,
    }
}
