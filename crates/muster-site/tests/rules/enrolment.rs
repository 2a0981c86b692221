//! Enrolment: what a token is good for, how often, and what a client gets at each step.

use crate::reason;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL},
};
use muster_model::{
    api::{EnrolmentState, PageQuery, TokenCreate, TokenState},
    attestation::{AttestationOffer, AttestationProof},
    enrol::{EnrolAnswer, EnrolPoll, EnrolRequest, EnrolmentToken},
    id::{EnrolmentId, Hash},
    policy::{Assignment, Recipient},
    problem::Code,
    time::{DAY, HOUR},
};
use muster_site::{
    testing::{TestRequest, TestSite, claims, enrol_request},
    *,
};
use muster_trust::{PrivateKey, certificate, envelope};

/// A connection of its own.
fn channel() -> Channel {
    Channel::new(Hash([0; 32]))
}

async fn code_of(test: &TestSite, request: EnrolRequest) -> Code {
    enrolment_request(&test.anonymous(), &test.site, &channel(), request).await.unwrap_err().code()
}

async fn requests(test: &TestSite) -> u64 {
    enrolment_list(&test.full(), &test.site, None, PageQuery::default()).await.unwrap().total
}

fn poll(test: &TestSite, request: &TestRequest) -> Vec<u8> {
    let payload = EnrolPoll { site: test.site.code, enrolment: request.id, time: test.now() };
    envelope::sign1_json(&request.key, &payload).unwrap()
}

#[tokio::test]
async fn from_token_to_certificate() {
    for test in TestSite::all().await {
        let created = token_create(
            &test.full(),
            &test.site,
            TokenCreate { name: "laptops".parse().unwrap(), valid_seconds: 3_600, serial: None },
        )
        .await
        .unwrap();
        let token: EnrolmentToken = created.token.parse().unwrap();
        assert_eq!((token.site, token.root), (test.site.code, test.root_key.public().id()));
        let key = PrivateKey::generate().unwrap();
        let request = enrol_request(&token.secret, &key, claims("pc1"));
        let answer = enrolment_request(&test.anonymous(), &test.site, &channel(), request).await.unwrap();
        let EnrolAnswer::Pending { enrolment, assignment, .. } = answer else { panic!("{answer:?}") };

        // A pending device gets the empty policy, signed, for itself.
        let policy_key = test.site.trust.load().keys.policy.public().clone();
        let assignment: Assignment =
            envelope::open1_json(&BASE64.decode(assignment).unwrap(), |_| Some(policy_key)).unwrap().into_value();
        assert_eq!(assignment.recipient, Recipient::Enrolment(enrolment));
        assert!(assignment.bodies.is_empty());

        let (analyst, pending) = (test.analyst(), Some(EnrolmentState::Pending));
        let waiting = enrolment_list(&analyst, &test.site, pending, PageQuery::default()).await.unwrap();
        assert_eq!((waiting.total, waiting.items[0].id), (1, enrolment));
        assert_eq!(waiting.items[0].key, key.public().id());
        assert!(waiting.items[0].conflicts.is_empty());

        let device = enrolment_approve(&test.full(), &test.site, enrolment).await.unwrap();
        assert_eq!(device.name, "pc1");
        let request = TestRequest { id: enrolment, claims: claims("pc1"), key };
        let answer = enrolment_poll(&test.anonymous(), &test.site, &poll(&test, &request)).await.unwrap();
        let EnrolAnswer::Active { device: id, certificates, management_points } = answer else { panic!("{answer:?}") };
        assert_eq!((id, management_points), (device.id, vec!["https://127.0.0.1:8440".to_owned()]));
        let certificates: Vec<_> = certificates.iter().map(|c| BASE64.decode(c).unwrap()).collect();
        let issuing = test.site.trust.load().bundle().issuing_certificates().unwrap();
        let identity = certificate::issued_client(&certificates[0], &issuing, test.now()).unwrap();
        assert_eq!((identity.device, identity.site), (device.id, test.site.code));
        assert_eq!(&identity.key, request.key.public());
        assert_eq!(certificates[1], issuing[0]);
        assert_eq!(
            enrolment_approve(&test.full(), &test.site, enrolment).await.unwrap_err().code(),
            Code::Conflict,
            "decided once"
        );
        let token = &token_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().items[0];
        assert_eq!((token.state, token.used_by), (TokenState::Used, Some(enrolment)));
    }
}

