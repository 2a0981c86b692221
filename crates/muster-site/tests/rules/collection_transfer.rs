//! Collections that come and go as MOF files; why a device is in one, row by row; and two servers that evaluate by turns.

use crate::{
    client::{Outbox, full, inventory, package},
    collection::{direct, make, members, wish, work},
};
use muster_model::{
    api::{CollectionCreate, CollectionExport, CollectionImport, CollectionQuery, PageQuery, RuleSpec},
    id::{CollectionId, DeviceId},
    problem::Code,
    report::Channel,
};
use muster_site::{
    CollectionWorker, Site, SiteParts, audit_list, collection_create, collection_explain, collection_export,
    collection_import, collection_index, collection_list, collection_show, collection_work,
    testing::{TestDevice, TestSite},
};
use muster_store::{db::collection_turn, testing::tamper};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const ALL: CollectionId = CollectionId::ALL_SYSTEMS;

const FILE: &str = r#"
instance of SMS_Collection { CollectionID = "LAB00003"; Name = "Rest"; LimitToCollectionID = "LAB00001"; LimitToCollectionName = "Labs";
  CollectionRules = { instance of SMS_CollectionRuleQuery { RuleName = "Not broken"; QueryExpression =
    "select * from SMS_R_System where ResourceId not in (select ResourceID from sms_cm_res_coll_LAB00002)"; } };
  RefreshType = 4; };
instance of SMS_Collection { CollectionID = "LAB00002"; Name = "Broken"; LimitToCollectionID = "LAB00001";
  CollectionRules = {
    instance of SMS_CollectionRuleDirect { ResourceClassName = "SMS_R_System"; ResourceID = 5; RuleName = "PC1"; },
    instance of SMS_CollectionRuleDirect { ResourceClassName = "SMS_R_System"; ResourceID = 6; RuleName = "nobody"; },
    instance of SMS_CollectionRuleQuery { RuleName = "x"; QueryExpression = "select * from SMS_R_Sytem"; } };
  RefreshSchedule = { instance of SMS_ST_RecurInterval { DaySpan = 7; StartTime = "20240120130000.000000+***"; } }; RefreshType = 2; };
instance of SMS_Collection { CollectionID = "LAB00001"; Name = "Labs"; LimitToCollectionID = "SMS00001"; Comment = "All of them"; RefreshType = 6;
  CollectionRules = { instance of SMS_CollectionRuleQuery { RuleName = "All"; QueryExpression = "select * from SMS_R_System where Name like \"pc%\""; } }; };
instance of SMS_Collection { CollectionID = "LAB00004"; Name = "Lost"; LimitToCollectionID = "LAB00099"; LimitToCollectionName = "Gone"; };
instance of SMS_Collection { CollectionID = "LAB00005"; Name = "Here"; LimitToCollectionID = "SMS00001"; };
instance of SMS_Collection { CollectionID = "LAB00006"; Name = "Ring"; LimitToCollectionID = "LAB00006"; };
"#;

async fn import(test: &TestSite, text: &str, what_if: bool) -> muster_model::api::CollectionImported {
    let request = CollectionImport { text: text.to_owned(), what_if };
    collection_import(&test.full(), &test.site, &request).await.unwrap()
}

async fn named(test: &TestSite, name: &str) -> CollectionId {
    let query = CollectionQuery { search: name.to_owned(), ..CollectionQuery::default() };
    let page = collection_list(&test.full(), &test.site, &query).await.unwrap();
    page.items.iter().find(|row| row.name.as_str() == name).unwrap_or_else(|| panic!("{name}")).id
}

async fn exported(test: &TestSite) -> String {
    collection_export(&test.full(), &test.site, &CollectionExport::default()).await.unwrap().text
}

/// As if pc1 had proven its account when it asked to be enrolled.
async fn prove(test: &TestSite) {
    for statement in [
        "UPDATE device SET account = 'S-1-5-21-1-2-3-1105' WHERE name = 'pc1'",
        "INSERT INTO domain_account (enrolment, realm, account, sid, verified) \
         SELECT id, 'LAB.EXAMPLE', 'PC1$', account, 0 FROM device WHERE name = 'pc1'",
    ] {
        tamper(&test.site.store, statement).await;
    }
}

fn collection(id: &str, limit: &str, more: &str, rules: &str) -> String {
    format!(
        "instance of SMS_Collection {{ CollectionID = \"{id}\"; Name = \"{id}\"; LimitToCollectionID = \"{limit}\"; {more}\
         CollectionRules = {{ {rules} }}; }};\n"
    )
}

