//! The trust bundle at the client: stolen keys before and after their rotation, freeze, rollback of everything at once, and the
//! chain after a long sleep.

use crate::{
    actor::{Site, now},
    policy::{Client, client, follower},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_agent::{
    clock::Clock,
    identity::{Identity, load_trust},
    run::follow::FollowError,
};
use muster_model::{
    policy::PolicyRefusal,
    time::{DAY, HOUR},
};
use muster_trust::{
    PrivateKey,
    bundle::{KeySet, NamedKey},
    certificate, envelope,
};

fn key() -> PrivateKey {
    PrivateKey::generate().unwrap()
}

/// Publishes the next assignment, changed, signed by this key.
fn publish(site: &Site, by: &PrivateKey, change: impl FnOnce(&mut muster_model::policy::Assignment)) {
    let mut assignment = site.next_assignment(Vec::new());
    change(&mut assignment);
    site.publish_bytes(envelope::sign1_json(by, &assignment).unwrap());
}

/// The version of the trust bundle as the disk alone has it, and how many bundles are kept for it.
fn kept(client: &Client) -> (u64, usize) {
    let directory = client.machine.directory();
    let identity = Identity::load(&directory).unwrap().unwrap();
    let trust = load_trust(&directory, &identity).unwrap().unwrap();
    (trust.bundle().version, envelope::items(&trust.to_bytes()).unwrap().len())
}

/// A stolen policy key can do everything of its own purpose, until the root ends it.
#[tokio::test]
async fn a_stolen_policy_key_does_its_worst_and_is_got_rid_of() {
    let mut client = client().await;
    let site = client.site.clone();
    client.follower.refresh().await.unwrap();
    // The thief uses up all numbers, so that nothing of the site can follow.
    publish(&site, &site.keys.policy, |assignment| assignment.version = u64::MAX);
    client.follower.refresh().await.unwrap();
    assert_eq!(client.version(), Some(u64::MAX));
    publish(&site, &site.keys.policy, |_| {});
    assert_eq!(client.refused("a low number").await, PolicyRefusal::Older, "not without a word of the root");
    // A bundle that only adds a key changes nothing of that: the old key is still believed.
    let new = key();
    site.sign_bundle(|bundle| {
        bundle.version = 2;
        bundle.policy.push(NamedKey::new("new", new.public()));
    });
    publish(&site, &new, |assignment| assignment.trust_version = 2);
    assert_eq!(client.refused("both are believed").await, PolicyRefusal::Older);
    assert_eq!(kept(&client).0, 2);
    // The root ends the stolen key: what it signed ends with it, and the site's numbers count again.
    site.sign_bundle(|bundle| {
        bundle.version = 3;
        bundle.policy = vec![NamedKey::new("new", new.public())];
        bundle.revoked = vec![site.keys.policy.public().id()];
    });
    publish(&site, &new, |assignment| assignment.trust_version = 3);
    let wanted = site.state().version;
    client.follower.refresh().await.unwrap();
    assert_eq!(client.version(), Some(wanted));
    // The thief goes on signing.
    for version in [wanted + 1, u64::MAX] {
        publish(&site, &site.keys.policy, |assignment| (assignment.version, assignment.trust_version) = (version, 3));
        assert_eq!(client.refused("a revoked key").await, PolicyRefusal::SignatureInvalid);
    }
    // After a restart, too.
    client.follower = follower(&client.machine);
    assert_eq!(client.version(), Some(wanted));
    publish(&site, &site.keys.policy, |assignment| assignment.version = u64::MAX);
    assert_eq!(client.refused("a revoked key, after a restart").await, PolicyRefusal::SignatureInvalid);
    publish(&site, &new, |assignment| (assignment.version, assignment.trust_version) = (wanted - 1, 3));
    assert_eq!(client.refused("an old number of the new key").await, PolicyRefusal::Older);
}

#[tokio::test]
async fn a_policy_that_nobody_believed_signed_ends_before_another_is_there() {
    let mut client = client().await;
    let site = client.site.clone();
    client.follower.refresh().await.unwrap();
    let new = key();
    site.sign_bundle(|bundle| {
        bundle.version = 2;
        bundle.policy = vec![NamedKey::new("new", new.public())];
        bundle.revoked = vec![site.keys.policy.public().id()];
    });
    // The site hands out the new bundle and only what the revoked key signed.
    publish(&site, &site.keys.policy, |assignment| assignment.trust_version = 2);
    let refused = client.follower.refresh().await;
    assert!(matches!(refused, Err(FollowError::Refused(PolicyRefusal::SignatureInvalid))), "{refused:?}");
    assert_eq!(client.version(), None, "no policy is better than a thief's");
    assert_eq!(follower(&client.machine).publish.borrow().as_ref().map(|_| ()), None, "after a restart, too");
    publish(&site, &new, |assignment| assignment.trust_version = 2);
    client.follower.refresh().await.unwrap();
    assert!(client.version().is_some());
}

#[tokio::test]
async fn an_expired_bundle_freezes_nothing_but_itself() {
    let mut client = client().await;
    let site = client.site.clone();
    client.follower.refresh().await.unwrap();
    let version = client.version();
    // A year later the site still has the same bundle: nothing new is taken under it.
    let later = now().plus(301 * DAY);
    client.machine.clock = Clock::at(now());
    client.follower = follower(&client.machine);
    client.machine.clock.set(later);
    let agent = client.follower.agent.clone();
    assert!(agent.site.trust().bundle().in_time(later).is_err());
    let is_current = |client: &Client, at| {
        client.follower.publish.borrow().as_ref().unwrap().is_current(agent.site.trust().bundle(), at, agent.floor())
    };
    assert!(!is_current(&client, later), "nothing new begins");
    // By its certificates, too, the site is no site at that time; so the clock goes back, and the floor of time does not.
    client.machine.clock.set(now());
    publish(&site, &site.keys.policy, |assignment| {
        (assignment.issued, assignment.expires) = (now().plus(DAY - 60_000), now().plus(7 * DAY));
    });
    client.follower.refresh().await.unwrap();
    let floor = agent.floor();
    assert!(floor > now() && client.version() > version);
    site.sign_bundle(|bundle| (bundle.version, bundle.expires) = (2, floor));
    publish(&site, &site.keys.policy, |assignment| {
        (assignment.trust_version, assignment.expires) = (2, floor.plus(DAY))
    });
    assert_eq!(client.refused("a bundle that has ended").await, PolicyRefusal::TrustTooOld);
    assert_eq!(kept(&client).0, 1, "whatever the clock says, it is at least as late as the site once signed");
}

// proves I2: the end of a trust bundle ends what stands under it, also what was taken before.
#[tokio::test]
async fn nothing_is_started_under_a_bundle_that_has_ended() {
    let mut client = client().await;
    let site = client.site.clone();
    // A bundle for an hour, and an assignment for a week.
    site.sign_bundle(|bundle| (bundle.version, bundle.expires) = (2, now().plus(HOUR)));
    publish(&site, &site.keys.policy, |assignment| assignment.trust_version = 2);
    client.follower.refresh().await.unwrap();
    let agent = client.follower.agent.clone();
    let policy = client.follower.publish.borrow().clone().unwrap();
    let is_current = |at| policy.is_current(agent.site.trust().bundle(), at, agent.floor());
    assert!(is_current(now()) && !is_current(now().plus(2 * HOUR)));
    // An assignment for ever, as a thief of the policy key would sign one.
    publish(&site, &site.keys.policy, |assignment| {
        (assignment.trust_version, assignment.expires) = (2, assignment.issued.plus(7 * DAY + 1));
    });
    assert_eq!(client.refused("an assignment for more than a week").await, PolicyRefusal::Expired);
}

#[tokio::test]
async fn everything_of_last_week_at_once_is_refused() {
    let mut client = client().await;
    let site = client.site.clone();
    client.follower.refresh().await.unwrap();
    let old_bundle = site.state().bundle.clone();
    let old_assignment = site.state().assignment.clone();
    site.sign_bundle(|bundle| bundle.version = 2);
    publish(&site, &site.keys.policy, |assignment| assignment.trust_version = 2);
    client.follower.refresh().await.unwrap();
    let good = (client.version(), kept(&client));
    site.state().bundle = old_bundle;
    site.state().version = 1;
    site.publish_bytes(old_assignment);
    assert_eq!(client.refused("last week").await, PolicyRefusal::Older);
    // Two bundles of one version, both signed by the root.
    site.state().version = 2;
    site.sign_bundle(|bundle| (bundle.version, bundle.expires) = (2, bundle.expires.plus(1)));
    publish(&site, &key(), |assignment| assignment.trust_version = 2);
    assert_eq!(client.refused("a fork").await, PolicyRefusal::SignatureInvalid);
    assert_eq!((client.version(), kept(&client)), good);
}

// Walks as section 5.3 says.
#[tokio::test]
async fn a_client_that_slept_over_several_roots_walks_through_them() {
    let mut client = client().await;
    let site = client.site.clone();
    client.follower.refresh().await.unwrap();
    let roots = [key(), key()];
    let named = |root: &PrivateKey| KeySet { threshold: 1, keys: vec![NamedKey::new("root", root.public())] };
    let certificate = |root: &PrivateKey| BASE64.encode(certificate::root(site.code, root, site.now).unwrap());
    site.sign_bundle_by(&[&site.keys.root], |bundle| bundle.version = 2);
    site.sign_bundle_by(&[&site.keys.root, &roots[0]], |bundle| {
        // It has ended by now; what it says of the roots still counts.
        (bundle.version, bundle.expires) = (3, now().plus(-DAY));
        (bundle.root, bundle.root_certificate) = (named(&roots[0]), certificate(&roots[0]));
    });
    site.sign_bundle_by(&[&roots[0], &roots[1]], |bundle| {
        bundle.version = 4;
        (bundle.root, bundle.root_certificate) = (named(&roots[1]), certificate(&roots[1]));
    });
    publish(&site, &site.keys.policy, |assignment| assignment.trust_version = 4);
    // One of those between is missing: no leap.
    let between = site.state().bundles.remove(&3).unwrap();
    assert!(client.follower.refresh().await.is_err());
    assert_eq!(kept(&client), (1, 1));
    site.state().bundles.insert(3, between);
    client.follower.refresh().await.unwrap();
    assert_eq!(kept(&client), (4, 3), "the first, and each that changed the roots");
    // The first root is nobody any more; after a restart it is all verified again from the pin.
    client.follower = follower(&client.machine);
    site.sign_bundle(|bundle| bundle.version = 5);
    publish(&site, &site.keys.policy, |assignment| assignment.trust_version = 5);
    assert_eq!(client.refused("the first root").await, PolicyRefusal::TrustTooOld);
    assert_eq!(kept(&client).0, 4);
}

// proves S9: what a client takes it can read again, and what it could not read again it does not take.
#[tokio::test]
async fn a_long_chain_of_trust_bundles_survives_a_restart() {
    let mut client = client().await;
    let site = client.site.clone();
    client.follower.refresh().await.unwrap();
    // Each changes the roots, so each has to be kept; together they have more bytes than any one object may have.
    let mut version = 1;
    let mut longer = |by: u64| {
        for _ in 0..by {
            version += 1;
            site.sign_bundle(|bundle| {
                bundle.version = version;
                bundle.root.keys.push(NamedKey::new(&"x".repeat(200_000), key().public()));
            });
        }
        publish(&site, &site.keys.policy, |assignment| assignment.trust_version = version);
    };
    longer(3);
    client.follower.refresh().await.unwrap();
    assert_eq!(kept(&client).0, 4);
    client.follower = follower(&client.machine);
    let wanted = client.version();
    assert!(wanted.is_some());
    longer(50);
    assert_eq!(client.refused("more than is read again").await, PolicyRefusal::TrustTooOld);
    assert_eq!(kept(&client).0, 4);
    client.follower = follower(&client.machine);
    assert_eq!(client.version(), wanted);
}