#[tokio::test]
async fn a_token_that_is_no_good_changes_nothing() {
    for test in TestSite::all().await {
        let key = PrivateKey::generate().unwrap();
        let with = |secret: &str| enrol_request(secret, &key, claims("pc1"));
        for secret in ["", "x", &BASE64URL.encode([3; 32]), &"A".repeat(100_000)] {
            assert_eq!(code_of(&test, with(secret)).await, Code::TokenUnknown);
        }
        let request = TokenCreate { name: "revoked".parse().unwrap(), valid_seconds: 60, serial: None };
        let revoked = token_create(&test.full(), &test.site, request).await.unwrap();
        let secret = revoked.token.parse::<EnrolmentToken>().unwrap().secret;
        let state = token_revoke(&test.full(), &test.site, revoked.id).await.unwrap().state;
        assert_eq!(state, TokenState::Revoked);
        assert_eq!(code_of(&test, with(&secret)).await, Code::TokenRevoked);
        assert_eq!(token_revoke(&test.full(), &test.site, revoked.id).await.unwrap_err().code(), Code::Conflict);
        let expired = test.token().await;
        test.sources.pass(HOUR);
        assert_eq!(code_of(&test, with(&expired)).await, Code::TokenExpired);

        let used = test.token().await;
        enrolment_request(&test.anonymous(), &test.site, &channel(), with(&used)).await.unwrap();
        let other = PrivateKey::generate().unwrap();
        assert_eq!(code_of(&test, enrol_request(&used, &other, claims("pc2"))).await, Code::TokenUsed);
        assert_eq!(requests(&test).await, 1);
    }
}

