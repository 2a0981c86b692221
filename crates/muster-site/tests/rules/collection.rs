//! Collections: who may change them, what follows from their rules, and that nothing is lost on the way.

use muster_model::{
    api::{
        CollectionCreate, CollectionDetail, CollectionKind, CollectionQuery, CollectionSet, DeploymentCreate,
        PageQuery, RuleSpec, Target,
    },
    id::{CollectionId, DeviceId},
    policy::BodyKind,
    problem::Code,
    schedule::{Recurrence, ScheduleToken},
    time::{DAY, HOUR},
};
use muster_site::{
    SiteError, Worker, assignment_show, audit_list, collection_change, collection_create, collection_delete,
    collection_evaluate, collection_explain, collection_list, collection_members, collection_preview,
    collection_rule_add, collection_rule_remove, collection_show, collection_work, deployment_create,
    deployment_delete, deployment_preview, deployment_show, device_block, device_collections, device_retire,
    testing::{TestDevice, TestSite},
};

const ALL: CollectionId = CollectionId::ALL_SYSTEMS;

pub(crate) fn wish(name: &str, limiting: CollectionId, rules: Vec<RuleSpec>) -> CollectionCreate {
    CollectionCreate {
        name: name.parse().unwrap(),
        comment: String::new(),
        kind: CollectionKind::Device,
        limiting,
        protected: false,
        incremental: false,
        schedule: Vec::new(),
        rules,
    }
}

pub(crate) async fn work(test: &TestSite) {
    while collection_work(&test.site, test.full().now).await.unwrap() {}
}

pub(crate) async fn make(test: &TestSite, name: &str, limiting: CollectionId, rules: Vec<RuleSpec>) -> CollectionId {
    let made = collection_create(&test.full(), &test.site, &wish(name, limiting, rules)).await.unwrap();
    made.collection.id
}

pub(crate) fn direct(devices: &[DeviceId]) -> Vec<RuleSpec> {
    devices.iter().map(|device| RuleSpec::Direct { device: *device }).collect()
}

pub(crate) async fn members(test: &TestSite, id: CollectionId) -> Vec<DeviceId> {
    let page = collection_members(&test.full(), &test.site, id, PageQuery { offset: 0, limit: 500 }).await.unwrap();
    let shown = collection_show(&test.full(), &test.site, id).await.unwrap().collection;
    assert_eq!((page.total, page.items.len() as u64), (shown.members, shown.members), "{}", shown.name);
    let mut devices: Vec<DeviceId> = page.items.iter().filter_map(|member| member.device).collect();
    devices.sort_unstable();
    devices
}

async fn show(test: &TestSite, id: CollectionId) -> CollectionDetail {
    collection_show(&test.full(), &test.site, id).await.unwrap()
}

fn code(error: &SiteError) -> (Code, String) {
    (error.code(), error.problem().detail)
}

async fn fleet(test: &TestSite, count: usize) -> Vec<DeviceId> {
    let mut devices = Vec::new();
    for number in 0..count {
        devices.push(test.enrol(&format!("pc{number}")).await.id);
    }
    devices
}

