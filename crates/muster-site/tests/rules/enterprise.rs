//! Issuers of the enterprise and their lists where something fails: nothing stays open that should be closed, nothing is believed
//! that was taken away, and nobody fills the audit log.

use crate::reason;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{IssuerAdd, IssuerCriteria, PageQuery, RevocationReason},
    enrol::EnrolRequest,
    enterprise::{EnterpriseChange, EnterpriseProof},
    id::{DeviceId, EnrolmentId, Hash},
    limits::Limits,
    problem::Code,
    time::{DAY, HOUR, UnixMillis},
};
use muster_site::{
    site::Addresses,
    testing::{START, TestSite, claims, enrol_request},
    *,
};
use muster_store::{
    db::{enterprise, enterprise::EnterpriseRow},
    testing::tamper,
};
use muster_trust::{
    PrivateKey,
    certificate::{self, IssuingCa},
    crl::Revoked,
    envelope,
};
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;

/// A CA of the enterprise of this name.
fn ca(name: &str, key: &PrivateKey) -> IssuingCa {
    IssuingCa::new(certificate::root(name.parse().unwrap(), key, START).unwrap(), key).unwrap()
}

async fn add(test: &TestSite, ca: &IssuingCa) {
    let add = IssuerAdd {
        certificate: BASE64.encode(ca.certificate()),
        criteria: IssuerCriteria::default(),
        list_url: "http://pki.example/ca.crl".to_owned(),
        grace_hours: 0,
    };
    issuer_add(&test.full(), &test.site, add).await.unwrap();
}

/// A list that names the certificate 7, or nothing.
fn list(ca: &IssuingCa, number: u64, now: UnixMillis, lifetime: i64, is_revoked: bool) -> Vec<u8> {
    let revoked = Revoked { serial: 7, at: now, reason: RevocationReason::KeyCompromise };
    let revoked = if is_revoked { vec![revoked] } else { Vec::new() };
    ca.revocation_list(number, &revoked, now, now.plus(lifetime)).unwrap()
}

async fn actions(test: &TestSite, action: &str) -> usize {
    let query = PageQuery { limit: 500, ..PageQuery::default() };
    let page = audit_list(&test.full(), &test.site, query).await.unwrap();
    page.items.iter().filter(|entry| entry.action == action).count()
}

async fn warning(test: &TestSite) -> String {
    let issuers = issuer_list(&test.analyst(), &test.site).await.unwrap();
    issuers.items[0].warning.clone().unwrap_or_default()
}

/// Maps a device to the certificate 7 of this CA.
async fn map(test: &TestSite, device: DeviceId, ca: &IssuingCa) {
    let row = EnterpriseRow {
        fingerprint: Hash([1; 32]),
        issuer: ca.key_id(),
        serial: "07".to_owned(),
        subject: "CN=pc1".to_owned(),
        named: Hash([2; 32]),
        key: Hash([3; 32]),
        expires: test.now().plus(DAY),
    };
    muster_store::transaction!(test.site.store, "map", |tx| {
        enterprise::set(tx, EnrolmentId(device.0), &row, test.now()).await
    })
    .unwrap();
}

fn closed(heard: &mut Receiver<Notice>) -> Vec<DeviceId> {
    let mut closed = Vec::new();
    while let Ok(notice) = heard.try_recv() {
        if let Notice::DeviceClosed(device) = notice {
            closed.push(device);
        }
    }
    closed.dedup();
    closed
}

/// Another process on the same database.
async fn another(test: &TestSite) -> Site {
    let parts = SiteParts {
        store: test.store.store.clone(),
        content: ContentStore::open(test.store.directory.path().join("content")).unwrap(),
        keys: test.ring.clone(),
        root: test.root_key.public().id(),
        endorsement_roots: Vec::new(),
        keytabs: Vec::new(),
        limits: Limits::default(),
        addresses: Addresses::default(),
        sources: test.sources.clone(),
    };
    Site::open(parts).await.unwrap()
}

// proves S22: what a failing database keeps from being known is known as soon as it can be read.
#[tokio::test]
async fn an_issuer_that_another_process_removed_is_forgotten_although_reading_failed_first() {
    for test in TestSite::all().await {
        let (other, key) = (Arc::new(another(&test).await), PrivateKey::generate().unwrap());
        let ca = ca("LAB", &key);
        add(&test, &ca).await;
        let offered = async || issuer_offer(&test.anonymous(), &other).await.unwrap().issuers.len();
        let mut worker = Worker::new(other.clone());
        worker.step().await.unwrap();
        assert_eq!(offered().await, 1);
        issuer_remove(&test.full(), &test.site, ca.key_id(), reason("gone")).await.unwrap();
        tamper(&test.site.store, "ALTER TABLE issuer RENAME TO hidden").await;
        assert!(worker.step().await.is_err());
        tamper(&test.site.store, "ALTER TABLE hidden RENAME TO issuer").await;
        worker.step().await.unwrap();
        assert_eq!(offered().await, 0, "it is read again");

        // And the fetcher, which looks at the list before the worker hears.
        add(&test, &ca).await;
        worker.step().await.unwrap();
        issuer_remove(&test.full(), &test.site, ca.key_id(), reason("gone")).await.unwrap();
        assert_eq!(offered().await, 1);
        let der = list(&ca, 1, test.now(), DAY, false);
        assert!(!issuer_list_take(&other, ca.key_id(), der).await.unwrap());
        assert_eq!(offered().await, 0);
    }
}

