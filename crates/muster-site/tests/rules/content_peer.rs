//! Clients that serve content to others: who is a neighbour is what the site saw, and a grant is for one device and one file.

use crate::loop_story::application;
use muster_model::{
    api::{DeploymentCreate, SettingsSet, Target},
    id::{Hash, SettingsId},
    limits::PEER_CONTENT,
    peer::{PEER_GRANT_LIFETIME, PeerAnnouncement, PeerGrant, PeerReader},
    problem::Code,
    settings::SettingValues,
    time::HOUR,
};
use muster_site::{
    Ctx, SiteError, Worker, application_create, content_peer_announce, content_peer_grant, content_upload,
    deployment_create, device_block, settings_update,
    testing::{TestDevice, TestSite},
};
use muster_trust::{envelope, sha256};

/// A device asks from this address.
fn from(test: &TestSite, device: &TestDevice, address: &str) -> Ctx {
    Ctx { address: address.to_owned(), ..test.device(device) }
}

async fn upload(test: &TestSite, bytes: &[u8]) -> Hash {
    let mut body = [bytes::Bytes::copy_from_slice(bytes)].into_iter();
    let hash = sha256(bytes);
    content_upload(&test.full(), &test.site, hash, &mut body).await.unwrap();
    hash
}

async fn work(test: &TestSite) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

async fn deployed(test: &TestSite, bytes: &[u8], devices: &[&TestDevice]) {
    let object = envelope::sign_json(&[&test.admin_key], &application(bytes)).unwrap();
    let application = application_create(&test.full(), &test.site, &object).await.unwrap().hash;
    for device in devices {
        let target = Target::Device { device: device.id };
        let create: DeploymentCreate =
            serde_json::from_value(serde_json::json!({"application": application, "target": target})).unwrap();
        deployment_create(&test.full(), &test.site, &create).await.unwrap();
    }
    work(test).await;
}

async fn peers(test: &TestSite, value: &str) {
    let values = [("content_peers".to_owned(), value.into())].into();
    let set = SettingsSet {
        name: "Default".parse().unwrap(),
        comment: String::new(),
        values: SettingValues(values),
        collections: Vec::new(),
    };
    settings_update(&test.full(), &test.site, SettingsId::DEFAULT, &set, None).await.unwrap();
    work(test).await;
}

async fn announce(test: &TestSite, ctx: &Ctx, port: u16, content: &[Hash]) -> Result<(), SiteError> {
    content_peer_announce(ctx, &test.site, &PeerAnnouncement { port, content: content.to_vec() }).await
}

/// What a device gets, if the site's policy key signed it.
async fn granted(test: &TestSite, ctx: &Ctx, hash: Hash) -> Option<PeerGrant> {
    let bytes = content_peer_grant(ctx, &test.site, hash).await.unwrap()?;
    let trust = test.site.trust.load_full();
    Some(envelope::open1_json::<PeerGrant>(&bytes, |id| trust.bundle().policy_key(id)).unwrap().into_value())
}

async fn count(test: &TestSite, ctx: &Ctx, hash: Hash) -> usize {
    granted(test, ctx, hash).await.map_or(0, |grant| grant.peers.len())
}