#[tokio::test]
async fn members_are_what_queries_direct_and_included_rules_give_within_the_limit_and_without_the_excluded() {
    for test in TestSite::all().await {
        let devices = fleet(&test, 6).await;
        work(&test).await;
        assert_eq!(members(&test, ALL).await, devices, "all systems");
        assert_eq!(members(&test, "SMSDM003".parse().unwrap()).await, devices, "all clients");
        assert!(members(&test, "SMSDM001".parse().unwrap()).await.is_empty(), "no mobile devices");

        let low = make(&test, "Low", ALL, direct(&devices[..4])).await;
        let even = make(&test, "Even", ALL, direct(&[devices[0], devices[2], devices[4]])).await;
        let two = make(&test, "Two", ALL, direct(&devices[2..3])).await;
        let rules = vec![
            RuleSpec::Include { collection: even },
            RuleSpec::Direct { device: devices[1] },
            RuleSpec::Direct { device: devices[2] },
            RuleSpec::Exclude { collection: two },
        ];
        let mix = make(&test, "Mix", low, rules).await;
        work(&test).await;
        // 4 is even and not low; 2 is named and excluded: exclude wins.
        assert_eq!(members(&test, mix).await, [devices[0], devices[1]]);

        // What it depends on changes: it follows, by as much as that changed.
        let rule = collection_rule_add(&test.full(), &test.site, low, &RuleSpec::Direct { device: devices[4] }).await;
        work(&test).await;
        assert_eq!(members(&test, mix).await, [devices[0], devices[1], devices[4]]);
        collection_rule_remove(&test.full(), &test.site, low, rule.unwrap().id).await.unwrap();
        let out = show(&test, two).await.rules[0].id;
        collection_rule_remove(&test.full(), &test.site, two, out).await.unwrap();
        work(&test).await;
        assert_eq!(members(&test, mix).await, [devices[0], devices[1], devices[2]]);

        // A device that leaves for good leaves everything; one that is locked out stays where it was.
        let why = || crate::reason("sold");
        device_retire(&test.full(), &test.site, devices[0], why(), None).await.unwrap();
        device_block(&test.full(), &test.site, devices[1], why(), None).await.unwrap();
        work(&test).await;
        assert_eq!(members(&test, ALL).await, devices[1..]);
        assert_eq!(members(&test, mix).await, [devices[1], devices[2]]);
        let of: Vec<_> = device_collections(&test.full(), &test.site, devices[2]).await.unwrap();
        let of: Vec<&str> = of.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(of, ["All Desktop and Server Clients", "All Systems", "Even", "Low", "Mix"]);
        assert!(!collection_work(&test.site, test.full().now).await.unwrap(), "nothing is left to do");
    }
}

#[tokio::test]
async fn circles_are_refused_with_the_way_round_and_built_in_ones_are_not_touched() {
    for test in TestSite::all().await {
        let a = make(&test, "A", ALL, vec![]).await;
        let b = make(&test, "B", a, vec![]).await;
        let c = make(&test, "C", b, vec![]).await;
        let full = test.full();
        let denied = collection_rule_add(&full, &test.site, a, &RuleSpec::Include { collection: c }).await.unwrap_err();
        let (denied, way) = code(&denied);
        assert_eq!(denied, Code::Conflict);
        for name in ["A (", "B (", "C ("] {
            assert!(way.contains(name), "{way}");
        }
        let itself = collection_rule_add(&full, &test.site, a, &RuleSpec::Exclude { collection: a }).await.unwrap_err();
        assert_eq!(itself.code(), Code::Conflict);
        let set = |limiting| CollectionSet {
            name: "A".parse().unwrap(),
            comment: String::new(),
            limiting,
            protected: false,
            incremental: false,
            schedule: vec![],
        };
        for limiting in [a, c] {
            let denied = collection_change(&full, &test.site, a, set(limiting), None).await.unwrap_err();
            assert_eq!(denied.code(), Code::Conflict, "limited by {limiting}");
        }
        assert_eq!(show(&test, a).await.collection.limiting, Some(ALL), "nothing changed");
        let users = collection_change(&full, &test.site, a, set(CollectionId::ALL_USERS), None).await.unwrap_err();
        assert_eq!(users.code(), Code::Conflict, "users do not limit devices");
        let nothing =
            collection_change(&full, &test.site, a, set("P01FFFFF".parse().unwrap()), None).await.unwrap_err();
        assert_eq!(nothing.code(), Code::Malformed);

        for built_in in ["SMS00001", "SMSDM003", "SMS00004"] {
            let id = built_in.parse().unwrap();
            let direct = RuleSpec::Include { collection: a };
            assert_eq!(collection_rule_add(&full, &test.site, id, &direct).await.unwrap_err().code(), Code::Conflict);
            assert_eq!(
                collection_change(&full, &test.site, id, set(ALL), None).await.unwrap_err().code(),
                Code::Conflict
            );
            assert_eq!(collection_delete(&full, &test.site, id, None).await.unwrap_err().code(), Code::Conflict);
        }
        // Deleting says what is in the way, and an id is never given again.
        let (denied, what) = code(&collection_delete(&full, &test.site, b, None).await.unwrap_err());
        assert!(denied == Code::Conflict && what.contains("C (") && what.contains("is limited by it"), "{what}");
        // Only what was shown goes.
        let seen = collection_show(&full, &test.site, c).await.unwrap().collection.revision;
        let changed = collection_delete(&full, &test.site, c, Some(seen + 1)).await.unwrap_err();
        assert_eq!(changed.code(), Code::Changed);
        collection_delete(&full, &test.site, c, Some(seen)).await.unwrap();
        collection_delete(&full, &test.site, b, None).await.unwrap();
        let again = make(&test, "B", a, vec![]).await;
        assert!(again != b && again != c);
    }
}

