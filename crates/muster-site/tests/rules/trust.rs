//! Changing the trust bundle: taken as every client would take it, followed by a running site, and what it means for policy.

use muster_model::{
    policy::{Assignment, Recipient},
    problem::Code,
    time::{DAY, HOUR},
};
use muster_site::{identity::trust::BUNDLE_LIFETIME, testing::TestSite, *};
use muster_trust::{
    PrivateKey,
    bundle::NamedKey,
    certificate, crl, envelope, ocsp,
    proposal::{Change, Proposal},
};

fn place(test: &TestSite) -> TrustPlace<'_> {
    TrustPlace { store: &test.site.store, code: test.site.code, pin: test.root_key.public().id() }
}

async fn proposed(test: &TestSite, changes: Vec<Change>) -> Proposal {
    trust_propose(&Ctx::site(test.now()), place(test), changes).await.unwrap()
}

async fn accepted(test: &TestSite, proposal: &Proposal) -> Result<u64, SiteError> {
    let taken = trust_accept(&Ctx::site(test.now()), place(test), test.ring.as_ref(), proposal).await;
    taken.map(|bundle| bundle.version)
}

fn signed(mut proposal: Proposal, key: &PrivateKey) -> Proposal {
    let next = proposal.prepare(&[key]).unwrap();
    proposal.sign(&next, &[key]).unwrap();
    proposal
}

/// Changes the bundle, as the holder of the root key wants, and follows it.
pub(crate) async fn change(test: &TestSite, changes: Vec<Change>) {
    let proposal = signed(proposed(test, changes).await, &test.root_key);
    accepted(test, &proposal).await.unwrap();
    trust_follow(&test.site, test.now()).await.unwrap();
}

fn named(key: &PrivateKey) -> NamedKey {
    NamedKey::new("new", key.public())
}

// proves S9
#[tokio::test]
async fn only_what_every_client_would_take_is_accepted_and_then_followed() {
    for test in TestSite::all().await {
        let unsigned = proposed(&test, vec![]).await;
        assert_eq!(accepted(&test, &unsigned).await.unwrap_err().code(), Code::Conflict);
        let renewed = signed(unsigned.clone(), &test.root_key);
        // Signed by others: the site's own keys, a stranger.
        let stranger = PrivateKey::generate().unwrap();
        let next = unsigned.prepare(&[&test.root_key]).unwrap();
        for other in [&stranger, &test.policy_key] {
            let mut forged = unsigned.clone();
            let by_other = envelope::sign_json(&[other], &next).unwrap();
            forged.signed = Some(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, by_other));
            assert_eq!(accepted(&test, &forged).await.unwrap_err().code(), Code::Conflict);
        }
        // A policy key whose private half is not here, in the place of the one that is.
        let orphan =
            vec![Change::Policy(named(&stranger)), Change::Revoke(test.site.trust.load().keys.policy.public().id())];
        let orphan = signed(proposed(&test, orphan).await, &test.root_key);
        assert!(accepted(&test, &orphan).await.unwrap_err().to_string().contains("policy key"));
        assert!(!trust_follow(&test.site, test.now()).await.unwrap(), "nothing was changed by any of it");

        assert_eq!(accepted(&test, &renewed).await.unwrap(), 2);
        assert_eq!(accepted(&test, &renewed).await.unwrap_err().code(), Code::Conflict, "once");
        assert_eq!(test.site.trust.load().bundle().version, 1, "not before it is followed");
        assert_eq!(
            trust_bundle_version_show(&test.anonymous(), &test.site, 2).await.unwrap_err().code(),
            Code::NotFound
        );
        assert!(trust_follow(&test.site, test.now()).await.unwrap());
        let trust = test.site.trust.load_full();
        assert_eq!((trust.bundle().version, trust.bundle().expires), (2, test.now().plus(BUNDLE_LIFETIME)));
        for version in [1, 2] {
            assert!(trust_bundle_version_show(&test.anonymous(), &test.site, version).await.is_ok());
        }
        for version in [0, 3, u64::MAX] {
            let missing = trust_bundle_version_show(&test.anonymous(), &test.site, version).await;
            assert_eq!(missing.unwrap_err().code(), Code::NotFound);
        }
        // An older proposal does not follow any more.
        let late = signed(unsigned, &test.root_key);
        assert_eq!(accepted(&test, &late).await.unwrap_err().code(), Code::Conflict);
        assert!(audit_verify(&test.full(), &test.site).await.unwrap().broken_at.is_none());
    }
}

