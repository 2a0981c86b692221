//! Enrolment: pinned or nothing, resumable after a kill, and only the right certificate.

use crate::actor::{Site, machine::Machine};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_agent::{
    enrol::{self, EnrolError, Enrolment, Progress},
    http::HttpError,
    identity::{Identity, Stage},
};
use muster_model::{enrol::EnrolmentToken, id::Hash};
use muster_trust::{PrivateKey, bundle::BundleError, certificate};

fn take_up<'a>(machine: &'a Machine, directory: &'a muster_agent::os::PrivateDirectory) -> Enrolment<'a> {
    let identity = Identity::load(directory).unwrap().unwrap();
    Enrolment::new(directory, &machine.clock, identity).unwrap()
}

// proves S9 I7
#[tokio::test]
async fn an_unpinned_agent_refuses_to_start() {
    let machine = Machine::new();
    let output = machine.program(&["run"]).output().await.unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("does not start without") && text.contains("muster-agent enrol --token"), "{text}");
}

#[tokio::test]
async fn a_token_in_the_argument_list_is_refused_and_not_repeated() {
    let (site, machine) = (Site::start().await, Machine::new());
    let text = site.token().to_text();
    let output = machine.program(&["enrol", "--token", &text]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("argument list") && !said.contains(&text[10..]), "{said}");
}

#[tokio::test]
async fn from_a_token_to_a_certificate_through_kills_at_every_step() {
    let (site, machine) = (Site::start().await, Machine::new());
    let directory = machine.directory();
    enrol::accept_token(&directory, &site.token(), false).unwrap();
    // The answer to the first request is lost; a kill follows. The same request is the same request.
    site.state().mischief.drop_enrolments = 1;
    assert!(take_up(&machine, &directory).step().await.unwrap_err().is_passing());
    assert!(site.state().request.is_some());
    enrol::accept_token(&directory, &site.token(), false).unwrap();
    let pending = take_up(&machine, &directory).step().await.unwrap();
    assert!(matches!(pending, Progress::Pending { enrolment, .. } if enrolment == site.enrolment));
    // From here on the secret is gone from the disk.
    let kept = std::fs::read_to_string(machine.state().join("identity.json")).unwrap();
    assert!(!kept.contains(&site.token().secret), "{kept}");
    assert!(matches!(take_up(&machine, &directory).step().await.unwrap(), Progress::Pending { .. }));
    site.state().request.as_mut().unwrap().1 = true;
    assert_eq!(take_up(&machine, &directory).step().await.unwrap(), Progress::Active(site.device));
    assert!(matches!(Identity::load(&directory).unwrap().unwrap().stage, Stage::Active { .. }));
    assert!(matches!(enrol::accept_token(&directory, &site.token(), false), Err(EnrolError::Enrolled(_))));
}

// proves S9 I7
#[tokio::test]
async fn a_site_with_another_root_is_told_nothing() {
    let (site, machine) = (Site::start().await, Machine::new());
    let directory = machine.directory();
    let mut token = site.token();
    token.root = PrivateKey::generate().unwrap().public().id();
    enrol::accept_token(&directory, &token, false).unwrap();
    let error = take_up(&machine, &directory).step().await.unwrap_err();
    assert!(!error.is_passing(), "{error}");
    assert!(site.state().used_secrets.is_empty());
    token.root = Hash([0; 32]);
    enrol::accept_token(&directory, &token, false).unwrap();
    assert!(take_up(&machine, &directory).step().await.is_err());
    assert!(site.state().used_secrets.is_empty());
}

// proves S9 I7: the key of an issuing CA was stolen and revoked; the thief's server has a certificate that the root's CA once made,
// hands out the site's own trust bundle, and waits for tokens.
#[tokio::test]
async fn a_server_of_a_revoked_issuing_ca_gets_no_token() {
    let (site, machine) = (Site::start().await, Machine::new());
    let other = PrivateKey::generate().unwrap();
    let root = site.keys.root_certificate();
    let issuing = certificate::issuing(site.code, &root, &site.keys.root, other.public(), &[], site.now).unwrap();
    site.sign_bundle(|bundle| {
        bundle.version = 2;
        bundle.issuing = vec![BASE64.encode(&issuing)];
        bundle.revoked = vec![certificate::public_key(site.keys.ca.certificate()).unwrap().id()];
    });
    let directory = machine.directory();
    enrol::accept_token(&directory, &site.token(), false).unwrap();
    // With a bundle that is kept from the first attempt as without one.
    for _ in 0..2 {
        let refused = take_up(&machine, &directory).step().await;
        let unproven = matches!(refused, Err(EnrolError::Http(HttpError::Unproven { .. } | HttpError::Tls { .. })));
        assert!(unproven && site.state().used_secrets.is_empty(), "the secret is said to nobody: {refused:?}");
    }
}

