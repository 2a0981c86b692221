//! Software updates over all devices: counted once for each device, superseded by later versions, and kept with their first day.

use crate::client::{Outbox, full, inventory, row};
use muster_model::{
    api::{SoftwareUpdate, UpdateQuery},
    inventory::{Row, Value},
    report::Channel,
    time::MINUTE,
};
use muster_site::{UpdateWork, testing::TestSite, update_list, update_work};
use muster_store::{
    db::{StoreError, software_title, software_update},
    transaction,
};

fn update(package: &str, candidate: &str, security: bool) -> Row {
    let text = |text: &str| Value::Text(text.to_owned());
    row(&[
        ("Package", text(package)),
        ("Architecture", text("amd64")),
        ("InstalledVersion", text("1.0")),
        ("CandidateVersion", text(candidate)),
        ("Origin", text("Debian-Security:12/stable-security")),
        ("Security", Value::Bool(security)),
        ("Tool", text("apt")),
    ])
}

async fn listed(test: &TestSite, query: UpdateQuery) -> Vec<SoftwareUpdate> {
    let page = update_list(&test.analyst(), &test.site, &UpdateQuery { limit: 50, ..query }).await.unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items
}

fn short(updates: &[SoftwareUpdate]) -> Vec<(&str, &str, u64, Option<&str>)> {
    updates.iter().map(|u| (u.package.as_str(), u.version.as_str(), u.devices, u.superseded_by.as_deref())).collect()
}

#[tokio::test]
async fn updates_are_counted_over_devices_and_later_versions_replace_older_ones() {
    for test in TestSite::all().await {
        let mut work = UpdateWork::default();
        let mut outboxes = Vec::new();
        for (name, rows) in [
            ("alpha", vec![update("openssl", "1.9", true), update("bash", "2", false)]),
            ("beta", vec![update("openssl", "1.10", true)]),
            ("gamma", vec![update("openssl", "1.10", true)]),
        ] {
            let device = test.enrol(name).await;
            let mut outbox = Outbox::new(Channel::Inventory);
            outbox.push(inventory(vec![full("SoftwareUpdate", &rows)]));
            outbox.send(&test, &device).await.unwrap();
            outboxes.push((device, outbox));
        }
        update_work(&test.site, &mut work, test.now()).await.unwrap();
        let found = listed(&test, UpdateQuery::default()).await;
        // A security update that is missing is shown whatever is said of a later one.
        let wanted = [("openssl", "1.10", 2, None), ("openssl", "1.9", 1, Some("1.10")), ("bash", "2", 1, None)];
        assert_eq!(short(&found), wanted);
        assert!(found[0].security && !found[2].security);
        let first = found[0].first_seen;
        let all = listed(&test, UpdateQuery { superseded: true, security: true, ..UpdateQuery::default() }).await;
        assert_eq!(short(&all), [("openssl", "1.10", 2, None), ("openssl", "1.9", 1, Some("1.10"))]);
        assert!(listed(&test, UpdateQuery { search: "100%".to_owned(), ..UpdateQuery::default() }).await.is_empty());
        // It was installed on one, and offered on another.
        for (at, rows) in [(1, vec![]), (0, vec![update("openssl", "1.10", true), update("bash", "2", false)])] {
            let (device, outbox) = &mut outboxes[at];
            outbox.push(inventory(vec![full("SoftwareUpdate", &rows)]));
            outbox.send(&test, device).await.unwrap();
        }
        update_work(&test.site, &mut work, test.now()).await.unwrap();
        assert_eq!(listed(&test, UpdateQuery::default()).await[0].devices, 2, "not counted at every look");
        test.sources.pass(2 * MINUTE);
        update_work(&test.site, &mut work, test.now()).await.unwrap();
        let rests = listed(&test, UpdateQuery { superseded: true, ..UpdateQuery::default() }).await;
        assert!(rests.iter().all(|update| update.devices > 0), "a change is seen, and counted with others: {rests:?}");
        test.sources.pass(10 * MINUTE);
        update_work(&test.site, &mut work, test.now()).await.unwrap();
        let found = listed(&test, UpdateQuery { superseded: true, ..UpdateQuery::default() }).await;
        let wanted = [("openssl", "1.10", 2, None), ("bash", "2", 1, None), ("openssl", "1.9", 0, Some("1.10"))];
        assert_eq!(short(&found), wanted);
        assert_eq!(found[0].first_seen, first);
    }
}

#[tokio::test]
async fn names_that_devices_invent_are_counted_and_kept_up_to_a_limit() {
    for test in TestSite::all().await {
        let mut work = UpdateWork::default();
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Inventory);
        let rows: Vec<Row> = (0..5).map(|number| update(&format!("p{number}"), "2", false)).collect();
        outbox.push(inventory(vec![full("SoftwareUpdate", &rows)]));
        outbox.send(&test, &device).await.unwrap();
        update_work(&test.site, &mut work, test.now()).await.unwrap();
        let dialect = test.site.store.dialect();
        let mut reader = test.site.store.reader().await.unwrap();
        let before = software_title::latest(&mut reader).await.unwrap();
        assert_eq!(software_update::counted(&mut reader, dialect, 3).await.unwrap().len(), 3);
        assert!(software_update::has_changed(&mut reader, 0, before).await.unwrap());
        drop(reader);
        outbox.push(inventory(vec![full("SoftwareUpdate", &[])]));
        outbox.send(&test, &device).await.unwrap();
        let mut reader = test.site.store.reader().await.unwrap();
        let middle = software_title::latest(&mut reader).await.unwrap();
        drop(reader);
        outbox.push(inventory(vec![full("COMPUTER_SYSTEM", &[row(&[("Name", Value::Text("alpha".to_owned()))])])]));
        outbox.send(&test, &device).await.unwrap();
        let mut reader = test.site.store.reader().await.unwrap();
        let after = software_title::latest(&mut reader).await.unwrap();
        assert!(middle < after && software_update::has_changed(&mut reader, before, middle).await.unwrap());
        assert!(!software_update::has_changed(&mut reader, middle, after).await.unwrap(), "another class");
        drop(reader);
        test.sources.pass(10 * MINUTE);
        update_work(&test.site, &mut work, test.now()).await.unwrap();
        let forgotten: Result<_, StoreError> =
            transaction!(test.site.store, "cap", |tx| { software_update::cap(tx, 2).await });
        assert_eq!(forgotten.unwrap(), 3);
        assert_eq!(listed(&test, UpdateQuery { superseded: true, ..UpdateQuery::default() }).await.len(), 2);
    }
}
