//! Client settings: one default, custom ones by priority, who gets which, and what is refused.

use crate::{
    collection::{direct, make, wish},
    deployment::application,
};
use muster_model::{
    api::{
        CollectionCreate, CollectionKind, CollectionSet, DeploymentCreate, DeviceSetting, PageQuery, RuleSpec,
        SettingsAsk, SettingsObject, SettingsSet, Target,
    },
    id::{CollectionId, SettingsId},
    limits,
    policy::{Action, BodyKind, ClientSettings, Purpose},
    problem::Code,
    schedule::Recurrence,
    settings::{ScriptPolicy, SettingValues},
    time::{HOUR, MINUTE},
    window::{MaintenanceWindow, WallTime, WindowKind},
};
use muster_site::{
    Worker, assignment_show, audit_list, body_show, collection_change, collection_create, collection_delete,
    collection_rule_add, collection_show, collection_window_add, collection_work, deployment_preview, device_settings,
    settings_catalogue, settings_create, settings_delete, settings_list, settings_move, settings_preview,
    settings_show, settings_update, settings_versions,
    testing::{TestDevice, TestSite},
};
use muster_store::bus::Notice;
use serde_json::{Value, json};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 500 };
const ALL: CollectionId = CollectionId::ALL_SYSTEMS;
const DEFAULT: SettingsId = SettingsId::DEFAULT;

