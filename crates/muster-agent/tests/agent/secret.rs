//! Secrets: opened only where this device's authors sealed them for it, and gone with their key when they are superseded.

use crate::actor::{
    Site, application,
    machine::{Machine, script},
    now,
};
use muster_agent::{clock::Clock, os::volatile_directory};
use muster_model::{
    application::{Application, FileName},
    id::{ApplicationId, DeviceId},
    policy::{BodyKind, BodyRef},
    secret::{SealedSecret, SecretBinding},
    status::{DeploymentReport, DeploymentState as State, FailureReason as Reason},
    time::{HOUR, UnixMillis},
};
use muster_trust::{
    PrivateKey, PublicKey, envelope,
    secret::{SealingPrivateKey, open_statement, seal},
};
use std::sync::Arc;

/// Where keys are kept.
fn keys(machine: &Machine) -> Vec<String> {
    let names = std::fs::read_dir(machine.state().join("sealing")).unwrap().map(|name| name.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".key")).collect()
}

/// The device's nth sealing key, as it signed it.
async fn told(site: &Arc<Site>, number: usize) -> PublicKey {
    let statement = site.wait("a sealing key", |state| state.sealing_keys.get(number).cloned()).await;
    let device = site.state().request.as_ref().unwrap().0.clone();
    let (key, said) = open_statement(&statement, &device).unwrap();
    assert_eq!((said.site, said.device), (site.code, site.device));
    key
}

fn binding(site: &Site, version: i64) -> SecretBinding {
    let (application, name) = (ApplicationId(uuid::Uuid::from_u128(1)), "token".parse().unwrap());
    SecretBinding { site: site.code, device: site.device, application, name, version: UnixMillis(version) }
}

fn sealed(site: &Site, by: &[&PrivateKey], value: &str, to: &PublicKey, binding: SecretBinding) -> BodyRef {
    let sealed = seal(value.as_bytes(), to, binding).unwrap();
    site.body(BodyKind::Secret, envelope::sign_json(by, &sealed).unwrap())
}

/// An application that puts its secret where `name` says and is never found installed before.
fn wanting(site: &Site, machine: &Machine, name: &str) -> Application {
    let installer = site.content("setup.sh", &script("cat \"$2\" >\"$1\"; echo \"$(cat \"$2\")\"; echo \"$2\""));
    let mut wanting = application(installer, &machine.place(name), 60);
    wanting.secrets = vec!["token".parse::<FileName>().unwrap()];
    wanting.install.arguments.push("secret/token".to_owned());
    wanting
}

async fn run(site: &Arc<Site>, machine: &Machine, name: &str, secrets: Vec<BodyRef>) -> Vec<DeploymentReport> {
    let author = &site.keys.author;
    let (deployment, mut bodies) = site.deployment(&[author], &wanting(site, machine, name), site.now);
    bodies.extend(secrets);
    site.assign(bodies);
    site.wait_end(deployment).await
}

#[tokio::test]
async fn a_secret_is_opened_for_its_installer_and_goes_with_its_key() {
    // proves S10: a superseded secret is never opened again, and its key is overwritten.
    let (site, mut machine) = (Site::start().await, Machine::new());
    machine.clock = Clock::at(now());
    machine.enrol(&site).await;
    let running = machine.run();
    let author = &site.keys.author;
    let first = told(&site, 0).await;
    let one = sealed(&site, &[author], "first value", &first, binding(&site, 1));
    let steps = run(&site, &machine, "one", vec![one.clone()]).await;
    let last = steps.last().unwrap();
    assert_eq!(last.state, State::Succeeded, "{last:?}");
    let lines: Vec<&str> = last.output.lines().collect();
    assert_eq!(lines[0], "[secret]", "what the installer prints of it is not told: {lines:?}");
    assert!(!std::path::Path::new(lines[1]).exists(), "its file is gone: {lines:?}");
    assert_eq!(std::fs::read_to_string(machine.place("one")).unwrap(), "first value");

    // The first key is in use, so there is a second; with the next value, the first is destroyed, but not at once.
    let second = told(&site, 1).await;
    assert_ne!(first.id(), second.id());
    let two = sealed(&site, &[author], "second value", &second, binding(&site, 2));
    assert_eq!(run(&site, &machine, "two", vec![two.clone()]).await.last().unwrap().state, State::Succeeded);
    told(&site, 2).await;
    assert_eq!(keys(&machine).len(), 3, "somebody could be sealing to the first right now");
    let kept = machine.state().join("sealing").join(format!("{}.key", first.id()));
    let inode = std::fs::File::open(&kept).unwrap();
    machine.clock.set(now().plus(2 * HOUR));
    assert_eq!(run(&site, &machine, "three", vec![two.clone()]).await.last().unwrap().state, State::Succeeded);
    let gone = async {
        while kept.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut &inode, &mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0), "the key was overwritten before its name went");
    // A value that no installer ever asked for ends the earlier one as well: the policy that listed it was accepted.
    let third = told(&site, 2).await;
    let three = sealed(&site, &[author], "third value", &third, binding(&site, 3));
    site.assign(vec![three]);
    told(&site, 3).await;
    let steps = run(&site, &machine, "rolled back", vec![two]).await;
    assert_eq!(steps.last().unwrap().reason, Some(Reason::SecretMissing), "{steps:?}");
    // The old value, kept by whoever, is not opened any more: it is older, and its key is gone.
    let steps = run(&site, &machine, "four", vec![one]).await;
    assert_eq!(steps.last().unwrap().reason, Some(Reason::SecretMissing), "{steps:?}");
    assert!(!machine.place("four").exists());
    running.stop().await;
}

