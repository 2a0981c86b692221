//! The number of a device, and what the views say of it.

use crate::fleet::{device_id, devices};
use muster_model::{
    api::DeviceState,
    catalogue::Catalogue,
    id::{DeviceId, Hash, ResourceId},
    inventory::{Row as InventoryRow, Value},
    report::NetworkReport,
    time::UnixMillis,
};
use muster_store::{
    StoreError,
    db::{
        device,
        inventory::{self, NewRow, SectionRow},
        network::{self, NetworkRow},
    },
    testing::{TestStore, stores, tamper},
    transaction,
};

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

async fn put(test: &TestStore, device: DeviceId, class: &str, row: InventoryRow) {
    let hash = format!("{class}-{device}");
    let done: Result<_, StoreError> = transaction!(test.store, "t", |tx| {
        let ids = inventory::intern(
            tx,
            Catalogue::built_in().class(class).unwrap(),
            &[NewRow { hash: &hash, key: 1, row: &row }],
        )
        .await?;
        let section = SectionRow {
            device,
            class: class.to_owned(),
            digest: Hash([1; 32]),
            row_ids: vec![ids[&hash]],
            changed: UnixMillis(5),
        };
        inventory::put(tx, &[section]).await
    });
    done.unwrap();
}

#[tokio::test]
async fn a_number_is_given_once() {
    for test in stores().await {
        let ids = devices(&test.store, 3).await;
        let mut reader = test.store.reader().await.unwrap();
        for (n, id) in (16_777_217..).zip(&ids) {
            let row = device::get(&mut reader, *id).await.unwrap().unwrap();
            assert_eq!(row.resource_id, ResourceId(n));
        }
        // A row that went away with its number: the number does not come back.
        let last = device::get(&mut reader, ids[2]).await.unwrap().unwrap();
        drop(reader);
        tamper(&test.store, "DELETE FROM device_change").await;
        tamper(&test.store, "DELETE FROM resource WHERE resource_id = 16777219").await;
        tamper(&test.store, "DELETE FROM device WHERE resource_id = 16777219").await;
        let again: Result<_, StoreError> = transaction!(test.store, "t", |tx| { device::insert(tx, &last).await });
        again.unwrap();
        let row = device::get(&mut test.store.reader().await.unwrap(), ids[2]).await.unwrap().unwrap();
        assert_eq!(row.resource_id, ResourceId(16_777_220));
    }
}

#[tokio::test]
async fn the_views_say_what_is_known_of_a_system() {
    for test in stores().await {
        let ids = devices(&test.store, 3).await;
        tamper(&test.store, "INSERT INTO site (id, code, name, created) VALUES (1, 'ABC', 'A site', 1)").await;
        let system = [("Name", text("d")), ("Domain", text("CORP")), ("Model", text("VMware7,1"))];
        put(&test, device_id(1), "COMPUTER_SYSTEM", system.map(|(n, v)| (n.to_owned(), v)).into()).await;
        let addresses = Value::List(vec!["10.1.2.3".to_owned(), "fe80::1".to_owned()]);
        let adapter = [("Index", Value::Int(1)), ("IPAddress", addresses), ("MACAddress", text("02:00:00:00:00:01"))];
        put(&test, device_id(1), "NETWORK_ADAPTER_CONFIGURATION", adapter.map(|(n, v)| (n.to_owned(), v)).into()).await;
        let heard = NetworkRow {
            device: device_id(1),
            seen_address: "192.0.2.7".to_owned(),
            report: NetworkReport {
                addresses: vec!["192.0.2.7/24".to_owned()],
                directory_site: Some("Berlin".to_owned()),
            },
            reported: UnixMillis(5),
        };
        transaction!(test.store, "t", |tx| {
            network::put(tx, std::slice::from_ref(&heard)).await?;
            let row = device::get(tx, ids[2]).await?.ok_or(StoreError::NotFound)?;
            device::set_state(tx, &row, DeviceState::Retired, None).await
        })
        .unwrap();
        let mut reader = test.store.reader().await.unwrap();
        let statement = "SELECT ResourceID, Name0, Resource_Domain_OR_Workgr0, Is_Virtual_Machine0, AD_Site_Name0, Obsolete0 \
             FROM v_R_System ORDER BY ResourceID";
        type Said = (i64, String, Option<String>, Option<i64>, Option<String>, i64);
        let rows: Vec<Said> = sqlx::query_as(statement).fetch_all(&mut *reader).await.unwrap();
        let first = (16_777_217, "device-1".to_owned(), Some("CORP".to_owned()), Some(1), Some("Berlin".to_owned()), 0);
        assert_eq!(rows, [first, (16_777_218, "device-2".to_owned(), None, None, None, 0)], "one left for good");
        let several = [
            ("SELECT IP_Addresses0 FROM v_RA_System_IPAddresses ORDER BY 1", vec!["10.1.2.3", "192.0.2.7", "fe80::1"]),
            ("SELECT MAC_Addresses0 FROM v_RA_System_MACAddresses", vec!["02:00:00:00:00:01"]),
            ("SELECT Resource_Names0 FROM v_RA_System_ResourceNames WHERE ResourceID = 16777218", vec!["device-2"]),
            ("SELECT SMS_Assigned_Sites0 FROM v_RA_System_SMSAssignedSites WHERE ResourceID = 16777217", vec!["ABC"]),
            ("SELECT AgentName FROM v_AgentDiscoveries WHERE ResourceID = 16777217", vec!["MP_ClientRegistration"]),
        ];
        for (statement, expected) in several {
            let found: Vec<String> = sqlx::query_scalar(statement).fetch_all(&mut *reader).await.unwrap();
            assert_eq!(found, expected, "{statement}");
        }
    }
}