// proves S22 S4: the end of a list closes at once, and its event comes when it can be written.
#[tokio::test]
async fn what_ends_is_closed_although_its_event_cannot_be_written() {
    for test in TestSite::all().await {
        let (device, key) = (test.enrol("pc1").await, PrivateKey::generate().unwrap());
        let ca = ca("LAB", &key);
        add(&test, &ca).await;
        map(&test, device.id, &ca).await;
        assert!(issuer_list_take(&test.site, ca.key_id(), list(&ca, 1, test.now(), HOUR, false)).await.unwrap());
        let mut worker = Worker::new(test.site.clone());
        while worker.step().await.unwrap() {}
        let mut heard = test.site.bus.subscribe();
        test.sources.pass(HOUR + 1);
        tamper(&test.site.store, "ALTER TABLE audit RENAME TO hidden").await;
        assert!(worker.step().await.is_err());
        assert_eq!(closed(&mut heard), [device.id]);
        tamper(&test.site.store, "ALTER TABLE hidden RENAME TO audit").await;
        worker.step().await.unwrap();
        worker.step().await.unwrap();
        assert_eq!(actions(&test, "issuer_list_end").await, 1);
        // What is revoked is closed by the list that says so.
        let good = list(&ca, 2, test.now(), DAY, false);
        assert!(issuer_list_take(&test.site, ca.key_id(), good).await.unwrap());
        closed(&mut heard);
        assert!(issuer_list_take(&test.site, ca.key_id(), list(&ca, 3, test.now(), DAY, true)).await.unwrap());
        assert_eq!(closed(&mut heard), [device.id]);
    }
}

// proves S22: a kept list that cannot be used any more is none, is said, and is followed by a newer one only.
#[tokio::test]
async fn an_issuer_with_a_new_name_is_not_stuck_with_its_old_list() {
    for test in TestSite::all().await {
        let key = PrivateKey::generate().unwrap();
        let (before, after) = (ca("LAB", &key), ca("NEW", &key));
        let id = before.key_id();
        add(&test, &before).await;
        assert!(issuer_list_take(&test.site, id, list(&before, 5, test.now(), DAY, true)).await.unwrap());
        issuer_remove(&test.full(), &test.site, id, reason("renamed")).await.unwrap();
        add(&test, &after).await;
        let said = warning(&test).await;
        assert!(said.contains("cannot be used (it is the list of another issuer)"), "{said}");
        assert!(revocation_warnings(&test.site, test.now()).contains(&said));
        assert!(issuer_list_due(&test.site, test.now()).iter().any(|due| due.issuer == id), "it is fetched");
        // Its number stays the floor.
        assert!(!issuer_list_take(&test.site, id, list(&after, 4, test.now(), DAY, false)).await.unwrap());
        assert!(warning(&test).await.contains("(older)"));
        // The same number and times under the new name take its place.
        assert!(issuer_list_take(&test.site, id, list(&after, 5, test.now(), DAY, true)).await.unwrap());
        assert_eq!(warning(&test).await, "");
    }
}

// proves S22
#[tokio::test]
async fn a_server_that_errs_in_many_ways_is_one_event() {
    for test in TestSite::all().await {
        let key = PrivateKey::generate().unwrap();
        let ca = ca("LAB", &key);
        add(&test, &ca).await;
        for why in ["404", "500", "404", "too slow"] {
            issuer_list_failed(&test.site, ca.key_id(), why).await.unwrap();
        }
        assert_eq!(actions(&test, "issuer_list_fail").await, 1);
        assert!(warning(&test).await.contains("too slow"), "the latest reason is shown");
        assert!(issuer_list_take(&test.site, ca.key_id(), list(&ca, 1, test.now(), DAY, false)).await.unwrap());
        issuer_list_failed(&test.site, ca.key_id(), "404").await.unwrap();
        assert_eq!(actions(&test, "issuer_list_fail").await, 2);
    }
}

// proves S22: a token or a device writes few lines of refusals, and who is locked out none.
#[tokio::test]
async fn refused_certificates_of_the_enterprise_do_not_fill_the_audit_log() {
    for test in TestSite::all().await {
        let proof = EnterpriseProof { certificate: "AAAA".to_owned(), scheme: 0x403, signature: String::new() };
        let channel = Channel::new(Hash([0; 32]));
        let (secret, key) = (test.token().await, PrivateKey::generate().unwrap());
        let request = EnrolRequest { enterprise: Some(proof.clone()), ..enrol_request(&secret, &key, claims("pc9")) };
        for _ in 0..15 {
            let refused = enrolment_request(&test.anonymous(), &test.site, &channel, request.clone()).await;
            assert_eq!(refused.unwrap_err().code(), Code::EnterpriseRefused);
        }
        assert_eq!(actions(&test, "enterprise_refuse").await, 10);

        let device = test.enrol("pc1").await;
        let change = async || {
            let (site, exporter) = (test.site.code, Hash([0; 32]));
            let change = EnterpriseChange { site, device: device.id, time: test.now(), exporter, proof: proof.clone() };
            let statement = envelope::sign1_json(&device.key, &change).unwrap();
            enterprise_change(&test.anonymous(), &test.site, &channel, &statement).await.unwrap_err().code()
        };
        for _ in 0..15 {
            assert_eq!(change().await, Code::EnterpriseRefused);
        }
        assert_eq!(actions(&test, "enterprise_refuse").await, 20);
        test.sources.pass(DAY);
        device_block(&test.full(), &test.site, device.id, reason("lost"), None).await.unwrap();
        assert_eq!(change().await, Code::DeviceNotActive);
        assert_eq!(actions(&test, "enterprise_refuse").await, 20);
    }
}
