//! The server must prove that its certificate is not revoked: at the first contact, ever after, and across restarts.

use crate::actor::{Site, machine::Machine, now};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_agent::{
    enrol::{self, EnrolError, Enrolment},
    http::HttpError,
    identity::{self, Identity},
    os::PrivateDirectory,
    site,
};
use muster_model::limits::Limits;
use muster_model::{
    api::RevocationReason,
    report::Body,
    status::MessageId,
    time::{DAY, HOUR},
};
use muster_trust::{
    PrivateKey, TrustChain, certificate,
    certificate::IssuingCa,
    ocsp::{Status, StatusError},
};
use std::sync::Arc;

/// The site as an agent sees it that starts on this directory.
fn started(machine: &Machine, directory: &PrivateDirectory) -> site::Site {
    let identity = Identity::load(directory).unwrap().unwrap();
    let trust = identity::load_trust(directory, &identity).unwrap().unwrap();
    let key = identity::device_key(directory).unwrap();
    site::Site::new(machine.clock.clone(), key, identity, trust, identity::load_statuses(directory)).unwrap()
}

async fn connects(client: &site::Site) -> Result<(), StatusError> {
    match client.session().await {
        Ok(_) => Ok(()),
        Err(HttpError::Unproven { reason, .. }) => Err(reason),
        Err(other) => panic!("{other}"),
    }
}

fn revoked() -> Status {
    Status::Revoked { at: now(), reason: RevocationReason::KeyCompromise }
}

// proves S2 S22
#[tokio::test]
async fn a_client_that_cannot_tell_does_not_go_on() {
    let (site, machine) = (Site::start().await, Machine::new());
    let directory = machine.directory();
    enrol::accept_token(&directory, &site.token(), false).unwrap();
    for (status, reason) in [
        (Vec::new(), StatusError::Missing),
        (b"junk".to_vec(), StatusError::Malformed),
        (
            site.keys.ca.ocsp_status(site.serial() ^ 1, Status::Good, now(), now().plus(HOUR)).unwrap(),
            StatusError::Foreign,
        ),
        (site.keys.ca.ocsp_status(site.serial(), revoked(), now(), now().plus(HOUR)).unwrap(), StatusError::Revoked),
    ] {
        site.show_status(status);
        let identity = Identity::load(&directory).unwrap().unwrap();
        let mut enrolment = Enrolment::new(&directory, &machine.clock, identity).unwrap();
        let error = enrolment.step().await.unwrap_err();
        assert!(error.is_passing(), "the site may get another certificate: {error}");
        let EnrolError::Http(HttpError::Unproven { reason: said, .. }) = &error else { panic!("{error}") };
        assert_eq!(*said, reason);
    }
    assert!(site.state().request.is_none(), "nothing was said to a server that proved nothing");
}

#[tokio::test]
async fn a_restart_goes_on_with_the_status_that_is_kept_and_only_for_its_time() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let directory = machine.directory();
    site.prove(Status::Good, now(), now().plus(HOUR));
    let first = started(&machine, &directory);
    assert_eq!(connects(&first).await, Ok(()));
    identity::store_statuses(&directory, &first.statuses).unwrap();
    // The server has nothing to show, and nothing else can be reached.
    site.show_status(Vec::new());
    assert_eq!(connects(&started(&machine, &directory)).await, Ok(()));
    let mut later = Machine::new();
    later.clock = muster_agent::clock::Clock::at(now().plus(2 * HOUR));
    assert_eq!(connects(&started(&later, &directory)).await, Err(StatusError::Missing));
    // What is on the disk is not believed because it is there.
    let file = machine.state().join("server-status.json");
    let forged = PrivateKey::generate().unwrap();
    let ca = IssuingCa::new(
        certificate::issuing(site.code, &site.keys.root_certificate(), &site.keys.root, forged.public(), &[], now())
            .unwrap(),
        &forged,
    );
    let forged = ca.unwrap().ocsp_status(site.serial(), Status::Good, now(), now().plus(DAY)).unwrap();
    for (name, bytes) in [
        ("forged", serde_json::to_vec(&serde_json::json!({"127.0.0.1": BASE64.encode(forged)})).unwrap()),
        ("junk", b"{\"127.0.0.1\": 7}".to_vec()),
        ("empty", Vec::new()),
    ] {
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(connects(&started(&machine, &directory)).await, Err(StatusError::Missing), "{name}");
    }
}

// proves S2: whoever sets the clock back does not bring a status back that has ended.
#[tokio::test]
async fn a_server_is_not_judged_at_a_time_before_what_the_site_has_signed() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let client = started(&machine, &machine.directory());
    site.prove(Status::Good, now(), now().plus(HOUR));
    assert_eq!(connects(&client).await, Ok(()));
    // A day is granted: the site's clock may have been ahead.
    client.time.raise(now().plus(DAY));
    assert_eq!(connects(&client).await, Ok(()));
    client.time.raise(now().plus(DAY + 2 * HOUR));
    assert_eq!(connects(&client).await, Err(StatusError::Stale));
}

#[tokio::test]
async fn a_revoked_server_is_refused_and_reported_when_there_is_a_good_one_again() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    site.assign(Vec::new());
    site.prove(revoked(), now(), now().plus(DAY));
    let agent = machine.run();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(site.state().requests, 0, "a revoked server hears nothing");
    // The same certificate does not become good again; the site gets another one.
    site.recertify();
    site.prove(Status::Good, now(), now().plus(DAY));
    let reason = site
        .wait("the report of the refusal", |state| {
            state.messages.iter().find_map(|(_, _, message)| match &message.body {
                Body::Status(status) if status.id == MessageId::ServerRefused => status.values.get("reason").cloned(),
                _ => None,
            })
        })
        .await;
    assert_eq!(reason, "revoked");
    agent.stop().await;
}

#[tokio::test]
async fn a_client_that_missed_a_new_issuing_ca_learns_of_it_from_whoever_has_the_bundle() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let directory = machine.directory();
    // The bundle that it has names another issuing CA of the same root.
    let other = PrivateKey::generate().unwrap();
    let other =
        certificate::issuing(site.code, &site.keys.root_certificate(), &site.keys.root, other.public(), &[], now());
    let other = BASE64.encode(other.unwrap());
    site.state().bundle_version += 1;
    site.sign_bundle(|bundle| bundle.issuing = vec![other]);
    let envelope = site.state().bundle.clone();
    let kept = TrustChain::kept(&envelope, &site.keys.root.public().id(), site.code).unwrap();
    identity::store_trust(&directory, &kept).unwrap();
    let client = Arc::new(started(&machine, &directory));
    assert_eq!(connects(&client).await, Err(StatusError::IssuerUnknown));
    site.state().bundle_version += 1;
    site.sign_bundle(|_| {});
    let address = client.identity().enrol.parse().unwrap();
    let newer = enrol::newer_trust(&address, &client.trust(), &Limits::default(), now()).await.unwrap().unwrap();
    identity::store_trust(&directory, &newer).unwrap();
    client.change(client.identity(), Arc::new(newer)).unwrap();
    assert_eq!(connects(&client).await, Ok(()));
    assert_eq!(connects(&started(&machine, &directory)).await, Ok(()), "it is on the disk");
}