#[tokio::test]
async fn a_grant_names_neighbours_that_the_site_saw_itself_and_only_for_what_a_device_may_have() {
    // proves S10: who may fetch what from whom is the site's word alone.
    for test in TestSite::all().await {
        let (a, b, c, d) = (test.enrol("a").await, test.enrol("b").await, test.enrol("c").await, test.enrol("d").await);
        let bytes = vec![7_u8; 300_000];
        let (hash, other, small) =
            (upload(&test, &bytes).await, upload(&test, &vec![8; 300_000]).await, upload(&test, b"small").await);
        deployed(&test, &bytes, &[&a, &b, &c]).await;
        let (at_a, at_b) = (from(&test, &a, "10.0.1.5"), from(&test, &b, "::ffff:10.0.1.9"));

        // By default nobody serves and nobody is sent.
        assert_eq!(announce(&test, &at_a, 8_003, &[hash]).await.unwrap_err().code(), Code::Forbidden);
        assert_eq!(granted(&test, &at_b, hash).await, None);
        peers(&test, "fetch").await;
        assert_eq!(announce(&test, &at_a, 8_003, &[hash]).await.unwrap_err().code(), Code::Forbidden);
        peers(&test, "fetch_and_serve").await;

        // What is not its own, or too small to be cut, a device does not serve, whatever it says.
        announce(&test, &at_a, 8_003, &[hash, other, small, Hash([9; 32])]).await.unwrap();
        let grant = granted(&test, &at_b, hash).await.unwrap();
        let reader = PeerReader { site: test.site.code, trust_version: grant.trust_version, now: test.now() };
        assert_eq!(grant.check_serving(reader, b.caller.key_id, a.caller.key_id), Ok(()));
        assert_eq!((grant.device, grant.content, grant.size), (b.id, hash, 300_000));
        assert_eq!(grant.expires.since(grant.issued), PEER_GRANT_LIFETIME);
        let peer = &grant.peers[0];
        assert_eq!((peer.device, peer.address, peer.port), (a.id, "10.0.1.5".parse().unwrap(), 8_003));
        assert_eq!(granted(&test, &at_a, hash).await, None, "nobody is its own neighbour");
        assert_eq!(granted(&test, &from(&test, &c, "10.0.2.5"), hash).await, None, "nor who is elsewhere");
        for (ctx, hash) in [(from(&test, &d, "10.0.1.7"), hash), (at_b.clone(), other)] {
            let refused = content_peer_grant(&ctx, &test.site, hash).await.unwrap_err();
            assert_eq!(refused.problem(), SiteError::not_found().problem(), "what a device may not have");
        }

        // In another network it is a neighbour of others.
        announce(&test, &from(&test, &a, "10.0.2.9"), 8_003, &[hash]).await.unwrap();
        assert_eq!(count(&test, &at_b, hash).await, 0);
        assert_eq!(count(&test, &from(&test, &c, "10.0.2.5"), hash).await, 1);
        announce(&test, &at_a, 8_003, &[]).await.unwrap();
        assert_eq!(count(&test, &from(&test, &c, "10.0.2.5"), hash).await, 0, "it serves no more");
    }
}

#[tokio::test]
async fn who_is_blocked_silent_or_told_not_to_is_in_no_grant() {
    for test in TestSite::all().await {
        let (a, b, c) = (test.enrol("a").await, test.enrol("b").await, test.enrol("c").await);
        let bytes = vec![7_u8; 300_000];
        let hash = upload(&test, &bytes).await;
        deployed(&test, &bytes, &[&a, &b, &c]).await;
        peers(&test, "fetch_and_serve").await;
        let at = |device: &TestDevice, last: u8| from(&test, device, &format!("10.0.1.{last}"));
        announce(&test, &at(&a, 1), 8_003, &[hash]).await.unwrap();
        announce(&test, &at(&b, 2), 8_003, &[hash]).await.unwrap();
        assert_eq!(count(&test, &at(&c, 3), hash).await, 2);
        device_block(&test.full(), &test.site, a.id, crate::reason("stolen"), None).await.unwrap();
        let grant = granted(&test, &at(&c, 3), hash).await.unwrap();
        assert_eq!(grant.peers.iter().map(|peer| peer.device).collect::<Vec<_>>(), [b.id]);
        let refused = content_peer_grant(&at(&a, 1), &test.site, hash).await.unwrap_err();
        assert_eq!(refused.code(), Code::DeviceNotActive);

        peers(&test, "off").await;
        assert_eq!(granted(&test, &at(&c, 3), hash).await, None);
        peers(&test, "fetch_and_serve").await;
        test.sources.pass(8 * HOUR + 1);
        assert_eq!(count(&test, &at(&c, 3), hash).await, 0, "it was not heard of since");
        // Who announces itself takes the silent ones away.
        announce(&test, &at(&c, 3), 8_003, &[hash]).await.unwrap();
        assert_eq!(count(&test, &at(&b, 2), hash).await, 1);

        // proves S1: one more than a limit allows is refused, and an address without neighbours.
        for (ctx, port, content, code) in [
            (at(&c, 3), 8_003, vec![hash; PEER_CONTENT + 1], Code::TooLarge),
            (at(&c, 3), 1_023, vec![hash], Code::Malformed),
            (from(&test, &c, "fe80::1"), 8_003, vec![hash], Code::Forbidden),
            (from(&test, &c, "nowhere"), 8_003, vec![hash], Code::Forbidden),
        ] {
            assert_eq!(announce(&test, &ctx, port, &content).await.unwrap_err().code(), code);
        }
        for ctx in [test.full(), test.anonymous()] {
            assert_eq!(announce(&test, &ctx, 8_003, &[hash]).await.unwrap_err().code(), Code::Unauthenticated);
            let refused = content_peer_grant(&ctx, &test.site, hash).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
        }
    }
}