fn by_query(query: &str) -> String {
    format!("instance of SMS_CollectionRuleQuery {{ RuleName = \"q\"; QueryExpression = \"{query}\"; }}")
}

fn by_collection(how: &str, id: &str) -> String {
    format!("instance of SMS_CollectionRule{how}Collection {{ RuleName = \"r\"; {how}CollectionID = \"{id}\"; }}")
}

#[tokio::test]
async fn ids_that_change_places_are_not_mistaken_for_each_other() {
    for test in TestSite::all().await {
        let mut devices = Vec::new();
        for name in ["pc0", "pc1"] {
            devices.push(test.enrol(name).await.id);
        }
        // The site gives the ids that the file has, in another order.
        let last = make(&test, "Last", ALL, Vec::new()).await.to_string();
        let last = u32::from_str_radix(&last[3..], 16).unwrap();
        let id = |number: u32| CollectionId::of_site("TST".parse().unwrap(), last + number).unwrap().to_string();
        let (one, two, three) = (id(1), id(2), id(3));
        let not = format!(
            "select * from SMS_R_System where ResourceId in (select ResourceID from SMS_CM_RES_COLL_{one}) \
             and ResourceId not in (select ResourceID from SMS_CM_RES_COLL_{two})"
        );
        let file = [
            collection(&two, "SMS00001", "", &by_query("select * from SMS_R_System where Name = 'pc1'")),
            collection(&one, "SMS00001", "", &by_query("select * from SMS_R_System where Name like 'pc%'")),
            collection(&three, "SMS00001", "", &by_query(&not)),
        ];
        let done = import(&test, &file.concat(), false).await;
        let ids: Vec<(&str, String)> =
            done.taken.iter().map(|taken| (taken.was.as_str(), taken.id.to_string())).collect();
        assert_eq!(ids, [(&*two, one.clone()), (&*one, two.clone()), (&*three, three.clone())]);
        work(&test).await;
        assert_eq!(members(&test, named(&test, &three).await).await, devices[..1], "pc0, and not pc1");
    }
}

#[tokio::test]
async fn a_collection_that_would_have_too_many_members_is_not_taken() {
    for test in TestSite::all().await {
        let all = by_query("select * from SMS_R_System");
        let and = |one: &str, other: &str| format!("{one}, {other}");
        let file = [
            collection("LAB00001", "SMS00001", "", &and(&all, &by_collection("Exclude", "LAB00099"))),
            collection("LAB00002", "LAB00001", "", &all),
            collection("LAB00003", "SMS00001", "", &by_collection("Include", "LAB00002")),
            collection("LAB00004", "SMS00001", "", &and(&all, &by_collection("Exclude", "LAB00003"))),
            collection("LAB00005", "SMS00001", "", &and(&all, &by_collection("Include", "LAB00099"))),
            collection("LAB00006", "SMS00001", "", &and(&all, &by_collection("Exclude", "LAB00005"))),
        ];
        let done = import(&test, &file.concat(), false).await;
        let taken: Vec<(&str, u64)> = done.taken.iter().map(|taken| (taken.was.as_str(), taken.rules)).collect();
        assert_eq!(taken, [("LAB00005", 1), ("LAB00006", 2)], "{:#?}", done.left);
        let why: Vec<(&str, &str)> =
            done.left.iter().map(|left| (left.collection.as_str(), left.why.as_str())).collect();
        for (of, said) in [
            ("LAB00001", "it excludes r (LAB00099), which is neither in the file nor here"),
            ("LAB00002", "it depends on LAB00001"),
            ("LAB00003", "it depends on LAB00002"),
            ("LAB00004", "it excludes r (LAB00003)"),
            ("LAB00005", "The collection r (LAB00099) is neither"),
        ] {
            assert!(why.iter().any(|(collection, why)| *collection == of && why.contains(said)), "{of}: {why:#?}");
        }
        assert_eq!(why.len(), 5, "{why:#?}");
    }
}

