//! Two machines that look like one device: quarantined at once, shown side by side, and decided by an administrator.

use crate::{
    client::{Outbox, sealed},
    report::started,
};
use muster_model::{
    api::{ConflictDecide, ConflictDecision, ConflictKind, ConflictQuery, DeviceState, PageQuery, Role},
    enrol::{DeviceClaims, EnrolAnswer},
    id::{ConflictId, DeviceId, EnrolmentId, Hash},
    problem::Code,
    report::{Body, Channel, NetworkReport},
};
use muster_site::{
    Ctx, SiteError, audit_list, conflict_decide, conflict_list, device_show, device_timeline, enrolment_request,
    report_submit,
    testing::{TestDevice, TestSite, enrol_request},
};
use muster_store::{bus::Notice, db::network};
use muster_trust::PrivateKey;

const PAGE: PageQuery = PageQuery { offset: 0, limit: 500 };

fn decide(decision: ConflictDecision) -> ConflictDecide {
    ConflictDecide { decision, reason: "looked at both".to_owned() }
}

fn from(test: &TestSite, device: &TestDevice, address: &str) -> Ctx {
    Ctx { address: address.to_owned(), ..test.device(device) }
}

async fn send(test: &TestSite, device: &TestDevice, outbox: &mut Outbox, address: &str) -> Result<(), SiteError> {
    let envelope = sealed(device, &outbox.batch(outbox.waiting.len()));
    let answer = report_submit(&from(test, device, address), &test.site, &envelope).await?;
    outbox.take(&answer);
    Ok(())
}

async fn state(test: &TestSite, device: &TestDevice) -> DeviceState {
    device_show(&test.full(), &test.site, device.id).await.unwrap().device.state
}

async fn open(test: &TestSite) -> Vec<muster_model::api::Conflict> {
    let query = ConflictQuery { open: true, offset: 0, limit: 50 };
    conflict_list(&test.analyst(), &test.site, query).await.unwrap().items
}

/// A device with one report from 10.0.0.1, and a copy of it that goes another way from 10.0.0.2.
async fn forked(test: &TestSite, name: &str) -> (TestDevice, Outbox, Outbox) {
    let device = test.enrol(name).await;
    let mut first = Outbox::new(Channel::Status);
    first.push(started());
    send(test, &device, &mut first, "10.0.0.1").await.unwrap();
    let mut copy = first.clone();
    first.push(started());
    send(test, &device, &mut first, "10.0.0.1").await.unwrap();
    copy.push(Body::Heartbeat(device.claims.clone()));
    let error = send(test, &device, &mut copy, "10.0.0.2").await.unwrap_err();
    assert_eq!(error.code(), Code::SequenceFork);
    (device, first, copy)
}

#[tokio::test]
async fn a_fork_quarantines_the_device_and_says_which_two_machines() {
    // proves S8: one key used by two machines is seen by the fork of its history; the device is out, and both are named.
    for test in TestSite::all().await {
        let mut notices = test.site.bus.subscribe();
        let (device, mut first, mut copy) = forked(&test, "alpha").await;
        assert_eq!(state(&test, &device).await, DeviceState::Quarantined);
        let closed = std::iter::from_fn(|| notices.try_recv().ok()).any(|n| n == Notice::DeviceClosed(device.id));
        assert!(closed, "what it has open is closed");
        let before = audit_list(&test.full(), &test.site, PAGE).await.unwrap().total;
        first.push(started());
        for (outbox, address) in [(&mut first, "10.0.0.1"), (&mut copy, "10.0.0.2")] {
            let error = send(&test, &device, outbox, address).await.unwrap_err();
            assert_eq!(error.code(), Code::DeviceNotActive, "neither of them says anything more");
        }
        assert_eq!(audit_list(&test.full(), &test.site, PAGE).await.unwrap().total, before, "written down once");
        let conflicts = open(&test).await;
        let [conflict] = &conflicts[..] else { panic!("{conflicts:?}") };
        assert_eq!((conflict.device, conflict.kind), (device.id, ConflictKind::SequenceFork));
        assert_eq!((conflict.first.address.as_str(), conflict.second.address.as_str()), ("10.0.0.1", "10.0.0.2"));
        assert_eq!(conflict.second.name, "alpha", "as its heartbeat says");
        let timeline = device_timeline(&test.full(), &test.site, device.id, PAGE).await.unwrap().items;
        let text = &timeline[0].text;
        assert!(text.contains("10.0.0.1") && text.contains("10.0.0.2"), "{text}");
    }
}