#[tokio::test]
async fn two_who_change_the_graph_at_the_same_moment_make_no_circle() {
    for test in TestSite::all().await {
        for round in 0..8 {
            let a = make(&test, &format!("A{round}"), ALL, vec![]).await;
            let b = make(&test, &format!("B{round}"), ALL, vec![]).await;
            let full = test.full();
            let (to_b, to_a) = (RuleSpec::Include { collection: b }, RuleSpec::Include { collection: a });
            let (first, second, work) = tokio::join!(
                collection_rule_add(&full, &test.site, a, &to_b),
                collection_rule_add(&full, &test.site, b, &to_a),
                collection_work(&test.site, full.now),
            );
            work.unwrap();
            assert!(first.is_ok() != second.is_ok(), "one of them, and not both: {first:?} {second:?}");
        }
        work(&test).await;
    }
}

#[tokio::test]
async fn deletion_during_evaluation_and_a_restart_lose_nothing() {
    for test in TestSite::all().await {
        let devices = fleet(&test, 3).await;
        for round in 0..6 {
            let id = make(&test, &format!("Gone {round}"), ALL, direct(&devices)).await;
            let kept = make(&test, &format!("Kept {round}"), ALL, direct(&devices)).await;
            let full = test.full();
            let (one, two, deleted) = tokio::join!(
                collection_work(&test.site, full.now),
                collection_work(&test.site, full.now),
                collection_delete(&full, &test.site, id, None),
            );
            one.unwrap();
            two.unwrap();
            deleted.unwrap();
            // A second process on the same database, which remembers nothing.
            let other = test.reopened().await;
            while collection_work(&other, full.now).await.unwrap() {}
            work(&test).await;
            assert_eq!(members(&test, kept).await, devices);
            assert_eq!(collection_show(&full, &test.site, id).await.unwrap_err().code(), Code::NotFound);
        }
    }
}

#[tokio::test]
async fn what_is_asked_for_and_what_is_due_is_evaluated_and_said() {
    for test in TestSite::all().await {
        let devices = fleet(&test, 2).await;
        let start = test.full().now;
        let every = Recurrence::Interval { days: 7, hours: 0, minutes: 0 };
        let schedule = vec![ScheduleToken { start: start.plus(HOUR), every }];
        let create = CollectionCreate { schedule, ..wish("Weekly", ALL, direct(&devices)) };
        let id = collection_create(&test.full(), &test.site, &create).await.unwrap().collection.id;
        assert!(show(&test, id).await.collection.pending);
        work(&test).await;
        let first = show(&test, id).await.collection;
        assert_eq!((first.pending, first.evaluated, first.members), (false, Some(start), 2));
        assert_eq!((first.next_evaluation, first.evaluation_error), (Some(start.plus(HOUR)), None));
        test.sources.pass(2 * HOUR);
        work(&test).await;
        let second = show(&test, id).await.collection;
        assert_eq!(second.evaluated, Some(start.plus(2 * HOUR)));
        assert_eq!(second.next_evaluation, Some(start.plus(HOUR + 7 * DAY)));
        assert_eq!(second.members_changed, first.members_changed, "nobody came or went");
        test.sources.pass(HOUR);
        collection_evaluate(&test.full(), &test.site, id).await.unwrap();
        work(&test).await;
        assert_eq!(show(&test, id).await.collection.evaluated, Some(start.plus(3 * HOUR)));
        let denied = collection_evaluate(&test.analyst(), &test.site, id).await.unwrap_err();
        assert_eq!(denied.code(), Code::Forbidden);
    }
}

