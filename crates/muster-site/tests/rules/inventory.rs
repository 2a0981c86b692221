//! Inventory: full, difference, lost base, rows that many devices share, and rows that nobody has any more.

use crate::client::{Outbox, digest, full, inventory, package, row};
use muster_model::{
    api::PageQuery,
    catalogue::{Catalogue, Type, is_foreign},
    inventory::{Change, InventoryReport, Row, Section, Unread, Value},
    problem::Code,
    report::{Body, Channel},
    time::DAY,
};
use muster_site::{
    Purge, Sweep, device_show, history_purge, inventory_show, inventory_sweep, report_submit,
    testing::{TestDevice, TestSite},
};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 500 };
const CLASS: &str = "INSTALLED_SOFTWARE";

fn delta(before: &[Row], after: &[Row], upsert: &[Row], remove: &[Row]) -> Body {
    let change = Change::Delta { base: digest(before), upsert: upsert.to_vec(), remove: remove.to_vec() };
    inventory(vec![Section { class: CLASS.to_owned(), digest: digest(after), change }])
}

fn key(name: &str) -> Row {
    row(&[("SoftwareCode", Value::Text(name.to_owned()))])
}

async fn software(test: &TestSite, device: &TestDevice) -> Vec<Row> {
    inventory_show(&test.analyst(), &test.site, device.id, CLASS, PAGE).await.unwrap().rows
}

#[tokio::test]
async fn a_difference_adds_replaces_and_removes() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let before = [package("a", "1"), package("b", "1"), package("c", "1")];
        let after = [package("a", "1"), package("b", "2"), package("d", "1")];
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(inventory(vec![full(CLASS, &before)]));
        outbox.push(delta(&before, &after, &after[1..], &[key("c")]));
        let answer = outbox.send(&test, &device).await.unwrap();
        assert!(answer.resync.is_empty() && answer.quarantined.is_empty(), "{answer:?}");
        assert_eq!(software(&test, &device).await, after);
        outbox.push(delta(&after, &[], &[], &[key("a"), key("b"), key("d"), key("never there")]));
        assert!(outbox.send(&test, &device).await.unwrap().resync.is_empty());
        assert!(software(&test, &device).await.is_empty());
    }
}

#[tokio::test]
async fn a_lost_base_asks_for_everything_until_it_came() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let (lost, after) = ([package("a", "0")], [package("a", "1"), package("b", "1")]);
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(delta(&lost, &after, &after, &[]));
        let envelope = crate::client::sealed(&device, &outbox.batch(1));
        for _ in 0..2 {
            // The first answer was lost: the same report again is told the same.
            let answer = report_submit(&test.device(&device), &test.site, &envelope).await.unwrap();
            assert_eq!((answer.acknowledged, answer.resync), (1, vec![CLASS.to_owned()]));
        }
        outbox.send(&test, &device).await.unwrap();
        outbox.push(inventory(vec![full(CLASS, &after)]));
        assert!(outbox.send(&test, &device).await.unwrap().resync.is_empty());
        assert_eq!(software(&test, &device).await, after);
    }
}

/// Removes what nobody has; how many rows went.
pub(crate) async fn sweep(test: &TestSite) -> u64 {
    let mut sweep = Sweep::default();
    while inventory_sweep(&test.site, &mut sweep, test.now()).await.unwrap() {}
    sweep.gone
}

#[tokio::test]
async fn a_row_that_somebody_takes_up_while_rows_are_removed_stays() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Inventory);
        for rows in [vec![package("a", "1"), package("b", "1")], vec![package("a", "1")]] {
            outbox.push(inventory(vec![full(CLASS, &rows)]));
            outbox.send(&test, &device).await.unwrap();
        }
        test.sources.pass(91 * DAY);
        let mut purge = Purge::default();
        while history_purge(&test.site, &mut purge, test.now()).await.unwrap() {}
        // After each step of the removal somebody may take up what was found to be free.
        for steps in 0.. {
            let mut sweep = Sweep::default();
            let mut more = true;
            for _ in 0..steps {
                more = more && inventory_sweep(&test.site, &mut sweep, test.now()).await.unwrap();
            }
            if !more || sweep.gone > 0 {
                break;
            }
            outbox.push(inventory(vec![full(CLASS, &[package("a", "1"), package("b", "1")])]));
            outbox.send(&test, &device).await.unwrap();
            while inventory_sweep(&test.site, &mut sweep, test.now()).await.unwrap() {}
            assert_eq!(software(&test, &device).await, [package("a", "1"), package("b", "1")], "{steps}");
            outbox.push(inventory(vec![full(CLASS, &[package("a", "1")])]));
            outbox.send(&test, &device).await.unwrap();
            test.sources.pass(91 * DAY);
            let mut purge = Purge::default();
            while history_purge(&test.site, &mut purge, test.now()).await.unwrap() {}
        }
    }
}

#[tokio::test]
async fn a_difference_to_a_row_of_which_there_were_many_replaces_that_one() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Inventory);
        let mut before = vec![package("a", "0"), package("b", "1")];
        outbox.push(inventory(vec![full(CLASS, &before)]));
        outbox.send(&test, &device).await.unwrap();
        // All of these have one key, and the history keeps them.
        for version in 1..150 {
            let after = vec![package("a", &version.to_string()), package("b", "1")];
            outbox.push(delta(&before, &after, &after[..1], &[]));
            if version % 30 == 29 || version > 145 {
                assert!(outbox.send(&test, &device).await.unwrap().resync.is_empty());
                assert_eq!(software(&test, &device).await, after);
            }
            before = after;
        }
    }
}

