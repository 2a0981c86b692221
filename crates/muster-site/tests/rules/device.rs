//! Devices: who may talk and who no longer may, at once; the list that an administrator searches.

use crate::reason;
use muster_model::{
    api::{DeviceQuery, DeviceSort, DeviceState, DevicesBlock, PageQuery, Reason},
    id::DeviceId,
    problem::Code,
    time::{DAY, MINUTE, SECOND},
};
use muster_site::{
    testing::{TestDevice, TestSite},
    *,
};
use muster_store::{bus::Notice, db::device::suspect, testing::tamper};
use muster_trust::certificate::{ClientIdentity, client_identity};

fn identity(device: &TestDevice) -> ClientIdentity {
    client_identity(&device.certificate).unwrap()
}

async fn connects(test: &TestSite, identity: &ClientIdentity) -> Result<(), Code> {
    device_connected(&test.site, identity, test.now()).await.map(drop).map_err(|error| error.code())
}

#[tokio::test]
async fn block_closes_and_refuses_at_once_and_unblock_lets_in_again() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        let me = identity(&device);
        assert_eq!(device_connected(&test.site, &me, test.now()).await.unwrap(), device.caller);
        let mut notices = test.site.bus.subscribe();
        let row = device_block(&test.full(), &test.site, device.id, reason("stolen"), None).await.unwrap();
        assert_eq!(row.state, DeviceState::Blocked);
        // proves I5: the notice closes what is open, and the next request is refused although it was just remembered.
        assert_eq!(notices.try_recv().unwrap(), Notice::DeviceClosed(device.id));
        assert_eq!(connects(&test, &me).await, Err(Code::DeviceNotActive));
        assert_eq!(connects(&test, &me).await, Err(Code::DeviceNotActive), "also from memory");
        let detail = device_show(&test.analyst(), &test.site, device.id).await.unwrap();
        assert_eq!((detail.block_reason.as_deref(), detail.revision), (Some("stolen"), 2));

        device_unblock(&test.full(), &test.site, device.id, reason("found"), Some(2)).await.unwrap();
        assert_eq!(connects(&test, &me).await, Ok(()));
        device_retire(&test.full(), &test.site, device.id, reason("sold"), None).await.unwrap();
        assert_eq!(connects(&test, &me).await, Err(Code::DeviceNotActive));
        let log = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap();
        let actions: Vec<_> = log.items.iter().take(3).map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["device_retire", "device_unblock", "device_block"]);
        assert_eq!(log.items[2].detail, "pc1 is blocked now: stolen");
    }
}

#[tokio::test]
async fn many_are_blocked_in_one_step_or_none() {
    for test in TestSite::all().await {
        let devices = [test.enrol("pc1").await, test.enrol("pc2").await, test.enrol("pc3").await];
        let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
        let many = async |devices: Vec<DeviceId>| {
            device_block_many(&test.full(), &test.site, DevicesBlock { devices, reason: "stolen".to_owned() }).await
        };
        let nobody = DeviceId(uuid::Uuid::nil());
        assert_eq!(many(vec![ids[0], nobody]).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(many(vec![ids[0]; 1_001]).await.unwrap_err().code(), Code::TooLarge);
        assert_eq!(connects(&test, &identity(&devices[0])).await, Ok(()), "none of them");
        device_block(&test.full(), &test.site, ids[1], reason("lost"), None).await.unwrap();
        let mut notices = test.site.bus.subscribe();
        // proves I5: many in one transaction, and each of them is out when it is answered.
        let done = many(ids.clone()).await.unwrap();
        assert_eq!((done.blocked, done.before), (2, vec![ids[1]]));
        assert_eq!(notices.try_recv().unwrap(), Notice::DeviceClosed(ids[0]));
        assert_eq!(notices.try_recv().unwrap(), Notice::DeviceClosed(ids[2]));
        for device in &devices {
            assert_eq!(connects(&test, &identity(device)).await, Err(Code::DeviceNotActive));
        }
    }
}

#[tokio::test]
async fn a_decision_that_is_refused_changes_nothing() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        let me = identity(&device);
        let before = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().total;
        let code = async |ctx: Ctx, id, why: Reason, revision| {
            device_block(&ctx, &test.site, id, why, revision).await.unwrap_err().code()
        };
        assert_eq!(code(test.analyst(), device.id, reason("x"), None).await, Code::Forbidden);
        assert_eq!(code(test.anonymous(), device.id, reason("x"), None).await, Code::Unauthenticated);
        assert_eq!(code(test.device(&device), device.id, reason("x"), None).await, Code::Unauthenticated);
        assert_eq!(code(test.full(), device.id, reason(" "), None).await, Code::Malformed);
        assert_eq!(code(test.full(), device.id, reason(&"x".repeat(501)), None).await, Code::Malformed);
        assert_eq!(code(test.full(), device.id, reason("a\nb"), None).await, Code::Malformed);
        assert_eq!(code(test.full(), device.id, reason("x"), Some(7)).await, Code::Changed);
        assert_eq!(code(test.full(), DeviceId(uuid::Uuid::nil()), reason("x"), None).await, Code::NotFound);
        let unblock = device_unblock(&test.full(), &test.site, device.id, reason("x"), None).await.unwrap_err();
        assert_eq!(unblock.code(), Code::Conflict);
        assert_eq!(connects(&test, &me).await, Ok(()));
        assert_eq!(audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().total, before);

        device_retire(&test.full(), &test.site, device.id, reason("sold"), None).await.unwrap();
        for result in [
            device_unblock(&test.full(), &test.site, device.id, reason("x"), None).await,
            device_block(&test.full(), &test.site, device.id, reason("x"), None).await,
        ] {
            assert_eq!(result.unwrap_err().code(), Code::Conflict, "retired is for good");
        }
    }
}