#[tokio::test]
async fn a_protected_collection_takes_nobody_by_way_of_one_that_is_not() {
    // proves I2
    for test in TestSite::all().await {
        let devices = fleet(&test, 2).await;
        let open = make(&test, "Open", ALL, direct(&devices)).await;
        let full = test.full();
        let wish = |name: &str, limiting, rules| CollectionCreate { protected: true, ..wish(name, limiting, rules) };
        let include = || vec![RuleSpec::Include { collection: open }];
        let exclude = || vec![RuleSpec::Exclude { collection: open }];
        for refused in [wish("P", open, vec![]), wish("P", ALL, include()), wish("P", ALL, exclude())] {
            let denied = collection_create(&full, &test.site, &refused).await.unwrap_err();
            assert_eq!(denied.code(), Code::Conflict);
        }
        let safe = collection_create(&full, &test.site, &wish("Safe", ALL, direct(&devices[..1]))).await.unwrap();
        let id = safe.collection.id;
        let inner =
            collection_create(&full, &test.site, &wish("Inner", id, direct(&devices))).await.unwrap().collection.id;
        // By the back door: a rule later, or the protection of what it depends on taken away.
        for rule in [include(), exclude()].concat() {
            assert_eq!(collection_rule_add(&full, &test.site, id, &rule).await.unwrap_err().code(), Code::Conflict);
        }
        let set = CollectionSet {
            name: "Safe".parse().unwrap(),
            comment: String::new(),
            limiting: ALL,
            protected: false,
            incremental: false,
            schedule: vec![],
        };
        let (denied, why) = code(&collection_change(&full, &test.site, id, set, None).await.unwrap_err());
        assert!(denied == Code::Conflict && why.contains("Inner"), "{why}");
        work(&test).await;
        assert_eq!(members(&test, inner).await, devices[..1], "what limits it holds");
    }
}

#[tokio::test]
async fn who_would_be_in_and_why_is_said_before_and_after() {
    for test in TestSite::all().await {
        let devices = fleet(&test, 3).await;
        work(&test).await;
        let few = make(&test, "Few", ALL, direct(&devices[..2])).await;
        work(&test).await;
        let rules = vec![RuleSpec::Direct { device: devices[0] }, RuleSpec::Direct { device: devices[2] }];
        let asked = wish("Asked", few, rules.clone());
        let preview = collection_preview(&test.analyst(), &test.site, &asked).await.unwrap();
        assert_eq!((preview.total, preview.items[0].device), (1, Some(devices[0])));
        let listed = collection_list(&test.full(), &test.site, &CollectionQuery::default()).await.unwrap();
        assert!(!listed.items.iter().any(|row| row.name.as_str() == "Asked"), "nothing was made");

        let id = make(&test, "Asked", few, rules).await;
        let before = collection_explain(&test.full(), &test.site, id, devices[0]).await.unwrap();
        assert!(before.member && !before.stored, "before the evaluation");
        work(&test).await;
        let explain = async |device| collection_explain(&test.full(), &test.site, id, device).await.unwrap();
        assert!(explain(devices[0]).await.stored);
        let out = explain(devices[2]).await;
        assert!(!out.member && !out.stored);
        let limit = out.reasons.iter().find(|reason| reason.collection == Some(few)).unwrap();
        assert!(!limit.holds && limit.text.contains("Few"), "{}", limit.text);
        assert!(out.reasons.iter().any(|reason| reason.rule.is_some() && reason.holds), "the rule names it");
    }
}