#[tokio::test]
async fn one_machine_goes_on_where_the_site_is() {
    for test in TestSite::all().await {
        let (device, mut first, mut copy) = forked(&test, "alpha").await;
        let id = open(&test).await[0].id;
        let decided =
            conflict_decide(&test.full(), &test.site, id, decide(ConflictDecision::SameMachine)).await.unwrap();
        assert_eq!(
            (decided.decision, decided.device_state),
            (Some(ConflictDecision::SameMachine), DeviceState::Active)
        );
        assert_eq!(decided.decided_by.as_deref(), Some(test.full().actor().as_str()));
        // The copy, which was the machine after all, is told where to go on, and goes on there; on each of its channels.
        let told = send(&test, &device, &mut copy, "10.0.0.2").await.unwrap_err();
        assert_eq!((told.code(), told.problem().expected), (Code::SequenceGap, Some(3)));
        let mut on = Outbox { acknowledged: 2, ..copy };
        let batch = muster_model::report::Batch { resume_after_loss: true, ..on.batch(1) };
        let envelope = sealed(&device, &batch);
        let answer = report_submit(&from(&test, &device, "10.0.0.2"), &test.site, &envelope).await.unwrap();
        on.take(&answer);
        let history = device_timeline(&test.full(), &test.site, device.id, PAGE).await.unwrap().items;
        assert!(history.iter().any(|line| line.text.contains("anew at message 3")), "{history:?}");
        assert!(open(&test).await.is_empty());
        // The history that the decision gave up is another one now.
        first.push(started());
        let error = send(&test, &device, &mut first, "10.0.0.1").await.unwrap_err();
        assert_eq!(error.code(), Code::SequenceFork);
        let again = conflict_decide(&test.full(), &test.site, id, decide(ConflictDecision::Block)).await.unwrap_err();
        assert_eq!(again.code(), Code::Conflict, "the new conflict is not decided with the old one");
        assert_eq!(state(&test, &device).await, DeviceState::Quarantined);
    }
}

#[tokio::test]
async fn a_report_that_was_overtaken_is_acknowledged_and_no_fork() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(started());
        let delayed = outbox.clone();
        outbox.push(started());
        send(&test, &device, &mut outbox, "10.0.0.1").await.unwrap();
        for _ in 0..3 {
            outbox.push(started());
            send(&test, &device, &mut outbox, "10.0.0.1").await.unwrap();
        }
        // What was sealed alone at first, and sent again with more behind it, arrives at last.
        let mut delayed = delayed;
        send(&test, &device, &mut delayed, "10.0.0.1").await.unwrap();
        assert_eq!(delayed.acknowledged, 1, "it is told of its own message");
        assert_eq!(state(&test, &device).await, DeviceState::Active);
        assert!(open(&test).await.is_empty());
        outbox.push(started());
        send(&test, &device, &mut outbox, "10.0.0.1").await.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_waits_is_not_approved_once_its_machine_is_locked_out() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let waiting = test.request("alpha").await;
        muster_site::device_block(&test.full(), &test.site, device.id, crate::reason("stolen"), None).await.unwrap();
        let error = muster_site::enrolment_approve(&test.full(), &test.site, waiting.id).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        muster_site::device_unblock(&test.full(), &test.site, device.id, crate::reason("found"), None).await.unwrap();
        muster_site::enrolment_approve(&test.full(), &test.site, waiting.id).await.unwrap();
    }
}

