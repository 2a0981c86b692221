//! Maintenance windows of collections: who may set them, that they travel to the members, and that nothing begins without them.

use crate::{
    client::Outbox,
    collection::{direct, make, wish},
    loop_story::deploy,
};
use muster_model::{
    api::{CollectionKind, CollectionWindow, PageQuery, Target},
    id::{CollectionId, WindowId},
    limits,
    policy::{BodyKind, WindowPolicy},
    problem::Code,
    report::{Body, Channel},
    schedule::Recurrence,
    status::{DeploymentReport, DeploymentState, WaitReason},
    time::{DAY, HOUR, SECOND},
    window::{MaintenanceWindow, WallTime, WindowKind},
};
use muster_site::{
    Worker, assignment_show, audit_list, body_show, collection_create, collection_delete, collection_rule_add,
    collection_window_add, collection_window_delete, collection_window_list, collection_window_update, collection_work,
    deployment_devices, device_windows,
    testing::{TestDevice, TestSite},
};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 500 };
const ALL: CollectionId = CollectionId::ALL_SYSTEMS;
const DAILY: Recurrence = Recurrence::Interval { days: 1, hours: 0, minutes: 0 };

fn window(test: &TestSite, name: &str) -> MaintenanceWindow {
    MaintenanceWindow {
        name: name.parse().unwrap(),
        kind: WindowKind::General,
        start: WallTime::of_utc(test.now()),
        every: DAILY,
        minutes: 180,
        utc: false,
    }
}

