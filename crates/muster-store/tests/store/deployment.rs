//! Deployments and their devices.

use crate::fleet::devices;
use muster_model::{
    api::Target,
    id::{ApplicationId, DeploymentId, Hash},
    policy::BodyKind,
    status::{DeploymentState, FailureReason},
    time::UnixMillis,
};
use muster_store::{
    Store, StoreError,
    db::{
        application::{self, ApplicationRow},
        content_row,
        deployment::{self, DeploymentRow, Step},
        policy_body,
    },
    testing::stores,
    transaction,
};

fn application_row() -> ApplicationRow {
    ApplicationRow {
        hash: Hash([1; 32]),
        id: ApplicationId(uuid::Uuid::from_u128(1)),
        name: "App".to_owned(),
        version: "1".to_owned(),
        object: vec![1, 2, 3],
        authors: vec![Hash([9; 32])],
        content_size: 5,
        created: UnixMillis(1),
    }
}

fn row(number: u128, target: Target) -> DeploymentRow {
    DeploymentRow {
        id: DeploymentId(uuid::Uuid::from_u128(number)),
        name: "A deployment".parse().unwrap(),
        application: Hash([1; 32]),
        application_size: 3,
        target,
        high_impact: false,
        outside_windows: false,
        volatile: false,
        software_update: false,
        options: muster_model::program::DeploymentOptions::default(),
        deferral: None,
        action: muster_model::policy::Action::Install,
        purpose: muster_model::policy::Purpose::Required,
        available: UnixMillis(2),
        deadline: UnixMillis(3),
        policy: Hash([2; 32]),
        policy_size: 4,
        created: UnixMillis(i64::try_from(number).unwrap()),
        created_by: "Ada".parse().unwrap(),
        deleted: None,
        revision: 1,
    }
}

async fn put(store: &Store, row: &DeploymentRow) -> u64 {
    let now = UnixMillis(7);
    let count: Result<u64, StoreError> = transaction!(store, "t", |tx| {
        content_row::insert(tx, Hash([3; 32]), 5, now).await?;
        policy_body::insert(tx, row.policy, BodyKind::Deployment, b"body", now).await?;
        if application::get(tx, row.application).await?.is_none() {
            application::insert(tx, &application_row(), &[Hash([3; 32])]).await?;
        }
        deployment::insert(tx, row).await?;
        deployment::target(tx, row.id, now).await
    });
    count.unwrap()
}

#[tokio::test]
async fn a_deployment_comes_back_as_it_was_and_totals_are_counted() {
    for test in stores().await {
        let store = &test.store;
        let ids = devices(store, 20).await;
        let (all, one) = (row(1, Target::AllSystems), row(2, Target::Device { device: ids[0] }));
        assert_eq!((put(store, &all).await, put(store, &one).await), (20, 1));
        let mut reader = store.reader().await.unwrap();
        let shown = deployment::get(&mut reader, one.id).await.unwrap().unwrap();
        assert_eq!((&shown.row, shown.application_name.as_str()), (&one, "App"));
        let (list, total) = deployment::list(&mut reader, 0, 1).await.unwrap();
        assert_eq!((list[0].row.id, total), (one.id, 2), "the newest first");
        assert_eq!(deployment::preview(&mut reader, Target::AllSystems).await.unwrap().0, 20);
        drop(reader);

        let step = |device, state, reason| Step {
            waits: None,
            restart: false,
            undone: false,
            deployment_type: None,
            deferred: 0,
            starts: None,
            deployment: all.id,
            device,
            state,
            reason,
            exit_code: Some(-1),
            output: "out".to_owned(),
            changed: UnixMillis(9),
        };
        let steps: Vec<Step> = ids[..6]
            .iter()
            .map(|id| step(*id, DeploymentState::Succeeded, None))
            .chain([step(ids[6], DeploymentState::Failed, Some(FailureReason::DiskFull))])
            .collect();
        transaction!(store, "t", |tx| { deployment::report(tx, &steps).await }).unwrap();
        let mut reader = store.reader().await.unwrap();
        let totals = deployment::totals(&mut reader, store.dialect(), &[all.id, one.id]).await.unwrap();
        let expected = [("succeeded", 6), ("failed", 1), ("targeted", 13)];
        assert_eq!(totals[&all.id], expected.map(|(state, count)| (state.to_owned(), count)).into());
        let failed = deployment::devices(&mut reader, all.id, Some(DeploymentState::Failed), 0, 10).await.unwrap();
        assert_eq!((failed.1, failed.0[0].device, failed.0[0].exit_code), (1, ids[6], Some(-1)));
        assert_eq!(failed.0[0].reason, Some(FailureReason::DiskFull));
        assert_eq!(deployment::of_device(&mut reader, ids[0]).await.unwrap().len(), 2);
        drop(reader);

        let known = transaction!(store, "t", |tx| { deployment::known(tx, &ids[..1]).await }).unwrap();
        assert_eq!(known[&(ids[0], all.id)].state, DeploymentState::Succeeded);
        let delete = async || transaction!(store, "t", |tx| { deployment::delete(tx, all.id, UnixMillis(8)).await });
        assert!(delete().await.unwrap());
        assert!(!delete().await.unwrap(), "it was deleted before");
        let mut reader = store.reader().await.unwrap();
        let shown = deployment::get(&mut reader, all.id).await.unwrap().unwrap();
        assert_eq!((shown.row.deleted, shown.row.revision), (Some(UnixMillis(8)), 2));
    }
}

