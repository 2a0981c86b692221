//! Sample data of the history of inventory.

use super::sample::{Flavour, NOW};
use muster_model::{
    api::{ChangeDay, ClassComparison, DeviceComparison, DeviceHistory, RowChange, SectionChange},
    inventory::{Row, Value},
    time::{DAY, HOUR, UnixMillis},
};

pub(super) fn history(sample: Flavour) -> DeviceHistory {
    if sample == Flavour::Empty {
        return DeviceHistory { days: vec![], kept_days: 90, items: vec![], total: 0, offset: 0 };
    }
    let today = NOW.0.div_euclid(DAY);
    let day = |ago: i64| ChangeDay {
        day: UnixMillis((today - ago) * DAY),
        changes: (ago * 7).rem_euclid(11).unsigned_abs(),
        rows: 40,
    };
    let change = |at: i64, class: &str, first, added, removed| SectionChange {
        class: sample.text(class),
        time: NOW.plus(-at * HOUR),
        first,
        added,
        removed,
    };
    DeviceHistory {
        days: (0..60).map(day).collect(),
        kept_days: 90,
        items: vec![
            change(3, "INSTALLED_SOFTWARE", false, 14, 12),
            change(30, "OPERATING_SYSTEM", false, 1, 1),
            change(300, "LOGICAL_DISK", true, 4, 0),
        ],
        total: 214,
        offset: 0,
    }
}

pub(super) fn comparison(sample: Flavour) -> DeviceComparison {
    let (from, to) = (NOW.plus(-7 * DAY), NOW);
    if sample == Flavour::Empty {
        return DeviceComparison { from, to, classes: vec![], unknown: vec![] };
    }
    let row = |name: &str, version: &str| -> Row {
        [("ProductName", name), ("ProductVersion", version)]
            .map(|(attribute, text)| (attribute.to_owned(), Value::Text(sample.text(text))))
            .into()
    };
    let class = ClassComparison {
        class: sample.text("INSTALLED_SOFTWARE"),
        before: Some(1_480),
        after: Some(1_482),
        attributes: ["ProductName", "ProductVersion"].map(str::to_owned).into(),
        types: ["String", "String"].map(str::to_owned).into(),
        changed: vec![RowChange {
            before: row("openssl", "3.0.16-1~deb12u1"),
            after: row("openssl", "3.0.17-1~deb12u3"),
        }],
        changed_total: 1,
        added: vec![row("nginx", "1.22.1-9"), row("htop", "3.2.2-2")],
        added_total: 812,
        removed: vec![row("telnet", "0.17-44")],
        removed_total: 1,
    };
    DeviceComparison { from, to, classes: vec![class], unknown: vec![sample.text("SERVICE")] }
}
