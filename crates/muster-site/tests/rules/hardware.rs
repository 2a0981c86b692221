//! Hardware identities: who may decide, and what a block does to devices that proved one.

use crate::reason;
use muster_model::{
    api::{DeviceState, Hardware, HardwareSet, HardwareStanding, PageQuery},
    id::Hash,
    problem::Code,
};
use muster_site::{
    testing::{TestDevice, TestSite},
    *,
};
use muster_store::{
    StoreError, Tx,
    db::{device::touch, hardware},
    testing::tamper,
};
use std::time::Duration;

const TPM: Hash = Hash([0xaa; 32]);

fn set(standing: HardwareStanding) -> HardwareSet {
    HardwareSet { standing, note: "stolen".to_owned() }
}

/// A device as if it had proven this TPM. How one proves it is the stories' matter.
async fn attested(test: &TestSite, name: &str) -> TestDevice {
    let device = test.enrol(name).await;
    // As text, as the database has it.
    let statement = "UPDATE device SET hardware = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";
    tamper(&test.site.store, statement).await;
    device
}

async fn state(test: &TestSite, device: &TestDevice) -> DeviceState {
    device_show(&test.full(), &test.site, device.id).await.unwrap().device.state
}

#[tokio::test]
async fn only_full_administrators_decide_and_everything_is_recorded() {
    for test in TestSite::all().await {
        let denied = hardware_set(&test.analyst(), &test.site, TPM, set(HardwareStanding::Allowed)).await;
        assert_eq!(denied.unwrap_err().code(), Code::Forbidden);
        let denied = hardware_list(&test.anonymous(), &test.site, PageQuery::default()).await;
        assert_eq!(denied.unwrap_err().code(), Code::Unauthenticated);
        let unsaid = HardwareSet { standing: HardwareStanding::Allowed, note: " ".to_owned() };
        let refused = hardware_set(&test.full(), &test.site, TPM, unsaid).await;
        assert_eq!(refused.unwrap_err().code(), Code::Malformed);

        for standing in [HardwareStanding::Awaited, HardwareStanding::Allowed] {
            hardware_set(&test.full(), &test.site, TPM, set(standing)).await.unwrap();
            let page = hardware_list(&test.analyst(), &test.site, PageQuery::default()).await.unwrap();
            assert_eq!((page.total, page.items[0].id, page.items[0].standing), (1, TPM, standing));
        }
        hardware_remove(&test.full(), &test.site, TPM, reason("mistake")).await.unwrap();
        let again = hardware_remove(&test.full(), &test.site, TPM, reason("mistake")).await;
        assert_eq!(again.unwrap_err().code(), Code::NotFound);
        let audit = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap();
        let actions: Vec<_> = audit.items.iter().map(|entry| entry.action.as_str()).take(3).collect();
        assert_eq!(actions, ["hardware_remove", "hardware_set", "hardware_set"]);
    }
}

// proves S4
#[tokio::test]
async fn a_blocked_hardware_identity_locks_its_device_out_until_it_is_let_go() {
    for test in TestSite::all().await {
        let device = attested(&test, "pc1").await;
        hardware_set(&test.full(), &test.site, TPM, set(HardwareStanding::Blocked)).await.unwrap();
        assert_eq!(state(&test, &device).await, DeviceState::Blocked);
        let unblocked = device_unblock(&test.full(), &test.site, device.id, reason("found"), None).await;
        assert_eq!(unblocked.unwrap_err().code(), Code::Conflict);
        hardware_remove(&test.full(), &test.site, TPM, reason("found")).await.unwrap();
        assert_eq!(state(&test, &device).await, DeviceState::Blocked, "that is a decision of its own");
        device_unblock(&test.full(), &test.site, device.id, reason("found"), None).await.unwrap();
        assert_eq!(state(&test, &device).await, DeviceState::Active);
    }
}

// What is awaited comes once, also where somebody approves it by hand.
#[tokio::test]
async fn an_awaited_hardware_identity_has_come_whoever_approved_it() {
    for test in TestSite::all().await {
        let request = test.request("pc1").await;
        let statement =
            "UPDATE enrolment SET hardware = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";
        tamper(&test.site.store, statement).await;
        hardware_set(&test.full(), &test.site, TPM, set(HardwareStanding::Awaited)).await.unwrap();
        enrolment_approve(&test.full(), &test.site, request.id).await.unwrap();
        let page = hardware_list(&test.analyst(), &test.site, PageQuery::default()).await.unwrap();
        assert_eq!(page.items[0].standing, HardwareStanding::Allowed);
    }
}

/// Somebody else's transaction, which holds what it has done for a while before it commits.
async fn meanwhile(
    test: &TestSite,
    work: impl AsyncFn(&mut Tx) -> Result<(), StoreError>,
    held: tokio::sync::oneshot::Sender<()>,
) {
    let mut tx = test.site.store.begin().await.unwrap();
    work(&mut tx).await.unwrap();
    held.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let done = test.site.store.end("meanwhile", tx, Ok::<_, StoreError>(()), &mut 0).await;
    done.unwrap().unwrap();
}

// proves S4: an approval and a block of the same hardware at the same moment.
#[tokio::test]
async fn an_approval_does_not_slip_past_a_block_that_is_being_written() {
    for test in TestSite::all().await {
        let request = test.request("pc1").await;
        let statement =
            "UPDATE enrolment SET hardware = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";
        tamper(&test.site.store, statement).await;
        let (held, is_held) = tokio::sync::oneshot::channel();
        let row = Hardware {
            id: TPM,
            standing: HardwareStanding::Blocked,
            note: "stolen".to_owned(),
            changed: test.now(),
            changed_by: "another".to_owned(),
        };
        let block = meanwhile(
            &test,
            async |tx: &mut Tx| {
                hardware::lock(tx).await?;
                hardware::set(tx, &row).await
            },
            held,
        );
        let approve = async {
            is_held.await.unwrap();
            enrolment_approve(&test.full(), &test.site, request.id).await
        };
        let ((), approved) = tokio::join!(block, approve);
        assert_eq!(approved.unwrap_err().code(), Code::Conflict);
    }
}

// proves S4: a block of hardware while its device changes for another reason.
#[tokio::test]
async fn a_block_of_hardware_does_not_pass_over_a_device_that_is_changing() {
    for test in TestSite::all().await {
        let device = attested(&test, "pc1").await;
        let (held, is_held) = tokio::sync::oneshot::channel();
        let change = meanwhile(&test, async |tx: &mut Tx| touch(tx, device.id).await, held);
        let block = async {
            is_held.await.unwrap();
            hardware_set(&test.full(), &test.site, TPM, set(HardwareStanding::Blocked)).await.unwrap();
        };
        tokio::join!(change, block);
        assert_eq!(state(&test, &device).await, DeviceState::Blocked);
    }
}
