//! Single-use secrets and sessions.

use crate::{
    commit,
    fixture::{NOW, admin, hash},
};
use muster_store::{
    db::{
        admin as admins,
        session::{self as store, SessionRow, SignInKind},
    },
    testing::{stores, tamper},
};

#[tokio::test]
async fn a_single_use_secret_is_taken_once_for_its_purpose_and_in_time() {
    for test in stores().await {
        let take =
            async |n, kind, now| commit!(test.store, |tx| { store::sign_in_take(tx, &hash(n), kind, now).await? });
        for n in 1..=3 {
            commit!(test.store, |tx| {
                store::sign_in_insert(tx, &hash(n), SignInKind::Code, "who", NOW.plus(10)).await?;
            });
        }
        assert_eq!(take(1, SignInKind::Challenge, NOW).await, None, "another purpose");
        assert_eq!(take(1, SignInKind::Code, NOW).await.as_deref(), Some("who"));
        assert_eq!(take(1, SignInKind::Code, NOW).await, None, "once");
        assert_eq!(take(2, SignInKind::Code, NOW.plus(10)).await, None, "too late");
        assert_eq!(take(2, SignInKind::Code, NOW).await, None, "and gone");
        commit!(test.store, |tx| { store::purge(tx, NOW.plus(10)).await? });
        assert_eq!(take(3, SignInKind::Code, NOW).await, None, "removed");
    }
}

#[tokio::test]
async fn a_session_is_its_administrators_until_it_ends() {
    for test in stores().await {
        let who = admin(1, "Ada");
        let row = SessionRow {
            admin: who.clone(),
            kind: "console".to_owned(),
            csrf: "secret".to_owned(),
            expires: NOW.plus(10),
            used: NOW,
        };
        commit!(test.store, |tx| {
            admins::insert(tx, &who, b"spki").await?;
            for n in 1..=3 {
                store::insert(tx, &hash(n), &row).await?;
            }
        });
        let get = async |n| store::get(&mut test.store.reader().await.unwrap(), &hash(n)).await.unwrap();
        assert_eq!(get(1).await, Some(row.clone()));
        commit!(test.store, |tx| { store::touch(tx, &hash(1), NOW.plus(5)).await? });
        assert_eq!(get(1).await.unwrap().used, NOW.plus(5));
        assert!(commit!(test.store, |tx| { store::delete(tx, &hash(1)).await? }));
        assert!(!commit!(test.store, |tx| { store::delete(tx, &hash(1)).await? }));
        assert_eq!(get(1).await, None);
        tamper(&test.store, "UPDATE admin SET disabled = 1").await;
        assert_eq!(get(2).await, None, "whoever is disabled has no session");
        tamper(&test.store, "UPDATE admin SET disabled = NULL").await;
        commit!(test.store, |tx| { store::purge(tx, NOW.plus(9)).await? });
        assert!(get(2).await.is_some());
        commit!(test.store, |tx| { store::purge(tx, NOW.plus(10)).await? });
        assert_eq!((get(2).await, get(3).await), (None, None));
    }
}
