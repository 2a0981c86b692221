//! The audit log's rows.

use crate::{
    commit,
    fixture::{NOW, hash},
};
use muster_model::{
    api::{AuditEntry, PageQuery},
    id::Hash,
};
use muster_store::{StoreError, db::audit as store, testing::stores, transaction};

fn entry(number: u64) -> AuditEntry {
    AuditEntry {
        number,
        time: NOW,
        actor: "Ada".to_owned(),
        action: "token_create".to_owned(),
        object: "token 1".to_owned(),
        detail: "ü".to_owned(),
        head: hash(u8::try_from(number).unwrap()),
    }
}

#[tokio::test]
async fn the_head_moves_with_the_entries_and_with_nothing_else() {
    for test in stores().await {
        let mut conn = test.store.reader().await.unwrap();
        assert_eq!(store::head(&mut conn).await.unwrap(), (0, Hash::ZERO));
        for number in 1..=3 {
            commit!(test.store, |tx| {
                let last = store::lock(tx).await?;
                let before = if number == 1 { Hash::ZERO } else { entry(number - 1).head };
                assert_eq!(last, (number - 1, before));
                store::insert(tx, &entry(number)).await?;
            });
        }
        let undone: Result<(), _> = transaction!(test.store, "test", |tx| {
            store::lock(tx).await?;
            store::insert(tx, &entry(4)).await?;
            Err(StoreError::NotFound)
        });
        assert!(undone.is_err());
        let twice = transaction!(test.store, "test", |tx| { store::insert(tx, &entry(3)).await });
        assert!(matches!(twice, Err(StoreError::Exists)));
        assert_eq!(store::head(&mut conn).await.unwrap(), (3, entry(3).head));
        assert_eq!(store::after(&mut conn, 1, 10).await.unwrap(), [entry(2), entry(3)]);
        assert_eq!(store::after(&mut conn, 0, 1).await.unwrap(), [entry(1)]);
        let page = store::list(&mut conn, PageQuery { offset: 1, limit: 1 }).await.unwrap();
        assert_eq!(page, (vec![entry(2)], 3), "the newest first");
    }
}