#[tokio::test]
async fn a_request_without_possession_of_its_key_leaves_the_token_open() {
    let test = TestSite::new().await;
    let (secret, key, other) = (test.token().await, PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let good = enrol_request(&secret, &key, claims("pc1"));
    let mut foreign = certificate::signing_request(&key).unwrap();
    let spki = key.public().spki();
    let at = foreign.windows(spki.len()).position(|window| window == spki).unwrap();
    foreign[at..at + spki.len()].copy_from_slice(&other.public().spki());
    for csr in [String::new(), "!".to_owned(), BASE64.encode(b"nonsense"), BASE64.encode(&foreign)] {
        assert_eq!(code_of(&test, EnrolRequest { csr, ..good.clone() }).await, Code::CsrInvalid);
    }
    for name in ["", "a\nb", &"x".repeat(256)] {
        assert_eq!(code_of(&test, EnrolRequest { claims: claims(name), ..good.clone() }).await, Code::Malformed);
    }
    assert_eq!(requests(&test).await, 0);
    assert!(enrolment_request(&test.anonymous(), &test.site, &channel(), good).await.is_ok());
}

#[tokio::test]
async fn of_a_thousand_parallel_requests_one_gets_the_token() {
    for test in TestSite::all().await {
        let secret = test.token().await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..1_000 {
            let request = enrol_request(&secret, &PrivateKey::generate().unwrap(), claims(&format!("pc{n}")));
            let (site, ctx) = (test.site.clone(), test.anonymous());
            tasks.spawn(async move {
                enrolment_request(&ctx, &site, &channel(), request).await.map_err(|error| error.code())
            });
        }
        let results = tasks.join_all().await;
        let taken = results.iter().filter(|result| result.is_ok()).count();
        let refused = results.iter().filter(|result| matches!(result, Err(Code::TokenUsed))).count();
        assert_eq!((taken, refused), (1, 999));
        assert_eq!(requests(&test).await, 1);
    }
}

#[tokio::test]
async fn the_same_request_again_is_the_same_request() {
    for test in TestSite::all().await {
        let (secret, key) = (test.token().await, PrivateKey::generate().unwrap());
        let request = enrol_request(&secret, &key, claims("pc1"));
        let first = enrolment_request(&test.anonymous(), &test.site, &channel(), request.clone()).await.unwrap();
        // Its answer was lost; meanwhile the token ended.
        test.sources.pass(DAY);
        let again = enrolment_request(&test.anonymous(), &test.site, &channel(), request.clone()).await.unwrap();
        assert_eq!(first, again);
        let EnrolAnswer::Pending { enrolment, .. } = again else { panic!("{again:?}") };
        enrolment_approve(&test.full(), &test.site, enrolment).await.unwrap();
        let active = enrolment_request(&test.anonymous(), &test.site, &channel(), request).await.unwrap();
        assert!(matches!(active, EnrolAnswer::Active { .. }));
        assert_eq!(requests(&test).await, 1);
    }
}

#[tokio::test]
async fn a_refused_request_stays_refused() {
    for test in TestSite::all().await {
        let request = test.request("pc1").await;
        let empty = enrolment_refuse(&test.full(), &test.site, request.id, reason(" ")).await.unwrap_err();
        assert_eq!(empty.code(), Code::Malformed);
        let refused = enrolment_refuse(&test.full(), &test.site, request.id, reason("not ours")).await.unwrap();
        assert_eq!(refused.state, EnrolmentState::Refused);
        let answer = enrolment_poll(&test.anonymous(), &test.site, &poll(&test, &request)).await.unwrap();
        assert_eq!(answer, EnrolAnswer::Refused);
        let late = enrolment_approve(&test.full(), &test.site, request.id).await.unwrap_err();
        assert_eq!(late.code(), Code::Conflict);
    }
}

#[tokio::test]
async fn a_poll_is_believed_from_the_key_of_its_request_only() {
    let test = TestSite::new().await;
    let (mine, others) = (test.request("pc1").await, test.request("pc2").await);
    let ask = async |bytes: &[u8]| enrolment_poll(&test.anonymous(), &test.site, bytes).await.map_err(|e| e.code());
    assert!(matches!(ask(&poll(&test, &mine)).await, Ok(EnrolAnswer::Pending { .. })));

    let of_another = TestRequest { id: others.id, claims: mine.claims.clone(), key: mine.key };
    assert_eq!(ask(&poll(&test, &of_another)).await, Err(Code::NotFound));
    let stranger = TestRequest { key: PrivateKey::generate().unwrap(), ..of_another };
    assert_eq!(ask(&poll(&test, &stranger)).await, Err(Code::NotFound));
    let nowhere = TestRequest { id: EnrolmentId(uuid::Uuid::nil()), ..others };
    assert_eq!(ask(&poll(&test, &nowhere)).await, Err(Code::NotFound));

    let request = test.request("pc3").await;
    let good = poll(&test, &request);
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    assert_eq!(ask(&altered).await, Err(Code::SignatureInvalid));
    for bad in [&good[..good.len() - 1], b"", b"\xd2\x84"] {
        assert_eq!(ask(bad).await, Err(Code::Malformed));
    }
    let foreign = EnrolPoll { site: "XYZ".parse().unwrap(), enrolment: request.id, time: test.now() };
    let foreign = envelope::sign1_json(&request.key, &foreign).unwrap();
    assert_eq!(ask(&foreign).await, Err(Code::ForeignSite));
}

#[tokio::test]
async fn a_blocked_device_does_not_come_back_by_another_enrolment() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        device_block(&test.full(), &test.site, device.id, reason("stolen"), None).await.unwrap();
        // proves S4: neither a new key with the same hardware id, nor the same key under another name and hardware id.
        let new_key = enrol_request(&test.token().await, &PrivateKey::generate().unwrap(), claims("pc1"));
        let new_name = enrol_request(&test.token().await, &device.key, claims("other"));
        for request in [new_key, new_name] {
            let answer = enrolment_request(&test.anonymous(), &test.site, &channel(), request.clone()).await.unwrap();
            assert_eq!(answer, EnrolAnswer::Refused);
            let again = enrolment_request(&test.anonymous(), &test.site, &channel(), request).await.unwrap();
            assert_eq!(again, EnrolAnswer::Refused, "and stays refused");
        }
        let refused = enrolment_list(&test.full(), &test.site, Some(EnrolmentState::Refused), PageQuery::default())
            .await
            .unwrap();
        assert_eq!(refused.total, 2);
        for enrolment in refused.items {
            let error = enrolment_approve(&test.full(), &test.site, enrolment.id).await.unwrap_err();
            assert_eq!(error.code(), Code::Conflict);
        }
        // The blocked device itself polls: it learns nothing but that it is refused.
        let asked = TestRequest { id: EnrolmentId(device.id.0), claims: device.claims, key: device.key };
        let answer = enrolment_poll(&test.anonymous(), &test.site, &poll(&test, &asked)).await.unwrap();
        assert_eq!(answer, EnrolAnswer::Refused);
    }
}

