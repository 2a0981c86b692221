//! Deployments: for whom, from when on, and totals that are always the sum of their parts.

use crate::{
    client::Outbox,
    loop_story::{deploy, upload},
    reason,
};
use muster_model::{
    api::{DeploymentCreate, PageQuery, Target},
    id::{DeploymentId, DeviceId, Hash},
    problem::Code,
    report::{Body, Channel},
    status::{DeploymentReport, DeploymentState, FailureReason},
    time::{DAY, HOUR},
};
use muster_site::{
    Worker, application_create, assignment_show, audit_list, deployment_create, deployment_delete, deployment_devices,
    deployment_list, deployment_preview, deployment_show, device_block, device_timeline, device_unblock,
    testing::TestSite,
};
use muster_trust::envelope;

const PAGE: PageQuery = PageQuery { offset: 0, limit: 500 };

pub(crate) async fn application(test: &TestSite) -> Hash {
    upload(test, b"#!/bin/sh").await;
    let object = envelope::sign_json(&[&test.admin_key], &crate::loop_story::application(b"#!/bin/sh")).unwrap();
    application_create(&test.full(), &test.site, &object).await.unwrap().hash
}

fn create(application: Hash, target: Target) -> DeploymentCreate {
    DeploymentCreate {
        name: None,
        application,
        target,
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
    }
}

async fn work(test: &TestSite) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

#[tokio::test]
async fn what_cannot_be_deployed_is_refused_and_changes_nothing() {
    for test in TestSite::all().await {
        let (device, blocked) = (test.enrol("alpha").await, test.enrol("beta").await);
        device_block(&test.full(), &test.site, blocked.id, reason("lost"), None).await.unwrap();
        let hash = application(&test).await;
        let one = Target::Device { device: device.id };
        let now = test.now();
        let with = |available, deadline| DeploymentCreate { available, deadline, ..create(hash, one) };
        let nobody = Target::Device { device: DeviceId(uuid::Uuid::from_u128(1)) };
        let cases = [
            (create(Hash([3; 32]), one), Code::NotFound),
            (create(hash, nobody), Code::NotFound),
            (create(hash, Target::Device { device: blocked.id }), Code::Conflict),
            (with(Some(now.plus(HOUR)), Some(now)), Code::Malformed),
            (with(None, Some(now.plus(-1))), Code::Malformed),
            (with(None, Some(now.plus(11 * 365 * DAY))), Code::Malformed),
            (with(Some(muster_model::time::UnixMillis(0)), None), Code::Malformed),
        ];
        let before = audit_list(&test.full(), &test.site, PAGE).await.unwrap().total;
        for (create, code) in &cases {
            let error = deployment_create(&test.full(), &test.site, create).await.unwrap_err();
            assert_eq!(error.code(), *code, "{create:?}");
        }
        for (ctx, code) in [(test.analyst(), Code::Forbidden), (test.anonymous(), Code::Unauthenticated)] {
            assert_eq!(deployment_create(&ctx, &test.site, &create(hash, one)).await.unwrap_err().code(), code);
            let id = DeploymentId(uuid::Uuid::from_u128(1));
            assert_eq!(deployment_delete(&ctx, &test.site, id).await.unwrap_err().code(), code);
        }
        assert_eq!(deployment_list(&test.analyst(), &test.site, PAGE).await.unwrap().total, 0);
        assert_eq!(audit_list(&test.full(), &test.site, PAGE).await.unwrap().total, before);
    }
}