#[tokio::test]
async fn what_a_kill_left_in_memory_goes_at_the_next_start_and_a_key_of_before_with_the_site() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let runs = machine.state().canonicalize().unwrap().join("run");
    let left = volatile_directory(&runs, &uuid::Uuid::from_u128(77).to_string()).unwrap();
    left.write("token", b"left in the clear").unwrap();
    let running = machine.run();
    told(&site, 0).await;
    let gone = async {
        while left.path().exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.unwrap();
    running.stop().await;
    // Enrolled anew, it is another client: nothing that was sealed to it before is opened, and it tells a key of its own.
    assert_eq!(keys(&machine).len(), 1);
    muster_agent::identity::forget(&machine.directory()).unwrap();
    assert!(!machine.state().join("sealing").exists());
}

#[tokio::test]
async fn what_is_not_sealed_for_this_device_by_its_authors_is_as_if_it_were_not_there() {
    // proves S10: nobody but the authors sets a secret, and none for another device, application or version is taken.
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let running = machine.run();
    let (author, stranger) = (&site.keys.author, PrivateKey::generate().unwrap());
    let key = told(&site, 0).await;
    let steps = run(&site, &machine, "none", Vec::new()).await;
    assert_eq!(steps.last().unwrap().reason, Some(Reason::SecretMissing));
    let other = SealingPrivateKey::generate().unwrap();
    let with = |change: fn(&mut SecretBinding)| {
        let mut binding = binding(&site, 5);
        change(&mut binding);
        sealed(&site, &[author], "evil", &key, binding)
    };
    let good = seal(b"evil", &key, binding(&site, 5)).unwrap();
    let moved = SealedSecret { binding: SecretBinding { version: UnixMillis(9), ..good.binding.clone() }, ..good };
    let moved = site.body(BodyKind::Secret, envelope::sign_json(&[author], &moved).unwrap());
    for (name, secret) in [
        ("by a stranger", sealed(&site, &[&stranger], "evil", &key, binding(&site, 5))),
        ("by the policy key", sealed(&site, &[&site.keys.policy], "evil", &key, binding(&site, 5))),
        ("to another key", sealed(&site, &[author], "evil", other.public(), binding(&site, 5))),
        ("of another device", with(|b| b.device = DeviceId(uuid::Uuid::from_u128(8)))),
        ("of another site", with(|b| b.site = "XYZ".parse().unwrap())),
        ("of another application", with(|b| b.application = ApplicationId(uuid::Uuid::from_u128(2)))),
        ("of another name", with(|b| b.name = "other".parse().unwrap())),
        ("with another version than it was sealed with", moved),
    ] {
        let steps = run(&site, &machine, name, vec![secret]).await;
        assert_eq!(steps.last().unwrap().reason, Some(Reason::SecretMissing), "{name}: {steps:?}");
        assert!(!machine.place(name).exists(), "{name}");
    }
    // Its authors signed version 9, so nothing before that counts any more.
    let good = sealed(&site, &[author], "good", &key, binding(&site, 10));
    assert_eq!(run(&site, &machine, "good", vec![good]).await.last().unwrap().state, State::Succeeded);
    running.stop().await;
}
