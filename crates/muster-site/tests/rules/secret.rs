//! Sealed secrets: taken only as authors signed them, for the key that the device has now, and handed to that device alone.

use crate::{
    loop_story::{application, deploy},
    reason,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{PageQuery, SecretAdd, Target},
    application::FileName,
    id::{ApplicationId, SiteCode},
    policy::BodyKind,
    problem::Code,
    secret::{SealingKey, SecretBinding},
    time::{DAY, UnixMillis},
};
use muster_site::{
    assignment_show, body_show, deployment_delete, deployment_list, device_block, sealing_key_set, secret_add,
    secret_list, secret_recipients, secret_remove,
    testing::{TestDevice, TestSite},
};
use muster_trust::{
    PrivateKey, envelope,
    secret::{SealingPrivateKey, seal, statement_key},
    sha256,
};

/// A device's statement, as it may be wrong.
fn statement(
    device: &TestDevice,
    by: &PrivateKey,
    key: &SealingPrivateKey,
    site: SiteCode,
    made: UnixMillis,
) -> Vec<u8> {
    let said = SealingKey { site, device: device.id, key: statement_key(key.public()), made };
    envelope::sign1_json(by, &said).unwrap()
}

fn name() -> FileName {
    "token".parse().unwrap()
}

fn binding(test: &TestSite, device: &TestDevice, version: UnixMillis) -> SecretBinding {
    let application = application(b"").id;
    SecretBinding { site: test.site.code, device: device.id, application, name: name(), version }
}

fn sealed(by: &[&PrivateKey], key: &SealingPrivateKey, binding: SecretBinding) -> String {
    BASE64.encode(envelope::sign_json(by, &seal(b"value", key.public(), binding).unwrap()).unwrap())
}

#[tokio::test]
async fn a_sealing_key_is_taken_from_its_device_and_never_goes_back() {
    for test in TestSite::all().await {
        let (site, now) = (&test.site, test.now());
        let (alpha, beta) = (test.enrol("alpha").await, test.enrol("beta").await);
        let key = SealingPrivateKey::generate().unwrap();
        let ctx = test.device(&alpha);
        let refused = async |statement: &[u8]| sealing_key_set(&ctx, site, statement).await.unwrap_err().code();
        let other: SiteCode = "XYZ".parse().unwrap();
        assert_eq!(refused(b"").await, Code::Malformed);
        assert_eq!(refused(&vec![0; site.limits.enrol_bytes + 1]).await, Code::TooLarge);
        assert_eq!(refused(&statement(&alpha, &beta.key, &key, site.code, now)).await, Code::SignatureInvalid);
        assert_eq!(refused(&statement(&beta, &alpha.key, &key, site.code, now)).await, Code::Conflict, "another's");
        assert_eq!(refused(&statement(&alpha, &alpha.key, &key, other, now)).await, Code::ForeignSite);
        let future = statement(&alpha, &alpha.key, &key, site.code, now.plus(2 * DAY));
        assert_eq!(refused(&future).await, Code::Malformed);
        let good = statement(&alpha, &alpha.key, &key, site.code, now);
        sealing_key_set(&ctx, site, &good).await.unwrap();
        sealing_key_set(&ctx, site, &good).await.unwrap();
        let next = SealingPrivateKey::generate().unwrap();
        sealing_key_set(&ctx, site, &statement(&alpha, &alpha.key, &next, site.code, now.plus(1))).await.unwrap();
        assert_eq!(refused(&good).await, Code::Conflict, "an earlier one does not come back");
        device_block(&test.full(), site, alpha.id, reason("stolen"), None).await.unwrap();
        let later = statement(&alpha, &alpha.key, &key, site.code, now.plus(2));
        assert_eq!(refused(&later).await, Code::DeviceNotActive);
    }
}

