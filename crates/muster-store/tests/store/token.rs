//! A token: taken once, by whoever is first, while it is good.

use crate::{
    commit,
    fixture::{NOW, enrolment_id, hash, token},
};
use muster_model::api::PageQuery;
use muster_store::{StoreError, db::token as store, testing::stores, transaction};

#[tokio::test]
async fn a_token_is_taken_by_one_of_many() {
    for test in stores().await {
        commit!(test.store, |tx| { store::insert(tx, &token(1), &hash(1)).await? });
        let mut tasks = tokio::task::JoinSet::new();
        for n in 1..=100 {
            let own = test.store.clone();
            tasks.spawn(async move {
                transaction!(own, "test", |tx| { store::take(tx, &hash(1), enrolment_id(n), NOW).await })
            });
        }
        let taken: Vec<_> = tasks.join_all().await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(taken, [token(1).id]);
        let mut conn = test.store.reader().await.unwrap();
        let row = store::by_secret(&mut conn, &hash(1)).await.unwrap().unwrap();
        assert!(row.used_by.is_some());
        assert_eq!(store::get(&mut conn, token(1).id).await.unwrap(), Some(row));
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_not_taken_and_a_used_one_not_revoked() {
    for test in stores().await {
        let take = async |n, now| commit!(test.store, |tx| { store::take(tx, &hash(n), enrolment_id(n), now).await? });
        let revoke = async |n| commit!(test.store, |tx| { store::revoke(tx, token(n).id, NOW).await? });
        for n in 1..=3 {
            commit!(test.store, |tx| { store::insert(tx, &token(n), &hash(n)).await? });
        }
        assert_eq!(take(9, NOW).await, None, "unknown");
        assert_eq!(take(1, NOW.plus(1_000)).await, None, "expired at its end");
        assert_eq!(take(1, NOW.plus(999)).await, Some(token(1).id));
        assert!(!revoke(1).await, "used");
        assert!(revoke(2).await);
        assert!(!revoke(2).await, "revoked once");
        assert_eq!(take(2, NOW).await, None, "revoked");
        let again = transaction!(test.store, "test", |tx| { store::insert(tx, &token(4), &hash(3)).await });
        assert!(matches!(again, Err(StoreError::Exists)), "a secret is one token's");
        let mut conn = test.store.reader().await.unwrap();
        let (rows, total) = store::list(&mut conn, PageQuery { offset: 1, limit: 1 }).await.unwrap();
        assert_eq!((total, rows.len(), rows[0].id), (3, 1, token(2).id), "the newest first");
        assert_eq!(rows[0].revoked, Some(NOW));
    }
}
