//! Policy from a site that misbehaves: each refusal with its reason, the last good one in force, and kept through a kill.

use crate::actor::{Site, machine::Machine, now};
use muster_agent::{
    agent::Agent,
    clock::Clock,
    collect::Collector,
    policy,
    run::follow::{FollowError, Follower},
};
use muster_model::{
    id::DeviceId,
    policy::{Assignment, BodyKind, BodyRef, ClientSettings, PolicyRefusal, Recipient, SoftwareScan},
    report::Channel,
    status::MessageId,
    time::{DAY, MINUTE},
};
use muster_trust::{PrivateKey, bundle::NamedKey, envelope, sha256};
use std::sync::Arc;
use tokio::sync::watch;

/// An enrolled client whose policy is fetched by the test's own hand.
pub(crate) struct Client {
    pub(crate) site: Arc<Site>,
    pub(crate) machine: Machine,
    pub(crate) follower: Follower,
}

pub(crate) async fn client() -> Client {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let follower = follower(&machine);
    Client { site, machine, follower }
}

pub(crate) fn follower(machine: &Machine) -> Follower {
    let agent = Agent::open(machine.directory(), machine.clock.clone(), Collector::at(machine.state())).unwrap();
    let (trust, identity) = (agent.site.trust(), agent.site.identity());
    let kept = policy::load(&agent.policies, trust.bundle(), &identity, agent.recipient().unwrap(), &machine.clock);
    Follower::new(Arc::new(agent), watch::channel(kept.map(Arc::new)).0)
}

impl Client {
    pub(crate) fn version(&self) -> Option<u64> {
        self.follower.publish.borrow().as_deref().map(|policy| policy.assignment().version)
    }

    pub(crate) async fn refused(&mut self, what: &str) -> PolicyRefusal {
        let before = self.version();
        match self.follower.refresh().await {
            Err(FollowError::Refused(refusal)) => {
                assert_eq!(self.version(), before, "{what}: the last good one stays");
                assert_eq!(follower_version(&self.machine), before, "{what}: on the disk too");
                refusal
            }
            other => panic!("{what}: {other:?}"),
        }
    }

    /// The reasons that were reported, in order.
    fn reported(&self) -> Vec<String> {
        let batch = self.follower.agent.store.batch(self.site.code, Channel::Status, now()).unwrap();
        let Some(batch) = batch else { return Vec::new() };
        let batch: serde_json::Value = serde_json::from_slice(&batch.json).unwrap();
        let reason = |m: &serde_json::Value| {
            let status = &m["body"]["status"];
            (status["id"] == MessageId::PolicyRefused.as_str())
                .then(|| status["values"]["reason"].as_str().unwrap().to_owned())
        };
        batch["messages"].as_array().unwrap().iter().filter_map(reason).collect()
    }
}

/// The version in force as the disk alone has it.
fn follower_version(machine: &Machine) -> Option<u64> {
    let directory = machine.directory();
    let identity = muster_agent::identity::Identity::load(&directory).unwrap().unwrap();
    let trust = muster_agent::identity::load_trust(&directory, &identity).unwrap().unwrap();
    let muster_agent::identity::Stage::Active { device, .. } = identity.stage else { return None };
    let policies = directory.directory("policy").unwrap();
    let policy = policy::load(&policies, trust.bundle(), &identity, Recipient::Device(device), &machine.clock);
    policy.map(|policy| policy.assignment().version)
}

