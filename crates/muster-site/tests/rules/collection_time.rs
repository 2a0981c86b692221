//! What time alone changes, and what a device changes by only being there.

use crate::{
    client::{Outbox, full, inventory, package},
    collection::{members, wish, work},
};
use muster_model::{
    api::{CollectionCreate, RuleSpec},
    id::CollectionId,
    report::Channel,
    time::{DAY, HOUR},
};
use muster_site::{collection_create, collection_show, device_seen, device_seen_flush, testing::TestSite};

fn asking(text: &str, incremental: bool) -> CollectionCreate {
    let rule = RuleSpec::Query { name: "by query".parse().unwrap(), query: text.to_owned() };
    CollectionCreate {
        incremental,
        ..wish(&format!("{text:.60} {incremental}"), CollectionId::ALL_SYSTEMS, vec![rule])
    }
}

#[tokio::test]
async fn a_device_that_comes_back_leaves_the_collection_of_those_that_were_away() {
    for test in TestSite::all().await {
        let (one, two) = (test.enrol("pc0").await, test.enrol("pc1").await);
        let make = async |text: &str, incremental| {
            collection_create(&test.full(), &test.site, &asking(text, incremental)).await.unwrap().collection.id
        };
        let contact = async |device| {
            device_seen(&test.site, device, test.now());
            device_seen_flush(&test.site).await.unwrap();
        };
        let mut outbox = Outbox::new(Channel::Inventory);
        let mut report = async || {
            outbox.push(inventory(vec![full("INSTALLED_SOFTWARE", &[package("zip", "1")])]));
            outbox.send(&test, &one).await.unwrap();
        };
        contact(one.id).await;
        contact(two.id).await;
        let away = "select * from SMS_R_System s inner join SMS_G_System_CH_ClientSummary c on c.ResourceID = s.ResourceID \
                    where c.LastActiveTime < DateAdd(dd, -14, GetDate())";
        let scanned = "select * from SMS_R_System s inner join SMS_G_System_WORKSTATION_STATUS w on w.ResourceID = s.ResourceID \
                       where w.LastHardwareScan > DateAdd(dd, -7, GetDate())";
        let (away, scanned) = (make(away, true).await, make(scanned, true).await);
        let asked_only =
            make("select * from SMS_R_System where CreationDate < DateAdd(dd, -14, GetDate())", false).await;
        work(&test).await;
        let empty: [muster_model::id::DeviceId; 0] = [];
        assert_eq!((members(&test, away).await, members(&test, scanned).await), (empty.into(), empty.into()));
        let next = async |id| collection_show(&test.full(), &test.site, id).await.unwrap().collection.next_evaluation;
        assert!(next(away).await.is_some_and(|at| at.since(test.now()) <= DAY), "time has its turn every day");
        assert_eq!(next(asked_only).await, None, "that one is evaluated when somebody says so");

        report().await;
        work(&test).await;
        assert_eq!(members(&test, scanned).await, [one.id]);

        // Nothing happens but time.
        test.sources.pass(15 * DAY);
        work(&test).await;
        assert_eq!((members(&test, away).await, members(&test, scanned).await), (vec![one.id, two.id], empty.into()));

        contact(two.id).await;
        work(&test).await;
        assert_eq!(members(&test, away).await, [one.id], "it is here again");
        // The same inventory as before is news as well: that it came.
        report().await;
        work(&test).await;
        assert_eq!(members(&test, scanned).await, [one.id]);

        // Who is in contact all day is looked at once.
        test.sources.pass(HOUR);
        contact(two.id).await;
        let changes = {
            let mut reader = test.site.store.reader().await.unwrap();
            muster_store::db::device_change::oldest(&mut reader, 10).await.unwrap()
        };
        assert!(!changes.iter().any(|change| change.classes.iter().any(|class| class == "last_seen")), "{changes:?}");
    }
}
