//! The trust bundle: first by its pin, then only by its own succession.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    id::{Hash, SiteCode},
    time::{DAY, UnixMillis},
};
use muster_trust::{
    PrivateKey, TrustBundle, TrustChain,
    bundle::{BundleError, KeySet, NamedKey},
    certificate,
    envelope::{self, EnvelopeError},
};

pub(crate) const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate().unwrap()
}

pub(crate) fn site() -> SiteCode {
    "ABC".parse().unwrap()
}

pub(crate) fn key_set(threshold: u32, keys: &[&PrivateKey]) -> KeySet {
    let keys = keys.iter().map(|k| NamedKey::new("someone", k.public())).collect();
    KeySet { threshold, keys }
}

pub(crate) struct Site {
    pub(crate) root: PrivateKey,
    pub(crate) policy: PrivateKey,
    pub(crate) author: PrivateKey,
    pub(crate) bundle: TrustBundle,
}

impl Site {
    pub(crate) fn new() -> Self {
        let (root, ca, policy, author) = (key(), key(), key(), key());
        let root_certificate = certificate::root(site(), &root, NOW).unwrap();
        let issuing = certificate::issuing(site(), &root_certificate, &root, ca.public(), &[], NOW).unwrap();
        let bundle = TrustBundle {
            site: site(),
            version: 1,
            issued: NOW,
            expires: NOW.plus(365 * DAY),
            root: key_set(1, &[&root]),
            root_certificate: BASE64.encode(root_certificate),
            issuing: vec![BASE64.encode(issuing)],
            policy: vec![NamedKey::new("site server", policy.public())],
            authors: key_set(1, &[&author]),
            revoked: vec![],
            approval: None,
        };
        Self { root, policy, author, bundle }
    }

    pub(crate) fn pin(&self) -> Hash {
        self.root.public().id()
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut TrustBundle)) -> TrustBundle {
        let mut bundle = self.bundle.clone();
        change(&mut bundle);
        bundle
    }

    pub(crate) fn signed(&self, bundle: &TrustBundle) -> Vec<u8> {
        envelope::sign_json(&[&self.root], bundle).unwrap()
    }

    fn first(&self, bundle: &TrustBundle) -> Result<(), BundleError> {
        TrustBundle::first(&self.signed(bundle), &self.pin(), site(), NOW).map(drop)
    }

    fn next(&self, bundle: &TrustBundle) -> Result<(), BundleError> {
        self.bundle.next(&self.signed(bundle), NOW).map(drop)
    }
}

// proves S9
#[test]
fn a_first_bundle_is_believed_by_its_pin_only() {
    let (ours, theirs) = (Site::new(), Site::new());
    ours.first(&ours.bundle).unwrap();
    let foreign = theirs.signed(&theirs.bundle);
    assert_eq!(TrustBundle::first(&foreign, &ours.pin(), site(), NOW).unwrap_err(), BundleError::NotPinned);
    // Another's bundle that lists our root beside its own is not signed by it.
    let smuggled = theirs.with(|b| b.root = key_set(1, &[&theirs.root, &ours.root]));
    assert_eq!(
        TrustBundle::first(&theirs.signed(&smuggled), &ours.pin(), site(), NOW).unwrap_err(),
        BundleError::Envelope(EnvelopeError::KeyUnknown)
    );
    assert_eq!(
        TrustBundle::first(&ours.signed(&ours.bundle), &ours.pin(), "XYZ".parse().unwrap(), NOW).unwrap_err(),
        BundleError::ForeignSite
    );
    assert!(TrustBundle::first(b"", &ours.pin(), site(), NOW).is_err());
}

#[test]
fn a_bundle_that_cannot_work_is_refused() {
    let site = Site::new();
    let extra = key();
    let cases: [(&str, TrustBundle); 9] = [
        ("root threshold over the keys", site.with(|b| b.root.threshold = 2)),
        ("author threshold 0", site.with(|b| b.authors.threshold = 0)),
        ("author threshold over the keys", site.with(|b| b.authors.threshold = 2)),
        ("an author twice", site.with(|b| b.authors = key_set(2, &[&site.author, &site.author]))),
        ("an author revoked below the threshold", site.with(|b| b.revoked = vec![site.author.public().id()])),
        ("no policy key", site.with(|b| b.policy.clear())),
        ("a policy key that is none", site.with(|b| b.policy[0].key = "AAAA".into())),
        ("an issuing certificate that is none", site.with(|b| b.issuing[0] = "!".into())),
        ("a root certificate that is none", site.with(|b| b.root_certificate = "!".into())),
    ];
    for (what, bundle) in &cases {
        assert!(site.first(bundle).is_err(), "{what}");
        let successor = TrustBundle { version: 2, ..bundle.clone() };
        assert!(site.next(&successor).is_err(), "{what}, as a successor");
    }
    // Threshold 0 never means "nobody needs to sign".
    let unsigned = site.with(|b| b.root.threshold = 0);
    let by_stranger = envelope::sign_json(&[&extra], &unsigned).unwrap();
    assert!(TrustBundle::first(&by_stranger, &site.pin(), super::bundle::site(), NOW).is_err());
}

