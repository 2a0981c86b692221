//! The site's own row, and its trust bundles.

use crate::{commit, fixture::NOW};
use muster_store::{
    StoreError,
    db::{
        site_row::{self as store, SiteRow},
        trust_bundle,
    },
    testing::stores,
    transaction,
};

#[tokio::test]
async fn a_database_is_of_one_site() {
    for test in stores().await {
        let mut conn = test.store.reader().await.unwrap();
        assert_eq!(store::get(&mut conn).await.unwrap(), None);
        let site = SiteRow { code: "ABC".parse().unwrap(), name: "Köln".parse().unwrap(), created: NOW };
        commit!(test.store, |tx| { store::insert(tx, &site).await? });
        let other = SiteRow { code: "XYZ".parse().unwrap(), ..site.clone() };
        let result = transaction!(test.store, "test", |tx| { store::insert(tx, &other).await });
        assert!(matches!(result, Err(StoreError::Exists)));
        assert_eq!(store::get(&mut conn).await.unwrap(), Some(site));
    }
}

#[tokio::test]
async fn the_newest_trust_bundle_is_in_force_and_none_is_replaced() {
    for test in stores().await {
        let mut conn = test.store.reader().await.unwrap();
        assert_eq!(trust_bundle::newest(&mut conn).await.unwrap(), None);
        for version in [2, 10, 9] {
            let bytes = [u8::try_from(version).unwrap(); 3];
            commit!(test.store, |tx| { trust_bundle::insert(tx, version, NOW, &bytes).await? });
        }
        let again = transaction!(test.store, "test", |tx| { trust_bundle::insert(tx, 2, NOW, b"x").await });
        assert!(matches!(again, Err(StoreError::Exists)));
        assert_eq!(trust_bundle::newest(&mut conn).await.unwrap(), Some(vec![10; 3]));
    }
}