#[tokio::test]
async fn a_new_policy_key_signs_every_assignment_anew() {
    for test in TestSite::all().await {
        let device = test.enrol("kiosk").await;
        let before = assignment_show(&test.device(&device), &test.site).await.unwrap();
        let (key, old) = (PrivateKey::generate().unwrap(), test.site.trust.load().keys.policy.public().id());
        let change = vec![Change::Policy(named(&key)), Change::Revoke(old)];
        let id = key.public().id();
        test.ring.add(key);
        let proposal = signed(proposed(&test, change).await, &test.root_key);
        accepted(&test, &proposal).await.unwrap();
        trust_follow(&test.site, test.now()).await.unwrap();
        let seen = trust_show(&test.analyst(), &test.site).await.unwrap();
        assert_eq!((seen.version, seen.revoked, seen.unconfirmed), (2, vec![old], 1));
        assert!(seen.keys.iter().any(|key| key.key == id && key.in_use));
        // Whoever asks before the background work has come to it gets it at once.
        let after = assignment_show(&test.device(&device), &test.site).await.unwrap();
        assert_eq!((after.version, after.trust_version), (before.version + 1, 2));
        let trust = test.site.trust.load_full();
        let opened = envelope::open1_json::<Assignment>(&after.envelope, |id| trust.bundle().policy_key(id)).unwrap();
        assert_eq!(opened.signers(), [id]);
        assert!(envelope::open1_json::<Assignment>(&before.envelope, |id| trust.bundle().policy_key(id)).is_err());
        assignment_confirmed(&test.device(&device), &test.site, before.version).unwrap();
        device_seen_flush(&test.site).await.unwrap();
        assert_eq!(trust_show(&test.full(), &test.site).await.unwrap().unconfirmed, 1, "of an earlier one");
        assignment_confirmed(&test.device(&device), &test.site, after.version).unwrap();
        device_seen_flush(&test.site).await.unwrap();
        let seen = trust_show(&test.full(), &test.site).await.unwrap();
        assert_eq!((seen.unconfirmed, seen.devices[0].version, seen.devices[0].count), (0, 2, 1));
        let detail = device_show(&test.full(), &test.site, device.id).await.unwrap();
        assert_eq!((detail.policy_confirmed, detail.policy_trust_version), (Some(test.now()), 2));
        assert_eq!(trust_show(&test.anonymous(), &test.site).await.unwrap_err().code(), Code::Unauthenticated);
    }
}

#[tokio::test]
async fn a_site_goes_on_from_what_its_own_key_signed_and_from_nothing_else() {
    for test in TestSite::all().await {
        let (device, other) = (test.enrol("kiosk").await, test.enrol("desk").await);
        let ctx = test.device(&device);
        let known = assignment_show(&ctx, &test.site).await.unwrap();
        let shown = |recipient, version, key: &PrivateKey| {
            let assignment = Assignment {
                site: test.site.code,
                recipient: Recipient::Device(recipient),
                version,
                issued: test.now(),
                expires: test.now().plus(DAY),
                trust_version: 1,
                bodies: Vec::new(),
            };
            envelope::sign1_json(key, &assignment).unwrap()
        };
        let policy = &test.policy_key;
        let stranger = PrivateKey::generate().unwrap();
        for (code, bytes) in [
            (Code::SignatureInvalid, shown(device.id, 40, &stranger)),
            (Code::SignatureInvalid, shown(device.id, 40, &device.key)),
            (Code::Conflict, shown(other.id, 40, policy)),
            (Code::Conflict, shown(device.id, u64::MAX, policy)),
            (Code::Conflict, shown(device.id, i64::MAX as u64, policy)),
            (Code::Malformed, b"no".to_vec()),
            (Code::TooLarge, vec![0; test.site.limits.object_bytes + 1]),
        ] {
            assert_eq!(assignment_ahead(&ctx, &test.site, &bytes).await.unwrap_err().code(), code);
        }
        for nothing_new in [known.envelope.to_vec(), shown(device.id, known.version - 1, policy)] {
            assignment_ahead(&ctx, &test.site, &nothing_new).await.unwrap();
        }
        assert_eq!(assignment_show(&ctx, &test.site).await.unwrap(), known, "nothing of it moved anything");
        let unknown = assignment_ahead(&test.anonymous(), &test.site, &shown(device.id, 40, policy)).await;
        assert_eq!(unknown.unwrap_err().code(), Code::Unauthenticated);

        assignment_ahead(&ctx, &test.site, &shown(device.id, 40, policy)).await.unwrap();
        assert_eq!(assignment_show(&ctx, &test.site).await.unwrap().version, 41);
        // The same version with other content is another history, too; but not every minute.
        let again = assignment_ahead(&ctx, &test.site, &shown(device.id, 41, policy)).await.unwrap_err();
        assert_eq!(again.code(), Code::TooMany);
        test.sources.pass(HOUR);
        let ctx = test.device(&device);
        assignment_ahead(&ctx, &test.site, &shown(device.id, 41, policy)).await.unwrap();
        assert_eq!(assignment_show(&ctx, &test.site).await.unwrap().version, 42);
        assert_eq!(
            assignment_show(&test.device(&other), &test.site).await.unwrap().version,
            1,
            "each device for itself"
        );
    }
}