#[tokio::test]
async fn a_connection_is_judged_by_site_key_serial_and_time() {
    for test in TestSite::all().await {
        let (device, other) = (test.enrol("pc1").await, test.enrol("pc2").await);
        let me = identity(&device);
        assert_eq!(connects(&test, &me).await, Ok(()));
        for wrong in [
            ClientIdentity { site: "XYZ".parse().unwrap(), ..me.clone() },
            ClientIdentity { key: identity(&other).key, ..me.clone() },
            ClientIdentity { serial: identity(&other).serial, ..me.clone() },
            ClientIdentity { serial: String::new(), ..me.clone() },
            ClientIdentity { device: other.id, ..me.clone() },
            ClientIdentity { device: DeviceId(uuid::Uuid::nil()), ..me.clone() },
            ClientIdentity { expires: test.now(), ..me.clone() },
        ] {
            assert_eq!(connects(&test, &wrong).await, Err(Code::DeviceNotActive), "{wrong:?}");
        }
    }
}

#[tokio::test]
async fn an_idle_check_in_asks_no_database() {
    let test = TestSite::new().await;
    let device = test.enrol("pc1").await;
    let me = identity(&device);
    connects(&test, &me).await.unwrap();
    test.site.store.close().await;
    for _ in 0..100 {
        assert_eq!(connects(&test, &me).await, Ok(()));
        device_seen(&test.site, device.id, test.now());
    }
    // The store is away: what was seen is not lost, only late.
    assert!(device_seen_flush(&test.site).await.is_err());
    assert_eq!(test.site.memory.seen.of(device.id), Some(test.now()));
}

#[tokio::test]
async fn last_contacts_are_shown_at_once_and_written_together() {
    for test in TestSite::all().await {
        let (one, two) = (test.enrol("pc1").await, test.enrol("pc2").await);
        let seen = async |device: &TestDevice| {
            device_show(&test.full(), &test.site, device.id).await.unwrap().device.last_seen
        };
        assert_eq!(seen(&one).await, None);
        let first = test.now();
        device_seen(&test.site, one.id, first);
        assert_eq!(seen(&one).await, Some(first), "before it is written");
        test.sources.pass(SECOND);
        device_seen(&test.site, one.id, test.now());
        device_seen(&test.site, one.id, first);
        device_seen(&test.site, two.id, first);
        assert_eq!(device_seen_flush(&test.site).await.unwrap(), 2);
        assert_eq!(device_seen_flush(&test.site).await.unwrap(), 0);
        assert_eq!((seen(&one).await, seen(&two).await), (Some(test.now()), Some(first)));
        // A clock that was set back does not make a contact undone.
        device_seen(&test.site, one.id, first.plus(-DAY));
        device_seen_flush(&test.site).await.unwrap();
        assert_eq!(seen(&one).await, Some(test.now()));
        let guard = test.site.memory.online.enter(one.id);
        assert!(device_show(&test.full(), &test.site, one.id).await.unwrap().device.online);
        drop(guard);
    }
}

async fn names(test: &TestSite, query: DeviceQuery) -> (Vec<String>, u64) {
    let page = device_list(&test.analyst(), &test.site, DeviceQuery { limit: 50, ..query }).await.unwrap();
    (page.items.into_iter().map(|device| device.name).collect(), page.total)
}