#[tokio::test]
async fn only_full_administrators_change_collections_and_everything_is_recorded() {
    for test in TestSite::all().await {
        let id = make(&test, "A", ALL, vec![]).await;
        let other = make(&test, "B", ALL, vec![]).await;
        let analyst = test.analyst();
        let include = RuleSpec::Include { collection: other };
        let set = |name: &str| CollectionSet {
            name: name.parse().unwrap(),
            comment: "why".to_owned(),
            limiting: ALL,
            protected: false,
            incremental: true,
            schedule: vec![],
        };
        let denied = [
            collection_create(&analyst, &test.site, &wish("C", ALL, vec![])).await.unwrap_err().code(),
            collection_change(&analyst, &test.site, id, set("C"), None).await.unwrap_err().code(),
            collection_delete(&analyst, &test.site, id, None).await.unwrap_err().code(),
            collection_rule_add(&analyst, &test.site, id, &include).await.unwrap_err().code(),
            collection_rule_remove(&analyst, &test.site, id, 1).await.unwrap_err().code(),
        ];
        assert_eq!(denied, [Code::Forbidden; 5]);
        let full = test.full();
        assert_eq!(collection_change(&full, &test.site, id, set("B"), None).await.unwrap_err().code(), Code::Conflict);
        assert_eq!(
            collection_change(&full, &test.site, id, set("C"), Some(9)).await.unwrap_err().code(),
            Code::Changed
        );
        let changed = collection_change(&full, &test.site, id, set("C"), Some(1)).await.unwrap().collection;
        assert_eq!((changed.name.as_str(), changed.revision, changed.incremental), ("C", 2, true));
        let rule = collection_rule_add(&full, &test.site, id, &include).await.unwrap().id;
        assert_eq!(collection_rule_add(&full, &test.site, id, &include).await.unwrap_err().code(), Code::Conflict);
        let elsewhere = collection_rule_remove(&full, &test.site, other, rule).await.unwrap_err();
        assert_eq!(elsewhere.code(), Code::NotFound, "a rule of another collection");
        collection_rule_remove(&full, &test.site, id, rule).await.unwrap();
        collection_delete(&full, &test.site, id, None).await.unwrap();
        let log = audit_list(&full, &test.site, PageQuery::default()).await.unwrap().items;
        for action in [
            "collection_create",
            "collection_change",
            "collection_rule_add",
            "collection_rule_remove",
            "collection_delete",
        ] {
            assert!(
                log.iter().any(|entry| entry.action == action && entry.actor == test.admin.name.as_str()),
                "{action}"
            );
        }
    }
}

/// What the device's signed policy deploys.
async fn deployed(test: &TestSite, device: &TestDevice) -> usize {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
    let current = assignment_show(&test.device(device), &test.site).await.unwrap();
    current.bodies.iter().filter(|body| body.kind == BodyKind::Deployment).count()
}