#[tokio::test]
async fn a_name_that_a_device_gives_itself_joins_nothing() {
    for test in TestSite::all().await {
        let mut devices = Vec::new();
        for name in ["pc0", "pc1"] {
            devices.push(test.enrol(name).await.id);
        }
        prove(&test).await;
        let direct = |name: &str| {
            format!(
                "instance of SMS_CollectionRuleDirect {{ ResourceClassName = \"SMS_R_System\"; ResourceID = 5; \
                 RuleName = \"{name}\"; }}"
            )
        };
        let both = format!("{}, {}", direct("PC0"), direct("PC1"));
        let file = [
            collection("LAB00001", "SMS00001", "", &both),
            collection("LAB00002", "SMS00001", "MusterProtected = TRUE; ", &both),
        ];
        let done = import(&test, &file.concat(), false).await;
        let why: Vec<(&str, &str)> =
            done.left.iter().map(|left| (left.collection.as_str(), left.why.as_str())).collect();
        let protected = "has another number here, and a protected collection takes no device by its name";
        let expected = [
            ("LAB00001", "A device calls itself PC0, and no domain has proven that"),
            ("LAB00002", protected),
            ("LAB00002", protected),
        ];
        assert_eq!(why.len(), expected.len(), "{why:#?}");
        for (found, expected) in why.iter().zip(expected) {
            assert!(found.0 == expected.0 && found.1.contains(expected.1), "{why:#?}");
        }
        work(&test).await;
        assert_eq!(members(&test, named(&test, "LAB00001").await).await, devices[1..]);
        assert!(members(&test, named(&test, "LAB00002").await).await.is_empty());
    }
}

#[tokio::test]
async fn what_may_not_be_as_it_is_is_written_all_the_same() {
    for test in TestSite::all().await {
        let rule = query("select * from SMS_R_System where Client = 1");
        let create = CollectionCreate { protected: true, ..wish("Ours", ALL, rule) };
        collection_create(&test.full(), &test.site, &create).await.unwrap();
        // As after an update with other rules of what is established.
        let other = "UPDATE collection_rule SET query = 'select * from SMS_R_System where Name like \"x%\"' \
                     WHERE kind = 'query'";
        tamper(&test.site.store, other).await;
        assert!(exported(&test).await.contains("Name like"));
    }
}

