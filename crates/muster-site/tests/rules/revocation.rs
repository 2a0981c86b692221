//! Revocation: written with the decision, listed, answered, and never forgotten by a renewal.

use crate::reason;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{CertificateQuery, RevocationReason, Revoke},
    enrol::{EnrolAnswer, EnrolPoll, RenewRequest},
    id::EnrolmentId,
    problem::Code,
    time::{DAY, HOUR, MINUTE},
};
use muster_site::{
    testing::{TestDevice, TestSite},
    *,
};
use muster_trust::{
    certificate::{client_identity, public_key, serial_number, signing_request},
    crl, envelope,
    ocsp::{Issuer, Signed, StatusError, read_status, request},
    tls::Revocations,
};

fn why(code: RevocationReason) -> Revoke {
    Revoke { reason: "a test".to_owned(), code }
}

async fn revoked(test: &TestSite) -> Vec<(String, RevocationReason)> {
    let query = CertificateQuery { revoked: true, limit: 50, ..CertificateQuery::default() };
    let page = certificate_list(&test.analyst(), &test.site, query).await.unwrap();
    assert_eq!(page.total as usize, page.items.len());
    let mut rows: Vec<_> = page.items.into_iter().map(|c| (c.serial, c.revocation.unwrap().reason)).collect();
    rows.sort();
    rows
}

/// What OCSP says of a device's certificate.
async fn asked(test: &TestSite, serial: u128) -> Signed {
    let issuer = Issuer::from_certificate(test.site.trust.load().keys.issuing.certificate()).unwrap();
    let ask = request(&issuer, serial, None).unwrap();
    let answer = ocsp_answer(&test.anonymous(), &test.site, &ask).await.unwrap();
    assert!(answer.cacheable.is_some());
    read_status(&answer.der, &issuer, serial).unwrap()
}

/// The worker looks until nothing is left to do; the issuing CA's list.
async fn list(test: &TestSite) -> (u64, u64) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
    let state = revocation_show(&test.analyst(), &test.site).await.unwrap();
    let issuing = state.lists.iter().find(|list| list.of == "issuing").unwrap();
    (issuing.number, issuing.entries)
}

async fn connects(test: &TestSite, device: &TestDevice) -> Result<(), Code> {
    let identity = client_identity(&device.certificate).unwrap();
    device_connected(&test.site, &identity, test.now()).await.map(drop).map_err(|error| error.code())
}

// proves S4 S23
#[tokio::test]
async fn a_decision_about_a_device_is_one_about_its_certificates() {
    for test in TestSite::all().await {
        let (device, other) = (test.enrol("pc1").await, test.enrol("pc2").await);
        let serial = serial_number(&device.certificate).unwrap();
        assert_eq!((revoked(&test).await, asked(&test, serial).await.verdict), (vec![], Ok(())));
        assert_eq!(asked(&test, serial ^ 1).await.verdict, Err(StatusError::Unknown));
        let (first, _) = list(&test).await;

        device_block(&test.full(), &test.site, device.id, reason("lost"), None).await.unwrap();
        assert_eq!(revoked(&test).await, [(device.caller.serial.clone(), RevocationReason::CertificateHold)]);
        assert!(test.site.memory.revoked.is_revoked(serial), "at once, without a look at the table");
        assert_eq!(asked(&test, serial).await.verdict, Err(StatusError::Revoked));
        test.sources.pass(2_000);
        assert_eq!(list(&test).await, (first + 1, 1));

        device_unblock(&test.full(), &test.site, device.id, reason("found"), None).await.unwrap();
        assert_eq!((revoked(&test).await, asked(&test, serial).await.verdict), (vec![], Ok(())));
        test.sources.pass(2_000);
        assert_eq!(list(&test).await, (first + 2, 0));
        let entry = &audit_list(&test.full(), &test.site, Default::default()).await.unwrap().items[0];
        assert_eq!((entry.action.as_str(), entry.detail.as_str()), ("device_unblock", "pc1 is active now: found"));

        device_retire(&test.full(), &test.site, device.id, reason("sold"), None).await.unwrap();
        assert_eq!(revoked(&test).await, [(device.caller.serial.clone(), RevocationReason::CessationOfOperation)]);
        assert_eq!(
            (connects(&test, &device).await, connects(&test, &other).await),
            (Err(Code::DeviceNotActive), Ok(()))
        );
    }
}

