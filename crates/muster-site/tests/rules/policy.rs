//! Policy: signed for one device, newer only when something changed, renewed in time, and nobody else's.

use crate::{loop_story::deploy, reason};
use muster_model::{
    api::Target,
    id::Hash,
    policy::{ASSIGNMENT_LIFETIME, Assignment, Recipient},
    problem::Code,
    time::DAY,
};
use muster_site::{
    Worker, assignment_show, body_show, device_block,
    testing::{TestDevice, TestSite},
};
use muster_store::{bus::Notice, db::assignment};
use muster_trust::envelope;

async fn work(test: &TestSite) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

/// The assignment of a device as the device would verify it: by a policy key of the trust bundle.
async fn assigned(test: &TestSite, device: &TestDevice) -> Assignment {
    let current = assignment_show(&test.device(device), &test.site).await.unwrap();
    let trust = test.site.trust.load();
    let bundle = trust.bundle();
    let verified = envelope::open1_json::<Assignment>(&current.envelope, |id| bundle.policy_key(id)).unwrap();
    assert_eq!(verified.value().version, current.version);
    verified.into_value()
}

#[tokio::test]
async fn an_assignment_is_for_one_device_and_ends() {
    // proves S10: what a device gets is signed by the site's policy key, names the device, and ends.
    for test in TestSite::all().await {
        let (device, other) = (test.enrol("alpha").await, test.enrol("beta").await);
        let mine = assigned(&test, &device).await;
        assert_eq!((mine.site, mine.recipient), (test.site.code, Recipient::Device(device.id)));
        assert_eq!((mine.issued, mine.expires), (test.now(), test.now().plus(ASSIGNMENT_LIFETIME)));
        assert_eq!(mine.trust_version, test.site.trust.load().bundle().version);
        assert_eq!(assigned(&test, &other).await.recipient, Recipient::Device(other.id));
        for ctx in [test.full(), test.anonymous()] {
            assert_eq!(assignment_show(&ctx, &test.site).await.unwrap_err().code(), Code::Unauthenticated);
        }
    }
}

#[tokio::test]
async fn a_version_is_new_when_something_changed_or_half_of_its_life_is_over() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        work(&test).await;
        let first = assigned(&test, &device).await;
        for _ in 0..3 {
            test.sources.pass(DAY);
            work(&test).await;
            assert_eq!(assigned(&test, &device).await, first, "nothing changed");
        }
        test.sources.pass(ASSIGNMENT_LIFETIME / 2 - 3 * DAY);
        work(&test).await;
        let second = assigned(&test, &device).await;
        assert_eq!((second.version, second.issued), (first.version + 1, test.now()));
        // The worker was away for longer than the assignment lives: who asks gets a new one on the spot.
        test.sources.pass(ASSIGNMENT_LIFETIME);
        let third = assigned(&test, &device).await;
        assert_eq!((third.version, third.issued), (second.version + 1, test.now()));
        // The clock of the site was wrong, and is set back: what was signed in the future is signed again.
        test.sources.pass(-400 * DAY);
        work(&test).await;
        let deployment = deploy(&test, Target::AllSystems).await;
        work(&test).await;
        let fourth = assigned(&test, &device).await;
        assert!(fourth.version > third.version && fourth.issued == test.now());
        assert_eq!(fourth.bodies.len(), 3, "{deployment:?}");
    }
}

#[tokio::test]
async fn a_blocked_device_gets_nothing_also_from_memory() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let body = assigned(&test, &device).await.bodies[0].hash;
        body_show(&test.device(&device), &test.site, body).await.unwrap();
        device_block(&test.full(), &test.site, device.id, reason("stolen"), None).await.unwrap();
        let code = |error: muster_site::SiteError| error.code();
        let ctx = test.device(&device);
        assert_eq!(assignment_show(&ctx, &test.site).await.map_err(code).unwrap_err(), Code::DeviceNotActive);
        assert_eq!(body_show(&ctx, &test.site, body).await.map_err(code).unwrap_err(), Code::DeviceNotActive);
        assert_eq!(body_show(&ctx, &test.site, Hash([1; 32])).await.map_err(code).unwrap_err(), Code::DeviceNotActive);
    }
}

#[tokio::test]
async fn an_assignment_whose_job_was_lost_is_made_at_the_next_start() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let store = &test.site.store;
        let lost =
            muster_store::transaction!(store, "t", |tx| { assignment::take(tx, test.now(), 100).await }).unwrap();
        assert_eq!(lost, [device.id]);
        work(&test).await;
        let (_, row) = assignment::get(&mut store.reader().await.unwrap(), device.id).await.unwrap().unwrap();
        assert_eq!(row.unwrap().version, 1);
    }
}

#[tokio::test]
async fn a_deployment_wakes_the_worker_and_the_worker_ends_when_it_is_told() {
    let test = TestSite::new().await;
    let device = test.enrol("alpha").await;
    work(&test).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(Worker::new(test.site.clone()).run(async move { drop(stopped.await) }));
    let mut notices = test.site.bus.subscribe();
    deploy(&test, Target::AllSystems).await;
    while notices.recv().await.unwrap() != Notice::PolicyChanged(device.id) {}
    assert_eq!(assignment_show(&test.device(&device), &test.site).await.unwrap().bodies.len(), 3);
    stop.send(()).unwrap();
    worker.await.unwrap();
}
