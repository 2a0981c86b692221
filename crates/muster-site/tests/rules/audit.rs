//! The audit log: complete, in order, and nobody alters it unnoticed.

use muster_model::{
    api::{AuditSegment, AuditSegmentQuery, PageQuery, TokenCreate},
    id::Hash,
    problem::Code,
};
use muster_site::{testing::TestSite, *};
use muster_store::testing::tamper;

async fn broken_at(test: &TestSite) -> Option<u64> {
    audit_verify(&test.full(), &test.site).await.unwrap().broken_at
}

async fn with_tokens(test: &TestSite) {
    for _ in 0..5 {
        test.token().await;
    }
}

#[tokio::test]
async fn every_alteration_is_found_at_the_first_entry_that_it_touches() {
    let alterations: [(&'static str, u64); 6] = [
        ("UPDATE audit SET detail = 'nothing happened' WHERE number = 4", 4),
        ("UPDATE audit SET actor = 'somebody else' WHERE number = 5", 5),
        ("UPDATE audit SET happened = happened + 1 WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 4", 4),
        ("DELETE FROM audit WHERE number = 7", 7),
        ("DELETE FROM audit WHERE number = 1", 1),
    ];
    for (statement, number) in alterations {
        for test in TestSite::all().await {
            with_tokens(&test).await;
            let whole = audit_verify(&test.analyst(), &test.site).await.unwrap();
            assert_eq!((whole.entries, whole.broken_at), (7, None));
            tamper(&test.site.store, statement).await;
            assert_eq!(broken_at(&test).await, Some(number), "{statement}");
        }
    }
}

#[tokio::test]
async fn a_log_with_its_end_cut_off_and_written_on_is_not_whole() {
    for test in TestSite::all().await {
        with_tokens(&test).await;
        // Whoever sets the head back too, and writes on, has made another history: its head is another.
        let before = audit_verify(&test.full(), &test.site).await.unwrap().head;
        tamper(&test.site.store, "DELETE FROM audit WHERE number = 7").await;
        tamper(&test.site.store, "UPDATE audit_head SET number = 6 WHERE id = 1").await;
        assert_eq!(broken_at(&test).await, Some(6), "the head does not fit");
        tamper(&test.site.store, "UPDATE audit_head SET head = (SELECT head FROM audit WHERE number = 6)").await;
        assert_eq!(broken_at(&test).await, None);
        assert_ne!(audit_verify(&test.full(), &test.site).await.unwrap().head, before);
    }
}

#[tokio::test]
async fn numbers_have_no_gap_however_many_write_at_once() {
    for test in TestSite::all().await {
        let before = audit_verify(&test.full(), &test.site).await.unwrap().entries;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..100 {
            let (site, ctx) = (test.site.clone(), if n % 4 == 0 { test.analyst() } else { test.full() });
            let request = TokenCreate { name: "x".parse().unwrap(), valid_seconds: 60, serial: None };
            tasks.spawn(async move { token_create(&ctx, &site, request).await.is_ok() });
        }
        let made = tasks.join_all().await.into_iter().filter(|made| *made).count() as u64;
        assert_eq!(made, 75, "an analyst's attempts change nothing");
        let verdict = audit_verify(&test.full(), &test.site).await.unwrap();
        assert_eq!((verdict.entries, verdict.broken_at), (before + made, None));
        let page = audit_list(&test.analyst(), &test.site, PageQuery { offset: 0, limit: 10 }).await.unwrap();
        assert_eq!((page.total, page.items[0].number, page.items.len()), (before + made, before + made, 10));
        let over = audit_list(&test.full(), &test.site, PageQuery { offset: 0, limit: 501 }).await.unwrap_err();
        assert_eq!(over.code(), Code::TooLarge);
        assert_eq!(audit_verify(&test.anonymous(), &test.site).await.unwrap_err().code(), Code::Unauthenticated);
    }
}

async fn segment(test: &TestSite, after: u64, head: Hash) -> Result<Option<AuditSegment>, SiteError> {
    let found = audit_segment(&test.analyst(), &test.site, AuditSegmentQuery { after, head }).await?;
    Ok(found.segment)
}

#[tokio::test]
async fn what_follows_an_entry_is_signed_and_an_altered_entry_is_followed_by_nothing() {
    for test in TestSite::all().await {
        with_tokens(&test).await;
        let all = segment(&test, 0, Hash::ZERO).await.unwrap().unwrap();
        let about = &all.about;
        assert_eq!((about.first, about.last, about.previous), (1, 7, Hash::ZERO));
        assert_eq!(about.digest, muster_trust::sha256(all.lines.as_bytes()));
        let lines = all.lines.lines();
        let head = lines.clone().fold(Hash::ZERO, |head, line| muster_trust::chain(head, line.as_bytes()));
        assert_eq!((head, about.head), (audit_verify(&test.full(), &test.site).await.unwrap().head, head));
        let third = lines.take(3).fold(Hash::ZERO, |head, line| muster_trust::chain(head, line.as_bytes()));
        assert_eq!(segment(&test, 3, third).await.unwrap().unwrap().about.first, 4);
        assert_eq!(segment(&test, 7, head).await.unwrap(), None);
        let (nobody, wanted) = (test.anonymous(), AuditSegmentQuery { after: 0, head: Hash::ZERO });
        let denied = audit_segment(&nobody, &test.site, wanted).await.unwrap_err();
        assert_eq!(denied.code(), Code::Unauthenticated);
        // Another log, or the same one shorter: of this one nothing is said.
        for (after, head) in [(0, head), (3, head), (7, third), (8, head), (u64::MAX, head)] {
            assert_eq!(segment(&test, after, head).await.unwrap_err().code(), Code::Conflict, "{after}");
        }
        tamper(&test.site.store, "UPDATE audit SET detail = 'nothing' WHERE number = 5").await;
        let refused = segment(&test, 3, third).await.unwrap_err();
        assert!(refused.problem().detail.contains("entry 5"), "{refused}");
        tamper(&test.site.store, "DELETE FROM audit WHERE number = 3").await;
        assert_eq!(segment(&test, 3, third).await.unwrap_err().code(), Code::Conflict);
    }
}