#[tokio::test]
async fn two_machines_lose_the_key_and_a_lockout_holds_both_hardware_ids() {
    for test in TestSite::all().await {
        let (device, ..) = forked(&test, "alpha").await;
        let id = open(&test).await[0].id;
        conflict_decide(&test.full(), &test.site, id, decide(ConflictDecision::TwoMachines)).await.unwrap();
        assert_eq!(state(&test, &device).await, DeviceState::Retired);

        // proves S4: a key on other hardware is seen by the hardware id of its heartbeat; locked out, neither machine comes back.
        let device = test.enrol("beta").await;
        let other = DeviceClaims { host_name: "gamma".to_owned(), hardware_id: Hash([9; 32]), ..device.claims.clone() };
        let mut outbox = Outbox::new(Channel::Status);
        let network =
            |address: &str| Body::Network(NetworkReport { addresses: vec![address.to_owned()], directory_site: None });
        outbox.push(Body::Heartbeat(device.claims.clone()));
        outbox.push(network("10.1.0.5/24"));
        send(&test, &device, &mut outbox, "10.0.0.1").await.unwrap();
        outbox.push(Body::Heartbeat(other.clone()));
        outbox.push(network("10.2.0.5/24"));
        send(&test, &device, &mut outbox, "10.0.0.2").await.unwrap();
        assert_eq!(state(&test, &device).await, DeviceState::Quarantined);
        let stands = network::get(&mut test.site.store.reader().await.unwrap(), device.id).await.unwrap().unwrap();
        assert_eq!(stands.seen_address, "10.0.0.1", "nor does it move the device to where it is itself");
        let detail = device_show(&test.full(), &test.site, device.id).await.unwrap();
        assert_eq!(detail.device.name, "beta", "what the second machine says of itself is not the device's");
        let conflict = open(&test).await.remove(0);
        assert_eq!(conflict.kind, ConflictKind::HardwareId);
        assert_eq!(conflict.second.hardware_id, Some(Hash([9; 32])));
        assert_eq!((conflict.first.name.as_str(), conflict.second.name.as_str()), ("beta", "gamma"));
        conflict_decide(&test.full(), &test.site, conflict.id, decide(ConflictDecision::Block)).await.unwrap();
        assert_eq!(state(&test, &device).await, DeviceState::Blocked);
        for claims in [other, device.claims.clone()] {
            let claims = DeviceClaims { host_name: "new-name".to_owned(), ..claims };
            let key = muster_trust::PrivateKey::generate().unwrap();
            let request = enrol_request(&test.token().await, &key, claims);
            let answer = enrolment_request(
                &test.anonymous(),
                &test.site,
                &muster_site::Channel::new(muster_model::id::Hash([0; 32])),
                request,
            )
            .await
            .unwrap();
            assert_eq!(answer, EnrolAnswer::Refused, "refused under a new name and key");
        }
    }
}

#[tokio::test]
async fn exchanged_hardware_becomes_the_device_s_own() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let new = DeviceClaims { hardware_id: Hash([8; 32]), ..device.claims.clone() };
        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(Body::Heartbeat(new.clone()));
        send(&test, &device, &mut outbox, "10.0.0.1").await.unwrap();
        let id = open(&test).await[0].id;
        conflict_decide(&test.full(), &test.site, id, decide(ConflictDecision::SameMachine)).await.unwrap();
        outbox.push(Body::Heartbeat(new));
        send(&test, &device, &mut outbox, "10.0.0.1").await.unwrap();
        assert!(open(&test).await.is_empty());
        assert_eq!(device_show(&test.full(), &test.site, device.id).await.unwrap().hardware_id, Hash([8; 32]));
    }
}

#[tokio::test]
async fn only_an_administrator_who_may_change_decides_and_gives_a_reason() {
    for test in TestSite::all().await {
        let (device, ..) = forked(&test, "alpha").await;
        let id = open(&test).await[0].id;
        assert_eq!(test.analyst().role(), Some(Role::ReadOnlyAnalyst));
        let no_reason = ConflictDecide { reason: " ".to_owned(), ..decide(ConflictDecision::Block) };
        let unknown = ConflictId(uuid::Uuid::from_u128(5));
        let block = || decide(ConflictDecision::Block);
        for (ctx, id, request, code) in [
            (test.analyst(), id, block(), Code::Forbidden),
            (test.device(&device), id, block(), Code::Unauthenticated),
            (test.full(), id, no_reason, Code::Malformed),
            (test.full(), unknown, block(), Code::NotFound),
        ] {
            assert_eq!(conflict_decide(&ctx, &test.site, id, request).await.unwrap_err().code(), code);
        }
        assert_eq!(state(&test, &device).await, DeviceState::Quarantined);
        assert_eq!(
            conflict_list(&test.device(&device), &test.site, ConflictQuery::default()).await.unwrap_err().code(),
            Code::Unauthenticated
        );
    }
}