/// The same signature in other bytes: (r, s) and (r, n - s) are both good, and a length may be written longer than it has to be.
fn rewritten(envelope: &[u8]) -> [Vec<u8>; 2] {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut negated = envelope.to_vec();
    let mut borrow = false;
    for (s, n) in negated.iter_mut().rev().zip(N.iter().rev()) {
        let (rest, first) = n.overflowing_sub(*s);
        let (rest, second) = rest.overflowing_sub(u8::from(borrow));
        (*s, borrow) = (rest, first || second);
    }
    let (before, signature) = envelope.split_at(envelope.len() - 66);
    assert_eq!(signature[..2], [0x58, 0x40]);
    [negated, [before, &[0x59, 0, 0x40], &signature[2..]].concat()]
}

// proves I1: a device has no way to make its site write and sign by saying the same in other bytes.
#[tokio::test]
async fn the_assignment_that_a_device_has_is_known_however_it_is_written() {
    for test in TestSite::all().await {
        let device = test.enrol("kiosk").await;
        let ctx = test.device(&device);
        let known = assignment_show(&ctx, &test.site).await.unwrap();
        let written = audit_list(&test.full(), &test.site, Default::default()).await.unwrap().total;
        for bytes in rewritten(&known.envelope) {
            assert_ne!(bytes, known.envelope.to_vec());
            let _ = assignment_ahead(&ctx, &test.site, &bytes).await;
            assert_eq!(assignment_show(&ctx, &test.site).await.unwrap(), known);
        }
        let after = audit_list(&test.full(), &test.site, Default::default()).await.unwrap().total;
        assert_eq!(after, written);
    }
}

// proves S2
#[tokio::test]
async fn each_issuing_ca_that_is_believed_says_what_is_revoked_and_the_root_says_which_of_them_is() {
    for test in TestSite::all().await {
        let device = test.enrol("kiosk").await;
        let serial = certificate::serial_number(&device.certificate).unwrap();
        let before = test.site.trust.load_full();
        let (old, root) = (&before.keys.issuing, test.root_key.public());
        let root_list = async || {
            let list = revocation_list_show(&test.anonymous(), &test.site, root.id()).await.unwrap();
            crl::read(&list.der, root).unwrap()
        };
        let first = root_list().await;
        assert_eq!((first.number, first.revoked.len()), (1, 0));

        let key = PrivateKey::generate().unwrap();
        let (id, change) = (
            key.public().id(),
            vec![Change::Issuing { key: named(&key), within: vec!["localhost".to_owned(), "127.0.0.1".to_owned()] }],
        );
        test.ring.add(key);
        accepted(&test, &signed(proposed(&test, change).await, &test.root_key)).await.unwrap();
        let mut worker = Worker::new(test.site.clone());
        while worker.step().await.unwrap() {}
        assert_eq!(test.site.trust.load().keys.issuing.key_id(), id);
        device_block(&test.full(), &test.site, device.id, crate::reason("lost"), None).await.unwrap();
        test.sources.pass(2_000);
        while worker.step().await.unwrap() {}
        for ca in test.site.trust.load_full().keys.issuing_all() {
            let list = revocation_list_show(&test.anonymous(), &test.site, ca.key_id()).await.unwrap();
            let list = crl::read(&list.der, &certificate::public_key(ca.certificate()).unwrap()).unwrap();
            // Each names what it issued itself.
            let named: Vec<_> = list.revoked.iter().map(|entry| entry.serial).collect();
            assert_eq!(named, if ca.key_id() == old.key_id() { vec![serial] } else { vec![] });
        }
        // Of a certificate that the old one issued, the old one answers, and the new one knows nothing.
        let newest = test.site.trust.load_full();
        let stranger = ocsp::Issuer::from_certificate(newest.keys.issuing.certificate()).unwrap();
        let ask = ocsp::request(&stranger, serial, None).unwrap();
        let answer = ocsp_answer(&test.anonymous(), &test.site, &ask).await.unwrap();
        let verdict = ocsp::read_status(&answer.der, &stranger, serial).unwrap().verdict;
        assert_eq!(verdict, Err(ocsp::StatusError::Unknown));
        let issuer = ocsp::Issuer::from_certificate(old.certificate()).unwrap();
        let ask = ocsp::request(&issuer, serial, None).unwrap();
        let answer = ocsp_answer(&test.anonymous(), &test.site, &ask).await.unwrap();
        let verdict = ocsp::read_status(&answer.der, &issuer, serial).unwrap().verdict;
        assert_eq!(verdict, Err(ocsp::StatusError::Revoked));
        let listed = revocation_show(&test.full(), &test.site).await.unwrap();
        assert_eq!(
            listed.lists.iter().map(|list| &list.of[..]).collect::<Vec<_>>(),
            ["issuing", "earlier issuing", "root"]
        );
        assert_eq!((listed.warnings, root_list().await.number), (vec![], 2));

        // A list that the root did not sign is not taken, and with it the whole proposal.
        let revoke = signed(proposed(&test, vec![Change::Revoke(old.key_id())]).await, &test.root_key);
        let own = old.revocation_list(9, &[], test.now(), test.now().plus(DAY)).unwrap();
        let own = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, own);
        let forged = Proposal { signed_root_list: Some(own), ..revoke.clone() };
        assert_eq!(accepted(&test, &forged).await.unwrap_err().code(), Code::Conflict);
        accepted(&test, &revoke).await.unwrap();
        while worker.step().await.unwrap() {}
        let last = root_list().await;
        let named: Vec<_> = last.revoked.iter().map(|entry| entry.serial).collect();
        assert_eq!((last.number, named), (3, vec![certificate::serial_number(old.certificate()).unwrap()]));
        // It stays on the next.
        accepted(&test, &signed(proposed(&test, vec![]).await, &test.root_key)).await.unwrap();
        while worker.step().await.unwrap() {}
        let next = root_list().await;
        assert_eq!((next.number, next.revoked), (4, last.revoked));
    }
}

