//! A site: made once, opened only with its own keys, told to clients as the root key signed it.

use muster_model::problem::Code;
use muster_site::{
    identity::new_site::{ISSUING_KEY_FILE, POLICY_KEY_FILE, ROOT_KEY_FILE, SiteFile},
    site::Addresses,
    testing::{START, TestSite, TestSources},
    *,
};
use muster_store::{content::ContentStore, testing::stores};
use muster_trust::{PrivateKey, TrustBundle};
use std::sync::Arc;

fn new_site() -> NewSite {
    let name = |text: &str| text.parse().unwrap();
    NewSite::generate("TST".parse().unwrap(), name("Again"), name("Eve"), uuid::Uuid::from_u128(9), None, &[], START)
        .unwrap()
}

fn file<'a>(files: &'a [SiteFile], name: &str) -> &'a SiteFile {
    files.iter().find(|file| file.name == name).unwrap()
}

fn text(file: &SiteFile) -> &str {
    std::str::from_utf8(&file.content).unwrap()
}

#[tokio::test]
async fn a_site_is_made_once() {
    for test in TestSite::all().await {
        let before = audit_verify(&test.full(), &test.site).await.unwrap();
        let error = site_create(&Ctx::site(START), &test.site.store, &new_site()).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert_eq!(audit_verify(&test.full(), &test.site).await.unwrap(), before);
        assert_eq!(
            trust_bundle_show(&test.anonymous(), &test.site).await.unwrap(),
            test.site.trust.load().chain.envelope()
        );
    }
}

#[test]
fn the_files_of_a_site_are_encrypted_and_read_again() {
    let new = new_site();
    let files = new.files(b"root passphrase", b"site secret").unwrap();
    assert!(files.iter().all(|file| file.secret == file.name.ends_with(".key.pem")));
    let root = text(file(&files, ROOT_KEY_FILE));
    assert!(root.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    assert!(
        PrivateKey::from_pem(root, Some(b"site secret")).is_err(),
        "the server's secret does not open the root key"
    );
    assert_eq!(PrivateKey::from_pem(root, Some(b"root passphrase")).unwrap().public().id(), new.root());
    for (name, key) in [(ISSUING_KEY_FILE, &new.issuing_key), (POLICY_KEY_FILE, &new.policy_key)] {
        let read = |secret: &[u8]| PrivateKey::from_pem(text(file(&files, name)), Some(secret));
        assert_eq!(read(b"site secret").unwrap().public(), key.public());
        assert!(read(b"wrong").is_err());
    }
}

#[test]
fn an_administrator_may_bring_a_key_of_their_own() {
    let mine = PrivateKey::generate().unwrap().public().clone();
    let name = |text: &str| text.parse().unwrap();
    let (code, id) = ("TST".parse().unwrap(), uuid::Uuid::from_u128(9));
    let new = NewSite::generate(code, name("Again"), name("Eve"), id, Some(mine.clone()), &[], START).unwrap();
    assert!(new.admin_key.is_none());
    assert_eq!((new.admin.key, &new.admin_public), (mine.id(), &mine));
    let bundle = TrustBundle::first(&new.trust_bundle, &new.root(), code, START).unwrap();
    assert_eq!(bundle.value().author_key(&mine.id()), Some(mine));
}

#[tokio::test]
async fn a_site_opens_with_its_own_keys_and_root_only() {
    for test in stores().await {
        let parts = |new: NewSite, root| SiteParts {
            store: test.store.clone(),
            content: ContentStore::open(test.directory.path().join("content")).unwrap(),
            keys: Arc::new(new.into_keys()),
            root,
            endorsement_roots: Vec::new(),
            keytabs: Vec::new(),
            limits: muster_model::limits::Limits::default(),
            addresses: Addresses::default(),
            sources: Arc::new(TestSources::default()),
        };
        let fault = async |parts| Site::open(parts).await.unwrap_err().to_string();
        let (mine, other) = (new_site(), new_site());
        let (root, others_root) = (mine.root(), other.root());
        assert!(fault(parts(new_site(), root)).await.contains("musterd init"));
        site_create(&Ctx::site(START), &test.store, &mine).await.unwrap();
        let bundle = TrustBundle::first(&mine.trust_bundle, &root, mine.code, START).unwrap();
        assert_eq!(bundle.value().author_key(&mine.admin.key).as_ref(), Some(&mine.admin_public));
        assert!(fault(parts(other, root)).await.contains("policy key"));
        let policy_key = PrivateKey::from_pkcs8(mine.policy_key.pkcs8()).unwrap();
        assert!(fault(parts(NewSite { policy_key, ..new_site() }, root)).await.contains("issuing CA"));
        assert!(fault(parts(new_site(), others_root)).await.contains("root key"));
        let site = Site::open(parts(mine, root)).await.unwrap();
        assert_eq!((site.trust.load().root().unwrap(), site.name.as_str()), (root, "Again"));
    }
}

#[tokio::test]
async fn the_site_says_what_it_is() {
    for test in TestSite::all().await {
        let site = site_show(&test.analyst(), &test.site).await.unwrap();
        assert_eq!((site.code, site.root, site.trust_version), (test.site.code, test.root_key.public().id(), 1));
        assert_eq!(site.database, test.site.store.dialect().name());
        assert_eq!(site_show(&test.anonymous(), &test.site).await.unwrap_err().code(), Code::Unauthenticated);
    }
}