#[tokio::test]
async fn who_resembles_a_device_is_shown_and_a_key_is_one_devices() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        let twin = enrol_request(&test.token().await, &device.key, claims("pc1"));
        let answer = enrolment_request(&test.anonymous(), &test.site, &channel(), twin).await.unwrap();
        let EnrolAnswer::Pending { enrolment, .. } = answer else { panic!("{answer:?}") };
        let pending = async || {
            let state = Some(EnrolmentState::Pending);
            enrolment_list(&test.full(), &test.site, state, PageQuery::default()).await.unwrap()
        };
        let conflicts = &pending().await.items[0].conflicts;
        let same = |what: &str| format!("The same {what} as active device pc1 ({}).", device.id);
        assert_eq!(conflicts, &[same("key"), same("hardware id"), same("host name")]);
        let error = enrolment_approve(&test.full(), &test.site, enrolment).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert_eq!(pending().await.total, 1, "the refused approval changed nothing");
    }
}

#[tokio::test]
async fn a_client_that_was_away_until_its_certificate_ended_gets_a_new_one_for_its_key() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        test.sources.pass(40 * DAY);
        let asked = TestRequest { id: EnrolmentId(device.id.0), claims: device.claims.clone(), key: device.key };
        let answer = enrolment_poll(&test.anonymous(), &test.site, &poll(&test, &asked)).await.unwrap();
        let EnrolAnswer::Active { certificates, .. } = answer else { panic!("{answer:?}") };
        let issuing = test.site.trust.load().bundle().issuing_certificates().unwrap();
        let new = BASE64.decode(&certificates[0]).unwrap();
        let identity = certificate::issued_client(&new, &issuing, test.now()).unwrap();
        assert_eq!(identity.device, device.id);
        assert!(device_connected(&test.site, &identity, test.now()).await.is_ok());
    }
}

/// An attestation of nothing.
fn forged() -> AttestationProof {
    let [credential, device_key, statement, signature] = [(); 4].map(|()| "AAAA".to_owned());
    AttestationProof { credential, device_key, statement, signature }
}

// proves S1: who has no token writes nothing, and who has one not without end.
#[tokio::test]
async fn forged_attestations_do_not_fill_the_audit_log() {
    for test in TestSite::all().await {
        let written = async || audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().total;
        let key = PrivateKey::generate().unwrap();
        let with =
            |secret: &str| EnrolRequest { attestation: Some(forged()), ..enrol_request(secret, &key, claims("pc1")) };
        let before = written().await;
        assert_eq!(code_of(&test, with(&BASE64URL.encode([3; 32]))).await, Code::TokenUnknown);
        assert_eq!(written().await, before, "a stranger");
        let expired = test.token().await;
        test.sources.pass(HOUR);
        let token = test.token().await;
        let before = written().await;
        assert_eq!(code_of(&test, with(&expired)).await, Code::TokenExpired);
        assert_eq!(code_of(&test, with(&token)).await, Code::AttestationRefused);
        assert_eq!(written().await, before, "nothing was asked over this connection");
        let offer = || AttestationOffer {
            secret: token.clone(),
            endorsement_certificate: None,
            endorsement_key: "AAAA".to_owned(),
            attestation_key: "AAAA".to_owned(),
        };
        for _ in 0..30 {
            let refused = attestation_offer(&test.anonymous(), &test.site, &channel(), offer()).await.unwrap_err();
            assert_eq!(refused.code(), Code::AttestationRefused);
        }
        assert_eq!(written().await, before + 10);
    }
}
