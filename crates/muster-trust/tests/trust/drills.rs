//! Key-compromise drills on the pure rules, in the order of section 5.3 of TUF's specification: how a client that has version N
//! takes N+1, N+2 and so on, and every way in which it must not.

use crate::bundle::{NOW, Site, key, key_set, site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::time::{DAY, UnixMillis};
use muster_trust::{
    PrivateKey, TrustBundle, TrustChain,
    bundle::{BUNDLE_TYPE, BundleError, NamedKey},
    certificate,
    envelope::{self, EnvelopeError},
};

const BELOW: BundleError = BundleError::Envelope(EnvelopeError::BelowThreshold);
const UNKNOWN: BundleError = BundleError::Envelope(EnvelopeError::KeyUnknown);

fn signed(keys: &[&PrivateKey], bundle: &TrustBundle) -> Vec<u8> {
    envelope::sign_json(keys, bundle).unwrap()
}

/// The bundle after `before`, with these roots; the first certifies.
fn rotated(before: &TrustBundle, threshold: u32, roots: &[&PrivateKey]) -> TrustBundle {
    let certificate = certificate::root(site(), roots[0], NOW).unwrap();
    TrustBundle {
        version: before.version + 1,
        root: key_set(threshold, roots),
        root_certificate: BASE64.encode(certificate),
        ..before.clone()
    }
}

fn refused(before: &TrustBundle, keys: &[&PrivateKey], next: &TrustBundle) -> BundleError {
    before.next(&signed(keys, next), NOW).unwrap_err()
}

// 5.3.4: signatures of a threshold of N's roots and of a threshold of N+1's.
#[test]
fn the_next_roots_need_the_word_of_both() {
    let ours = Site::new();
    let (a, b, c, stranger) = (&ours.root, key(), key(), key());
    let two_of_two = rotated(&ours.bundle, 2, &[&b, &c]);
    assert_eq!(refused(&ours.bundle, &[a], &two_of_two), UNKNOWN, "only the old ones");
    assert_eq!(refused(&ours.bundle, &[&b, &c], &two_of_two), UNKNOWN, "only the new ones");
    assert_eq!(refused(&ours.bundle, &[a, &b], &two_of_two), BELOW, "one new one of two");
    assert_eq!(refused(&ours.bundle, &[a, &b, &b], &two_of_two), BELOW, "the same new one twice");
    assert_eq!(refused(&ours.bundle, &[a, &b, &stranger], &two_of_two), BELOW, "a stranger beside it");
    assert_eq!(refused(&ours.bundle, &[&stranger, &b, &c], &two_of_two), UNKNOWN, "a stranger for the old one");
    let taken = ours.bundle.next(&signed(&[a, &b, &c], &two_of_two), NOW).unwrap().into_value();
    // From two of two to one: both old ones, and the new one.
    let back = rotated(&taken, 1, &[&stranger]);
    assert_eq!(refused(&taken, &[&b, &stranger], &back), BELOW, "one of two old ones");
    assert_eq!(refused(&taken, &[a, &b, &stranger], &back), BELOW, "a root of long ago counts for nothing");
    taken.next(&signed(&[&b, &c, &stranger], &back), NOW).unwrap();
}

// 5.3.4, threshold counting. threats.md 11
#[test]
fn a_threshold_counts_different_keys_however_they_are_dressed() {
    let ours = Site::new();
    let (a, b) = (&ours.root, key());
    let twice = |set: fn(&TrustBundle, Vec<NamedKey>) -> TrustBundle| {
        let public = a.public();
        set(&ours.bundle, vec![NamedKey::new("one", public), NamedKey::new("two", public)])
    };
    let next = |change: &dyn Fn(&mut TrustBundle)| {
        let mut next = TrustBundle { version: 2, ..ours.bundle.clone() };
        change(&mut next);
        next
    };
    let two_names = twice(|bundle, keys| {
        let mut next = TrustBundle { version: 2, ..bundle.clone() };
        (next.root.threshold, next.root.keys) = (2, keys);
        next
    });
    assert_eq!(refused(&ours.bundle, &[a, a], &two_names), BELOW, "one key under two names");
    let (spki, pem) = (a.public().spki(), a.public().pem());
    let compressed = {
        let mut point = vec![2 + (spki[90] & 1)];
        point.extend(&spki[27..59]);
        // The same key as a compressed point.
        let mut der = spki[..26].to_vec();
        (der[1], der[24]) = (0x39, 0x22);
        der.extend(point);
        der
    };
    let mut trailing = spki.clone();
    trailing.push(0);
    let unpadded = BASE64.encode(&spki).trim_end_matches('=').to_owned();
    for other in [BASE64.encode(&compressed), BASE64.encode(&trailing), BASE64.encode(pem), format!(" {unpadded}")] {
        let dressed = next(&|next| {
            next.root.threshold = 2;
            next.root.keys.push(NamedKey { name: "another spelling".into(), key: other.clone() });
        });
        assert!(ours.bundle.next(&signed(&[a, a], &dressed), NOW).is_err(), "{other}");
        let beside = next(&|next| next.policy.push(NamedKey { name: "p".into(), key: other.clone() }));
        assert_eq!(refused(&ours.bundle, &[a], &beside), BundleError::Unsatisfiable, "{other}, for policy");
    }
    for (threshold, what) in [(0, "none"), (2, "more than there are"), (u32::MAX, "far more")] {
        let roots = next(&|next| next.root.threshold = threshold);
        assert!(ours.bundle.next(&signed(&[a], &roots), NOW).is_err(), "{what}, of roots");
        let authors = next(&|next| next.authors.threshold = threshold);
        assert_eq!(refused(&ours.bundle, &[a], &authors), BundleError::Unsatisfiable, "{what}, of authors");
    }
    let revoked = next(&|next| {
        next.root = key_set(2, &[a, &b]);
        next.revoked = vec![b.public().id()];
    });
    assert_eq!(refused(&ours.bundle, &[a, &b], &revoked), BELOW, "a revoked root counts for nothing");
    // One key, one purpose: what is stolen at the site must not sign what runs, nor certify.
    let roles: [&dyn Fn(&mut TrustBundle); 4] = [
        &|next| next.policy = vec![NamedKey::new("p", a.public())],
        &|next| next.authors = key_set(1, &[a]),
        &|next| next.authors = key_set(1, &[&ours.policy]),
        &|next| next.issuing = vec![next.root_certificate.clone()],
    ];
    for (at, role) in roles.iter().enumerate() {
        assert_eq!(refused(&ours.bundle, &[a], &next(role)), BundleError::Unsatisfiable, "two purposes, {at}");
    }
}

// 5.3.5: the version is the next one, and nothing else.
#[test]
fn versions_neither_skip_nor_go_back_nor_mean_two_things() {
    let mut ours = Site::new();
    ours.bundle.version = 5;
    let at = |version| TrustBundle { version, ..ours.bundle.clone() };
    let by_us = |bundle: &TrustBundle| ours.bundle.next(&signed(&[&ours.root], bundle), NOW).map(drop);
    by_us(&at(6)).unwrap();
    by_us(&at(5)).expect("the same bundle again changes nothing");
    for older in [0, 1, 4] {
        assert_eq!(by_us(&at(older)), Err(BundleError::Older), "{older}");
    }
    // A fast-forward would leave no room for the recovery: it is a skip like any other.
    for skipped in [7, 10, u64::MAX - 1, u64::MAX] {
        assert_eq!(by_us(&at(skipped)), Err(BundleError::Skipped), "{skipped}");
    }
    let fork = TrustBundle { expires: ours.bundle.expires.plus(1), ..at(5) };
    assert_eq!(by_us(&fork), Err(BundleError::Fork));
    // At the end of the numbers nothing follows, and nothing panics.
    let last = at(u64::MAX);
    for after in [0, 1, u64::MAX - 1] {
        assert_eq!(last.next(&signed(&[&ours.root], &at(after)), NOW).unwrap_err(), BundleError::Older);
    }
}

// 5.3.9 and 5.3.10: one by one; what lies between may have ended, the last one may not.
#[test]
fn who_slept_walks_the_chain_one_by_one() {
    let ours = Site::new();
    let (b, c) = (key(), key());
    let first = signed(&[&ours.root], &ours.bundle);
    let second = rotated(&ours.bundle, 1, &[&b]);
    let mut third = rotated(&second, 1, &[&c]);
    let later = second.expires.plus(DAY);
    third.expires = later.plus(DAY);
    let walk = [signed(&[&ours.root, &b], &second), signed(&[&b, &c], &third)];
    let chain = TrustChain::first(&first, &ours.pin(), site(), NOW).unwrap();
    assert_eq!(chain.extended(&walk[1..], later).unwrap_err(), UNKNOWN, "N+2 says nothing to who knows N");
    assert_eq!(chain.extended(&walk[..1], later).unwrap_err(), BundleError::Expired, "the last one has ended");
    let there = chain.extended(&walk, later).unwrap();
    assert_eq!((there.bundle(), there.envelope()), (&third, &walk[1][..]));
    assert_eq!(there.extended(&walk[1..], later).unwrap(), there, "the same again");
    assert_eq!(there.extended(&walk[..1], later).unwrap_err(), UNKNOWN, "not back, by the roots of before");
    let disordered = [walk[1].clone(), walk[0].clone()];
    assert!(chain.extended(&disordered, later).is_err());
    assert_eq!(chain.extended(&walk, third.expires).unwrap_err(), BundleError::Expired);
    // An intermediate one that two histories claim.
    let other = TrustBundle { expires: second.expires.plus(1), ..second.clone() };
    let forked = [walk[0].clone(), signed(&[&b], &other)];
    assert_eq!(chain.extended(&forked, NOW).unwrap_err(), BundleError::Fork);
    let foreign = TrustBundle { site: "XYZ".parse().unwrap(), ..second.clone() };
    let foreign = [signed(&[&ours.root, &b], &foreign)];
    assert_eq!(chain.extended(&foreign, NOW).unwrap_err(), BundleError::ForeignSite);
}

#[test]
fn what_is_kept_verifies_again_from_the_pin_and_not_from_another() {
    let ours = Site::new();
    let b = key();
    let mut chain = TrustChain::first(&signed(&[&ours.root], &ours.bundle), &ours.pin(), site(), NOW).unwrap();
    let mut newest = ours.bundle.clone();
    for _ in 0..4 {
        newest.version += 1;
        chain = chain.extended(&[signed(&[&ours.root], &newest)], NOW).unwrap();
    }
    let without = chain.to_bytes();
    newest = rotated(&newest, 1, &[&b]);
    let by_both = signed(&[&ours.root, &b], &newest);
    chain = chain.extended(std::slice::from_ref(&by_both), NOW).unwrap();
    for _ in 0..4 {
        newest.version += 1;
        chain = chain.extended(&[signed(&[&b], &newest)], NOW).unwrap();
    }
    let kept = chain.to_bytes();
    assert_eq!(TrustChain::kept(&kept, &ours.pin(), site()).unwrap(), chain);
    assert_eq!(envelope::items(&without).unwrap().len(), 2, "the first and the newest");
    assert_eq!(envelope::items(&kept).unwrap().len(), 3, "and the one that changed the roots");
    assert!(TrustChain::kept(&kept, &b.public().id(), site()).is_err(), "the first is not of this pin");
    assert!(TrustChain::kept(&kept, &ours.pin(), "XYZ".parse().unwrap()).is_err());
    for at in (0..kept.len()).step_by(5) {
        let mut altered = kept.clone();
        altered[at] ^= 1;
        assert!(TrustChain::kept(&altered, &ours.pin(), site()).is_err(), "byte {at}");
        let cut = TrustChain::kept(&kept[..at], &ours.pin(), site());
        assert!(cut.is_err() || cut.is_ok_and(|c| c.bundle().version < newest.version), "cut at {at}");
    }
}

// 5.3.11: the keys of lower roles. A stolen one is good for its own purpose, until the root says otherwise; and nothing that it
// signed counts afterwards.
#[test]
fn a_stolen_key_is_worth_nothing_above_its_purpose_and_nothing_after_its_end() {
    let ours = Site::new();
    let next = TrustBundle { version: 2, ..ours.bundle.clone() };
    for (what, stolen) in [("policy", &ours.policy), ("author", &ours.author)] {
        assert_eq!(refused(&ours.bundle, &[stolen], &next), UNKNOWN, "{what} signs no bundle");
        assert_eq!(ours.bundle.next(&signed(&[&ours.root, stolen], &next), NOW).unwrap().signers().len(), 1, "{what}");
    }
    let policy = key();
    let mut after = TrustBundle { version: 2, ..ours.bundle.clone() };
    after.policy = vec![NamedKey::new("new", policy.public())];
    after.revoked = vec![ours.policy.public().id()];
    let taken = ours.bundle.next(&signed(&[&ours.root], &after), NOW).unwrap().into_value();
    assert!(taken.policy_key(&ours.policy.public().id()).is_none());
    assert!(taken.policy_key(&policy.public().id()).is_some());
    // Named again by mistake, it is still revoked.
    let mut again = TrustBundle { version: 3, ..taken };
    again.policy.push(NamedKey::new("old", ours.policy.public()));
    assert!(again.policy_key(&ours.policy.public().id()).is_none());
    let only = TrustBundle { policy: vec![NamedKey::new("old", ours.policy.public())], ..again };
    assert_eq!(only.sound(site()), Err(BundleError::Unsatisfiable), "no usable policy key is left");
}

#[test]
fn an_issuing_authority_that_is_revoked_is_no_anchor() {
    let ours = Site::new();
    let ca = key();
    let root_certificate = ours.bundle.root_certificate().unwrap();
    let second = certificate::issuing(site(), &root_certificate, &ours.root, ca.public(), &[], NOW).unwrap();
    let mut both = TrustBundle { version: 2, ..ours.bundle.clone() };
    both.issuing.push(BASE64.encode(&second));
    assert_eq!(both.issuing_certificates().unwrap().len(), 2, "while they overlap");
    let first = certificate::public_key(&both.issuing_certificates().unwrap()[0]).unwrap();
    both.revoked.push(first.id());
    assert_eq!(both.issuing_certificates().unwrap(), [second]);
    both.sound(site()).unwrap();
    both.revoked.push(ca.public().id());
    assert_eq!(both.sound(site()), Err(BundleError::Unsatisfiable));
}

#[test]
fn a_revoked_pin_begins_nothing() {
    let ours = Site::new();
    let other = key();
    let bundle = ours.with(|b| {
        b.root = key_set(1, &[&other, &ours.root]);
        b.root_certificate = BASE64.encode(certificate::root(site(), &other, NOW).unwrap());
        b.revoked = vec![ours.pin()];
    });
    let by_both = signed(&[&other, &ours.root], &bundle);
    let first = TrustBundle::first(&by_both, &ours.pin(), site(), NOW);
    assert_eq!(first.unwrap_err(), BundleError::NotPinned);
    TrustBundle::first(&by_both, &other.public().id(), site(), NOW).unwrap();
    // Signatures over other bytes, and none at all.
    let none = envelope::sign(&[&other], "application/other", serde_json::to_vec(&bundle).unwrap()).unwrap();
    assert!(TrustBundle::first(&none, &other.public().id(), site(), NOW).is_err());
    let with_nothing = envelope::add_signature(&by_both, &key(), BUNDLE_TYPE).unwrap();
    TrustBundle::first(&with_nothing, &other.public().id(), site(), UnixMillis(0)).unwrap();
}