#[tokio::test]
async fn what_is_deployed_to_a_collection_follows_its_members() {
    for test in TestSite::all().await {
        let (a, b) = (test.enrol("a").await, test.enrol("b").await);
        let id = make(&test, "Lab", ALL, direct(&[a.id])).await;
        work(&test).await;
        let application = crate::deployment::application(&test).await;
        let create = DeploymentCreate {
            name: None,
            application,
            target: Target::Collection { collection: id },
            available: None,
            deadline: None,
            high_impact: false,
            outside_windows: false,
            volatile: false,
            software_update: false,
            options: muster_model::program::DeploymentOptions::default(),
            deferral: None,
            action: muster_model::policy::Action::Install,
            purpose: muster_model::policy::Purpose::Required,
        };
        let preview = deployment_preview(&test.full(), &test.site, &create).await.unwrap();
        assert_eq!((preview.devices, &preview.examples[..]), (1, &["a".to_owned()][..]));
        let made = deployment_create(&test.full(), &test.site, &create).await.unwrap();
        assert_eq!(made.totals.get("targeted"), Some(&1));
        assert_eq!((deployed(&test, &a).await, deployed(&test, &b).await), (1, 0));

        // Who joins gets it, and who leaves loses what is pending; both by the same evaluation.
        collection_rule_add(&test.full(), &test.site, id, &direct(&[b.id])[0]).await.unwrap();
        let first = show(&test, id).await.rules[0].id;
        collection_rule_remove(&test.full(), &test.site, id, first).await.unwrap();
        work(&test).await;
        assert_eq!((deployed(&test, &a).await, deployed(&test, &b).await), (0, 1));
        let stands = deployment_show(&test.full(), &test.site, made.id).await.unwrap();
        assert_eq!(stands.totals.get("targeted"), Some(&1), "the one that left is not waited for");
        // It comes back, and has it again.
        collection_rule_add(&test.full(), &test.site, id, &direct(&[a.id])[0]).await.unwrap();
        work(&test).await;
        assert_eq!((deployed(&test, &a).await, deployed(&test, &b).await), (1, 1));

        let (denied, why) = code(&collection_delete(&test.full(), &test.site, id, None).await.unwrap_err());
        assert!(denied == Code::Conflict && why.contains("is deployed to it"), "{why}");
        deployment_delete(&test.full(), &test.site, made.id).await.unwrap();
        collection_delete(&test.full(), &test.site, id, None).await.unwrap();
        work(&test).await;
        assert_eq!(deployed(&test, &a).await, 0);
    }
}

#[tokio::test]
async fn high_impact_goes_to_no_collection_that_a_device_can_talk_its_way_into() {
    // proves I2
    for test in TestSite::all().await {
        let device = test.enrol("a").await;
        let open = make(&test, "Open", ALL, direct(&[device.id])).await;
        let safe = CollectionCreate { protected: true, ..wish("Safe", ALL, direct(&[device.id])) };
        let safe = collection_create(&test.full(), &test.site, &safe).await.unwrap().collection.id;
        let application = crate::deployment::application(&test).await;
        let to = |collection| DeploymentCreate {
            name: None,
            application,
            target: Target::Collection { collection },
            available: None,
            deadline: None,
            high_impact: true,
            outside_windows: false,
            volatile: false,
            software_update: false,
            options: muster_model::program::DeploymentOptions::default(),
            deferral: None,
            action: muster_model::policy::Action::Install,
            purpose: muster_model::policy::Purpose::Required,
        };
        for refused in [
            deployment_create(&test.full(), &test.site, &to(open)).await.unwrap_err(),
            deployment_preview(&test.full(), &test.site, &to(open)).await.unwrap_err(),
        ] {
            assert_eq!(refused.code(), Code::Conflict);
        }
        deployment_create(&test.full(), &test.site, &to(safe)).await.unwrap();
        let set = CollectionSet {
            name: "Safe".parse().unwrap(),
            comment: String::new(),
            limiting: ALL,
            protected: false,
            incremental: false,
            schedule: vec![],
        };
        let (denied, why) = code(&collection_change(&test.full(), &test.site, safe, set, None).await.unwrap_err());
        assert!(denied == Code::Conflict && why.contains("high impact"), "{why}");
    }
}

fn query(text: &str) -> RuleSpec {
    RuleSpec::Query { name: "by query".parse().unwrap(), query: text.to_owned() }
}

