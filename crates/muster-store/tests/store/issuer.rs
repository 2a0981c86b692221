//! CAs of the enterprise, their lists, and which certificate a device is mapped to.

use crate::{
    commit,
    fixture::{NOW, device, enrolment, enrolment_id, hash, token},
};
use muster_model::{
    api::{DeviceState, IssuerCriteria},
    time::HOUR,
};
use muster_store::{
    db::{
        certificate, device as devices, enrolment as requests,
        enterprise::{self, EnterpriseRow},
        issuer::{self, IssuerListRow, IssuerRow},
        revocation::{self, Cause},
        token as tokens,
    },
    testing::{TestStore, stores},
};

fn ca(n: u8) -> IssuerRow {
    IssuerRow {
        id: hash(n),
        name: format!("CN=CA {n}"),
        certificate: vec![0, n, 255],
        expires: NOW.plus(HOUR),
        criteria: IssuerCriteria { san: vec!["dns:*.corp.example".to_owned()], ..IssuerCriteria::default() },
        list_url: "http://pki.example/ca.crl".to_owned(),
        grace_hours: 4,
        added: NOW.plus(i64::from(n)),
        added_by: "Ada".to_owned(),
        tried: None,
        failure: None,
        list: None,
        devices: 0,
    }
}

fn list(number: &str, signed: i64) -> IssuerListRow {
    IssuerListRow { number: number.to_owned(), signed: NOW.plus(signed), next_update: NOW.plus(HOUR), entries: 3 }
}

fn mapped(n: u8, key: u8, named: u8) -> EnterpriseRow {
    EnterpriseRow {
        fingerprint: hash(n),
        issuer: hash(1),
        serial: format!("4a{n:02x}"),
        subject: "CN=pc1".to_owned(),
        named: hash(named),
        key: hash(key),
        expires: NOW,
    }
}

async fn with_devices(test: &TestStore) {
    for n in 1..=3 {
        commit!(test.store, |tx| {
            tokens::insert(tx, &token(n), &hash(n)).await?;
            requests::insert(tx, &enrolment(n)).await?;
            devices::insert(tx, &device(n)).await?;
        });
    }
}

#[tokio::test]
async fn an_issuer_comes_and_goes_and_its_list_only_goes_on() {
    for test in stores().await {
        commit!(test.store, |tx| {
            issuer::insert(tx, &ca(2)).await?;
            issuer::insert(tx, &ca(1)).await?;
        });
        let mut conn = test.store.reader().await.unwrap();
        assert_eq!(issuer::all(&mut conn).await.unwrap(), [ca(1), ca(2)]);
        let put = async |row: IssuerListRow, before: Option<IssuerListRow>| {
            commit!(test.store, |tx| { issuer::put_list(tx, &hash(1), &row, &[7, 0], before.as_ref()).await? })
        };
        assert!(put(list("10", 0), None).await);
        assert!(!put(list("11", 1), None).await, "another process was faster");
        assert!(put(list("11", 1), Some(list("10", 0))).await);
        assert!(!put(list("12", 2), Some(list("10", 0))).await);
        commit!(test.store, |tx| { issuer::tried(tx, &hash(1), NOW, Some("404")).await? });
        let expected =
            IssuerRow { tried: Some(NOW), failure: Some("404".to_owned()), list: Some(list("11", 1)), ..ca(1) };
        assert_eq!(issuer::all(&mut conn).await.unwrap()[0], expected);
        assert_eq!(issuer::list(&mut conn, &hash(1)).await.unwrap(), Some(vec![7, 0]));
        assert!(commit!(test.store, |tx| { issuer::remove(tx, &hash(1)).await? }));
        assert!(!commit!(test.store, |tx| { issuer::remove(tx, &hash(1)).await? }));
        commit!(test.store, |tx| { issuer::insert(tx, &ca(1)).await? });
        assert_eq!(issuer::all(&mut conn).await.unwrap()[0].list, Some(list("11", 1)), "the list outlives it");
    }
}

