//! Classes of administrators: added while the site runs, versioned, retired; what devices sent before waits for them.

use crate::client::{Outbox, digest, full, inventory, package, row};
use muster_model::{
    api::{ClassAdd, ClassAttribute, CollectionCreate, PageQuery, QueryRun, RuleSpec},
    id::CollectionId,
    inventory::{Change, Row, Section, Value},
    limits::{WAITING_BYTES, WAITING_CLASSES, WAITING_DAYS},
    problem::Code,
    report::Channel,
    time::DAY,
};
use muster_site::{
    Site, SiteParts, Worker, audit_list, class_add, class_list, class_retire, class_show, collection_create,
    inventory_show, quarantine_list, query_run,
    testing::{TestDevice, TestSite},
};
use muster_store::{Store, content::ContentStore};
use std::sync::Arc;

const PAGE: PageQuery = PageQuery { offset: 0, limit: 500 };

pub(crate) fn definition(name: &str, attributes: &[(&str, &str)]) -> ClassAdd {
    let attribute = |(at, (name, kind)): (usize, &(&str, &str))| ClassAttribute {
        name: (*name).to_owned(),
        kind: (*kind).to_owned(),
        key: at == 0,
    };
    ClassAdd {
        name: name.to_owned(),
        provider: String::new(),
        attributes: attributes.iter().enumerate().map(attribute).collect(),
    }
}

fn badge(name: &str, port: i64) -> Row {
    row(&[("Name", Value::Text(name.to_owned())), ("Port", Value::Int(port))])
}

async fn rows(test: &TestSite, device: &TestDevice, class: &str) -> Option<Vec<Row>> {
    Some(inventory_show(&test.analyst(), &test.site, device.id, class, PAGE).await.ok()?.rows)
}

async fn found(test: &TestSite, text: &str) -> usize {
    let request = QueryRun { query: text.to_owned(), limit: 10, utc_offset_minutes: 0 };
    query_run(&test.analyst(), &test.site, request).await.unwrap().rows.len()
}

async fn worked(test: &TestSite) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

/// The guide's answer to "one more attribute of a built-in class", taken from the guide.
#[tokio::test]
async fn a_class_with_the_key_of_a_built_in_one_says_more_of_each_of_its_rows() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/extend-the-inventory.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let block = |start: &str| {
        let (_, rest) = guide.split_once(&format!("```{start}")).unwrap();
        format!("{start}{}", rest.split_once("```").unwrap().0)
    };
    let add: ClassAdd =
        serde_json::from_str(block("json\n{\n  \"name\": \"LOGICAL_DISK_OWNER\"").trim_start_matches("json")).unwrap();
    let query = block("\nselect SMS_R_System.Name, SMS_G_System_LOGICAL_DISK.DeviceID");
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        class_add(&test.full(), &test.site, add.clone()).await.unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let disk = |id: &str, free| row(&[("DeviceID", text(id)), ("FreeSpace", Value::Int(free))]);
        let owner = |id: &str, team: &str| {
            row(&[("DeviceID", text(id)), ("Team", text(team)), ("BackedUp", Value::Bool(false))])
        };
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(inventory(vec![
            full("LOGICAL_DISK", &[disk("/", 7), disk("/srv", 8), disk("/tmp", 9)]),
            full("LOGICAL_DISK_OWNER", &[owner("/srv", "Engines"), owner("/gone", "Sales")]),
        ]));
        assert!(outbox.send(&test, &device).await.unwrap().quarantined.is_empty());
        let request = QueryRun { query: query.clone(), limit: 10, utc_offset_minutes: 0 };
        let found = query_run(&test.analyst(), &test.site, request).await.unwrap().rows;
        assert_eq!(found, [[Some(text("alpha")), Some(text("/srv")), Some(text("Engines"))]]);
    }
}

