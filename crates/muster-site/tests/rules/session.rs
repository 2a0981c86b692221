//! Signing in: once, in time, with the right key; and what a session may do.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use muster_model::{
    api::{ChallengeRequest, PageQuery, SessionRequest, TokenCreate},
    id::Hash,
    problem::Code,
    time::{HOUR, MINUTE, SECOND},
};
use muster_site::{
    identity::session::{SessionKind, sign_in_message},
    testing::{TestSite, some_hash},
    *,
};
use muster_trust::PrivateKey;

async fn challenge(test: &TestSite, key: Hash) -> String {
    session_challenge(&test.anonymous(), &test.site, ChallengeRequest { key }).await.unwrap().challenge
}

fn signed(test: &TestSite, key: &PrivateKey, challenge: &str) -> SessionRequest {
    let message = sign_in_message(test.site.code, &BASE64URL.decode(challenge).unwrap());
    let signature = BASE64URL.encode(key.sign(&message).unwrap());
    SessionRequest { key: key.public().id(), challenge: challenge.to_owned(), signature }
}

async fn refused(test: &TestSite, request: SessionRequest) {
    let error = session_create(&test.anonymous(), &test.site, request).await.unwrap_err();
    assert_eq!(error.code(), Code::SignInInvalid);
    let known =
        "The sign-in is not valid: the key or code is not known here, was used before, or is too old. Sign in again.";
    assert_eq!(error.problem().detail, known, "whatever is wrong, the same answer");
}