#[tokio::test]
async fn the_list_is_searched_sorted_and_paged() {
    for test in TestSite::all().await {
        for name in ["web-2", "db_1", "web-1", "100%"] {
            test.sources.pass(MINUTE);
            let device = test.enrol(name).await;
            if name == "db_1" {
                device_seen(&test.site, device.id, test.now());
                device_block(&test.full(), &test.site, device.id, reason("x"), None).await.unwrap();
            }
        }
        device_seen_flush(&test.site).await.unwrap();
        let all = DeviceQuery { limit: 50, ..DeviceQuery::default() };
        let check = async |query: DeviceQuery, expected: &[&str]| {
            let (found, total) = names(&test, query.clone()).await;
            assert_eq!(
                (&found[..], total),
                (&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..], expected.len() as u64),
                "{query:?}"
            );
        };
        check(all.clone(), &["100%", "db_1", "web-1", "web-2"]).await;
        check(DeviceQuery { descending: true, ..all.clone() }, &["web-2", "web-1", "db_1", "100%"]).await;
        let by = |sort, descending| DeviceQuery { sort, descending, ..all.clone() };
        check(by(DeviceSort::Enrolled, false), &["web-2", "db_1", "web-1", "100%"]).await;
        check(by(DeviceSort::State, true), &["db_1", "web-2", "web-1", "100%"]).await;
        check(by(DeviceSort::LastSeen, true), &["db_1", "100%", "web-1", "web-2"]).await;
        check(by(DeviceSort::OperatingSystem, false), &["web-2", "db_1", "web-1", "100%"]).await;
        let search = |text: &str| DeviceQuery { search: text.to_owned(), ..all.clone() };
        check(search("WEB"), &["web-1", "web-2"]).await;
        check(search("bookworm"), &["100%", "db_1", "web-1", "web-2"]).await;
        check(search(" % "), &["100%"]).await;
        check(search("_"), &["db_1"]).await;
        check(search("!"), &[]).await;
        check(search("'; DROP TABLE device; --"), &[]).await;
        let blocked = DeviceQuery { state: Some(DeviceState::Blocked), ..all.clone() };
        check(blocked.clone(), &["db_1"]).await;
        check(DeviceQuery { search: "web".to_owned(), ..blocked }, &[]).await;

        let page =
            device_list(&test.full(), &test.site, DeviceQuery { offset: 1, limit: 2, ..all.clone() }).await.unwrap();
        let found: Vec<_> = page.items.iter().map(|device| device.name.as_str()).collect();
        assert_eq!((found, page.total, page.offset), (vec!["db_1", "web-1"], 4, 1));
        check(search(&page.items[0].id.to_string()), &["db_1"]).await;

        let too_much = async |query| device_list(&test.full(), &test.site, query).await.unwrap_err().code();
        assert_eq!(too_much(DeviceQuery { limit: 501, ..all.clone() }).await, Code::TooLarge);
        assert_eq!(too_much(search(&"x".repeat(201))).await, Code::TooLarge);
        let anonymous = device_list(&test.anonymous(), &test.site, all).await.unwrap_err();
        assert_eq!(anonymous.code(), Code::Unauthenticated);
    }
}

// proves I5: what another process on the same database decides counts here within a second, and in both directions.
#[tokio::test]
async fn a_decision_of_another_process_is_not_hidden_by_what_is_remembered() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        let me = identity(&device);
        assert_eq!(connects(&test, &me).await, Ok(()));
        // Another process quarantines the device: nothing is revoked, so nothing but the device itself says so.
        muster_store::transaction!(test.site.store, "another", |tx| { suspect(tx, device.id).await }).unwrap();
        test.sources.pass(SECOND);
        assert_eq!(connects(&test, &me).await, Err(Code::DeviceNotActive));
        // It lets the device in again, and renews its certificate: what is remembered says that neither is so.
        tamper(
            &test.site.store,
            "UPDATE device SET state = 'active', certificate_serial = '40', previous_serial = '41'",
        )
        .await;
        let renewed = ClientIdentity { serial: "40".to_owned(), ..me.clone() };
        assert_eq!(connects(&test, &renewed).await, Ok(()));
        tamper(&test.site.store, "UPDATE device SET certificate_serial = '42'").await;
        let renewed = ClientIdentity { serial: "42".to_owned(), ..me };
        assert_eq!(connects(&test, &renewed).await, Ok(()));
    }
}