#[test]
fn a_bundle_ends_and_what_was_kept_of_it_still_verifies_its_successor() {
    let site_ = Site::new();
    let envelope = site_.signed(&site_.bundle);
    let after = site_.bundle.expires;
    assert_eq!(TrustBundle::first(&envelope, &site_.pin(), site(), after).unwrap_err(), BundleError::Expired);
    let kept = TrustChain::kept(&envelope, &site_.pin(), site()).unwrap();
    assert_eq!(kept.bundle().in_time(after), Err(BundleError::Expired));
    let renewed = site_.with(|b| {
        b.version = 2;
        b.expires = after.plus(DAY);
    });
    kept.bundle().next(&site_.signed(&renewed), after).unwrap();
}

#[test]
fn a_new_root_needs_the_old_ones_word_and_its_own() {
    let site = Site::new();
    let new_root = key();
    let rotated = site.with(|b| {
        b.version = 2;
        b.root = key_set(1, &[&new_root]);
        b.root_certificate = BASE64.encode(certificate::root(super::bundle::site(), &new_root, NOW).unwrap());
    });
    let by_old = envelope::sign_json(&[&site.root], &rotated).unwrap();
    let by_new = envelope::sign_json(&[&new_root], &rotated).unwrap();
    let by_both = envelope::sign_json(&[&site.root, &new_root], &rotated).unwrap();
    assert!(site.bundle.next(&by_old, NOW).is_err());
    assert!(site.bundle.next(&by_new, NOW).is_err());
    let accepted = site.bundle.next(&by_both, NOW).unwrap();
    // From then on the old root says nothing.
    let later = TrustBundle { version: 3, ..accepted.value().clone() };
    assert!(accepted.value().next(&envelope::sign_json(&[&site.root], &later).unwrap(), NOW).is_err());
    accepted.value().next(&envelope::sign_json(&[&new_root], &later).unwrap(), NOW).unwrap();
}

#[test]
fn a_threshold_of_roots_is_a_threshold() {
    let (mut site, second, third) = (Site::new(), key(), key());
    site.bundle.root = key_set(2, &[&site.root, &second, &third]);
    let successor = site.with(|b| b.version = 2);
    let one = envelope::sign_json(&[&site.root], &successor).unwrap();
    assert!(site.bundle.next(&one, NOW).is_err());
    let same_twice = envelope::sign_json(&[&site.root, &site.root], &successor).unwrap();
    assert!(site.bundle.next(&same_twice, NOW).is_err());
    let two = envelope::sign_json(&[&second, &third], &successor).unwrap();
    site.bundle.next(&two, NOW).unwrap();
}

#[test]
fn a_revoked_key_is_believed_for_nothing() {
    let site = Site::new();
    let (policy, author) = (site.bundle.policy[0].public().unwrap().id(), site.author.public().id());
    assert!(site.bundle.policy_key(&policy).is_some() && site.bundle.author_key(&author).is_some());
    assert!(site.bundle.policy_key(&author).is_none(), "an author signs no policy");
    assert!(site.bundle.author_key(&policy).is_none(), "the site's policy key signs nothing that runs");
    let revoked = site.with(|b| b.revoked = vec![policy, author, site.pin()]);
    assert!(revoked.policy_key(&policy).is_none() && revoked.author_key(&author).is_none());
    let successor = TrustBundle { version: 2, ..revoked.clone() };
    assert!(revoked.next(&site.signed(&successor), NOW).is_err(), "a revoked root signs no successor");
}

#[test]
fn an_unknown_field_is_refused() {
    let site = Site::new();
    let mut value = serde_json::to_value(&site.bundle).unwrap();
    value["surprise"] = true.into();
    let bytes = serde_json::to_vec(&value).unwrap();
    let signed = envelope::sign(&[&site.root], muster_trust::bundle::BUNDLE_TYPE, bytes).unwrap();
    assert!(TrustBundle::first(&signed, &site.pin(), super::bundle::site(), NOW).is_err());
}
