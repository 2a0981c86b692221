//! The whole loop at the level of rules, on each database: an application is brought, signed and deployed, the device gets
//! its policy and reports, and what the site shows is what happened.

use crate::client::{Outbox, full, inventory, package, status};
use muster_model::{
    api::{DeploymentCreate, MessageQuery, PageQuery, Target},
    application::{Application, Command, ContentFile, Detection, Platform},
    id::{ApplicationId, Hash},
    policy::{Assignment, BodyKind, DeploymentPolicy, Recipient},
    problem::Code,
    report::{Body, Channel},
    status::{DeploymentReport, DeploymentState, MessageId, Severity},
};
use muster_site::{
    application_create, assignment_show, body_show, content_for_device, content_upload, dashboard_show,
    deployment_create, deployment_delete, deployment_devices, deployment_show, device_timeline, inventory_show,
    message_list, testing::TestSite,
};
use muster_trust::{envelope, sha256};

pub(crate) fn application(content: &[u8]) -> Application {
    Application {
        id: ApplicationId(uuid::Uuid::from_u128(7)),
        name: "Hello".parse().unwrap(),
        version: "1.0".to_owned(),
        platform: Platform::Linux,
        content: vec![ContentFile {
            name: "hello".parse().unwrap(),
            hash: sha256(content),
            size: content.len() as u64,
        }],
        install: Command { program: "content/hello".to_owned(), arguments: Vec::new(), success_codes: vec![0] },
        detection: Detection::File { path: "/opt/hello".to_owned(), hash: None },
        secrets: Vec::new(),
        collector: None,
        uninstall: None,
        repair: None,
        requirements: Vec::new(),
        return_codes: Vec::new(),
        retries: None,
        dependencies: Vec::new(),
        supersedes: Vec::new(),
        type_name: None,
        types: Vec::new(),
        parameters: Vec::new(),
        max_run_seconds: 60,
    }
}

pub(crate) async fn upload(test: &TestSite, content: &'static [u8]) -> Hash {
    let hash = sha256(content);
    content_upload(&test.full(), &test.site, hash, &mut [bytes::Bytes::from_static(content)].into_iter())
        .await
        .unwrap();
    hash
}

pub(crate) async fn deploy(test: &TestSite, target: Target) -> muster_model::api::Deployment {
    upload(test, b"#!/bin/sh").await;
    let object = envelope::sign_json(&[&test.admin_key], &application(b"#!/bin/sh")).unwrap();
    let info = application_create(&test.full(), &test.site, &object).await.unwrap();
    let create = DeploymentCreate {
        name: None,
        application: info.hash,
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
    };
    deployment_create(&test.full(), &test.site, &create).await.unwrap()
}

#[tokio::test]
async fn from_an_application_to_what_happened() {
    for test in TestSite::all().await {
        let site = &test.site;
        let (device, other) = (test.enrol("alpha").await, test.enrol("beta").await);
        let before = assignment_show(&test.device(&device), site).await.unwrap();
        assert_eq!(before.bodies.len(), 1, "only the settings");
        let deployment = deploy(&test, Target::Device { device: device.id }).await;
        assert_eq!(deployment.totals, [("targeted".to_owned(), 1)].into());
        let mut worker = muster_site::Worker::new(site.clone());
        while worker.step().await.unwrap() {}

        let current = assignment_show(&test.device(&device), site).await.unwrap();
        assert_eq!(current.version, before.version + 1);
        let policy_key = site.trust.load().keys.policy.public().clone();
        let assignment: Assignment =
            envelope::open1_json(&current.envelope, |_| Some(policy_key.clone())).unwrap().into_value();
        assert_eq!(assignment.recipient, Recipient::Device(device.id));
        assert_eq!((assignment.version, assignment.bodies.len()), (current.version, 3));
        for body in &assignment.bodies {
            let bytes = body_show(&test.device(&device), site, body.hash).await.unwrap();
            assert_eq!((sha256(&bytes), bytes.len() as u64), (body.hash, body.size));
            if body.kind == BodyKind::Deployment {
                let policy: DeploymentPolicy = serde_json::from_slice(&bytes).unwrap();
                assert_eq!((policy.deployment, policy.application), (deployment.id, deployment.application));
            }
            if body.kind != BodyKind::Settings {
                // proves I2: what is not in a device's own assignment is not there for it.
                let refused = body_show(&test.device(&other), site, body.hash).await.unwrap_err();
                assert_eq!(refused.code(), Code::NotFound);
            }
        }
        let content = content_for_device(&test.device(&device), site, sha256(b"#!/bin/sh")).await.unwrap();
        assert_eq!(std::fs::read(&content.path).unwrap(), b"#!/bin/sh");
        let foreign = content_for_device(&test.device(&other), site, sha256(b"#!/bin/sh")).await.unwrap_err();
        let absent = content_for_device(&test.device(&other), site, sha256(b"nothing")).await.unwrap_err();
        assert_eq!(foreign.problem(), absent.problem(), "what is another's and what is not there sound the same");

        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(status(MessageId::AgentStarted, Severity::Information, &[("version", "0.1.0")]));
        for state in [DeploymentState::Waiting, DeploymentState::Installing, DeploymentState::Succeeded] {
            outbox.push(Body::Deployment(DeploymentReport {
                deployment: deployment.id,
                application: deployment.application,
                state,
                reason: None,
                exit_code: Some(0),
                output: "hello\n".to_owned(),
                starts: None,
                waits: None,
                runs: None,
                restart: false,
                undone: false,
                deployment_type: None,
                deferred: 0,
            }));
        }
        let answer = outbox.send(&test, &device).await.unwrap();
        assert_eq!((answer.acknowledged, answer.quarantined.len()), (4, 0));
        let shown = deployment_show(&test.full(), site, deployment.id).await.unwrap();
        assert_eq!(shown.totals, [("succeeded".to_owned(), 1)].into());
        let page = PageQuery::default();
        let devices = deployment_devices(&test.analyst(), site, deployment.id, None, page).await.unwrap();
        assert_eq!((devices.total, devices.items[0].output.as_str()), (1, "hello\n"));

        let mut reports = Outbox::new(Channel::Inventory);
        reports.push(inventory(vec![full("INSTALLED_SOFTWARE", &[package("b", "2"), package("a", "1")])]));
        let answer = reports.send(&test, &device).await.unwrap();
        assert!(answer.resync.is_empty() && answer.quarantined.is_empty(), "{answer:?}");
        let rows = inventory_show(&test.full(), site, device.id, "INSTALLED_SOFTWARE", page).await.unwrap();
        assert_eq!((rows.total, rows.rows), (2, vec![package("a", "1"), package("b", "2")]));

        let messages =
            message_list(&test.full(), site, &MessageQuery { limit: 10, ..Default::default() }).await.unwrap();
        assert_eq!((messages.total, messages.items[0].text.as_str()), (1, "The agent 0.1.0 started."));
        let timeline = device_timeline(&test.full(), site, device.id, page).await.unwrap();
        assert!(timeline.items.iter().any(|line| line.text == "Deployment Hello 1.0 succeeded."), "{timeline:?}");
        let dashboard = dashboard_show(&test.analyst(), site).await.unwrap();
        assert_eq!((dashboard.devices["active"], dashboard.pending), (2, 0));
        assert_eq!(dashboard.seen.last().unwrap().reports, 2);

        deployment_delete(&test.full(), site, deployment.id).await.unwrap();
        while worker.step().await.unwrap() {}
        let after = assignment_show(&test.device(&device), site).await.unwrap();
        assert_eq!((after.version, after.bodies.len()), (current.version + 1, 1));
    }
}