/// A device that spoke from 10.0.0.1, and a request of a machine with its hardware id and another key.
async fn asks_again(test: &TestSite, name: &str) -> (TestDevice, EnrolmentId) {
    let device = test.enrol(name).await;
    let mut outbox = Outbox::new(Channel::Status);
    outbox.push(started());
    send(test, &device, &mut outbox, "10.0.0.1").await.unwrap();
    let key = PrivateKey::generate().unwrap();
    let claims = DeviceClaims { host_name: format!("{name}-new"), ..device.claims.clone() };
    let request = enrol_request(&test.token().await, &key, claims);
    let channel = muster_site::Channel::new(Hash([0; 32]));
    let answer = enrolment_request(&test.anonymous(), &test.site, &channel, request).await.unwrap();
    let EnrolAnswer::Pending { enrolment, .. } = answer else { panic!("{answer:?}") };
    (device, enrolment)
}

#[tokio::test]
async fn a_machine_that_asks_again_waits_and_is_decided_together_with_its_device() {
    // proves S8: the same hardware id with another key is a conflict that names both; the request waits, and nobody's word locks a device out.
    for test in TestSite::all().await {
        for decision in [
            ConflictDecision::SameMachine,
            ConflictDecision::TwoMachines,
            ConflictDecision::Refused,
            ConflictDecision::Block,
        ] {
            let (device, enrolment) = asks_again(&test, &format!("pc-{decision}")).await;
            assert_eq!(state(&test, &device).await, DeviceState::Active, "a token's holder may say any hardware id");
            let conflicts = open(&test).await;
            let [conflict] = &conflicts[..] else { panic!("{conflicts:?}") };
            assert_eq!((conflict.kind, conflict.enrolment), (ConflictKind::EnrolledAgain, Some(enrolment)));
            let both =
                [&conflict.first, &conflict.second].map(|machine| (machine.address.as_str(), machine.name.clone()));
            let name = device.claims.host_name.clone();
            assert_eq!(both, [("10.0.0.1", name.clone()), ("192.0.2.1", format!("{name}-new"))]);

            let done = conflict_decide(&test.full(), &test.site, conflict.id, decide(decision)).await.unwrap();
            assert_eq!(done.decision, Some(decision));
            let again = conflict_decide(&test.full(), &test.site, conflict.id, decide(decision)).await.unwrap_err();
            assert_eq!(again.code(), Code::Conflict);
            let new = device_show(&test.full(), &test.site, DeviceId(enrolment.0)).await;
            let new = new.map(|detail| detail.device.state).ok();
            let (old, asked) = match decision {
                ConflictDecision::SameMachine => (DeviceState::Retired, Some(DeviceState::Active)),
                ConflictDecision::TwoMachines => (DeviceState::Active, Some(DeviceState::Active)),
                ConflictDecision::Refused => (DeviceState::Active, None),
                ConflictDecision::Block => (DeviceState::Blocked, None),
            };
            assert_eq!((state(&test, &device).await, new), (old, asked), "{decision}");
            assert!(open(&test).await.is_empty());
        }
    }
}

#[tokio::test]
async fn a_block_is_not_undone_by_a_decision_about_a_request() {
    for test in TestSite::all().await {
        let (device, enrolment) = asks_again(&test, "alpha").await;
        let id = open(&test).await[0].id;
        muster_site::device_block(&test.full(), &test.site, device.id, crate::reason("stolen"), None).await.unwrap();
        for decision in [ConflictDecision::SameMachine, ConflictDecision::TwoMachines] {
            let error = conflict_decide(&test.full(), &test.site, id, decide(decision)).await.unwrap_err();
            assert_eq!(error.code(), Code::Conflict, "{decision}");
        }
        assert_eq!(state(&test, &device).await, DeviceState::Blocked);
        assert!(device_show(&test.full(), &test.site, DeviceId(enrolment.0)).await.is_err());
        conflict_decide(&test.full(), &test.site, id, decide(ConflictDecision::Refused)).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_is_decided_by_itself_leaves_no_open_conflict() {
    for test in TestSite::all().await {
        let (_, enrolment) = asks_again(&test, "alpha").await;
        muster_site::enrolment_approve(&test.full(), &test.site, enrolment).await.unwrap();
        assert!(open(&test).await.is_empty());
        let (_, enrolment) = asks_again(&test, "beta").await;
        let reason = crate::reason("nobody knows it");
        muster_site::enrolment_refuse(&test.full(), &test.site, enrolment, reason).await.unwrap();
        assert!(open(&test).await.is_empty());
        // One that both machines speak as is not refused: there is no request.
        forked(&test, "gamma").await;
        let id = open(&test).await[0].id;
        let error = conflict_decide(&test.full(), &test.site, id, decide(ConflictDecision::Refused)).await.unwrap_err();
        assert_eq!(error.code(), Code::Malformed);
    }
}