#[tokio::test]
async fn collections_come_from_a_file_and_go_into_one_and_what_is_left_is_said() {
    for test in TestSite::all().await {
        let mut devices: Vec<DeviceId> = Vec::new();
        for name in ["pc0", "pc1", "other"] {
            devices.push(test.enrol(name).await.id);
        }
        prove(&test).await;
        make(&test, "Here", ALL, direct(&devices[..1])).await;
        let before = exported(&test).await;
        let said = import(&test, FILE, true).await;
        assert_eq!(exported(&test).await, before, "with what_if nothing is made");
        let done = import(&test, FILE, false).await;
        assert_eq!(
            done.taken.iter().map(|taken| (taken.name.as_str(), taken.rules)).collect::<Vec<_>>(),
            [("Labs", 1), ("Broken", 1), ("Rest", 1)],
            "each after what it depends on"
        );
        assert_eq!((&said.left, said.taken.len()), (&done.left, 3), "what would be is what is");
        let left: Vec<String> =
            done.left.iter().map(|left| format!("{}:{} {}", left.line, left.collection, left.why)).collect();
        for (line, of, why) in [
            (9, "Broken", "No device is called nobody"),
            (10, "Broken", "SMS_R_Sytem"),
            (14, "Lost", "neither in the file nor here"),
            (15, "Here", "already"),
            (16, "Ring", "circle"),
        ] {
            let said = left.iter().any(|left| left.starts_with(&format!("{line}:{of} ")) && left.contains(why));
            assert!(said, "{line} {of} {why}: {left:#?}");
        }
        assert_eq!(left.len(), 5, "{left:#?}");
        work(&test).await;
        let (rest, broken) = (named(&test, "Rest").await, named(&test, "Broken").await);
        assert_eq!(members(&test, broken).await, [devices[1]]);
        assert_eq!(members(&test, rest).await, [devices[0]], "the query asks for the new id");
        let shown = collection_show(&test.full(), &test.site, rest).await.unwrap();
        assert_eq!((shown.rules[0].answered.as_str(), shown.collection.incremental), ("index", true));
        let shown = collection_show(&test.full(), &test.site, broken).await.unwrap().collection;
        assert_eq!((shown.schedule.len(), shown.incremental), (1, false));

        // What is written is read again to the same, at a site that has the same devices.
        let text = exported(&test).await;
        let other = TestSite::new().await;
        for name in ["pc0", "pc1", "other"] {
            other.enrol(name).await;
        }
        let again = import(&other, &text, false).await;
        assert!(again.left.is_empty(), "{:?}", again.left);
        let plain = |text: String| {
            let (mut found, left) = muster_model::mof::collection::collections(&text).unwrap();
            assert!(left.is_empty());
            // Ids are given by each site in its own order.
            found.sort_by(|one, other| one.name.cmp(&other.name));
            found
                .iter()
                .map(|one| (one.name.clone(), one.limiting_name.clone(), one.schedule.clone(), one.rules.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(plain(exported(&other).await), plain(text.clone()));
        let twice = import(&other, &text, false).await;
        assert!(twice.taken.is_empty() && twice.left.len() == 4, "{twice:?}");

        // Who may not, does not; what is no MOF is refused with its place.
        let request = CollectionImport { text: FILE.to_owned(), what_if: true };
        let refused = collection_import(&test.analyst(), &test.site, &request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Forbidden);
        let request = CollectionImport { text: "instance of\n X { A = ; };".to_owned(), what_if: true };
        let refused = collection_import(&test.full(), &test.site, &request).await.unwrap_err();
        assert!(
            refused.code() == Code::Malformed && refused.problem().detail.starts_with("Line 2, column 10"),
            "{refused:?}"
        );
        let log = audit_list(&test.full(), &test.site, PageQuery { offset: 0, limit: 500 }).await.unwrap();
        assert!(log.items.iter().any(|entry| entry.action == "collection_import"));
    }
}

async fn says(test: &TestSite, device: &TestDevice, outbox: &mut Outbox, names: &[&str]) {
    let rows: Vec<_> = names.iter().map(|name| package(name, "1.0")).collect();
    outbox.push(inventory(vec![full("INSTALLED_SOFTWARE", &rows)]));
    outbox.send(test, device).await.unwrap();
}

fn query(text: &str) -> Vec<RuleSpec> {
    vec![RuleSpec::Query { name: "by software".parse().unwrap(), query: text.to_owned() }]
}

#[tokio::test]
async fn a_query_says_which_row_it_found_and_which_part_does_not_hold() {
    for test in TestSite::all().await {
        let device = test.enrol("pc0").await;
        let bare = test.enrol("pc1").await;
        says(&test, &device, &mut Outbox::new(Channel::Inventory), &["reader", "zip"]).await;
        let joined = "select * from SMS_R_System s inner join SMS_G_System_INSTALLED_SOFTWARE x on x.ResourceID = s.ResourceId \
                      where x.ProductName like 'Z%' and s.Client = 1";
        let without = "select * from SMS_R_System where ResourceId not in (select ResourceID from \
                       SMS_G_System_INSTALLED_SOFTWARE where ProductName = 'READER')";
        let joined = make(&test, "With", ALL, query(joined)).await;
        let without = make(&test, "Without", ALL, query(without)).await;
        work(&test).await;
        let why = async |collection, device: DeviceId| {
            let said = collection_explain(&test.full(), &test.site, collection, device).await.unwrap();
            let one = said.reasons.into_iter().find(|reason| reason.rule.is_some()).unwrap();
            (one.holds, one.text, one.row)
        };
        let (holds, text, row) = why(joined, device.id).await;
        assert!(holds && text.ends_with("by this row of SMS_G_System_INSTALLED_SOFTWARE."), "{text}");
        assert_eq!((row["ProductName"].as_str(), row["ProductVersion"].as_str()), ("zip", "1.0"));
        let (holds, text, _) = why(joined, bare.id).await;
        assert!(!holds && text.ends_with("it has no row of SMS_G_System_INSTALLED_SOFTWARE."), "{text}");
        let (holds, text, row) = why(without, device.id).await;
        assert!(!holds && text.contains("it is not so that ResourceId not in (select ResourceID from"), "{text}");
        assert_eq!(row["ProductName"], "reader", "the row that is in");
        let (holds, text, _) = why(without, bare.id).await;
        assert!(holds && text == "The query by software gives it.", "{text}");
    }
}

async fn second(test: &TestSite) -> Arc<Site> {
    let parts = SiteParts {
        store: test.site.store.clone(),
        content: test.site.content.clone(),
        keys: test.ring.clone(),
        root: test.root_key.public().id(),
        endorsement_roots: Vec::new(),
        keytabs: Vec::new(),
        limits: test.site.limits.clone(),
        addresses: test.site.addresses.clone(),
        sources: test.sources.clone(),
    };
    Arc::new(Site::open(parts).await.unwrap())
}

#[tokio::test]
async fn of_two_servers_one_evaluates_until_it_is_silent() {
    for test in TestSite::all().await {
        let other = second(&test).await;
        let create = async |name: &str| {
            let create = CollectionCreate { incremental: true, ..wish(name, ALL, Vec::new()) };
            collection_create(&test.full(), &test.site, &create).await.unwrap().collection.id
        };
        let evaluated = async |id| {
            let began = Instant::now();
            while collection_show(&test.full(), &test.site, id).await.unwrap().collection.evaluated.is_none() {
                assert!(began.elapsed() < Duration::from_secs(20), "nobody evaluates it");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            began.elapsed()
        };
        let turn = async || collection_turn::turn(&mut test.site.store.reader().await.unwrap()).await.unwrap();
        let start = |site: &Arc<Site>| {
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let worker = CollectionWorker::new(Arc::clone(site));
            (stop, tokio::spawn(worker.run(async move { drop(stopped.await) })))
        };
        let (_held, first) = start(&test.site);
        evaluated(create("One").await).await;
        let holder = turn().await.worker;
        let (stop, second) = start(&other);
        for at in 0..5 {
            evaluated(create(&format!("More {at}")).await).await;
            assert_eq!(turn().await.worker, holder, "the other one waits");
        }
        // Killed, not stopped: the other one sees that there is work and no sign of life.
        first.abort();
        let _ = first.await;
        evaluated(create("Two").await).await;
        let heir = turn().await.worker;
        assert!(!heir.is_empty() && heir != holder);
        // Who stops in order leaves the turn to whoever comes.
        stop.send(()).unwrap();
        second.await.unwrap();
        assert_eq!(turn().await.worker, "");
        let (_held, third) = start(&test.site);
        assert!(evaluated(create("Three").await).await < Duration::from_secs(2), "it need not wait");
        third.abort();
    }
}

#[tokio::test]
async fn two_servers_that_evaluate_by_turns_come_to_the_same() {
    for test in TestSite::all().await {
        let other = second(&test).await;
        let (one, two) = (test.enrol("pc0").await, test.enrol("pc1").await);
        let (mut first, mut last) = (Outbox::new(Channel::Inventory), Outbox::new(Channel::Inventory));
        let text = "select * from SMS_R_System where ResourceId in (select ResourceID from SMS_G_System_INSTALLED_SOFTWARE \
                    where ProductName = 'reader')";
        let create = CollectionCreate { incremental: true, ..wish("Reader", ALL, query(text)) };
        let collection = collection_create(&test.full(), &test.site, &create).await.unwrap().collection.id;
        work(&test).await;
        while collection_work(&other, test.full().now).await.unwrap() {}
        // The other one deals with a change; then this one evaluates for another reason, and must know of it.
        says(&test, &one, &mut first, &["reader"]).await;
        while collection_work(&other, test.full().now).await.unwrap() {}
        assert_eq!(members(&test, collection).await, [one.id]);
        says(&test, &two, &mut last, &["reader", "zip"]).await;
        muster_site::collection_evaluate(&test.full(), &test.site, collection).await.unwrap();
        work(&test).await;
        assert_eq!(members(&test, collection).await, [one.id, two.id]);
        says(&test, &one, &mut first, &["zip"]).await;
        while collection_work(&other, test.full().now).await.unwrap() {}
        assert_eq!(members(&test, collection).await, [two.id]);
        let index = collection_index(&test.full(), &test.site).unwrap();
        assert!(index.devices == 2 && index.bytes > 0 && index.by_index >= 1, "{index:?}");

        // What no rule asks about is noted nowhere; what one asks about later is read then.
        let noted = async || {
            let mut reader = test.site.store.reader().await.unwrap();
            muster_store::db::device_change::oldest(&mut reader, 100).await.unwrap().len()
        };
        let rows = vec![crate::client::row(&[("Tag", muster_model::inventory::Value::Text("7".to_owned()))])];
        first.push(inventory(vec![full("SYSTEM_ENCLOSURE", &rows)]));
        first.send(&test, &one).await.unwrap();
        assert_eq!(noted().await, 0);
        let text = "select * from SMS_R_System s join SMS_G_System_SYSTEM_ENCLOSURE e on e.ResourceID = s.ResourceID where e.Tag = '7'";
        let later = make(&test, "Seven", ALL, query(text)).await;
        work(&test).await;
        assert_eq!(members(&test, later).await, [one.id]);
        first.push(inventory(vec![full("SYSTEM_ENCLOSURE", &[])]));
        first.send(&test, &one).await.unwrap();
        assert_eq!(noted().await, 1);
    }
}