#[tokio::test]
async fn a_key_signs_in_once_with_each_challenge() {
    for test in TestSite::all().await {
        let text = challenge(&test, test.admin.key).await;
        let request = signed(&test, &test.admin_key, &text);
        let session = session_create(&test.anonymous(), &test.site, request.clone()).await.unwrap();
        assert_eq!(session.admin, test.admin);
        let caller = session_caller(&test.site, &session.token, test.now()).await.unwrap().unwrap();
        assert_eq!((caller.admin, caller.kind), (test.admin.clone(), SessionKind::Api));
        assert!(!format!("{session:?}").contains(&session.token));
        // A challenge that was answered is worth nothing.
        refused(&test, request).await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_sign_in_is_not_told() {
    for test in TestSite::all().await {
        let stranger = PrivateKey::generate().unwrap();
        let text = challenge(&test, stranger.public().id()).await;
        refused(&test, signed(&test, &stranger, &text)).await;

        let text = challenge(&test, test.admin.key).await;
        let forged = SessionRequest { key: test.admin.key, ..signed(&test, &stranger, &text) };
        refused(&test, forged).await;
        refused(&test, signed(&test, &test.admin_key, &text)).await;

        let others = challenge(&test, test.analyst.key).await;
        refused(&test, signed(&test, &test.admin_key, &others)).await;

        let late = challenge(&test, test.admin.key).await;
        test.sources.pass(60 * SECOND);
        refused(&test, signed(&test, &test.admin_key, &late)).await;

        let invented = BASE64URL.encode([7; 32]);
        refused(&test, signed(&test, &test.admin_key, &invented)).await;
        for text in ["", "x", &"A".repeat(44), &"A".repeat(100_000)] {
            let request =
                SessionRequest { key: test.admin.key, challenge: text.to_owned(), signature: text.to_owned() };
            refused(&test, request).await;
        }
        let refusals = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap();
        assert!(refusals.items.iter().any(|entry| entry.action == "session_refuse" && entry.actor == "anonymous"));
    }
}

#[tokio::test]
async fn failures_are_counted_by_key_and_address() {
    let test = TestSite::new().await;
    for _ in 0..10 {
        let text = challenge(&test, test.admin.key).await;
        let wrong = SessionRequest { signature: String::new(), ..signed(&test, &test.admin_key, &text) };
        refused(&test, wrong).await;
    }
    let text = challenge(&test, test.admin.key).await;
    let right = signed(&test, &test.admin_key, &text);
    let error = session_create(&test.anonymous(), &test.site, right.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::TooMany);
    let elsewhere = Ctx { address: "198.51.100.7".to_owned(), ..test.anonymous() };
    session_create(&elsewhere, &test.site, right).await.unwrap();
}

#[tokio::test]
async fn a_session_ends_by_age_by_idleness_and_by_signing_out() {
    for test in TestSite::all().await {
        let code = session_code(&test.full(), &test.site).await.unwrap();
        assert_eq!(code.url, format!("http://127.0.0.1:8442/sign-in?code={}", code.code));
        let session = session_code_redeem(&test.anonymous(), &test.site, &code.code).await.unwrap();
        let open =
            async |test: &TestSite| session_caller(&test.site, &session.token, test.now()).await.unwrap().is_some();
        for _ in 0..11 {
            test.sources.pass(HOUR);
            assert!(open(&test).await);
        }
        test.sources.pass(HOUR);
        assert!(!open(&test).await, "twelve hours are the end");

        let code = session_code(&test.full(), &test.site).await.unwrap();
        let session = session_code_redeem(&test.anonymous(), &test.site, &code.code).await.unwrap();
        test.sources.pass(2 * HOUR);
        assert!(session_caller(&test.site, &session.token, test.now()).await.unwrap().is_none(), "idle");

        let code = session_code(&test.analyst(), &test.site).await.unwrap();
        let session = session_code_redeem(&test.anonymous(), &test.site, &code.code).await.unwrap();
        let caller = session_caller(&test.site, &session.token, test.now()).await.unwrap().unwrap();
        assert_eq!((caller.admin, caller.kind), (test.analyst.clone(), SessionKind::Console));
        assert_eq!(caller.csrf, session.csrf);
        session_end(&test.analyst(), &test.site, &session.token).await.unwrap();
        assert!(session_caller(&test.site, &session.token, test.now()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_for_five_minutes() {
    for test in TestSite::all().await {
        let code = session_code(&test.full(), &test.site).await.unwrap().code;
        session_code_redeem(&test.anonymous(), &test.site, &code).await.unwrap();
        let late = session_code(&test.full(), &test.site).await.unwrap().code;
        test.sources.pass(5 * MINUTE);
        for bad in [code, late, String::new(), BASE64URL.encode([1; 32])] {
            let error = session_code_redeem(&test.anonymous(), &test.site, &bad).await.unwrap_err();
            assert_eq!(error.code(), Code::SignInInvalid);
        }
        // A challenge is not a code.
        let text = challenge(&test, test.admin.key).await;
        assert!(session_code_redeem(&test.anonymous(), &test.site, &text).await.is_err());
    }
}

#[tokio::test]
async fn who_is_not_signed_in_sees_nothing_and_an_analyst_changes_nothing() {
    let test = TestSite::new().await;
    let before = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().total;
    let request = TokenCreate { name: "x".parse().unwrap(), valid_seconds: 60, serial: None };
    let page = PageQuery::default();
    for (ctx, change) in [(test.anonymous(), Code::Unauthenticated), (test.analyst(), Code::Forbidden)] {
        assert_eq!(token_create(&ctx, &test.site, request.clone()).await.unwrap_err().code(), change);
        let id = muster_model::id::EnrolmentId(uuid::Uuid::nil());
        assert_eq!(enrolment_approve(&ctx, &test.site, id).await.unwrap_err().code(), change);
    }
    assert_eq!(token_list(&test.anonymous(), &test.site, page).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(token_list(&test.analyst(), &test.site, page).await.unwrap().total, 0);
    assert_eq!(session_code(&test.anonymous(), &test.site).await.unwrap_err().code(), Code::Unauthenticated);
    let after = audit_list(&test.full(), &test.site, page).await.unwrap().total;
    assert_eq!(before, after);
    assert!(session_caller(&test.site, &some_hash("x").to_string(), test.now()).await.unwrap().is_none());
}
