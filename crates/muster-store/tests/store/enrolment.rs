//! Requests to be enrolled.

use crate::{
    commit,
    fixture::{NOW, device, enrolment, enrolment_id, hash, token},
};
use muster_model::api::{EnrolmentState, PageQuery};
use muster_store::{
    db::{
        enrolment::{self as store, EnrolmentRow},
        token as tokens,
    },
    testing::{TestStore, stores},
};

async fn filled(test: &TestStore) {
    for n in 1..=3 {
        commit!(test.store, |tx| {
            tokens::insert(tx, &token(n), &hash(n)).await?;
            store::insert(tx, &enrolment(n)).await?;
        });
    }
}

#[tokio::test]
async fn a_request_is_kept_as_it_came_and_decided_once() {
    for test in stores().await {
        filled(&test).await;
        let mut conn = test.store.reader().await.unwrap();
        assert_eq!(store::get(&mut conn, enrolment_id(1)).await.unwrap(), Some(enrolment(1)));
        assert_eq!(store::get(&mut conn, enrolment_id(9)).await.unwrap(), None);
        let approve = async || {
            let (state, device) = (EnrolmentState::Approved, Some(device(1).id));
            commit!(test.store, |tx| { store::decide(tx, enrolment_id(1), state, device, "Ada", NOW).await? })
        };
        assert!(approve().await);
        assert!(!approve().await, "it is decided");
        let expected = EnrolmentRow { state: EnrolmentState::Approved, device: Some(device(1).id), ..enrolment(1) };
        assert_eq!(store::get(&mut conn, enrolment_id(1)).await.unwrap(), Some(expected));
    }
}

#[tokio::test]
async fn who_waits_longest_comes_first_and_else_the_newest() {
    for test in stores().await {
        filled(&test).await;
        let refused = EnrolmentState::Refused;
        commit!(test.store, |tx| { store::decide(tx, enrolment_id(2), refused, None, "Ada", NOW).await? });
        let mut conn = test.store.reader().await.unwrap();
        let mut ids = async |state, page| {
            let (rows, total) = store::list(&mut conn, state, page).await.unwrap();
            (rows.into_iter().map(|row| row.id).collect::<Vec<_>>(), total)
        };
        let all = PageQuery::default();
        let id = enrolment_id;
        assert_eq!(ids(Some(EnrolmentState::Pending), all).await, (vec![id(1), id(3)], 2));
        assert_eq!(ids(Some(refused), all).await, (vec![id(2)], 1));
        assert_eq!(ids(Some(EnrolmentState::Approved), all).await, (vec![], 0));
        assert_eq!(ids(None, all).await, (vec![id(3), id(2), id(1)], 3));
        assert_eq!(ids(None, PageQuery { offset: 2, limit: 5 }).await, (vec![id(1)], 3));
    }
}

#[tokio::test]
async fn the_newest_request_of_a_key_is_found() {
    for test in stores().await {
        filled(&test).await;
        let twin = EnrolmentRow { key: hash(1), ..enrolment(4) };
        commit!(test.store, |tx| {
            tokens::insert(tx, &token(4), &hash(4)).await?;
            store::insert(tx, &twin).await?;
        });
        let mut conn = test.store.reader().await.unwrap();
        assert_eq!(store::by_key(&mut conn, &hash(1)).await.unwrap(), Some(twin));
        assert_eq!(store::by_key(&mut conn, &hash(9)).await.unwrap(), None);
    }
}
