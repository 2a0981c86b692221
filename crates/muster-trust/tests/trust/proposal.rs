//! Every change of the trust bundle, made as it travels: proposed at the site, signed elsewhere, taken by what a client says.

use crate::bundle::{NOW, Site, key, key_set};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::time::{DAY, UnixMillis};
use muster_trust::{
    PrivateKey, TrustBundle,
    bundle::{KeySet, NamedKey},
    certificate,
    proposal::{Change, Proposal, ProposalError},
};

const LATER: UnixMillis = UnixMillis(NOW.0 + 40 * DAY);

fn proposal(present: &[u8], changes: Vec<Change>) -> Result<Proposal, ProposalError> {
    Proposal::new(present, changes, LATER, LATER.plus(365 * DAY))
}

/// Through a file to the holders of these keys, and what the client of `present` says in the end.
fn taken(present: &TrustBundle, envelope: &[u8], changes: Vec<Change>, keys: &[&PrivateKey]) -> (TrustBundle, Vec<u8>) {
    let mut travelling = proposal(envelope, changes).unwrap();
    for key in keys {
        let text = serde_json::to_vec(&travelling).unwrap();
        travelling = serde_json::from_slice(&text).unwrap();
        let next = travelling.prepare(&[key]).unwrap();
        travelling.sign(&next, &[key]).unwrap();
    }
    assert!(travelling.standing().unwrap().is_complete());
    let signed = travelling.signed().unwrap().unwrap();
    (present.next(&signed, LATER).unwrap().into_value(), signed)
}

// proves S9
#[test]
fn every_key_is_rotated_by_the_root_and_the_old_one_ends_when_the_root_says_so() {
    let site = Site::new();
    let (policy, ca, author, root) = (key(), key(), key(), key());
    let envelope = site.signed(&site.bundle);
    let named = |name: &str, key: &PrivateKey| NamedKey::new(name, key.public());
    let added = vec![
        Change::Policy(named("policy 2", &policy)),
        Change::Issuing { key: named("issuing 2", &ca), within: vec!["corp.example".to_owned()] },
        Change::Author(named("bob", &author)),
        Change::AuthorThreshold(2),
    ];
    let (both, envelope) = taken(&site.bundle, &envelope, added, &[&site.root]);
    assert_eq!((both.version, both.policy.len(), both.issuing.len(), both.author_threshold()), (2, 2, 2, 2));
    let old_ca = certificate::public_key(&both.issuing_certificates().unwrap()[0]).unwrap().id();
    let ended = vec![Change::Revoke(site.policy.public().id()), Change::Revoke(old_ca)];
    let (new, envelope) = taken(&both, &envelope, ended, &[&site.root]);
    assert_eq!(new.policy, [named("policy 2", &policy)]);
    let left = new.issuing_certificates().unwrap();
    assert_eq!(certificate::public_key(&left[0]).unwrap(), *ca.public());
    assert_eq!((left.len(), new.revoked.len()), (1, 2));
    // The root: the new one certifies, so it signs first; the old one's word makes it a succession.
    let change = vec![Change::Root(KeySet { threshold: 1, keys: vec![named("second root", &root)] })];
    let first = proposal(&envelope, change.clone()).unwrap().prepare(&[&site.root]);
    assert_eq!(first, Err(ProposalError::CertifierFirst(root.public().id())));
    let (turned, envelope) = taken(&new, &envelope, change, &[&root, &site.root]);
    assert_eq!(turned.root_certificate_key().unwrap(), *root.public());
    let again = turned.issuing_certificates().unwrap();
    assert_eq!(certificate::public_key(&again[0]).unwrap(), *ca.public(), "the CA goes on with its key");
    assert_ne!(again, left, "with a certificate of the new root");
    // From then on the old root is nobody.
    let mut by_old = proposal(&envelope, vec![]).unwrap();
    let next = by_old.prepare(&[&site.root]).unwrap();
    assert_eq!(by_old.sign(&next, &[&site.root]), Err(ProposalError::NotARoot(site.pin())));
    let (_, _) = taken(&turned, &envelope, vec![], &[&root]);
}

