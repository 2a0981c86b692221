//! Assignments and the jobs that ask for them.

use crate::fleet::{device_id, devices};
use muster_model::{
    id::{DeviceId, Hash},
    policy::{BodyKind, BodyRef},
    time::UnixMillis,
};
use muster_store::{
    StoreError,
    db::{
        assignment::{self, AssignmentRow},
        policy_body,
    },
    testing::stores,
    transaction,
};

fn row(device: DeviceId, version: u64, issued: i64) -> AssignmentRow {
    AssignmentRow {
        device,
        version,
        issued: UnixMillis(issued),
        expires: UnixMillis(issued + 10),
        trust_version: 1,
        confirmed: None,
        bodies: vec![BodyRef { kind: BodyKind::Settings, hash: Hash([1; 32]), size: 3 }],
        envelope: vec![0, 159, 255],
    }
}

#[tokio::test]
async fn assignments_are_kept_in_bulk_and_replaced() {
    for test in stores().await {
        let store = &test.store;
        let ids = devices(store, 300).await;
        let first: Vec<_> = ids.iter().map(|id| row(*id, 1, 100)).collect();
        transaction!(store, "t", |tx| { assignment::put(tx, &first).await }).unwrap();
        let second: Vec<_> = ids[..3].iter().map(|id| row(*id, 2, 200)).collect();
        transaction!(store, "t", |tx| { assignment::put(tx, &second).await }).unwrap();
        let mut reader = store.reader().await.unwrap();
        assert_eq!(assignment::get(&mut reader, ids[0]).await.unwrap(), Some((true, Some(second[0].clone()))));
        assert_eq!(assignment::get(&mut reader, ids[3]).await.unwrap(), Some((true, Some(first[3].clone()))));
        assert_eq!(assignment::get(&mut reader, device_id(999)).await.unwrap(), None);
        let old = assignment::issued_before(&mut reader, UnixMillis(199), 1_000).await.unwrap();
        assert_eq!(old.len(), 297);
        assert!(assignment::missing(&mut reader, 10).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_job_waits_once_and_is_taken_once() {
    for test in stores().await {
        let store = &test.store;
        let ids = devices(store, 10).await;
        let now = UnixMillis(50);
        transaction!(store, "t", |tx| {
            assignment::ask(tx, &ids[..4], now).await?;
            assignment::ask_all(tx, now).await
        })
        .unwrap();
        assert!(assignment::pending(&mut store.reader().await.unwrap(), now).await.unwrap());
        let take = async |now| transaction!(store, "t", |tx| { assignment::take(tx, now, 7).await }).unwrap();
        assert!(take(UnixMillis(49)).await.is_empty(), "not due yet");
        // Work that fails leaves the job where it was.
        let failed: Result<(), StoreError> = transaction!(store, "t", |tx| {
            assert_eq!(assignment::take(tx, now, 7).await?.len(), 7);
            Err(StoreError::NotFound)
        });
        failed.unwrap_err();
        // PostgreSQL may still be giving the work back that failed; what is locked is left for the next time.
        let mut taken = Vec::new();
        while assignment::pending(&mut store.reader().await.unwrap(), now).await.unwrap() {
            taken.extend(take(now).await);
        }
        taken.sort();
        assert_eq!(taken, ids, "each once");
    }
}

#[tokio::test]
async fn a_body_is_kept_once_and_never_changed() {
    for test in stores().await {
        let store = &test.store;
        let hash = Hash([4; 32]);
        for bytes in [b"first", b"other"] {
            transaction!(store, "t", |tx| {
                policy_body::insert(tx, hash, BodyKind::Settings, bytes, UnixMillis(1)).await
            })
            .unwrap();
        }
        let mut reader = store.reader().await.unwrap();
        assert_eq!(policy_body::get(&mut reader, hash).await.unwrap().as_deref(), Some(&b"first"[..]));
        assert_eq!(policy_body::get(&mut reader, Hash([5; 32])).await.unwrap(), None);
    }
}