#[tokio::test]
async fn what_is_revoked_for_good_stays_so_and_a_hold_becomes_final() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        device_block(&test.full(), &test.site, device.id, reason("lost"), None).await.unwrap();
        let code = RevocationReason::KeyCompromise;
        device_revoke(&test.full(), &test.site, device.id, why(code)).await.unwrap();
        device_unblock(&test.full(), &test.site, device.id, reason("found"), None).await.unwrap();
        assert_eq!(revoked(&test).await, [(device.caller.serial.clone(), code)]);
        assert_eq!(connects(&test, &device).await, Err(Code::DeviceNotActive));
        let again = device_revoke(&test.full(), &test.site, device.id, why(code)).await.unwrap_err();
        assert_eq!(again.code(), Code::Conflict);
        device_retire(&test.full(), &test.site, device.id, reason("x"), None).await.unwrap();
        assert_eq!(revoked(&test).await, [(device.caller.serial.clone(), code)], "the first reason stays");
        for refused in [
            device_revoke(&test.analyst(), &test.site, device.id, why(code)).await.map(drop),
            certificate_revoke(&test.analyst(), &test.site, "40", why(code)).await.map(drop),
        ] {
            assert_eq!(refused.unwrap_err().code(), Code::Forbidden);
        }
    }
}

// A revoked certificate is not renewed, over no door.
#[tokio::test]
async fn a_revoked_certificate_has_no_successor() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        let enrolment = EnrolmentId(device.id.0);
        test.sources.pass(20 * DAY);
        let renew = || RenewRequest { csr: BASE64.encode(signing_request(&device.key).unwrap()) };
        certificate_revoke(&test.full(), &test.site, &device.caller.serial, why(RevocationReason::Superseded))
            .await
            .unwrap();
        let refused = certificate_renew(&test.device(&device), &test.site, renew()).await.unwrap_err();
        assert_eq!(refused.code(), Code::DeviceNotActive);
        test.sources.pass(11 * DAY);
        let poll = EnrolPoll { site: test.site.code, enrolment, time: test.now() };
        let poll = envelope::sign1_json(&device.key, &poll).unwrap();
        let answer = enrolment_poll(&test.anonymous(), &test.site, &poll).await.unwrap();
        assert_eq!(answer, EnrolAnswer::Refused, "the key of a revoked certificate gets no other");
        let query = CertificateQuery { device: Some(device.id), limit: 50, ..CertificateQuery::default() };
        assert_eq!(certificate_list(&test.full(), &test.site, query).await.unwrap().total, 1, "nothing was issued");
    }
}

/// What the enrolment door answers to the holder of this device's key.
async fn polled(test: &TestSite, device: &TestDevice) -> EnrolAnswer {
    let poll = EnrolPoll { site: test.site.code, enrolment: EnrolmentId(device.id.0), time: test.now() };
    let poll = envelope::sign1_json(&device.key, &poll).unwrap();
    enrolment_poll(&test.anonymous(), &test.site, &poll).await.unwrap()
}

// proves S4 S23: the end of a key outlives its certificates, and whatever was remembered of them.
#[tokio::test]
async fn a_revoked_key_gets_no_certificate_when_its_last_one_is_forgotten() {
    for test in TestSite::all().await {
        let compromise = || why(RevocationReason::KeyCompromise);
        let (stolen, single, away) = (test.enrol("pc1").await, test.enrol("pc2").await, test.enrol("pc3").await);
        device_revoke(&test.full(), &test.site, stolen.id, compromise()).await.unwrap();
        certificate_revoke(&test.full(), &test.site, &single.caller.serial, compromise()).await.unwrap();
        // Its certificate ends, its serial number leaves the table and the list; the thief still has the key.
        test.sources.pass(40 * DAY);
        list(&test).await;
        assert_eq!(revoked(&test).await, []);
        for device in [&stolen, &single] {
            assert_eq!(polled(&test, device).await, EnrolAnswer::Refused);
            let detail = device_show(&test.full(), &test.site, device.id).await.unwrap();
            assert!(detail.key_revoked.is_some() && detail.certificate_serial == device.caller.serial);
        }
        // Stolen while it was off for so long that nothing is left to revoke but the key.
        device_revoke(&test.full(), &test.site, away.id, compromise()).await.unwrap();
        assert_eq!(polled(&test, &away).await, EnrolAnswer::Refused);
        let again = device_revoke(&test.full(), &test.site, away.id, compromise()).await.unwrap_err();
        assert_eq!(again.code(), Code::Conflict);
        // Neither does a block that comes and goes give the key back.
        device_block(&test.full(), &test.site, away.id, reason("x"), None).await.unwrap();
        device_unblock(&test.full(), &test.site, away.id, reason("x"), None).await.unwrap();
        assert_eq!(polled(&test, &away).await, EnrolAnswer::Refused);
    }
}

// A machine that was merely off gets its next certificate, however long ago the last one was forgotten.
#[tokio::test]
async fn a_machine_that_was_off_for_long_comes_back() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        test.sources.pass(400 * DAY);
        list(&test).await;
        assert!(matches!(polled(&test, &device).await, EnrolAnswer::Active { .. }));
    }
}