#[test]
fn a_threshold_of_roots_signs_one_after_the_other() {
    let site = Site::new();
    let (b, c) = (key(), key());
    let change = |keys: &[&PrivateKey]| vec![Change::Root(key_set(2, keys))];
    let envelope = site.signed(&site.bundle);
    let mut travelling = proposal(&envelope, change(&[&site.root, &b, &c])).unwrap();
    let next = travelling.prepare(&[&site.root]).unwrap();
    let standing = travelling.sign(&next, &[&site.root]).unwrap();
    assert_eq!((standing.present, standing.next, standing.is_complete()), (1, 1, false));
    let again = travelling.sign(&next, &[&site.root]).unwrap();
    assert_eq!(again, standing, "the same key twice counts once");
    assert!(site.bundle.next(&travelling.signed().unwrap().unwrap(), LATER).is_err());
    assert!(travelling.sign(&next, &[&c]).unwrap().is_complete());
    let three = site.bundle.next(&travelling.signed().unwrap().unwrap(), LATER).unwrap().into_value();
    // What was signed is what is signed on: another bundle under the same proposal is not taken.
    let other = TrustBundle { expires: next.expires.plus(1), ..next };
    assert_eq!(travelling.sign(&other, &[&b]), Err(ProposalError::Malformed));
    let envelope = travelling.signed().unwrap().unwrap();
    let (_, _) = taken(&three, &envelope, vec![Change::AuthorThreshold(1)], &[&b, &c]);
}

#[test]
fn what_cannot_work_is_not_proposed() {
    let site = Site::new();
    let envelope = site.signed(&site.bundle);
    let refuse = |change: Change| proposal(&envelope, vec![change]).unwrap_err();
    for only in [site.policy.public().id(), site.author.public().id(), site.pin()] {
        assert_eq!(refuse(Change::Revoke(only)), ProposalError::LastKey(only));
    }
    let nowhere = key().public().id();
    assert_eq!(refuse(Change::Revoke(nowhere)), ProposalError::KeyUnknown(nowhere));
    let author = NamedKey::new("again", site.author.public());
    let id = site.author.public().id();
    for known in [
        Change::Author(author.clone()),
        Change::Policy(author.clone()),
        Change::Issuing { key: author, within: Vec::new() },
    ] {
        assert_eq!(refuse(known), ProposalError::KeyKnown(id));
    }
    for threshold in [0, 2] {
        let unreachable = proposal(&envelope, vec![Change::AuthorThreshold(threshold)]).unwrap();
        assert!(matches!(unreachable.prepare(&[&site.root]), Err(ProposalError::Next(_))), "{threshold}");
    }
    let mut last = site.bundle.clone();
    last.version = u64::MAX;
    assert_eq!(proposal(&site.signed(&last), vec![]).unwrap_err(), ProposalError::NoVersion);
    let mut foreign = proposal(&envelope, vec![]).unwrap();
    foreign.site = "XYZ".parse().unwrap();
    assert_eq!(foreign.prepare(&[&site.root]).unwrap_err(), ProposalError::Malformed);
}

/// A site that is taken over may propose whatever it likes; whoever signs reads it first.
#[test]
fn whoever_signs_sees_what_the_bytes_say() {
    let (site, thief) = (Site::new(), Site::new());
    let envelope = site.signed(&site.bundle);
    let mallory = key();
    let add = proposal(&envelope, vec![Change::Author(NamedKey::new("mallory\u{1b}[2J", mallory.public()))]).unwrap();
    let next = add.prepare(&[&site.root]).unwrap();
    let said = next.differences(add.vouched(&[&site.root]).unwrap().as_ref());
    let id = mallory.public().id();
    assert_eq!(said, [format!("new author key of \"mallory\u{fffd}[2J\": {id}")]);
    // A bundle "in force" that the signer's own key never signed: nothing in it is taken as known.
    let smuggled = thief.with(|b| b.root = key_set(1, &[&thief.root, &site.root]));
    let smuggled = proposal(&thief.signed(&smuggled), vec![]).unwrap();
    assert!(smuggled.vouched(&[&site.root]).unwrap().is_none());
    let next = smuggled.prepare(&[&site.root]).unwrap();
    let said = next.differences(None).join("\n");
    for key in [&thief.root, &thief.policy, &thief.author, &site.root] {
        assert!(said.contains(&key.public().id().to_string()), "{said}");
    }
    assert!(BASE64.decode(&next.root_certificate).is_ok());
    let renewed = proposal(&envelope, vec![]).unwrap().prepare(&[&site.root]).unwrap();
    assert!(renewed.differences(Some(&site.bundle)).is_empty(), "only the times");
}
