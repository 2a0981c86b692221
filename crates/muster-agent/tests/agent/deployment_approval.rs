//! What this client demands before it runs something, whatever the site says: the approval of a second key, and two keys for scripts.

use crate::actor::{
    Site, application,
    machine::{Machine, script},
    now,
};
use muster_model::{
    api::Target,
    application::Application,
    deployment_approval::DeploymentApproval,
    id::{DeploymentId, DeviceId, Hash},
    policy::{BodyKind, BodyRef, ClientSettings},
    settings::ScriptPolicy,
    status::{DeploymentState as State, FailureReason as Reason},
    time::{DAY, HOUR},
};
use muster_trust::{
    PrivateKey,
    bundle::{ApprovalRule, NamedKey},
    envelope,
};
use std::sync::Arc;

/// What a test alters.
type Change = fn(&mut DeploymentApproval);

/// A site whose bundle names a second author, and this client of it.
async fn two_authors(above: Option<u64>) -> (Arc<Site>, Machine, PrivateKey) {
    let (site, machine) = (Site::start().await, Machine::new());
    let second = PrivateKey::generate().unwrap();
    site.sign_bundle(|bundle| {
        bundle.authors.keys.push(NamedKey::new("second", second.public()));
        bundle.approval = above.map(|above| ApprovalRule { above });
    });
    machine.enrol(&site).await;
    (site, machine, second)
}

fn approval(site: &Site, deployment: DeploymentId, order: Hash) -> DeploymentApproval {
    DeploymentApproval {
        site: site.code,
        deployment,
        order,
        target: Target::AllSystems,
        devices: 10,
        issued: now(),
        expires: now().plus(DAY),
    }
}

/// Assigns a deployment with an approval, and returns how it ended.
async fn ends(site: &Site, bodies: Vec<BodyRef>, id: DeploymentId, extra: Vec<u8>) -> (State, Option<Reason>) {
    let approval = site.body(BodyKind::DeploymentApproval, extra);
    site.assign([bodies, vec![approval]].concat());
    let steps = site.wait_end(id).await;
    steps.last().map(|step| (step.state, step.reason)).unwrap()
}

// proves S19, I2: who owns the server and its database runs nothing that a second key did not
// approve, and nothing approved is more than what was signed
#[tokio::test]
async fn only_what_a_second_key_approved_runs_where_the_bundle_wants_that() {
    let (site, machine, second) = two_authors(Some(0)).await;
    let installer = site.content("setup.sh", &script("touch \"$1\""));
    let wanted = application(installer, &machine.place("installed"), 60);
    let (author, stranger) = (&site.keys.author, PrivateKey::generate().unwrap());
    let running = machine.run();
    let refused = (State::Failed, Some(Reason::NotApproved));

    let steps = site.wait_end(site.deploy(&[author], &wanted, now())).await;
    assert_eq!(steps.last().map(|step| (step.state, step.reason)), Some(refused), "no approval at all");

    let other = |approval: &mut DeploymentApproval| approval.order = Hash([1; 32]);
    let another = |approval: &mut DeploymentApproval| approval.deployment = DeploymentId(uuid::Uuid::from_u128(9));
    let foreign = |approval: &mut DeploymentApproval| approval.site = "XYZ".parse().unwrap();
    let over = |approval: &mut DeploymentApproval| {
        (approval.issued, approval.expires) = (now().plus(-DAY), now().plus(-HOUR));
    };
    let endless = |approval: &mut DeploymentApproval| approval.expires = now().plus(400 * DAY);
    let elsewhere = |approval: &mut DeploymentApproval| {
        approval.target = Target::Device { device: DeviceId(uuid::Uuid::from_u128(77)) };
    };
    let same: Change = |_| {};
    let cases: [(&str, &PrivateKey, Change); 10] = [
        ("for another device alone", &second, elsewhere),
        ("by its own author", author, same),
        ("by nobody who is known", &stranger, same),
        ("by the key of the site", &site.keys.policy, same),
        ("by the root", &site.keys.root, same),
        ("of what it was before it was edited", &second, other),
        ("of another deployment", &second, another),
        ("of another site", &second, foreign),
        ("that has ended", &second, over),
        ("for ever", &second, endless),
    ];
    for (what, key, change) in cases {
        let (id, bodies) = site.deployment(&[author], &wanted, now());
        let mut says = approval(&site, id, bodies[0].hash);
        change(&mut says);
        let ended = ends(&site, bodies, id, envelope::sign1_json(key, &says).unwrap()).await;
        assert_eq!(ended, refused, "an approval {what}");
    }
    // One that signed the application as well has approved nothing.
    let (id, bodies) = site.deployment(&[author, &second], &wanted, now());
    let says = envelope::sign1_json(&second, &approval(&site, id, bodies[0].hash)).unwrap();
    assert_eq!(ends(&site, bodies, id, says).await, refused);
    assert!(!machine.place("installed").exists() && site.state().ranges.is_empty());

    let (id, bodies) = site.deployment(&[author], &wanted, now());
    let says = envelope::sign1_json(&second, &approval(&site, id, bodies[0].hash)).unwrap();
    assert_eq!(ends(&site, bodies, id, says).await, (State::Succeeded, None));
    running.stop().await;
}

async fn script_ends(site: &Site, authors: &[&PrivateKey], wanted: &Application, scripts: ScriptPolicy) -> String {
    let (id, bodies) = site.deployment(authors, wanted, now());
    let settings = ClientSettings { script_policy: scripts, ..ClientSettings::default() };
    let settings = site.body(BodyKind::Settings, serde_json::to_vec(&settings).unwrap());
    site.assign([vec![settings], bodies].concat());
    let steps = site.wait_end(id).await;
    let last = steps.last().unwrap();
    last.reason.map_or(last.state.as_str(), Reason::as_str).to_owned()
}

// proves S19: installers of every interpreter
#[tokio::test]
async fn a_script_that_installs_wants_two_keys_where_the_bundle_names_two() {
    let (site, machine, second) = two_authors(None).await;
    let installer = site.content("setup", &script("touch \"$1\""));
    let own = application(installer, &machine.place("installed"), 60);
    let mut inline = own.clone();
    inline.install.program = "/usr/bin/env".to_owned();
    inline.install.arguments =
        vec!["sh".to_owned(), "-c".to_owned(), format!("touch {}", machine.place("installed").display())];
    let author = &site.keys.author;
    let running = machine.run();
    for wanted in [&own, &inline] {
        for policy in [ScriptPolicy::AllSigned, ScriptPolicy::Bypass, ScriptPolicy::Restricted] {
            assert_eq!(script_ends(&site, &[author], wanted, policy).await, "script_policy", "{policy:?}");
        }
        let both = [author, &second];
        assert_eq!(script_ends(&site, &both, wanted, ScriptPolicy::Restricted).await, "script_policy");
    }
    assert!(!machine.place("installed").exists());
    let both = [author, &second];
    assert_eq!(script_ends(&site, &both, &inline, ScriptPolicy::AllSigned).await, "succeeded");
    std::fs::remove_file(machine.place("installed")).unwrap();
    // Who approves the deployment is the second one.
    let (id, bodies) = site.deployment(&[author], &own, now());
    let says = envelope::sign1_json(&second, &approval(&site, id, bodies[0].hash)).unwrap();
    assert_eq!(ends(&site, bodies, id, says).await, (State::Succeeded, None));
    running.stop().await;
}