#[tokio::test]
async fn both_certificates_of_a_device_are_revoked_with_it() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        test.sources.pass(20 * DAY);
        let csr = BASE64.encode(signing_request(&device.key).unwrap());
        let answer = certificate_renew(&test.device(&device), &test.site, RenewRequest { csr }).await.unwrap();
        let next = client_identity(&BASE64.decode(&answer.certificates[0]).unwrap()).unwrap();
        device_block(&test.full(), &test.site, device.id, reason("lost"), None).await.unwrap();
        let serials: Vec<_> = revoked(&test).await.into_iter().map(|(serial, _)| serial).collect();
        let mut both = vec![device.caller.serial.clone(), next.serial];
        both.sort();
        assert_eq!(serials, both);
    }
}

#[tokio::test]
async fn lists_are_signed_early_and_another_process_is_heard() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        let (first, _) = list(&test).await;
        assert_eq!(list(&test).await.0, first, "nothing changed, nothing is signed");
        test.sources.pass(13 * HOUR);
        assert_eq!(list(&test).await.0, first + 1, "long before its end");
        assert_eq!(revocation_warnings(&test.site, test.now()), Vec::<String>::new());
        // Nobody signs: first a warning, then an alarm.
        let early = revocation_warnings(&test.site, test.now().plus(2 * DAY));
        assert!(early.len() == 1 && early[0].contains("ends in"), "{early:?}");
        let late = revocation_warnings(&test.site, test.now().plus(4 * DAY));
        assert!(late.len() == 1 && late[0].contains("out of date"), "{late:?}");
        let dashboard =
            dashboard_show(&Ctx { now: test.now().plus(4 * DAY), ..test.full() }, &test.site).await.unwrap();
        assert!(dashboard.warnings.iter().any(|warning| warning.contains("out of date")), "{:?}", dashboard.warnings);

        // Another process on the same database blocks the device: this one hears of it from the table.
        let row = (device.caller.serial.as_str(), device.id);
        muster_store::transaction!(test.site.store, "another", |tx| {
            use muster_store::db::revocation::{Cause, bump, insert_device};
            let cause = Cause { reason: RevocationReason::CertificateHold, at: test.now(), by: "another" };
            assert_eq!(insert_device(tx, row.1, cause).await?[0].serial, row.0);
            bump(tx).await?;
            Ok::<_, muster_store::StoreError>(())
        })
        .unwrap();
        let serial = serial_number(&device.certificate).unwrap();
        assert!(!test.site.memory.revoked.is_revoked(serial));
        test.sources.pass(MINUTE);
        assert_eq!(list(&test).await.1, 1);
        assert!(test.site.memory.revoked.is_revoked(serial));
        // What has ended leaves the table and the list.
        test.sources.pass(40 * DAY);
        list(&test).await;
        assert_eq!(revoked(&test).await, []);
    }
}

// proves S1: an anonymous request for a list costs no copy of it.
#[tokio::test]
async fn a_list_is_handed_out_without_a_copy() {
    let test = TestSite::new().await;
    let issuer = test.site.trust.load().keys.issuing.key_id();
    list(&test).await;
    let [first, second] =
        [(); 2].map(async |()| revocation_list_show(&test.anonymous(), &test.site, issuer).await.unwrap());
    let (first, second) = (first.await, second.await);
    assert_eq!(first.digest, muster_trust::sha256(&first.der));
    let body = second.der.clone();
    assert_eq!(first.der.as_ptr(), body.as_ptr());
}

// proves S1: one revocation after the other does not keep devices from their policy.
#[tokio::test]
async fn the_worker_makes_policy_in_the_step_in_which_it_signs_a_list() {
    for test in TestSite::all().await {
        let (first, second) = (test.enrol("pc1").await, test.enrol("pc2").await);
        list(&test).await;
        let third = test.enrol("pc3").await;
        for device in [first, second] {
            device_block(&test.full(), &test.site, device.id, reason("lost"), None).await.unwrap();
            test.sources.pass(2_000);
        }
        Worker::new(test.site.clone()).step().await.unwrap();
        let issuer = test.site.trust.load().keys.issuing.certificate().to_vec();
        let list =
            revocation_list_show(&test.anonymous(), &test.site, public_key(&issuer).unwrap().id()).await.unwrap();
        assert_eq!(crl::read(&list.der, &public_key(&issuer).unwrap()).unwrap().revoked.len(), 2, "signed");
        let mut reader = test.site.store.reader().await.unwrap();
        let (_, row) = muster_store::db::assignment::get(&mut reader, third.id).await.unwrap().unwrap();
        assert!(row.is_some(), "and made");
    }
}