#[tokio::test]
async fn content_is_given_by_the_applications_that_name_it() {
    for test in stores().await {
        let store = &test.store;
        devices(store, 1).await;
        put(store, &row(1, Target::AllSystems)).await;
        let mut reader = store.reader().await.unwrap();
        let dialect = store.dialect();
        let size = async |reader: &mut _, content, applications: &[Hash]| {
            content_row::size_in(reader, dialect, content, applications).await.unwrap()
        };
        assert_eq!(size(&mut reader, Hash([3; 32]), &[Hash([8; 32]), Hash([1; 32])]).await, Some((Hash([1; 32]), 5)));
        assert_eq!(size(&mut reader, Hash([3; 32]), &[Hash([8; 32])]).await, None);
        assert_eq!(size(&mut reader, Hash([4; 32]), &[Hash([1; 32])]).await, None);
        assert_eq!(size(&mut reader, Hash([3; 32]), &[]).await, None);
    }
}

#[tokio::test]
async fn a_chunk_list_is_noted_once_and_files_without_one_are_found_in_order() {
    for test in stores().await {
        let store = &test.store;
        let now = UnixMillis(7);
        let list = |packed| content_row::ChunkedRow { chunks: 3, list: 136, packed };
        let noted: Result<_, StoreError> = transaction!(store, "t", |tx| {
            for (byte, size) in [(1, 10), (2, 500), (3, 500), (4, 500)] {
                content_row::insert(tx, Hash([byte; 32]), size, now).await?;
            }
            let first = content_row::insert_chunks(tx, Hash([3; 32]), &list(Some(99)), now).await?;
            Ok((first, content_row::insert_chunks(tx, Hash([3; 32]), &list(None), now).await?))
        });
        assert_eq!(noted.unwrap(), (true, false));
        let mut reader = store.reader().await.unwrap();
        assert_eq!(content_row::chunks(&mut reader, Hash([3; 32])).await.unwrap(), Some(list(Some(99))));
        assert_eq!(content_row::chunks(&mut reader, Hash([2; 32])).await.unwrap(), None);
        let next = async |reader: &mut _, after: Option<u8>| {
            content_row::without_chunks(reader, after.map(|byte| Hash([byte; 32])), 500).await.unwrap()
        };
        assert_eq!(next(&mut reader, None).await, Some((Hash([2; 32]), 500)), "small ones get none");
        assert_eq!(next(&mut reader, Some(2)).await, Some((Hash([4; 32]), 500)));
        assert_eq!(next(&mut reader, Some(4)).await, None);
    }
}