#[tokio::test]
async fn rows_are_shared_and_go_when_nobody_has_them() {
    for test in TestSite::all().await {
        let devices = [test.enrol("alpha").await, test.enrol("beta").await];
        let both = [package("a", "1"), package("b", "1")];
        let mut outboxes = [Outbox::new(Channel::Inventory), Outbox::new(Channel::Inventory)];
        for (device, outbox) in devices.iter().zip(&mut outboxes) {
            outbox.push(inventory(vec![full(CLASS, &both)]));
            outbox.send(&test, device).await.unwrap();
        }
        assert_eq!(sweep(&test).await, 0, "everything is somebody's");
        outboxes[0].push(inventory(vec![full(CLASS, &both[..1])]));
        outboxes[0].send(&test, &devices[0]).await.unwrap();
        assert_eq!(sweep(&test).await, 0, "the other still has it");
        outboxes[1].push(inventory(vec![full(CLASS, &both[..1])]));
        outboxes[1].send(&test, &devices[1]).await.unwrap();
        assert_eq!(sweep(&test).await, 0, "their history has it");
        test.sources.pass(91 * DAY);
        let mut purge = Purge::default();
        while history_purge(&test.site, &mut purge, test.now()).await.unwrap() {}
        assert_eq!(sweep(&test).await, 1);
        // What this process remembers of rows is not believed after a sweep.
        outboxes[0].push(inventory(vec![full(CLASS, &both)]));
        outboxes[0].send(&test, &devices[0]).await.unwrap();
        assert_eq!(software(&test, &devices[0]).await, both);
        assert_eq!(software(&test, &devices[1]).await, both[..1]);
    }
}

/// A row with a value for every attribute of a class.
fn whole_row(class: &muster_model::catalogue::Class) -> Row {
    let value = |kind| match kind {
        Type::Text => Value::Text("Ünïcode 'quoted' \"twice\" \\ {$1}".to_owned()),
        Type::Int { max, .. } => Value::Int(max),
        Type::DateTime => Value::Int(1_790_000_000_123),
        Type::Bool => Value::Bool(true),
        Type::Real => Value::Real(1.5),
        Type::List => Value::List(vec!["one".to_owned(), "two, \"three\"".to_owned()]),
    };
    class.attributes.iter().map(|attribute| (attribute.name.clone(), value(attribute.kind))).collect()
}

#[tokio::test]
async fn every_attribute_of_every_class_comes_back_as_it_was_sent() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let all = Catalogue::built_in().classes();
        let classes: Vec<_> = all.iter().filter(|class| !is_foreign(&class.name)).collect();
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(inventory(classes.iter().map(|class| full(&class.name, &[whole_row(class)])).collect()));
        let answer = outbox.send(&test, &device).await.unwrap();
        assert!(answer.quarantined.is_empty(), "{answer:?}");
        for class in &classes {
            let shown = inventory_show(&test.full(), &test.site, device.id, &class.name, PAGE).await.unwrap();
            assert_eq!(shown.rows, [whole_row(class)], "{}", class.name);
            let names: Vec<&String> = class.attributes.iter().map(|a| &a.name).collect();
            assert_eq!(shown.attributes.iter().collect::<Vec<_>>(), names);
        }
        let detail = device_show(&test.full(), &test.site, device.id).await.unwrap();
        assert_eq!(detail.classes.len(), classes.len());
        assert_eq!(detail.device.last_inventory, Some(test.now()));
    }
}

#[tokio::test]
async fn what_could_not_be_read_is_shown_as_of_the_last_report() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let report = |unread: &[(&str, &str)]| {
            let one =
                |(class, reason): &(&str, &str)| Unread { class: (*class).to_owned(), reason: (*reason).to_owned() };
            Body::Inventory(InventoryReport { sections: Vec::new(), unread: unread.iter().map(one).collect() })
        };
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(report(&[("PC_BIOS", "needs root\n"), ("NO_SUCH_CLASS", "x"), ("DISK", "y")]));
        outbox.send(&test, &device).await.unwrap();
        let unread = device_show(&test.full(), &test.site, device.id).await.unwrap().unread;
        assert_eq!(unread.iter().map(|unread| unread.class.as_str()).collect::<Vec<_>>(), ["DISK", "PC_BIOS"]);
        assert!(!unread[1].reason.contains('\n'));
        outbox.push(report(&[]));
        outbox.send(&test, &device).await.unwrap();
        assert!(device_show(&test.full(), &test.site, device.id).await.unwrap().unread.is_empty());
    }
}

#[tokio::test]
async fn pages_of_a_class_add_up() {
    let test = TestSite::new().await;
    let device = test.enrol("alpha").await;
    let rows: Vec<Row> = (0..23).map(|number| package(&format!("p{number:02}"), "1")).collect();
    let mut outbox = Outbox::new(Channel::Inventory);
    outbox.push(inventory(vec![full(CLASS, &rows)]));
    outbox.send(&test, &device).await.unwrap();
    let mut shown = Vec::new();
    for offset in [0, 10, 20] {
        let page = PageQuery { offset, limit: 10 };
        let part = inventory_show(&test.full(), &test.site, device.id, CLASS, page).await.unwrap();
        assert_eq!(part.total, 23);
        shown.extend(part.rows);
    }
    assert_eq!(shown, rows);
    let over = PageQuery { offset: 0, limit: test.site.limits.page_rows + 1 };
    let error = inventory_show(&test.full(), &test.site, device.id, CLASS, over).await.unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
    let error = inventory_show(&test.anonymous(), &test.site, device.id, CLASS, PAGE).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
}
