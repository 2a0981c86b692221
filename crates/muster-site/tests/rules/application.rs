//! Applications: only what authors signed, only with content that is there.

use crate::loop_story::{application, upload};
use muster_model::{
    api::PageQuery,
    application::{APPLICATION_TYPE, Application},
    id::Hash,
    problem::Code,
};
use muster_site::{application_create, application_list, application_show, audit_list, testing::TestSite};
use muster_trust::{PrivateKey, envelope, sha256};

const CONTENT: &[u8] = b"#!/bin/sh";

fn signed(test: &TestSite, application: &Application) -> Vec<u8> {
    envelope::sign_json(&[&test.admin_key], application).unwrap()
}

async fn refused(test: &TestSite, object: &[u8], code: Code) -> String {
    let before = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().total;
    let error = application_create(&test.full(), &test.site, object).await.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    let list = application_list(&test.full(), &test.site, PageQuery::default()).await.unwrap();
    let after = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().total;
    assert_eq!((list.total, after), (0, before), "nothing was changed");
    error.problem().detail
}

#[tokio::test]
async fn a_signed_application_is_shown_as_its_author_made_it() {
    for test in TestSite::all().await {
        upload(&test, CONTENT).await;
        let object = signed(&test, &application(CONTENT));
        let info = application_create(&test.full(), &test.site, &object).await.unwrap();
        assert_eq!((info.hash, &info.application), (sha256(&object), &application(CONTENT)));
        assert_eq!((info.authors.as_slice(), info.content_size), (&[test.admin_key.public().id()][..], 9));
        let audited = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().total;
        assert_eq!(application_create(&test.full(), &test.site, &object).await.unwrap(), info, "the same again");
        assert_eq!(audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().total, audited);
        assert_eq!(application_show(&test.analyst(), &test.site, info.hash).await.unwrap(), info);
        let list = application_list(&test.analyst(), &test.site, PageQuery::default()).await.unwrap();
        assert_eq!(list.items, [info]);
        let absent = application_show(&test.analyst(), &test.site, Hash([1; 32])).await.unwrap_err();
        assert_eq!(absent.code(), Code::NotFound);
    }
}

#[tokio::test]
async fn what_no_author_signed_is_refused() {
    for test in TestSite::all().await {
        upload(&test, CONTENT).await;
        let stranger = PrivateKey::generate().unwrap();
        let app = application(CONTENT);
        refused(&test, &envelope::sign_json(&[&stranger], &app).unwrap(), Code::AuthorUnknown).await;
        // The site's own policy key makes nothing that runs, and neither does an administrator who is no author.
        refused(&test, &envelope::sign_json(&[&test.policy_key], &app).unwrap(), Code::AuthorUnknown).await;
        refused(&test, &envelope::sign_json(&[&test.analyst_key], &app).unwrap(), Code::AuthorUnknown).await;
        let json = serde_json::to_vec(&app).unwrap();
        let one = envelope::sign1(&test.admin_key, APPLICATION_TYPE, json.clone()).unwrap();
        refused(&test, &one, Code::Malformed).await;
        let typed = envelope::sign(&[&test.admin_key], "application/json", json.clone()).unwrap();
        refused(&test, &typed, Code::Malformed).await;
        refused(&test, &json, Code::Malformed).await;
        refused(&test, b"", Code::Malformed).await;
        let object = signed(&test, &app);
        for at in (0..object.len()).step_by(11) {
            let mut altered = object.clone();
            altered[at] ^= 1;
            let error = application_create(&test.full(), &test.site, &altered).await.unwrap_err();
            assert!(matches!(error.code(), Code::AuthorUnknown | Code::Malformed), "{at}: {error}");
        }
    }
}

#[tokio::test]
async fn what_breaks_the_rules_of_an_application_is_refused() {
    for test in TestSite::all().await {
        upload(&test, CONTENT).await;
        let wrong = |change: fn(&mut Application)| {
            let mut app = application(CONTENT);
            change(&mut app);
            signed(&test, &app)
        };
        refused(&test, &wrong(|app| app.max_run_seconds = 0), Code::Malformed).await;
        refused(&test, &wrong(|app| app.install.program = "sh -c x".to_owned()), Code::Malformed).await;
        refused(&test, &wrong(|app| app.content[0].size += 1), Code::Malformed).await;
        let said = refused(&test, &wrong(|app| app.content[0].hash = Hash([7; 32])), Code::ContentMissing).await;
        assert!(said.contains("hello") && said.contains(&Hash([7; 32]).to_string()), "{said}");
        let large = wrong(|app| app.install.arguments = vec!["x".repeat(4_096); 64]);
        assert!(large.len() > test.site.limits.object_bytes);
        refused(&test, &large, Code::TooLarge).await;
        let object = signed(&test, &application(CONTENT));
        for (ctx, code) in [(test.analyst(), Code::Forbidden), (test.anonymous(), Code::Unauthenticated)] {
            assert_eq!(application_create(&ctx, &test.site, &object).await.unwrap_err().code(), code);
        }
    }
}
