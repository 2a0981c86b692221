//! Administrators.

use crate::{
    commit,
    fixture::{admin, hash},
};
use muster_model::api::PageQuery;
use muster_store::{
    StoreError,
    db::admin as store,
    testing::{stores, tamper},
    transaction,
};

#[tokio::test]
async fn a_name_and_a_key_are_one_administrators() {
    for test in stores().await {
        let (ada, bob) = (admin(1, "Ada"), admin(2, "Bob"));
        commit!(test.store, |tx| {
            store::insert(tx, &bob, b"bob's").await?;
            store::insert(tx, &ada, b"ada's").await?;
        });
        for other in [admin(3, "Ada"), muster_model::api::Admin { key: hash(1), ..admin(3, "Eve") }] {
            let result = transaction!(test.store, "test", |tx| { store::insert(tx, &other, b"x").await });
            assert!(matches!(result, Err(StoreError::Exists)));
        }
        let mut conn = test.store.reader().await.unwrap();
        assert_eq!(store::by_key(&mut conn, &hash(1)).await.unwrap(), Some((ada.clone(), b"ada's".to_vec())));
        assert_eq!(store::get(&mut conn, bob.id).await.unwrap(), Some(bob.clone()));
        let page = PageQuery::default();
        assert_eq!(store::list(&mut conn, page).await.unwrap(), (vec![ada.clone(), bob], 2), "by name");
        tamper(&test.store, "UPDATE admin SET disabled = 1 WHERE name = 'Ada'").await;
        assert_eq!(store::by_key(&mut conn, &ada.key).await.unwrap(), None);
        assert_eq!(store::get(&mut conn, ada.id).await.unwrap(), None);
        assert_eq!(store::list(&mut conn, page).await.unwrap().1, 1);
    }
}