async fn work(test: &TestSite) {
    while collection_work(&test.site, test.full().now).await.unwrap() {}
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

/// The names of the windows in a device's signed policy.
async fn told(test: &TestSite, device: &TestDevice) -> Vec<String> {
    let ctx = test.device(device);
    let bodies = assignment_show(&ctx, &test.site).await.unwrap().bodies.clone();
    let Some(body) = bodies.iter().find(|body| body.kind == BodyKind::Windows) else { return Vec::new() };
    let bytes = body_show(&ctx, &test.site, body.hash).await.unwrap();
    let policy: WindowPolicy = serde_json::from_slice(&bytes).unwrap();
    assert!(policy.is_sound());
    policy.windows.iter().map(|window| window.name.to_string()).collect()
}

async fn add(test: &TestSite, id: CollectionId, name: &str) -> CollectionWindow {
    collection_window_add(&test.full(), &test.site, id, &window(test, name)).await.unwrap()
}

#[tokio::test]
async fn windows_travel_to_the_members_and_follow_every_change() {
    for test in TestSite::all().await {
        let (a, b) = (test.enrol("a").await, test.enrol("b").await);
        let (one, two) =
            (make(&test, "One", ALL, direct(&[a.id])).await, make(&test, "Two", ALL, direct(&[a.id])).await);
        work(&test).await;
        assert!(told(&test, &a).await.is_empty());
        let night = add(&test, one, "Night").await;
        add(&test, two, "Day").await;
        work(&test).await;
        let mut names = told(&test, &a).await;
        names.sort_unstable();
        assert_eq!(names, ["Day", "Night"], "of all collections that it is in");
        assert!(told(&test, &b).await.is_empty());
        let of_device = device_windows(&test.analyst(), &test.site, a.id).await.unwrap();
        assert_eq!(of_device.iter().map(|w| w.collection).collect::<Vec<_>>(), [one, two]);

        // Who joins keeps to it, and who changes it changes it for all.
        let rule = direct(&[b.id]).remove(0);
        collection_rule_add(&test.full(), &test.site, one, &rule).await.unwrap();
        work(&test).await;
        assert_eq!(told(&test, &b).await, ["Night"]);
        let renamed = window(&test, "Late night");
        let which = (one, night.id);
        let old = collection_window_update(&test.full(), &test.site, which, &renamed, Some(9)).await.unwrap_err();
        assert_eq!(old.code(), Code::Changed);
        let done = collection_window_update(&test.full(), &test.site, which, &renamed, Some(1)).await.unwrap();
        assert_eq!(done.revision, 2);
        work(&test).await;
        assert_eq!(told(&test, &b).await, ["Late night"]);
        collection_window_delete(&test.full(), &test.site, one, night.id).await.unwrap();
        work(&test).await;
        assert!(told(&test, &b).await.is_empty());
        assert_eq!(told(&test, &a).await, ["Day"]);
        let log = audit_list(&test.full(), &test.site, PAGE).await.unwrap();
        let verbs: Vec<_> = log.items.iter().filter(|entry| entry.action.contains("window")).collect();
        assert_eq!(verbs.len(), 4);
        assert!(verbs[0].detail.contains("Late night of One was deleted: daily at"), "{verbs:?}");
    }
}

#[tokio::test]
async fn windows_that_cannot_be_are_refused_and_change_nothing() {
    for test in TestSite::all().await {
        let own = make(&test, "Own", ALL, Vec::new()).await;
        let mut users = wish("People", CollectionId::ALL_USERS, Vec::new());
        users.kind = CollectionKind::User;
        let users = collection_create(&test.full(), &test.site, &users).await.unwrap().collection.id;
        let night = add(&test, own, "Night").await;
        let good = window(&test, "Other");
        let before = audit_list(&test.full(), &test.site, PAGE).await.unwrap().total;
        let nothing: CollectionId = "TST0FFFF".parse().unwrap();
        let past = WallTime::of_utc(test.now().plus(-10 * DAY));
        let every = |every| MaintenanceWindow { every, ..good.clone() };
        let cases = [
            (ALL, good.clone(), Code::Conflict),
            (users, good.clone(), Code::Conflict),
            (nothing, good.clone(), Code::NotFound),
            (own, window(&test, "Night"), Code::Conflict),
            (own, MaintenanceWindow { minutes: 0, ..good.clone() }, Code::Malformed),
            (own, MaintenanceWindow { minutes: 1_441, ..good.clone() }, Code::Malformed),
            (own, every(Recurrence::Interval { days: 0, hours: 1, minutes: 0 }), Code::Malformed),
            (own, MaintenanceWindow { start: past, ..every(Recurrence::Once) }, Code::Malformed),
            // It begins in a month with 30 days and comes every twelve months.
            (
                own,
                MaintenanceWindow {
                    start: "2026-11-01T01:00".parse().unwrap(),
                    ..every(Recurrence::MonthlyByDate { day: 31, months: 12 })
                },
                Code::Malformed,
            ),
        ];
        for (id, wanted, code) in &cases {
            let error = collection_window_add(&test.full(), &test.site, *id, wanted).await.unwrap_err();
            assert_eq!(error.code(), *code, "{id} {wanted:?}");
        }
        for (ctx, code) in [(test.analyst(), Code::Forbidden), (test.anonymous(), Code::Unauthenticated)] {
            let which = (own, night.id);
            let refused = [
                collection_window_add(&ctx, &test.site, own, &good).await.unwrap_err(),
                collection_window_update(&ctx, &test.site, which, &good, None).await.unwrap_err(),
                collection_window_delete(&ctx, &test.site, own, night.id).await.unwrap_err(),
            ];
            assert!(refused.iter().all(|error| error.code() == code));
        }
        let foreign = collection_window_delete(&test.full(), &test.site, users, night.id).await.unwrap_err();
        assert_eq!(foreign.code(), Code::Conflict, "a window is reached through its own collection");
        let other = make(&test, "Other", ALL, Vec::new()).await;
        for (id, number) in [(other, night.id), (own, WindowId(uuid::Uuid::from_u128(1)))] {
            let absent = collection_window_delete(&test.full(), &test.site, id, number).await.unwrap_err();
            assert_eq!(absent.code(), Code::NotFound);
        }
        // A collection does not go while windows hang on it: its members would be free at once.
        let kept = collection_delete(&test.full(), &test.site, own, None).await.unwrap_err();
        assert!(kept.problem().detail.contains("maintenance window Night"), "{kept:?}");
        assert_eq!(collection_window_list(&test.analyst(), &test.site, own).await.unwrap(), [night]);
        assert_eq!(audit_list(&test.full(), &test.site, PAGE).await.unwrap().total, before + 1, "the other collection");
        for number in 1..limits::COLLECTION_WINDOWS {
            add(&test, own, &format!("Night {number}")).await;
        }
        let many = collection_window_add(&test.full(), &test.site, own, &good).await.unwrap_err();
        assert_eq!(many.code(), Code::Conflict);
    }
}

#[tokio::test]
async fn a_new_device_gets_no_deployment_before_its_windows_are_known() {
    for test in TestSite::all().await {
        let mut everybody = wish("Everybody", ALL, vec![]);
        everybody.incremental = true;
        let query = "select * from SMS_R_System".to_owned();
        everybody.rules = vec![muster_model::api::RuleSpec::Query { name: "all".parse().unwrap(), query }];
        let id = collection_create(&test.full(), &test.site, &everybody).await.unwrap().collection.id;
        work(&test).await;
        deploy(&test, Target::AllSystems).await;
        add(&test, id, "Night").await;
        let new = test.enrol("new").await;
        let kinds = async || {
            let bodies = assignment_show(&test.device(&new), &test.site).await.unwrap().bodies.clone();
            bodies.iter().map(|body| body.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds().await, [BodyKind::Settings], "which windows hold is not known yet");
        test.sources.pass(SECOND);
        work(&test).await;
        let all = [BodyKind::Settings, BodyKind::Windows, BodyKind::Deployment, BodyKind::Application];
        assert_eq!(kinds().await, all);
    }
}

#[tokio::test]
async fn what_a_deployment_waits_for_is_kept_while_it_waits() {
    for test in TestSite::all().await {
        let device = test.enrol("a").await;
        let deployment = deploy(&test, Target::AllSystems).await;
        let opens = test.now().plus(HOUR);
        let mut outbox = Outbox::new(Channel::Status);
        let mut say = async |state, waits| {
            outbox.push(Body::Deployment(DeploymentReport {
                deployment: deployment.id,
                application: deployment.application,
                state,
                reason: None,
                exit_code: None,
                output: String::new(),
                starts: Some(opens),
                waits,
                runs: None,
                restart: false,
                undone: false,
                deployment_type: None,
                deferred: 0,
            }));
            outbox.send(&test, &device).await.unwrap();
            let page = deployment_devices(&test.analyst(), &test.site, deployment.id, None, PAGE).await.unwrap();
            (page.items[0].waits, page.items[0].starts)
        };
        let window = Some(WaitReason::Window);
        assert_eq!(say(DeploymentState::Waiting, window).await, (window, Some(opens)));
        assert_eq!(say(DeploymentState::Installing, window).await, (None, None), "it waits no longer");
    }
}
