//! Devices: the row that decides who may talk.

use crate::{
    commit,
    fixture::{NOW, claims, device, hash},
};
use muster_model::{
    api::{DeviceQuery, DeviceState},
    enrol::DeviceClaims,
};
use muster_store::{
    StoreError,
    db::{
        device::{self as store, DeviceRow},
        device_list,
    },
    testing::{TestStore, stores},
    transaction,
};

async fn filled(test: &TestStore) {
    commit!(test.store, |tx| {
        for n in 1..=3 {
            store::insert(tx, &device(n)).await?;
        }
    });
}

async fn row(test: &TestStore, n: u8) -> DeviceRow {
    store::get(&mut test.store.reader().await.unwrap(), device(n).id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_device_is_kept_as_it_came_and_its_key_is_its_own() {
    for test in stores().await {
        filled(&test).await;
        assert_eq!(row(&test, 1).await, device(1));
        let twin = DeviceRow { key: hash(1), ..device(4) };
        let result = transaction!(test.store, "test", |tx| { store::insert(tx, &twin).await });
        assert!(matches!(result, Err(StoreError::Exists)));
        let mut conn = test.store.reader().await.unwrap();
        assert_eq!(store::get(&mut conn, device(4).id).await.unwrap(), None);
        let standing = store::standing(&mut conn, device(2).id).await.unwrap().unwrap();
        assert_eq!((standing.state, standing.key), (DeviceState::Active, hash(2)));
        assert_eq!((standing.serial.as_str(), standing.previous_serial), ("4002", None));
        assert_eq!(store::standing(&mut conn, device(4).id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_state_changes_from_what_was_seen_only() {
    for test in stores().await {
        filled(&test).await;
        let block = async |seen: &DeviceRow| {
            let (state, reason) = (DeviceState::Blocked, Some("stolen"));
            commit!(test.store, |tx| { store::set_state(tx, seen, state, reason).await? })
        };
        assert!(!block(&DeviceRow { revision: 2, ..device(1) }).await, "another revision");
        assert!(!block(&DeviceRow { state: DeviceState::Retired, ..device(1) }).await, "another state");
        assert!(block(&device(1)).await);
        assert!(!block(&device(1)).await, "it changed since");
        let blocked = row(&test, 1).await;
        assert_eq!((blocked.state, blocked.revision), (DeviceState::Blocked, 2));
        assert_eq!(blocked.block_reason.as_deref(), Some("stolen"));
        let alike = async |key, hardware| {
            let mut conn = test.store.reader().await.unwrap();
            let (key, claims) = (hash(key), DeviceClaims { hardware_id: hash(hardware), ..claims("pc9") });
            let marks = store::Marks { key: &key, hardware: None, account: None, claims: &claims };
            store::blocked_alike(&mut conn, marks).await.unwrap()
        };
        assert_eq!(alike(1, 250).await, Some(device(1).id), "by key");
        assert_eq!(alike(250, 101).await, Some(device(1).id), "by hardware id");
        assert_eq!(alike(2, 102).await, None, "an active device is no reason");
    }
}

#[tokio::test]
async fn who_resembles_a_device_is_found_by_what_they_share() {
    for test in stores().await {
        filled(&test).await;
        let mut conn = test.store.reader().await.unwrap();
        let mut found = async |key, claims: &DeviceClaims| {
            let marks = store::Marks { key: &hash(key), hardware: None, account: None, claims };
            let alike = store::alike(&mut conn, marks).await.unwrap();
            alike.into_iter().map(|device| (device.name, device.common)).collect::<Vec<_>>()
        };
        assert_eq!(found(9, &claims("pc9")).await, []);
        let mixed = DeviceClaims { hardware_id: hash(102), ..claims("pc3") };
        let expected = [("pc1", "key"), ("pc2", "hardware id"), ("pc3", "host name")];
        assert_eq!(found(1, &mixed).await, expected.map(|(name, common)| (name.to_owned(), common)));
    }
}

#[tokio::test]
async fn a_certificate_follows_the_one_that_is_known() {
    for test in stores().await {
        filled(&test).await;
        let renew = async |previous: &str, serial: &str| {
            commit!(test.store, |tx| { store::renew(tx, device(1).id, previous, serial, NOW.plus(9), b"new").await? })
        };
        assert!(!renew("40ff", "4101").await, "an unknown one");
        assert!(renew("4001", "4101").await);
        assert!(renew("4001", "4102").await, "the one before, when the answer was lost");
        let renewed = row(&test, 1).await;
        assert_eq!((renewed.serial.as_str(), renewed.previous_serial.as_deref()), ("4102", Some("4001")));
        assert_eq!((renewed.certificate, renewed.certificate_expires), (b"new".to_vec(), NOW.plus(9)));
        commit!(test.store, |tx| { store::set_state(tx, &device(1), DeviceState::Blocked, None).await? });
        assert!(!renew("4102", "4103").await, "not for a blocked one");
    }
}

#[tokio::test]
async fn last_contacts_only_go_forward_and_claims_are_found_at_once() {
    for test in stores().await {
        filled(&test).await;
        let (one, two, three) = (device(1).id, device(2).id, device(3).id);
        commit!(test.store, |tx| { store::seen(tx, &[(one, NOW), (two, NOW.plus(5))]).await? });
        commit!(test.store, |tx| { store::seen(tx, &[(one, NOW.plus(1)), (two, NOW), (three, NOW)]).await? });
        commit!(test.store, |tx| { store::seen(tx, &[]).await? });
        let seen = [row(&test, 1).await.last_seen, row(&test, 2).await.last_seen, row(&test, 3).await.last_seen];
        assert_eq!(seen, [Some(NOW.plus(1)), Some(NOW.plus(5)), Some(NOW)]);

        let said = claims("BÜRO-PC");
        commit!(test.store, |tx| { store::set_claims(tx, one, &said).await? });
        let now = row(&test, 1).await;
        assert_eq!(now.claims, DeviceClaims { hardware_id: hash(101), ..said }, "the hardware id stays");
        assert_eq!(now.revision, 1, "what a device says is nobody's decision");
        let query = DeviceQuery { search: "büro".to_owned(), limit: 10, ..DeviceQuery::default() };
        let (found, total) = device_list::list(&mut test.store.reader().await.unwrap(), &query).await.unwrap();
        assert_eq!((found[0].id, total), (one, 1));
    }
}