#[tokio::test]
async fn a_certificate_is_one_devices_and_its_likes_are_found() {
    for test in stores().await {
        with_devices(&test).await;
        let mut conn = test.store.reader().await.unwrap();
        commit!(test.store, |tx| {
            enterprise::set(tx, enrolment_id(1), &mapped(11, 21, 31), NOW).await?;
            enterprise::set(tx, enrolment_id(2), &mapped(12, 22, 32), NOW).await?;
        });
        assert_eq!(enterprise::device(&mut conn, &hash(11)).await.unwrap(), Some(device(1).id));
        assert_eq!(enterprise::device(&mut conn, &hash(13)).await.unwrap(), None);
        let standing = devices::standing(&mut conn, device(1).id).await.unwrap().unwrap();
        assert_eq!((standing.enterprise, standing.serial), (Some(hash(11)), device(1).serial));
        assert_eq!(devices::standing(&mut conn, device(3).id).await.unwrap().unwrap().enterprise, None);
        let alike = async |row: EnterpriseRow, but| {
            let mut conn = test.store.reader().await.unwrap();
            let found = enterprise::alike(&mut conn, &row, enrolment_id(but)).await.unwrap();
            found.into_iter().map(|other| (other.id, other.same_key)).collect::<Vec<_>>()
        };
        assert_eq!(alike(mapped(13, 21, 99), 3).await, [(device(1).id, true)]);
        assert_eq!(alike(mapped(13, 99, 32), 3).await, [(device(2).id, false)]);
        assert_eq!(alike(mapped(13, 21, 31), 1).await, [], "its own is not another");
        // Renewed: the one before is nobody's.
        commit!(test.store, |tx| {
            enterprise::hold(tx, &mapped(14, 24, 31)).await?;
            enterprise::set(tx, enrolment_id(1), &mapped(14, 24, 31), NOW).await?;
        });
        assert_eq!(enterprise::device(&mut conn, &hash(11)).await.unwrap(), None);
        assert_eq!(enterprise::get(&mut conn, enrolment_id(1)).await.unwrap(), Some(mapped(14, 24, 31)));
        let of = enterprise::of_issuer(&mut conn, &hash(1)).await.unwrap();
        assert_eq!(of.len(), 2);
        commit!(test.store, |tx| { issuer::insert(tx, &ca(1)).await? });
        assert_eq!(issuer::all(&mut conn).await.unwrap()[0].devices, 2);
        // A retired device is nobody's conflict, a blocked one is.
        for (n, state, found) in [(1, DeviceState::Retired, 0), (2, DeviceState::Blocked, 1)] {
            let row = devices::get(&mut conn, device(n).id).await.unwrap().unwrap();
            assert!(commit!(test.store, |tx| { devices::set_state(tx, &row, state, None).await? }));
            assert_eq!(alike(mapped(15, 20 + n, 99), 3).await.len(), found, "{state}");
            assert_eq!(enterprise::device(&mut conn, &hash(10 + n)).await.unwrap(), None);
        }
    }
}

// proves S22
#[tokio::test]
async fn each_issuing_ca_is_asked_about_its_own() {
    for test in stores().await {
        with_devices(&test).await;
        for (serial, issuer) in [("4001", 1), ("4002", 2)] {
            commit!(test.store, |tx| {
                certificate::insert(tx, &hash(issuer), serial, Some(device(issuer).id), NOW, NOW.plus(HOUR)).await?;
                let cause = Cause { reason: muster_model::api::RevocationReason::KeyCompromise, at: NOW, by: "Ada" };
                revocation::insert_one(tx, serial, cause).await?;
            });
        }
        let mut conn = test.store.reader().await.unwrap();
        for (serial, issuer) in [("4001", 1), ("4002", 2)] {
            assert_eq!(certificate::issuer(&mut conn, serial).await.unwrap(), Some(hash(issuer)));
            let revoked = revocation::of_issuer(&mut conn, &hash(issuer)).await.unwrap();
            assert_eq!(revoked.into_iter().map(|row| row.serial).collect::<Vec<_>>(), [serial]);
        }
        assert_eq!(certificate::issuer(&mut conn, "4003").await.unwrap(), None);
        assert!(revocation::of_issuer(&mut conn, &hash(9)).await.unwrap().is_empty());
        assert_eq!(revocation::all(&mut conn).await.unwrap().len(), 2);
    }
}