// proves S2: the root's word about its issuing CAs is neither dropped nor taken back on the way.
#[tokio::test]
async fn the_root_s_list_is_neither_left_out_nor_rewound() {
    for test in TestSite::all().await {
        let mut worker = Worker::new(test.site.clone());
        let mut ended = Vec::new();
        for _ in 0..2 {
            let old = test.site.trust.load().keys.issuing.key_id();
            let key = PrivateKey::generate().unwrap();
            let change = vec![Change::Issuing { key: named(&key), within: Vec::new() }];
            test.ring.add(key);
            accepted(&test, &signed(proposed(&test, change).await, &test.root_key)).await.unwrap();
            while worker.step().await.unwrap() {}
            ended.push(old);
        }
        let code = async |proposal: &Proposal| accepted(&test, proposal).await.map_err(|error| error.code());
        let revoke = vec![Change::Revoke(ended[0])];
        let mut without = signed(proposed(&test, revoke.clone()).await, &test.root_key);
        without.signed_root_list = None;
        assert_eq!(code(&without).await, Err(Code::Conflict), "left out");
        let mut of_before = signed(proposed(&test, revoke.clone()).await, &test.root_key);
        of_before.signed_root_list = signed(proposed(&test, vec![]).await, &test.root_key).signed_root_list;
        assert_eq!(code(&of_before).await, Err(Code::Conflict), "it does not name the CA");
        accepted(&test, &signed(proposed(&test, revoke).await, &test.root_key)).await.unwrap();
        while worker.step().await.unwrap() {}
        // The list before is kept from the signer, and a number is made up that is high enough.
        let mut rewound = proposed(&test, vec![Change::Revoke(ended[1])]).await;
        let root = certificate::public_key(&test.site.trust.load().bundle().root_certificate().unwrap()).unwrap();
        let ca =
            certificate::IssuingCa::new(test.site.trust.load().bundle().root_certificate().unwrap(), &test.root_key)
                .unwrap();
        let empty = ca.revocation_list(90, &[], test.now(), test.now().plus(DAY)).unwrap();
        assert!(crl::read(&empty, &root).is_ok());
        rewound = rewound.after_list(Some(&empty));
        assert_eq!(code(&signed(rewound, &test.root_key)).await, Err(Code::Conflict), "the first one is missing");
        let good = signed(proposed(&test, vec![Change::Revoke(ended[1])]).await, &test.root_key);
        accepted(&test, &good).await.unwrap();
    }
}
