//! Rules that cannot be asked: their collection says so, lets nobody in by them, and holds up no other.

use crate::{
    class::definition,
    collection::{direct, make, members, wish, work},
};
use muster_model::{
    api::{CollectionCreate, CollectionDetail, RuleSpec},
    id::{CollectionId, DeviceId},
    problem::Code,
};
use muster_site::{
    class_add, class_retire, collection_create, collection_rule_add, collection_show, testing::TestSite,
};

const ALL: CollectionId = CollectionId::ALL_SYSTEMS;

fn query(text: &str) -> RuleSpec {
    RuleSpec::Query { name: "by query".parse().unwrap(), query: text.to_owned() }
}

async fn error(test: &TestSite, id: CollectionId) -> Option<String> {
    let CollectionDetail { collection, .. } = collection_show(&test.full(), &test.site, id).await.unwrap();
    collection.evaluation_error
}

// proves I2: who is excluded is out, whether or not the queries of the collection can be asked at the moment.
#[tokio::test]
async fn a_query_that_cannot_be_asked_keeps_nobody_in_and_holds_up_no_other_collection() {
    for test in TestSite::all().await {
        let (full, site) = (test.full(), &test.site);
        let devices: Vec<DeviceId> = [test.enrol("pc0").await.id, test.enrol("pc1").await.id].into();
        let badge = definition("BADGE_READER", &[("Name", "String")]);
        class_add(&full, site, badge.clone()).await.unwrap();
        let out = make(&test, "Out", ALL, vec![]).await;
        let other = make(&test, "Other", ALL, vec![]).await;
        let text = format!(
            "select * from SMS_R_System where ResourceID not in (select ResourceID from SMS_G_System_BADGE_READER) \
             and ResourceID not in (select ResourceID from SMS_CM_RES_COLL_{other})"
        );
        let wanted = CollectionCreate {
            incremental: true,
            ..wish("No badge", ALL, vec![query(&text), RuleSpec::Exclude { collection: out }])
        };
        let asked = collection_create(&full, site, &wanted).await.unwrap().collection.id;
        work(&test).await;
        assert_eq!((members(&test, asked).await, error(&test, asked).await), (devices.clone(), None));

        class_retire(&full, site, "BADGE_READER").await.unwrap();
        collection_rule_add(&full, site, out, &direct(&devices[..1])[0]).await.unwrap();
        let late = test.enrol("pc2").await.id;
        work(&test).await;
        assert_eq!(members(&test, asked).await, devices[1..], "the excluded one is out, and nobody comes in");
        let said = error(&test, asked).await.unwrap();
        assert!(said.contains("BADGE_READER"), "{said}");
        assert_eq!(members(&test, ALL).await.len(), 3, "the others go on");

        // What the query depended on, it depends on: there is no circle to be made meanwhile.
        let circle =
            collection_rule_add(&full, site, other, &RuleSpec::Include { collection: asked }).await.unwrap_err();
        assert_eq!(circle.code(), Code::Conflict);
        class_add(&full, site, badge).await.unwrap();
        muster_site::collection_evaluate(&full, site, asked).await.unwrap();
        work(&test).await;
        assert_eq!((members(&test, asked).await, error(&test, asked).await), (vec![devices[1], late], None));
    }
}

// proves I2: a class of the inventory decides also where none of its attributes is named.
#[tokio::test]
async fn a_protected_collection_counts_no_rows_of_devices() {
    let test = TestSite::new().await;
    class_add(&test.full(), &test.site, definition("BADGE_READER", &[("Name", "String")])).await.unwrap();
    for text in [
        "select * from SMS_R_System where 0 < (select count(*) from SMS_G_System_BADGE_READER)",
        "select * from SMS_R_System s inner join SMS_G_System_BADGE_READER b on s.ResourceID > 0",
        "select * from SMS_R_System where ResourceID in (select m.ResourceID from SMS_FullCollectionMembership m left join SMS_R_System r \
         on m.CollectionID = 'SMS00001' and r.ResourceID = m.ResourceID where m.CollectionID like 'P01%')",
    ] {
        let wanted = CollectionCreate { protected: true, ..wish("Tier 0", ALL, vec![query(text)]) };
        let refused = collection_create(&test.full(), &test.site, &wanted).await.unwrap_err();
        assert!(matches!(refused.code(), Code::Conflict | Code::Malformed), "{text}: {refused}");
    }
}