#[tokio::test]
async fn a_class_is_added_takes_reports_grows_and_is_retired() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let first = definition("BADGE_READER", &[("Name", "String"), ("Port", "UInt32")]);
        let added = class_add(&test.full(), &test.site, first.clone()).await.unwrap();
        assert_eq!((added.version, added.attributes.len()), (1, 2));
        assert_eq!(
            class_add(&test.full(), &test.site, first.clone()).await.unwrap(),
            added,
            "nothing new is nothing done"
        );
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(inventory(vec![full("BADGE_READER", &[badge("door", 7), badge("gate", 8)])]));
        assert!(outbox.send(&test, &device).await.unwrap().quarantined.is_empty());
        assert_eq!(rows(&test, &device, "BADGE_READER").await.unwrap(), [badge("door", 7), badge("gate", 8)]);

        // It is asked about like every other class, by hand and by the rule of a collection, which follows it.
        let text = "select s.Name from SMS_R_System s join SMS_G_System_badge_reader b on b.ResourceID = s.ResourceID where b.Port > 7";
        assert_eq!(found(&test, text).await, 1);
        let rule = RuleSpec::Query { name: "doors".parse().unwrap(), query: text.to_owned() };
        let wish = CollectionCreate {
            incremental: true,
            ..crate::collection::wish("Doors", CollectionId::ALL_SYSTEMS, vec![rule])
        };
        let doors = collection_create(&test.full(), &test.site, &wish).await.unwrap().collection.id;
        crate::collection::work(&test).await;
        assert_eq!(crate::collection::members(&test, doors).await, [device.id]);
        outbox.push(inventory(vec![full("BADGE_READER", &[badge("door", 7)])]));
        assert!(outbox.send(&test, &device).await.unwrap().quarantined.is_empty());
        crate::collection::work(&test).await;
        assert_eq!(crate::collection::members(&test, doors).await, []);

        let second = definition("BADGE_READER", &[("Name", "String"), ("Slots", "UInt16[]"), ("Seen", "DateTime")]);
        let grown = class_add(&test.full(), &test.site, second).await.unwrap();
        assert_eq!((grown.version, grown.attributes.len()), (2, 4), "what is not named again stays");
        let mut new = badge("door", 7);
        new.insert("Slots".to_owned(), Value::List(vec!["1".to_owned(), "2".to_owned()]));
        new.insert("Seen".to_owned(), Value::Int(1_790_000_000_123));
        outbox.push(inventory(vec![full("BADGE_READER", std::slice::from_ref(&new))]));
        assert!(outbox.send(&test, &device).await.unwrap().quarantined.is_empty());
        assert_eq!(rows(&test, &device, "BADGE_READER").await.unwrap(), [new.clone()]);

        let other = definition("BADGE_READER", &[("Name", "String"), ("Port", "String")]);
        assert_eq!(class_add(&test.full(), &test.site, other).await.unwrap_err().code(), Code::Conflict);
        class_retire(&test.full(), &test.site, "BADGE_READER").await.unwrap();
        outbox.push(inventory(vec![full("BADGE_READER", &[badge("door", 9)])]));
        let answer = outbox.send(&test, &device).await.unwrap();
        assert!(answer.quarantined[0].reason.contains("retired"), "{answer:?}");
        assert_eq!(rows(&test, &device, "BADGE_READER").await.unwrap(), [new], "what was reported stays");
        let back = class_add(&test.full(), &test.site, first).await.unwrap();
        assert_eq!((back.version, back.retired), (2, None));
        outbox.push(inventory(vec![full("BADGE_READER", &[badge("door", 9)])]));
        assert!(outbox.send(&test, &device).await.unwrap().quarantined.is_empty());
        let actions: Vec<String> =
            audit_list(&test.full(), &test.site, PAGE).await.unwrap().items.into_iter().map(|e| e.action).collect();
        assert_eq!(actions.iter().filter(|action| action.starts_with("class_")).count(), 4, "{actions:?}");
    }
}

// proves S1
#[tokio::test]
async fn hostile_definitions_change_nothing() {
    for test in TestSite::all().await {
        let hostile = [
            definition("X'; DROP TABLE device; --", &[("Name", "String")]),
            definition("DEVICE\"", &[("Name", "String")]),
            definition("PC_BIOS", &[("Name", "String")]),
            definition("CLIENTEVENTS", &[("Name", "String")]),
            definition("THING_KEY", &[("Name", "String")]),
            definition("THING", &[("Name\" TEXT, x TEXT); DROP TABLE device; --", "String")]),
            definition("THING", &[("row_hash", "String")]),
            definition("THING", &[("xmin", "String")]),
            definition("THING", &[("Name", "String); DROP TABLE device")]),
            definition("THING", &[("Name", "String"), ("NAME", "String")]),
            definition("THING", &[]),
        ];
        for add in hostile {
            let error = class_add(&test.full(), &test.site, add.clone()).await.unwrap_err();
            assert_eq!(error.code(), Code::Malformed, "{add:?}");
        }
        let list = class_list(&test.analyst(), &test.site).await.unwrap();
        assert_eq!(list.items.len(), 181);
        let fine = definition("THING", &[("Name", "String")]);
        assert_eq!(class_add(&test.analyst(), &test.site, fine).await.unwrap_err().code(), Code::Forbidden);
        for name in ["THING", "x' OR 1=1", "PC_BIOS"] {
            assert_eq!(class_retire(&test.full(), &test.site, name).await.unwrap_err().code(), Code::NotFound);
        }
        // The widest class that there can be, with names that are words of SQL.
        let names: Vec<String> = (0..199).map(|n| format!("{}{n}", "X".repeat(36))).collect();
        let mut wide: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "String[]")).collect();
        wide.insert(0, ("select", "SInt64"));
        let name = "ORDER".to_owned() + &"_".repeat(35);
        class_add(&test.full(), &test.site, definition(&name, &wide)).await.unwrap();
        let device = test.enrol("alpha").await;
        let long = Value::List(vec!["y".repeat(200); 20]);
        let mut whole: Row = names.iter().map(|name| (name.clone(), long.clone())).collect();
        whole.insert("select".to_owned(), Value::Int(i64::MIN));
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(inventory(vec![full(&name, std::slice::from_ref(&whole))]));
        assert!(outbox.send(&test, &device).await.unwrap().quarantined.is_empty());
        assert_eq!(rows(&test, &device, &name).await.unwrap(), [whole]);
    }
}