async fn work(test: &TestSite) {
    while collection_work(&test.site, test.full().now).await.unwrap() {}
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

fn set(name: &str, values: &[(&str, Value)], collections: &[CollectionId]) -> SettingsSet {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    SettingsSet {
        name: name.parse().unwrap(),
        comment: String::new(),
        values: SettingValues(values),
        collections: collections.to_vec(),
    }
}

async fn create(test: &TestSite, set: &SettingsSet) -> SettingsObject {
    settings_create(&test.full(), &test.site, set).await.unwrap()
}

/// The settings in a device's signed policy, and the version of its assignment.
async fn told(test: &TestSite, device: &TestDevice) -> (ClientSettings, u64) {
    let ctx = test.device(device);
    let current = assignment_show(&ctx, &test.site).await.unwrap();
    let bodies: Vec<_> = current.bodies.iter().filter(|body| body.kind == BodyKind::Settings).collect();
    assert_eq!(bodies.len(), 1);
    let bytes = body_show(&ctx, &test.site, bodies[0].hash).await.unwrap();
    let (settings, unknown) = ClientSettings::from_body(&bytes).unwrap();
    assert!(unknown.is_empty(), "{unknown:?}");
    (settings, current.version)
}

async fn poll(test: &TestSite, device: &TestDevice) -> i64 {
    told(test, device).await.0.policy_poll / MINUTE
}

/// A setting as it is shown of a device.
async fn shown(test: &TestSite, device: &TestDevice, name: &str) -> DeviceSetting {
    let all = device_settings(&test.analyst(), &test.site, device.id).await.unwrap();
    all.into_iter().find(|setting| setting.name == name).unwrap()
}

#[tokio::test]
async fn the_default_reaches_every_device_once() {
    for test in TestSite::all().await {
        let devices = [test.enrol("alpha").await, test.enrol("beta").await];
        work(&test).await;
        let first = settings_list(&test.analyst(), &test.site).await.unwrap();
        assert_eq!((first.len(), first[0].id, first[0].version), (1, DEFAULT, 0));
        assert_eq!(told(&test, &devices[0]).await.0, ClientSettings::default());
        let before = assignment_show(&test.device(&devices[0]), &test.site).await.unwrap().bodies[0].hash;
        let mut notices = test.site.bus.subscribe();
        let wanted = set("Default", &[("policy_poll", json!(5 * MINUTE))], &[]);
        let done = settings_update(&test.full(), &test.site, DEFAULT, &wanted, Some(0)).await.unwrap();
        assert_eq!(done.version, 1);
        work(&test).await;
        let mut heard = Vec::new();
        while let Ok(notice) = notices.try_recv() {
            heard.extend(match notice {
                Notice::PolicyChanged(device) => Some(device),
                _ => None,
            });
        }
        for device in &devices {
            assert!(heard.contains(&device.id));
            let (settings, version) = told(&test, device).await;
            assert_eq!((settings.policy_poll, version), (5 * MINUTE, 2));
        }
        let old = body_show(&test.device(&devices[0]), &test.site, before).await.unwrap_err();
        assert_eq!(old.code(), Code::NotFound, "what is no longer assigned is no longer given");
        let again = settings_update(&test.full(), &test.site, DEFAULT, &wanted, Some(1)).await.unwrap();
        work(&test).await;
        assert_eq!((again.version, told(&test, &devices[0]).await.1), (1, 2), "the same again changes nothing");
    }
}

#[tokio::test]
async fn members_get_custom_settings_by_priority_and_lose_them_when_they_leave() {
    for test in TestSite::all().await {
        let (a, b, c) = (test.enrol("a").await, test.enrol("b").await, test.enrol("c").await);
        let one = make(&test, "One", ALL, direct(&[a.id])).await;
        let two = make(&test, "Two", ALL, direct(&[a.id, b.id])).await;
        let default = set("Default", &[("policy_poll", json!(30 * MINUTE)), ("heartbeat", json!(2 * HOUR))], &[]);
        settings_update(&test.full(), &test.site, DEFAULT, &default, None).await.unwrap();
        let fast = create(&test, &set("Fast", &[("policy_poll", json!(MINUTE))], &[one])).await;
        let values = [("policy_poll", json!(2 * MINUTE)), ("content_rate", json!(1 << 20))];
        let slow = create(&test, &set("Slow", &values, &[two])).await;
        assert_eq!((fast.priority, slow.priority), (1, 2));
        work(&test).await;
        assert_eq!((poll(&test, &a).await, poll(&test, &b).await, poll(&test, &c).await), (1, 2, 30));
        let of_a = told(&test, &a).await.0;
        assert_eq!((of_a.content_rate, of_a.heartbeat), (Some(1 << 20), 2 * HOUR), "what the first does not say falls");
        let poll_of = shown(&test, &a, "policy_poll").await;
        assert_eq!((&*poll_of.source, poll_of.priority, &*poll_of.shown), ("Fast", 1, "1 minute"));
        assert_eq!(shown(&test, &a, "content_rate").await.source_id, Some(slow.id));
        assert_eq!(shown(&test, &a, "heartbeat").await.source_id, Some(DEFAULT));
        assert_eq!(shown(&test, &a, "cache_bytes").await.source_id, None);

        // Moved in one step; and only who is in the collection is told.
        let untouched = told(&test, &c).await.1;
        let moved = settings_move(&test.full(), &test.site, slow.id, 1, Some(slow.version)).await.unwrap();
        assert_eq!((moved.priority, moved.version), (1, 2));
        let places: Vec<_> = settings_list(&test.analyst(), &test.site).await.unwrap();
        let places: Vec<_> = places.iter().map(|object| (object.name.as_str(), object.priority)).collect();
        assert_eq!(places, [("Default", 0), ("Slow", 1), ("Fast", 2)]);
        work(&test).await;
        assert_eq!((poll(&test, &a).await, told(&test, &c).await.1), (2, untouched));
        // Who joins gets them, who leaves loses them; so it is when the settings leave the collection.
        let rule = direct(&[c.id]).remove(0);
        let rule = collection_rule_add(&test.full(), &test.site, one, &rule).await.unwrap();
        work(&test).await;
        assert_eq!(poll(&test, &c).await, 1);
        muster_site::collection_rule_remove(&test.full(), &test.site, one, rule.id).await.unwrap();
        work(&test).await;
        assert_eq!(poll(&test, &c).await, 30);
        let other = set("Slow", &values, &[]);
        settings_update(&test.full(), &test.site, slow.id, &other, Some(2)).await.unwrap();
        work(&test).await;
        assert_eq!((poll(&test, &a).await, poll(&test, &b).await), (1, 30));
        settings_delete(&test.full(), &test.site, slow.id, Some(3)).await.unwrap();
        let left = settings_show(&test.analyst(), &test.site, fast.id).await.unwrap();
        assert_eq!(left.priority, 1, "no gap is left");
        // What it was can still be read, and the log says who did what.
        let versions = settings_versions(&test.analyst(), &test.site, slow.id, PAGE).await.unwrap().items;
        let said: Vec<_> = versions.iter().map(|v| (v.version, v.priority, v.collections.len())).collect();
        assert_eq!(said, [(3, 1, 0), (2, 1, 1), (1, 2, 1)]);
        let log = audit_list(&test.full(), &test.site, PAGE).await.unwrap();
        let mut verbs: Vec<_> = log.items.iter().map(|entry| entry.action.as_str()).collect();
        verbs.retain(|verb| verb.starts_with("settings_"));
        let expected = ["settings_delete", "settings_update", "settings_move"];
        assert_eq!(verbs[..3], expected);
    }
}

#[tokio::test]
async fn bodies_are_shared_by_all_with_the_same_settings() {
    for test in TestSite::all().await {
        let mut devices = Vec::new();
        for at in 0..4 {
            devices.push(test.enrol(&format!("pc{at}")).await);
        }
        let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
        let one = make(&test, "One", ALL, direct(&ids[..2])).await;
        let two = make(&test, "Two", ALL, direct(&ids[1..3])).await;
        create(&test, &set("Same", &[("policy_poll", json!(MINUTE))], &[one, two])).await;
        work(&test).await;
        let mut hashes = Vec::new();
        for device in &devices {
            hashes.push(assignment_show(&test.device(device), &test.site).await.unwrap().bodies[0].hash);
        }
        assert!(hashes[0] == hashes[1] && hashes[1] == hashes[2] && hashes[2] != hashes[3]);
    }
}

#[tokio::test]
async fn a_preview_says_what_a_save_then_does() {
    for test in TestSite::all().await {
        let (a, b) = (test.enrol("a").await, test.enrol("b").await);
        test.enrol("c").await;
        let one = make(&test, "One", ALL, direct(&[a.id, b.id])).await;
        let two = make(&test, "Two", ALL, direct(&[b.id])).await;
        work(&test).await;
        let ask = async |id, priority, set: Option<SettingsSet>| {
            settings_preview(&test.analyst(), &test.site, &SettingsAsk { id, priority, set }).await
        };
        let wanted = set("Fast", &[("policy_poll", json!(MINUTE))], &[one]);
        let seen = ask(None, None, Some(wanted.clone())).await.unwrap();
        assert_eq!((seen.devices, seen.changed, seen.changes.len()), (3, 2, 1));
        let change = &seen.changes[0];
        assert_eq!(
            (&*change.setting, &*change.from, &*change.to, change.devices),
            ("policy_poll", "1 hour", "1 minute", 2)
        );
        assert_eq!(change.examples, ["a", "b"]);
        assert_eq!(settings_list(&test.analyst(), &test.site).await.unwrap().len(), 1, "nothing was done");
        let fast = create(&test, &wanted).await;
        let other = set("Slow", &[("policy_poll", json!(2 * HOUR))], &[two]);
        assert_eq!(ask(None, None, Some(other.clone())).await.unwrap().changed, 0, "it would come after the other");
        assert_eq!(ask(None, Some(1), Some(other.clone())).await.unwrap().changed, 1);
        let slow = create(&test, &other).await;
        assert_eq!(ask(Some(slow.id), Some(1), None).await.unwrap().changed, 1, "only moved");
        assert_eq!(ask(Some(fast.id), None, None).await.unwrap().changed, 2, "deleted");
        // Of the default only those hear that no custom settings hold back.
        let default = set("Default", &[("policy_poll", json!(5 * MINUTE))], &[]);
        let seen = ask(Some(DEFAULT), None, Some(default)).await.unwrap();
        assert_eq!((seen.changed, seen.changes[0].devices), (1, 1));
        for (id, priority, set, code) in [
            (Some(slow.id), Some(3), None, Code::Malformed),
            (Some(DEFAULT), None, None, Code::Malformed),
            (None, None, None, Code::Malformed),
            (Some(SettingsId(uuid::Uuid::from_u128(9))), Some(1), None, Code::NotFound),
        ] {
            assert_eq!(ask(id, priority, set).await.unwrap_err().code(), code);
        }
    }
}

// proves S18 S19: what is dangerous is no default, goes to no collection that is not chosen, and stands as a warning.
#[tokio::test]
async fn dangerous_values_are_only_for_collections_that_somebody_chose() {
    for test in TestSite::all().await {
        let device = test.enrol("a").await;
        let named = make(&test, "Named", ALL, direct(&[device.id])).await;
        let mut protected = wish("Protected", ALL, direct(&[device.id]));
        protected.protected = true;
        let protected = collection_create(&test.full(), &test.site, &protected).await.unwrap().collection.id;
        let bypass = |collections: &[CollectionId]| set("Danger", &[("script_policy", json!("bypass"))], collections);
        let always =
            |collections: &[CollectionId]| set("Servicing", &[("servicing.allowed", json!(true))], collections);
        let (full, site) = (&test.full(), &test.site);
        for wanted in
            [bypass(&[ALL]), bypass(&[named]), bypass(&[protected, named]), always(&[ALL]), always(&[ALL, named])]
        {
            let error = settings_create(full, site, &wanted).await.unwrap_err();
            assert_eq!(error.code(), Code::Malformed, "{wanted:?}");
            let asked =
                settings_preview(full, site, &SettingsAsk { id: None, priority: None, set: Some(wanted) }).await;
            assert_eq!(asked.unwrap_err().code(), Code::Malformed);
        }
        for values in [("script_policy", json!("bypass")), ("servicing.allowed", json!(true))] {
            let wanted = set("Default", &[values], &[]);
            let error = settings_update(full, site, DEFAULT, &wanted, None).await.unwrap_err();
            assert!(error.problem().detail.contains("cannot be"), "{error:?}");
        }
        let made = create(&test, &bypass(&[protected])).await;
        assert!(made.warnings[0].contains("bypass for the members of Protected"), "{:?}", made.warnings);
        create(&test, &always(&[named])).await;
        work(&test).await;
        assert_eq!(told(&test, &device).await.0.script_policy, ScriptPolicy::Bypass, "what the site says");
        assert!(shown(&test, &device, "script_policy").await.dangerous);
        assert_eq!(settings_list(full, site).await.unwrap().iter().filter(|o| !o.warnings.is_empty()).count(), 2);
        // It is not widened afterwards, and the collection neither opens nor goes under it.
        let wider = settings_update(full, site, made.id, &bypass(&[protected, named]), None).await.unwrap_err();
        assert_eq!(wider.code(), Code::Malformed);
        let row = collection_show(full, site, protected).await.unwrap().collection;
        let open = CollectionSet {
            name: row.name,
            comment: row.comment,
            limiting: ALL,
            protected: false,
            incremental: false,
            schedule: vec![],
        };
        let opened = collection_change(full, site, protected, open, None).await.unwrap_err();
        assert!(opened.problem().detail.contains("The client settings Danger"), "{opened:?}");
        let gone = collection_delete(full, site, protected, None).await.unwrap_err();
        assert!(gone.problem().detail.contains("the client settings Danger"), "{gone:?}");
        settings_delete(full, site, made.id, None).await.unwrap();
        work(&test).await;
        assert_eq!(told(&test, &device).await.0.script_policy, ScriptPolicy::AllSigned);
        collection_delete(full, site, protected, None).await.unwrap();
    }
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_and_change_nothing() {
    for test in TestSite::all().await {
        let one = make(&test, "One", ALL, vec![]).await;
        let mut users = wish("People", CollectionId::ALL_USERS, vec![]);
        users.kind = CollectionKind::User;
        let users = collection_create(&test.full(), &test.site, &users).await.unwrap().collection.id;
        let good = [("policy_poll", json!(MINUTE))];
        let made = create(&test, &set("Made", &good, &[one])).await;
        let before = audit_list(&test.full(), &test.site, PAGE).await.unwrap().total;
        let (full, site) = (&test.full(), &test.site);
        let long = SettingsSet { comment: "x".repeat(limits::SETTINGS_COMMENT_BYTES + 1), ..set("New", &good, &[]) };
        let cases = [
            (set("Made", &good, &[]), Code::Conflict),
            (set("Default", &good, &[]), Code::Conflict),
            (set("New", &good, &[users]), Code::Conflict),
            (set("New", &good, &["TST0FFFF".parse().unwrap()]), Code::Malformed),
            (set("New", &good, &[one, one]), Code::Malformed),
            (set("New", &[("policy_pole", json!(MINUTE))], &[]), Code::Malformed),
            (set("New", &[("policy_poll", json!(MINUTE - 1))], &[]), Code::Malformed),
            (set("New", &[("policy_poll", json!("often"))], &[]), Code::Malformed),
            (set("New", &[("policy_poll", Value::Null)], &[]), Code::Malformed),
            (set("New", &[("heartbeat", json!(i64::MAX))], &[]), Code::Malformed),
            (set("New", &[("software", json!({"paths": []}))], &[]), Code::Malformed),
            (set("New", &[("content_hours", json!("8-18"))], &[]), Code::Malformed),
            (long, Code::Malformed),
        ];
        for (wanted, code) in &cases {
            assert_eq!(settings_create(full, site, wanted).await.unwrap_err().code(), *code, "{wanted:?}");
            if wanted.name.as_str() == "New" {
                let changed = settings_update(full, site, made.id, wanted, None).await.unwrap_err();
                assert_eq!(changed.code(), *code, "{wanted:?}");
            }
        }
        let sound = set("New", &good, &[]);
        let stale = settings_update(full, site, made.id, &sound, Some(7)).await.unwrap_err();
        assert_eq!(stale.code(), Code::Changed);
        assert_eq!(settings_move(full, site, made.id, 1, Some(7)).await.unwrap_err().code(), Code::Changed);
        assert_eq!(settings_delete(full, site, made.id, Some(7)).await.unwrap_err().code(), Code::Changed);
        for place in [0, 2, u32::MAX] {
            assert_eq!(settings_move(full, site, made.id, place, None).await.unwrap_err().code(), Code::Malformed);
        }
        let renamed = settings_update(full, site, DEFAULT, &sound, None).await.unwrap_err();
        let bound = settings_update(full, site, DEFAULT, &set("Default", &good, &[one]), None).await.unwrap_err();
        assert_eq!((renamed.code(), bound.code()), (Code::Conflict, Code::Conflict));
        assert_eq!(settings_move(full, site, DEFAULT, 1, None).await.unwrap_err().code(), Code::Conflict);
        assert_eq!(settings_delete(full, site, DEFAULT, None).await.unwrap_err().code(), Code::Conflict);
        for (ctx, code) in [(test.analyst(), Code::Forbidden), (test.anonymous(), Code::Unauthenticated)] {
            let refused = [
                settings_create(&ctx, site, &sound).await.unwrap_err(),
                settings_update(&ctx, site, made.id, &sound, None).await.unwrap_err(),
                settings_move(&ctx, site, made.id, 1, None).await.unwrap_err(),
                settings_delete(&ctx, site, made.id, None).await.unwrap_err(),
            ];
            assert!(refused.iter().all(|error| error.code() == code));
        }
        assert_eq!(settings_list(&test.anonymous(), site).await.unwrap_err().code(), Code::Unauthenticated);
        assert_eq!(settings_catalogue(&test.anonymous()).unwrap_err().code(), Code::Unauthenticated);
        assert_eq!(audit_list(full, site, PAGE).await.unwrap().total, before);
        assert_eq!(settings_show(full, site, made.id).await.unwrap(), made);
    }
}

#[tokio::test]
async fn a_forecast_knows_who_may_be_updated_in_general_windows() {
    for test in TestSite::all().await {
        let (a, b) = (test.enrol("a").await, test.enrol("b").await);
        let both = make(&test, "Both", ALL, direct(&[a.id, b.id])).await;
        let one = make(&test, "One", ALL, direct(&[a.id])).await;
        work(&test).await;
        let noon = WallTime::of_utc(test.now()).as_utc();
        for (kind, hours) in [(WindowKind::General, 2), (WindowKind::Updates, 9)] {
            let window = MaintenanceWindow {
                name: kind.as_str().parse().unwrap(),
                kind,
                start: WallTime::of_utc(noon.plus(hours * HOUR)),
                every: Recurrence::Interval { days: 1, hours: 0, minutes: 0 },
                minutes: 60,
                utc: true,
            };
            collection_window_add(&test.full(), &test.site, both, &window).await.unwrap();
        }
        create(&test, &set("Soon", &[("updates_in_general_windows", json!(true))], &[one])).await;
        work(&test).await;
        let create = DeploymentCreate {
            name: None,
            application: application(&test).await,
            target: Target::AllSystems,
            available: None,
            deadline: None,
            high_impact: false,
            outside_windows: false,
            volatile: false,
            software_update: true,
            options: muster_model::program::DeploymentOptions::default(),
            deferral: None,
            action: Action::Install,
            purpose: Purpose::Required,
        };
        let groups = deployment_preview(&test.analyst(), &test.site, &create).await.unwrap().forecast.groups;
        let groups: Vec<_> =
            groups.iter().map(|group| (group.starts, group.devices, group.examples[0].as_str())).collect();
        assert_eq!(groups, [(noon.plus(2 * HOUR), 1, "a"), (noon.plus(9 * HOUR), 1, "b")]);
    }
}

// proves S19: nobody brings a dangerous setting to everybody under the name of a collection that was chosen.
#[tokio::test]
async fn a_collection_with_dangerous_settings_does_not_include_everybody() {
    for test in TestSite::all().await {
        let device = test.enrol("a").await;
        let (full, site) = (&test.full(), &test.site);
        let protected = async |name: &str| {
            let wanted = CollectionCreate { protected: true, ..wish(name, ALL, direct(&[device.id])) };
            collection_create(full, site, &wanted).await.unwrap().collection.id
        };
        let (chosen, between) = (protected("Chosen").await, protected("Between").await);
        let danger = |to: CollectionId| set("Danger", &[("script_policy", json!("bypass"))], &[to]);
        create(&test, &danger(chosen)).await;
        let include = async |of: CollectionId, source: CollectionId| {
            collection_rule_add(full, site, of, &RuleSpec::Include { collection: source }).await
        };
        let refused = include(chosen, ALL).await.unwrap_err();
        assert_eq!(refused.code(), Code::Conflict);
        assert!(refused.problem().detail.contains("Danger"), "{refused}");
        // Nor by way of another one, whichever of both comes last.
        include(chosen, between).await.unwrap();
        let refused = include(between, ALL).await.unwrap_err();
        assert!(refused.problem().detail.contains("by way of Between"), "{refused}");
        let wide = protected("Wide").await;
        include(wide, ALL).await.unwrap();
        let refused = include(between, wide).await.unwrap_err();
        assert!(refused.problem().detail.contains("by way of Wide"), "{refused}");
        // Nor where the settings come last.
        let refused = settings_create(full, site, &SettingsSet { name: "Late".parse().unwrap(), ..danger(wide) }).await;
        assert_eq!(refused.unwrap_err().code(), Code::Conflict);
        let harmless = set("Harmless", &[("policy_poll", json!(MINUTE))], &[wide]);
        settings_create(full, site, &harmless).await.unwrap();
        // What is not protected is no part of what is.
        let open = make(&test, "Open", ALL, direct(&[device.id])).await;
        assert_eq!(include(chosen, open).await.unwrap_err().code(), Code::Conflict);
    }
}