// proves I2 S10
#[tokio::test]
async fn each_policy_that_is_not_right_is_refused_with_its_reason() {
    let mut client = client().await;
    client.follower.refresh().await.unwrap();
    assert_eq!(client.version(), Some(1));
    let site = client.site.clone();
    let mut expected = Vec::new();

    type Change = (&'static str, fn(&mut Assignment), PolicyRefusal);
    let changes: &[Change] = &[
        ("another site", |a| a.site = "XYZ".parse().unwrap(), PolicyRefusal::ForeignSite),
        (
            "another device",
            |a| a.recipient = Recipient::Device(DeviceId(uuid::Uuid::nil())),
            PolicyRefusal::ForeignDevice,
        ),
        ("older", |a| a.version = 0, PolicyRefusal::Older),
        ("two histories", |a| (a.version, a.issued) = (1, a.issued.plus(1)), PolicyRefusal::Fork),
        (
            "expired",
            |a| (a.issued, a.expires) = (a.issued.plus(-8 * DAY), a.expires.plus(-8 * DAY)),
            PolicyRefusal::Expired,
        ),
        (
            "from the future",
            |a| (a.issued, a.expires) = (a.issued.plus(2 * DAY), a.expires.plus(9 * DAY)),
            PolicyRefusal::Expired,
        ),
        ("wants a trust bundle that is not there", |a| a.trust_version = 9, PolicyRefusal::TrustTooOld),
        (
            "a body that is not there",
            |a| a.bodies = vec![BodyRef { kind: BodyKind::Settings, hash: sha256(b"no"), size: 2 }],
            PolicyRefusal::BodyMissing,
        ),
        (
            "a body over the limit",
            |a| a.bodies = vec![BodyRef { kind: BodyKind::Settings, hash: sha256(b"no"), size: 1 << 40 }],
            PolicyRefusal::TooLarge,
        ),
    ];
    for (what, change, refusal) in changes {
        let mut assignment = site.next_assignment(Vec::new());
        change(&mut assignment);
        site.publish(&assignment);
        assert_eq!(client.refused(what).await, *refusal, "{what}");
        expected.push(refusal.as_str());
    }
    let stranger = PrivateKey::generate().unwrap();
    let assignment = site.next_assignment(Vec::new());
    let bytes: [(&str, Vec<u8>, PolicyRefusal); 4] = [
        (
            "an author's key",
            envelope::sign1_json(&site.keys.author, &assignment).unwrap(),
            PolicyRefusal::SignatureInvalid,
        ),
        ("a stranger's key", envelope::sign1_json(&stranger, &assignment).unwrap(), PolicyRefusal::SignatureInvalid),
        ("no envelope", b"{}".to_vec(), PolicyRefusal::Malformed),
        ("too large", vec![0; (256 << 10) + 1], PolicyRefusal::TooLarge),
    ];
    for (what, bytes, refusal) in bytes {
        site.publish_bytes(bytes);
        assert_eq!(client.refused(what).await, refusal, "{what}");
        expected.push(refusal.as_str());
    }
    // Altered on the way: every byte counts.
    let mut altered = envelope::sign1_json(&site.keys.policy, &assignment).unwrap();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    site.publish_bytes(altered);
    assert_eq!(client.refused("altered").await, PolicyRefusal::SignatureInvalid);
    assert_eq!(client.refused("altered, again").await, PolicyRefusal::SignatureInvalid);
    expected.push("signature_invalid");
    assert_eq!(client.reported(), expected, "each is reported once");
    // And the next good one is taken.
    site.assign(Vec::new());
    client.follower.refresh().await.unwrap();
    assert!(client.version() > Some(1));
}

#[tokio::test]
async fn bodies_are_taken_only_with_the_bytes_that_were_signed() {
    let mut client = client().await;
    let site = client.site.clone();
    let settings = |settings: &ClientSettings| serde_json::to_vec(settings).unwrap();
    let good =
        site.body(BodyKind::Settings, settings(&ClientSettings { policy_poll: 5 * MINUTE, ..Default::default() }));
    let altered = settings(&ClientSettings { policy_poll: 6 * MINUTE, ..Default::default() });
    let original = site.state().bodies.insert(good.hash, altered).unwrap();
    site.assign(vec![good.clone()]);
    assert_eq!(client.refused("altered").await, PolicyRefusal::BodyAltered);
    site.state().bodies.insert(good.hash, [original.as_slice(), b" "].concat());
    assert_eq!(client.refused("longer").await, PolicyRefusal::BodyAltered);
    site.state().bodies.insert(good.hash, original);
    client.follower.refresh().await.unwrap();
    let in_force = client.follower.publish.borrow().clone().unwrap();
    assert_eq!(in_force.settings().policy_poll, 5 * MINUTE);

    let garbage = site.body(BodyKind::Settings, b"{\"policy_poll\":\"often\"}".to_vec());
    site.assign(vec![garbage]);
    assert_eq!(client.refused("not settings").await, PolicyRefusal::Malformed);
    let second = site.body(BodyKind::Settings, settings(&ClientSettings::default()));
    site.assign(vec![good.clone(), second]);
    assert_eq!(client.refused("two settings").await, PolicyRefusal::Malformed);
    // A site that is taken over must not drown its clients in polls, or silence them.
    let scan: SoftwareScan =
        serde_json::from_str(r#"{"paths": [{"path": "/", "names": ["*"]}], "seconds": 4000000000}"#).unwrap();
    let wild = ClientSettings {
        policy_poll: 1,
        inventory: 0,
        heartbeat: i64::MAX,
        software: Some(scan),
        ..Default::default()
    };
    site.assign(vec![site.body(BodyKind::Settings, settings(&wild))]);
    client.follower.refresh().await.unwrap();
    let bounded = client.follower.publish.borrow().clone().unwrap().settings().clone();
    assert!(bounded.policy_poll >= MINUTE && bounded.heartbeat <= 30 * DAY, "{bounded:?}");
    assert_eq!(bounded.software, None, "nor let them look for ever");
}

#[tokio::test]
async fn a_policy_on_the_disk_is_believed_only_whole() {
    let mut client = client().await;
    let site = client.site.clone();
    let body = site.body(BodyKind::Settings, serde_json::to_vec(&ClientSettings::default()).unwrap());
    site.assign(vec![body.clone()]);
    client.follower.refresh().await.unwrap();
    let version = client.version();
    assert_eq!(follower_version(&client.machine), version);
    // A kill between the bodies and the assignment leaves the old one in force.
    std::fs::write(client.machine.state().join("policy/assignment.cose.new"), b"half").unwrap();
    assert_eq!(follower_version(&client.machine), version);
    std::fs::write(client.machine.state().join("policy").join(body.hash.to_string()), b"altered").unwrap();
    assert_eq!(follower_version(&client.machine), None, "an altered body is not believed");
    let mut again = follower(&client.machine);
    // What was kept is gone; what was in force is not forgotten.
    let newest = std::mem::take(&mut site.state().assignment);
    let mut old = site.next_assignment(Vec::new());
    old.version = 1;
    site.publish(&old);
    assert!(matches!(again.refresh().await, Err(FollowError::Refused(PolicyRefusal::Older))));
    site.publish_bytes(newest);
    again.refresh().await.unwrap();
    assert_eq!(follower_version(&client.machine), version, "it is fetched again");
}

#[tokio::test]
async fn a_newer_trust_bundle_is_fetched_when_the_policy_wants_it() {
    let mut client = client().await;
    let site = client.site.clone();
    client.follower.refresh().await.unwrap();
    let new_key = PrivateKey::generate().unwrap();
    let by_new_key = |client: &Client| {
        let mut assignment = client.site.next_assignment(Vec::new());
        assignment.trust_version = 2;
        client.site.publish_bytes(envelope::sign1_json(&new_key, &assignment).unwrap());
    };
    by_new_key(&client);
    assert_eq!(client.refused("key not known").await, PolicyRefusal::SignatureInvalid);
    // The old key is revoked, the new one named: an assignment by the old one wants the new bundle first.
    site.sign_bundle(|bundle| {
        bundle.version = 2;
        bundle.policy.push(NamedKey::new("new", new_key.public()));
    });
    let mut assignment = site.next_assignment(Vec::new());
    assignment.trust_version = 2;
    site.publish(&assignment);
    client.follower.refresh().await.unwrap();
    by_new_key(&client);
    client.follower.refresh().await.unwrap();
    // A bundle that goes back is not taken.
    site.sign_bundle(|bundle| bundle.version = 1);
    let mut assignment = site.next_assignment(Vec::new());
    assignment.trust_version = 3;
    site.publish(&assignment);
    assert_eq!(client.refused("bundle went back").await, PolicyRefusal::TrustTooOld);
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_a_year_is_said_and_recovers() {
    let site = Site::start().await;
    let mut machine = Machine::new();
    machine.clock = Clock::at(now());
    machine.enrol(&site).await;
    let running = machine.run();
    site.wait_status(MessageId::PolicyAccepted).await;
    running.stop().await;
    for wrong in [-365 * DAY, 365 * DAY] {
        site.state().messages.clear();
        machine.clock.set(now().plus(wrong));
        let running = machine.run();
        // Ahead, its certificates are not valid at such a time, so nothing goes out; what happened waits in the outbox. Behind, it
        // knows by what the site has signed that it is later: it goes on, and says at once that its clock is wrong.
        let waiting = async {
            if wrong < 0 {
                return;
            }
            loop {
                let connection = muster_agent::store::Store::look(&machine.directory()).unwrap().unwrap();
                let sql = "SELECT count(*) FROM message WHERE body LIKE '%clock_wrong%'";
                if connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() > 0 {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await.unwrap();
        if wrong > 0 {
            assert!(site.said().is_empty());
            machine.clock.set(now());
        }
        let values = site.wait_status(MessageId::ClockWrong).await;
        machine.clock.set(now());
        let seconds: i64 = values["seconds"].parse().unwrap();
        assert!(seconds.signum() == wrong.signum() && seconds.abs() > 200 * 86_400, "{seconds}");
        running.stop().await;
    }
}

// proves I2
#[tokio::test]
async fn time_never_goes_back_behind_what_the_site_signed() {
    let mut client = client().await;
    let site = client.site.clone();
    client.follower.refresh().await.unwrap();
    // Somebody holds the client's clock back, so that an old assignment would look young.
    let floor = client.follower.agent.floor();
    assert_eq!(floor, site.now);
    let policy = client.follower.publish.borrow().clone().unwrap();
    let trust = client.follower.agent.site.trust();
    assert!(policy.is_current(trust.bundle(), site.now.plus(-365 * DAY), floor));
    client.follower.agent.raise_floor(site.now.plus(8 * DAY));
    assert!(
        !policy.is_current(trust.bundle(), site.now, client.follower.agent.floor()),
        "it expired by the site's own word"
    );
    site.assign(Vec::new());
    assert_eq!(client.refused("behind the floor").await, PolicyRefusal::Expired);
}