// proves S1
#[tokio::test]
async fn what_waits_is_bounded_shown_and_taken_in_when_its_class_comes() {
    for test in TestSite::all().await {
        let devices = [test.enrol("alpha").await, test.enrol("beta").await];
        let mut outboxes = [Outbox::new(Channel::Inventory), Outbox::new(Channel::Inventory)];
        let docks = [badge("left", 1), badge("right", 2)];
        outboxes[0].push(inventory(vec![full("DOCK", &docks), full("INSTALLED_SOFTWARE", &[package("a", "1")])]));
        outboxes[1].push(inventory(vec![full("DOCK", &[package("wrong", "1")])]));
        for (outbox, device) in outboxes.iter_mut().zip(&devices) {
            let answer = outbox.send(&test, device).await.unwrap();
            assert!(answer.quarantined[0].reason.contains("waits"), "{answer:?}");
        }
        let waiting = class_list(&test.analyst(), &test.site).await.unwrap().waiting;
        assert_eq!((waiting.len(), waiting[0].name.as_str(), waiting[0].devices), (1, "DOCK", 2));
        class_add(&test.full(), &test.site, definition("DOCK", &[("Name", "String"), ("Port", "UInt32")]))
            .await
            .unwrap();
        worked(&test).await;
        assert_eq!(rows(&test, &devices[0], "DOCK").await.unwrap(), docks);
        assert_eq!(rows(&test, &devices[1], "DOCK").await, None);
        assert!(class_list(&test.analyst(), &test.site).await.unwrap().waiting.is_empty());
        let aside = quarantine_list(&test.analyst(), &test.site, PAGE).await.unwrap();
        assert!(aside.items.iter().any(|item| item.reason.contains("no attribute")), "{aside:?}");
        // A difference to what was taken in finds it there.
        let after = [badge("left", 1), badge("right", 3)];
        let change = Change::Delta { base: digest(&docks), upsert: vec![after[1].clone()], remove: vec![] };
        outboxes[0].push(inventory(vec![Section { class: "DOCK".to_owned(), digest: digest(&after), change }]));
        assert!(outboxes[0].send(&test, &devices[0]).await.unwrap().resync.is_empty());
        assert_eq!(rows(&test, &devices[0], "DOCK").await.unwrap(), after);

        // A device that invents classes: the latest few wait, and what is too large or has no name of a class does not.
        for n in 0..WAITING_CLASSES * 2 {
            outboxes[0].push(inventory(vec![full(&format!("INVENTED_{n}"), &docks)]));
        }
        outboxes[0]
            .push(inventory(vec![full("HUGE", &[badge(&"x".repeat(WAITING_BYTES), 1)]), full("x'; --", &docks)]));
        outboxes[0].send(&test, &devices[0]).await.unwrap();
        let waiting = class_list(&test.analyst(), &test.site).await.unwrap().waiting;
        assert_eq!(waiting.len(), WAITING_CLASSES, "{waiting:?}");
        assert!(waiting.iter().all(|class| class.name.starts_with("INVENTED_")));

        // It does not wait for ever: others would have no room.
        let mut worker = Worker::new(test.site.clone());
        test.sources.pass((WAITING_DAYS + 1) * DAY);
        while worker.step().await.unwrap() {}
        assert!(class_list(&test.analyst(), &test.site).await.unwrap().waiting.is_empty());
    }
}

#[tokio::test]
async fn another_process_follows() {
    for test in TestSite::all().await {
        let other = Store::open(&test.store.url).await.unwrap();
        let parts = SiteParts {
            store: other,
            content: ContentStore::open(test.store.directory.path().join("other")).unwrap(),
            keys: test.ring.clone(),
            root: test.site.trust.load().root().unwrap(),
            endorsement_roots: Vec::new(),
            keytabs: Vec::new(),
            limits: test.site.limits.clone(),
            addresses: test.site.addresses.clone(),
            sources: test.sources.clone(),
        };
        let second = Arc::new(Site::open(parts).await.unwrap());
        class_add(&test.full(), &test.site, definition("DOCK", &[("Name", "String")])).await.unwrap();
        assert!(second.catalogue.load().class("DOCK").is_none());
        let mut worker = Worker::new(second.clone());
        while worker.step().await.unwrap() {}
        assert_eq!(second.catalogue.load().class("DOCK").unwrap().version, 1);
        class_retire(&test.full(), &second, "DOCK").await.unwrap();
        while Worker::new(test.site.clone()).step().await.unwrap() {}
        assert!(test.site.catalogue.load().class("DOCK").unwrap().retired);
        assert!(class_show(&test.analyst(), &test.site, "DOCK").await.unwrap().retired.is_some());
    }
}