#[tokio::test]
async fn a_preview_says_what_would_be_done_and_does_nothing() {
    for test in TestSite::all().await {
        let hash = application(&test).await;
        let preview = async |create: &DeploymentCreate| deployment_preview(&test.analyst(), &test.site, create).await;
        let nobody = preview(&create(hash, Target::AllSystems)).await.unwrap();
        assert_eq!((nobody.devices, nobody.content_size, nobody.warnings.len()), (0, 9, 1), "{nobody:?}");
        test.enrol("beta").await;
        test.enrol("alpha").await;
        let both = preview(&create(hash, Target::AllSystems)).await.unwrap();
        assert_eq!((both.devices, both.examples), (2, vec!["alpha".to_owned(), "beta".to_owned()]));
        assert_eq!(preview(&create(Hash([1; 32]), Target::AllSystems)).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(deployment_list(&test.analyst(), &test.site, PAGE).await.unwrap().total, 0);
    }
}

#[tokio::test]
async fn all_systems_are_those_that_come_later_too() {
    for test in TestSite::all().await {
        let first = test.enrol("first").await;
        let away = test.enrol("away").await;
        device_block(&test.full(), &test.site, away.id, reason("lost"), None).await.unwrap();
        let deployment = deploy(&test, Target::AllSystems).await;
        assert_eq!(deployment.totals, [("targeted".to_owned(), 1)].into());
        work(&test).await;
        assert_eq!(assignment_show(&test.device(&first), &test.site).await.unwrap().bodies.len(), 3);
        let later = test.enrol("later").await;
        assert_eq!(assignment_show(&test.device(&later), &test.site).await.unwrap().bodies.len(), 3);
        device_unblock(&test.full(), &test.site, away.id, reason("found"), None).await.unwrap();
        work(&test).await;
        assert_eq!(assignment_show(&test.device(&away), &test.site).await.unwrap().bodies.len(), 3);
        let shown = deployment_show(&test.analyst(), &test.site, deployment.id).await.unwrap();
        assert_eq!(shown.totals, [("targeted".to_owned(), 3)].into());
        deployment_delete(&test.full(), &test.site, deployment.id).await.unwrap();
        let again = deployment_delete(&test.full(), &test.site, deployment.id).await.unwrap_err();
        assert_eq!(again.code(), Code::Conflict);
        work(&test).await;
        let last = test.enrol("last").await;
        for device in [&first, &later, &away, &last] {
            assert_eq!(assignment_show(&test.device(device), &test.site).await.unwrap().bodies.len(), 1);
        }
        assert!(deployment_show(&test.analyst(), &test.site, deployment.id).await.unwrap().deleted);
    }
}

#[tokio::test]
async fn totals_are_the_sum_of_the_devices() {
    for test in TestSite::all().await {
        let mut devices = Vec::new();
        for name in ["a", "b", "c", "d"] {
            devices.push(test.enrol(name).await);
        }
        let deployment = deploy(&test, Target::AllSystems).await;
        let report = |state, reason, exit_code| {
            Body::Deployment(DeploymentReport {
                deployment: deployment.id,
                application: deployment.application,
                state,
                reason,
                exit_code,
                output: "line\n\u{7}bell".to_owned(),
                starts: None,
                waits: None,
                runs: None,
                restart: false,
                undone: false,
                deployment_type: None,
                deferred: 0,
            })
        };
        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(report(DeploymentState::Downloading, None, None));
        outbox.push(report(DeploymentState::Failed, Some(FailureReason::ExitCode), Some(7)));
        outbox.send(&test, &devices[0]).await.unwrap();
        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(report(DeploymentState::Succeeded, Some(FailureReason::ExitCode), Some(0)));
        outbox.send(&test, &devices[1]).await.unwrap();
        let shown = deployment_show(&test.analyst(), &test.site, deployment.id).await.unwrap();
        let expected = [("targeted", 2), ("failed", 1), ("succeeded", 1)];
        assert_eq!(shown.totals, expected.map(|(state, count)| (state.to_owned(), count)).into());
        for (state, count) in [("targeted", 2), ("failed", 1), ("succeeded", 1), ("waiting", 0)] {
            let state = DeploymentState::ALL.iter().copied().find(|known| known.as_str() == state);
            let page = deployment_devices(&test.analyst(), &test.site, deployment.id, state, PAGE).await.unwrap();
            assert_eq!((page.total, page.items.len() as u64), (count, count));
        }
        let state = Some(DeploymentState::Failed);
        let failed = deployment_devices(&test.analyst(), &test.site, deployment.id, state, PAGE).await.unwrap();
        let failed = &failed.items[0];
        assert_eq!(
            (failed.device, failed.exit_code, failed.reason),
            (devices[0].id, Some(7), Some(FailureReason::ExitCode))
        );
        assert_eq!(failed.output, "line\n\u{fffd}bell", "no control character reaches a terminal");
        let state = Some(DeploymentState::Succeeded);
        let done = deployment_devices(&test.analyst(), &test.site, deployment.id, state, PAGE).await.unwrap();
        assert_eq!(done.items[0].reason, None, "what succeeded has no reason to fail");
        let timeline = device_timeline(&test.analyst(), &test.site, devices[0].id, PAGE).await.unwrap();
        let text = "Deployment Hello 1.0 failed: the install command ended with an exit code that means failure (exit code 7).";
        assert!(timeline.items.iter().any(|line| line.text == text), "{timeline:?}");
    }
}