// proves S9 I7: nor does he get one with the trust bundle of before.
#[tokio::test]
async fn a_trust_bundle_older_than_the_token_is_refused() {
    let (site, machine) = (Site::start().await, Machine::new());
    let directory = machine.directory();
    let token = EnrolmentToken { trust_version: 2, ..site.token() };
    enrol::accept_token(&directory, &token, false).unwrap();
    let refused = take_up(&machine, &directory).step().await;
    assert!(matches!(refused, Err(EnrolError::Bundle(BundleError::Older))), "{refused:?}");
    assert!(site.state().used_secrets.is_empty());
    site.sign_bundle(|bundle| bundle.version = 2);
    assert!(matches!(take_up(&machine, &directory).step().await, Ok(Progress::Pending { .. })));
}

#[tokio::test]
async fn a_token_that_somebody_else_used_ends_the_attempt() {
    let (site, machine) = (Site::start().await, Machine::new());
    site.state().used_secrets.insert(site.token().secret, PrivateKey::generate().unwrap().public().clone());
    let token = machine.token_file(&site);
    let output = machine.program(&["enrol", "--wait", "--token", token.to_str().unwrap()]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("token_used"), "{said}");
}

#[tokio::test]
async fn a_certificate_for_another_key_is_refused() {
    let (site, machine) = (Site::start().await, Machine::new());
    let directory = machine.directory();
    enrol::accept_token(&directory, &site.token(), false).unwrap();
    let mut enrolment = take_up(&machine, &directory);
    enrolment.step().await.unwrap();
    site.state().request.as_mut().unwrap().1 = true;
    site.state().mischief.foreign_certificate = true;
    assert!(matches!(enrolment.step().await, Err(EnrolError::Foreign)));
    assert!(matches!(Identity::load(&directory).unwrap().unwrap().stage, Stage::Pending { .. }));
    site.state().mischief.foreign_certificate = false;
    assert!(matches!(enrolment.step().await, Ok(Progress::Active(_))));
}

#[tokio::test]
async fn the_program_enrols_waits_for_approval_and_runs() {
    let (site, machine) = (Site::start().await, Machine::new());
    let token = machine.token_file(&site);
    let output = machine.program(&["enrol", "--token", token.to_str().unwrap()]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains(&site.enrolment.to_string()));
    let mut agent = machine.spawn();
    site.state().request.as_mut().unwrap().1 = true;
    site.wait_status(muster_model::status::MessageId::PolicyAccepted).await;
    let status = machine.program(&["status", "--json"]).output().await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["state"], &status["running"]), (&"active".into(), &true.into()), "{status}");
    let second = machine.program(&["run"]).output().await.unwrap();
    assert!(String::from_utf8_lossy(&second.stderr).contains("another muster-agent runs"));
    let pid = rustix::process::Pid::from_raw(i32::try_from(agent.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(agent.wait().await.unwrap().success());
    site.wait_status(muster_model::status::MessageId::AgentStopped).await;
}

// proves X2
#[tokio::test]
async fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
    let site = Site::start_at(crate::actor::now().plus(-21 * muster_model::time::DAY)).await;
    let machine = Machine::new();
    machine.enrol(&site).await;
    let expires = || {
        let certificates = Identity::load(&machine.directory()).unwrap().unwrap().certificates().unwrap();
        muster_trust::certificate::client_identity(&certificates[0]).unwrap().expires
    };
    let before = expires();
    // A certificate for another key is not taken, and the old one stays in use.
    site.state().mischief.foreign_certificate = true;
    let running = machine.run();
    site.wait_status(muster_model::status::MessageId::AgentStarted).await;
    running.stop().await;
    assert_eq!(expires(), before);
    site.state().mischief.foreign_certificate = false;
    let running = machine.run();
    let values = site.wait_status(muster_model::status::MessageId::CertificateRenewed).await;
    running.stop().await;
    assert!(expires() > before.plus(20 * muster_model::time::DAY));
    assert_eq!(values["expires"], muster_agent::clock::shown(expires()));
}