#[tokio::test]
async fn queries_in_wql_give_members_and_follow_what_devices_say() {
    for test in TestSite::all().await {
        let devices = fleet(&test, 4).await;
        let wish =
            |name: &str, text: &str| CollectionCreate { incremental: true, ..wish(name, ALL, vec![query(text)]) };
        let made = async |name: &str, text: &str| {
            collection_create(&test.full(), &test.site, &wish(name, text)).await.map(|made| made.collection.id)
        };
        let two = made("Two", "select * from SMS_R_System where Name in (\"PC1\", 'pc3')").await.unwrap();
        work(&test).await;
        assert_eq!(members(&test, two).await, [devices[1], devices[3]]);

        // By another collection, in both ways in which Configuration Manager writes it: it follows, and is part of the graph.
        let rest = format!(
            "select ResourceID from SMS_R_System where ResourceId not in (select ResourceID from SMS_CM_RES_COLL_{two})"
        );
        let rest = made("Rest", &rest).await.unwrap();
        let same = format!(
            "select s.ResourceID from SMS_R_System as s inner join SMS_FullCollectionMembership m on m.ResourceID = s.ResourceId \
             where m.CollectionID = '{two}' and m.IsDirect = 0"
        );
        let same = made("Same", &same).await.unwrap();
        work(&test).await;
        assert_eq!(members(&test, rest).await, [devices[0], devices[2]]);
        assert_eq!(members(&test, same).await, [devices[1], devices[3]]);
        let circle =
            format!("select * from SMS_R_System where ResourceID in (select ResourceID from SMS_CM_RES_COLL_{rest})");
        let refused = collection_rule_add(&test.full(), &test.site, two, &query(&circle)).await.unwrap_err();
        assert!(code(&refused).1.contains("circle"), "{refused:?}");

        // A device that comes is looked at by itself, and one that goes is gone from all that follow.
        let late = test.enrol("pc3").await.id;
        device_retire(&test.full(), &test.site, devices[1], crate::reason("sold"), None).await.unwrap();
        work(&test).await;
        assert_eq!(members(&test, two).await, [devices[3], late]);
        assert_eq!(members(&test, same).await, [devices[3], late]);
        assert_eq!(members(&test, rest).await, [devices[0], devices[2]]);

        // Where devices are compared with each other, a change of one brings another.
        let twins = made(
            "Twins",
            "select a.ResourceID from SMS_R_System a inner join SMS_R_System b on a.Name = b.Name where a.ResourceID != b.ResourceID",
        );
        let twins = twins.await.unwrap();
        work(&test).await;
        assert_eq!(members(&test, twins).await, [devices[3], late]);
        let again = test.enrol("pc0").await.id;
        work(&test).await;
        assert_eq!(members(&test, twins).await, [devices[0], devices[3], late, again]);

        let why = collection_explain(&test.full(), &test.site, two, late).await.unwrap();
        assert!(format!("{why:?}").contains("The query by query gives it"), "{why:?}");
    }
}

#[tokio::test]
async fn a_query_that_cannot_be_one_is_refused_with_its_place() {
    let test = TestSite::new().await;
    for (text, why) in [
        ("select * from", "line 1"),
        ("select * from SMS_R_System where Nme = 'a'", "Name"),
        ("select * from SMS_R_User", "users"),
        ("select * from SMS_G_System_SERVICE", "SMS_R_System"),
        (
            "select * from SMS_R_System where ResourceID in (select ResourceID from SMS_FullCollectionMembership)",
            "of which",
        ),
        (
            "select * from SMS_R_System where ResourceID in (select ResourceID from SMS_CM_RES_COLL_ABC99999)",
            "there is none",
        ),
    ] {
        let made = collection_create(&test.full(), &test.site, &wish("Odd", ALL, vec![query(text)])).await;
        let (_, detail) = code(&made.unwrap_err());
        assert!(detail.contains(why), "{text}: {detail}");
    }
}

// proves I2
#[tokio::test]
async fn what_devices_say_of_themselves_lets_none_into_a_protected_collection() {
    let test = TestSite::new().await;
    let protected = |text: &str| CollectionCreate { protected: true, ..wish("Tier 0", ALL, vec![query(text)]) };
    let by_name = protected("select * from SMS_R_System where Name like 'dc%'");
    let (refused, detail) = code(&collection_create(&test.full(), &test.site, &by_name).await.unwrap_err());
    assert!(refused == Code::Conflict && detail.contains("say of themselves"), "{detail}");
    let by_age = protected("select * from SMS_R_System where DateDiff(dd, CreationDate, GetDate()) > 30");
    collection_create(&test.full(), &test.site, &by_age).await.unwrap();
}