#[tokio::test]
async fn a_secret_is_taken_from_its_authors_and_goes_to_its_device_alone() {
    // proves S10: the site takes a secret only as its authors signed it, and hands it to one device.
    for test in TestSite::all().await {
        let (site, now, author) = (&test.site, test.now(), &test.admin_key);
        let (alpha, beta) = (test.enrol("alpha").await, test.enrol("beta").await);
        deploy(&test, Target::AllSystems).await;
        let mut worker = muster_site::Worker::new(site.clone());
        while worker.step().await.unwrap() {}
        let id = application(b"").id;
        let silent = secret_recipients(&test.analyst(), site, id, PageQuery::default()).await.unwrap();
        assert!(silent.total == 2 && silent.items.iter().all(|r| r.sealing_key.is_none()), "{silent:?}");
        let (key, old) = (SealingPrivateKey::generate().unwrap(), SealingPrivateKey::generate().unwrap());
        for device in [&alpha, &beta] {
            let said = statement(device, &device.key, &key, site.code, now);
            sealing_key_set(&test.device(device), site, &said).await.unwrap();
        }
        let all = secret_recipients(&test.analyst(), site, id, PageQuery::default()).await.unwrap();
        assert!(all.items.iter().all(|recipient| recipient.sealing_key.is_some()), "{all:?}");

        let stranger = PrivateKey::generate().unwrap();
        let good = |device: &TestDevice, version| sealed(&[author], &key, binding(&test, device, version));
        let add = async |secrets: Vec<String>| secret_add(&test.full(), site, &SecretAdd { secrets }).await;
        let refused = async |secrets: Vec<String>| add(secrets).await.unwrap_err().code();
        assert_eq!(refused(vec![]).await, Code::TooLarge);
        assert_eq!(refused(vec![good(&alpha, now); 1_001]).await, Code::TooLarge);
        assert_eq!(refused(vec!["?".into()]).await, Code::Malformed);
        assert_eq!(refused(vec![BASE64.encode(vec![0; 300 << 10])]).await, Code::TooLarge);
        let by_stranger = sealed(&[&stranger], &key, binding(&test, &alpha, now));
        assert_eq!(refused(vec![by_stranger]).await, Code::AuthorUnknown);
        let foreign = SecretBinding { site: "XYZ".parse().unwrap(), ..binding(&test, &alpha, now) };
        assert_eq!(refused(vec![sealed(&[author], &key, foreign)]).await, Code::ForeignSite);
        assert_eq!(refused(vec![good(&alpha, now.plus(2 * DAY))]).await, Code::Malformed);
        assert_eq!(refused(vec![good(&alpha, now), good(&alpha, now)]).await, Code::Malformed, "twice for one");
        let other = SecretBinding { name: "other".parse().unwrap(), ..binding(&test, &beta, now) };
        assert_eq!(refused(vec![good(&alpha, now), sealed(&[author], &key, other)]).await, Code::Malformed);
        assert!(secret_list(&test.analyst(), site, PageQuery::default()).await.unwrap().items.is_empty());
        let by_analyst = secret_add(&test.analyst(), site, &SecretAdd { secrets: vec![good(&alpha, now)] }).await;
        assert_eq!(by_analyst.unwrap_err().code(), Code::Forbidden);

        // One device made another key meanwhile: it is named, and the other one gets its secret.
        let stale = sealed(&[author], &old, binding(&test, &beta, now));
        let added = add(vec![good(&alpha, now), stale]).await.unwrap();
        assert_eq!((added.added, &added.again[..]), (1, &[beta.id][..]));
        assert_eq!(refused(vec![good(&alpha, now)]).await, Code::Conflict, "as new");
        assert_eq!(refused(vec![good(&alpha, now.plus(-1))]).await, Code::Conflict, "older");
        assert_eq!(add(vec![good(&beta, now)]).await.unwrap().added, 1);
        while worker.step().await.unwrap() {}
        let current = assignment_show(&test.device(&alpha), site).await.unwrap();
        let secrets: Vec<_> = current.bodies.iter().filter(|body| body.kind == BodyKind::Secret).collect();
        assert_eq!(secrets.len(), 1);
        let bytes = body_show(&test.device(&alpha), site, secrets[0].hash).await.unwrap();
        assert_eq!((sha256(&bytes), bytes.len() as u64), (secrets[0].hash, secrets[0].size));
        let foreign = body_show(&test.device(&beta), site, secrets[0].hash).await.unwrap_err();
        assert_eq!(foreign.code(), Code::NotFound);

        // Sealed again, the earlier one is nowhere.
        assert_eq!(add(vec![good(&alpha, now.plus(1))]).await.unwrap().added, 1);
        while worker.step().await.unwrap() {}
        let gone = body_show(&test.device(&alpha), site, secrets[0].hash).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
        let listed = secret_list(&test.analyst(), site, PageQuery::default()).await.unwrap();
        let first = &listed.items[0];
        assert_eq!((listed.total, first.devices, first.sealed), (1, 2, now.plus(1)));
        assert_eq!(first.application_name, "Hello");

        // What is not deployed for a while stays listed: a device would destroy the key of what it is not told of.
        let deployments = deployment_list(&test.full(), site, PageQuery::default()).await.unwrap();
        deployment_delete(&test.full(), site, deployments.items[0].id).await.unwrap();
        while worker.step().await.unwrap() {}
        let current = assignment_show(&test.device(&alpha), site).await.unwrap();
        let kinds: Vec<_> = current.bodies.iter().map(|body| body.kind).collect();
        assert_eq!(kinds, [BodyKind::Settings, BodyKind::Secret]);

        let nowhere = ApplicationId(uuid::Uuid::from_u128(9));
        let missing = secret_remove(&test.full(), site, nowhere, &name(), reason("x")).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
        assert_eq!(secret_remove(&test.full(), site, id, &name(), reason("over")).await.unwrap(), 2);
        while worker.step().await.unwrap() {}
        let current = assignment_show(&test.device(&alpha), site).await.unwrap();
        assert!(current.bodies.iter().all(|body| body.kind != BodyKind::Secret));
        device_block(&test.full(), site, beta.id, reason("stolen"), None).await.unwrap();
        assert_eq!(refused(vec![good(&beta, now.plus(2))]).await, Code::NotFound);
    }
}
