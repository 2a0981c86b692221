//! A site of one test's own: real database, real keys, a clock that the test moves, and ids that are the same in every run.

use crate::{
    Caller, Channel, Ctx, NewSite, Site, SiteParts, admin_create,
    ctx::DeviceCaller,
    enrolment_approve, enrolment_request,
    identity::keys::HeldKeys,
    site::{Addresses, Sources},
    site_create, token_create,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{Admin, AdminCreate, Role, TokenCreate},
    enrol::{DeviceClaims, EnrolAnswer, EnrolRequest, EnrolmentToken},
    id::{DeviceId, EnrolmentId, Hash},
    limits::Limits,
    time::UnixMillis,
};
use muster_store::{
    content::ContentStore,
    testing::{TestStore, sqlite, stores},
};
use muster_trust::{
    PrivateKey,
    certificate::{client_identity, signing_request},
    sha256,
};
use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
use uuid::Uuid;

pub use muster_store::testing::tamper;

/// When the clock of a test begins: 2026-09-21, 14:13:20 UTC.
pub const START: UnixMillis = UnixMillis(1_790_000_000_000);

/// A clock that stands still until it is moved, and ids that count.
#[derive(Debug)]
pub struct TestSources {
    now: AtomicI64,
    ids: AtomicU64,
}

impl Default for TestSources {
    fn default() -> Self {
        Self { now: AtomicI64::new(START.0), ids: AtomicU64::new(1) }
    }
}

impl TestSources {
    /// Moves the clock, back too.
    pub fn pass(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Sources for TestSources {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now.load(Ordering::SeqCst))
    }

    fn id(&self) -> Uuid {
        let count = self.ids.fetch_add(1, Ordering::SeqCst);
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.now().0.to_be_bytes()[2..]);
        (bytes[6], bytes[8]) = (0x70, 0x80);
        bytes[9..].copy_from_slice(&count.to_be_bytes()[1..]);
        Uuid::from_bytes(bytes)
    }
}

/// A site with one full administrator and one read-only analyst.
pub struct TestSite {
    /// The site.
    pub site: Arc<Site>,
    /// Its clock and ids.
    pub sources: Arc<TestSources>,
    /// Its database and directory.
    pub store: TestStore,
    /// The trusted root key.
    pub root_key: PrivateKey,
    /// The first policy key.
    pub policy_key: PrivateKey,
    /// The keys of the server.
    pub ring: Arc<HeldKeys>,
    /// The first administrator; signs in and signs applications.
    pub admin: Admin,
    /// The first administrator's key.
    pub admin_key: PrivateKey,
    /// The read-only analyst.
    pub analyst: Admin,
    /// The analyst's key.
    pub analyst_key: PrivateKey,
}

/// A client that was approved.
#[derive(Debug)]
pub struct TestDevice {
    /// The id.
    pub id: DeviceId,
    /// What it says of itself.
    pub claims: DeviceClaims,
    /// Its key.
    pub key: PrivateKey,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its identity on a connection.
    pub caller: DeviceCaller,
}

/// A request to be enrolled that waits.
#[derive(Debug)]
pub struct TestRequest {
    /// The id.
    pub id: EnrolmentId,
    /// What it says of itself.
    pub claims: DeviceClaims,
    /// Its key.
    pub key: PrivateKey,
}

#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test without its site has to stop")]
impl TestSite {
    /// A site on SQLite.
    pub async fn new() -> Self {
        Self::on(sqlite().await).await
    }

    /// A site on each database that this machine has.
    pub async fn all() -> Vec<Self> {
        let mut sites = Vec::new();
        for store in stores().await {
            sites.push(Self::on(store).await);
        }
        sites
    }

    /// A site on this database.
    pub async fn on(store: TestStore) -> Self {
        Self::with(
            store,
            Addresses {
                enrol: "https://127.0.0.1:8441".to_owned(),
                management_points: vec!["https://127.0.0.1:8440".to_owned()],
                console: "http://127.0.0.1:8442".to_owned(),
            },
        )
        .await
    }

    /// A site on this database that tells these addresses.
    pub async fn with(store: TestStore, addresses: Addresses) -> Self {
        let sources = Arc::new(TestSources::default());
        let name = |text: &str| text.parse().expect("a name");
        let code = "TST".parse().expect("a site code");
        let within = ["localhost".to_owned(), "127.0.0.0/8".to_owned()];
        let new = NewSite::generate(code, name("Test site"), name("Ada"), sources.id(), None, &within, sources.now())
            .expect("keys");
        site_create(&Ctx::site(sources.now()), &store.store, &new).await.expect("the site is made");
        let again = |key: &PrivateKey| PrivateKey::from_pkcs8(key.pkcs8()).expect("the key is copied");
        let (root, root_key, admin_key, admin) =
            (new.root(), again(&new.root_key), again(new.admin_key.as_ref().expect("a key")), new.admin.clone());
        let policy_key = again(&new.policy_key);
        let content = ContentStore::open(store.directory.path().join("content")).expect("a content directory");
        let ring = Arc::new(new.into_keys());
        let site = Site::open(SiteParts {
            store: store.store.clone(),
            content,
            keys: ring.clone(),
            root,
            endorsement_roots: Vec::new(),
            keytabs: Vec::new(),
            // A test lets one device do in a moment what others do in months.
            limits: Limits { device_requests: 1_000_000, ..Limits::default() },
            addresses,
            sources: sources.clone(),
        })
        .await
        .expect("the site opens");
        let analyst_key = PrivateKey::generate().expect("a key");
        let request =
            AdminCreate { name: name("Rosalind"), role: Role::ReadOnlyAnalyst, public_key: analyst_key.public().pem() };
        let ctx = Ctx { caller: Caller::Admin(admin.clone()), now: sources.now(), address: "192.0.2.1".to_owned() };
        let analyst = admin_create(&ctx, &site, request).await.expect("the analyst is added");
        Self {
            site: Arc::new(site),
            sources,
            store,
            root_key,
            policy_key,
            ring,
            admin,
            admin_key,
            analyst,
            analyst_key,
        }
    }

    /// The same site in another process: another memory, on the same database.
    pub async fn reopened(&self) -> Site {
        let parts = SiteParts {
            store: self.site.store.clone(),
            content: self.site.content.clone(),
            keys: self.ring.clone(),
            root: self.site.trust.load().root().expect("a root"),
            endorsement_roots: Vec::new(),
            keytabs: Vec::new(),
            // A test lets one device do in a moment what others do in months.
            limits: Limits { device_requests: 1_000_000, ..Limits::default() },
            addresses: self.site.addresses.clone(),
            sources: self.sources.clone(),
        };
        Site::open(parts).await.expect("the site opens again")
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.sources.now()
    }

    fn ctx(&self, caller: Caller) -> Ctx {
        Ctx { caller, now: self.sources.now(), address: "192.0.2.1".to_owned() }
    }

    /// The full administrator asks.
    #[must_use]
    pub fn full(&self) -> Ctx {
        self.ctx(Caller::Admin(self.admin.clone()))
    }

    /// The read-only analyst asks.
    #[must_use]
    pub fn analyst(&self) -> Ctx {
        self.ctx(Caller::Admin(self.analyst.clone()))
    }

    /// Somebody asks.
    #[must_use]
    pub fn anonymous(&self) -> Ctx {
        self.ctx(Caller::Anonymous)
    }

    /// A device asks.
    #[must_use]
    pub fn device(&self, device: &TestDevice) -> Ctx {
        self.ctx(Caller::Device(device.caller.clone()))
    }

    /// The secret of a new token.
    pub async fn token(&self) -> String {
        let request = TokenCreate { name: "for a test".parse().expect("a name"), valid_seconds: 3_600, serial: None };
        let created = token_create(&self.full(), &self.site, request).await.expect("a token");
        created.token.parse::<EnrolmentToken>().expect("the token's text").secret
    }

    /// A client that asked to be enrolled.
    pub async fn request(&self, host_name: &str) -> TestRequest {
        let key = PrivateKey::generate().expect("a key");
        let claims = claims(host_name);
        let request = enrol_request(&self.token().await, &key, claims.clone());
        match enrolment_request(&self.anonymous(), &self.site, &Channel::new(Hash([0; 32])), request).await {
            Ok(EnrolAnswer::Pending { enrolment, .. }) => TestRequest { id: enrolment, claims, key },
            other => panic!("not pending: {other:?}"),
        }
    }

    /// A client that was approved.
    pub async fn enrol(&self, host_name: &str) -> TestDevice {
        let request = self.request(host_name).await;
        let device = enrolment_approve(&self.full(), &self.site, request.id).await.expect("the approval");
        let mut reader = self.site.store.reader().await.expect("a connection");
        let row = muster_store::db::device::get(&mut reader, device.id).await.expect("a row").expect("the device");
        let identity = client_identity(&row.certificate).expect("a client certificate");
        let caller =
            DeviceCaller { id: device.id, key_id: identity.key.id(), key: identity.key, serial: identity.serial };
        TestDevice { id: device.id, claims: request.claims, key: request.key, certificate: row.certificate, caller }
    }
}

/// What a client of this name says of itself.
#[must_use]
pub fn claims(host_name: &str) -> DeviceClaims {
    DeviceClaims {
        host_name: host_name.to_owned(),
        operating_system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        agent_version: "0.1.0".to_owned(),
        hardware_id: sha256(host_name.as_bytes()),
    }
}

/// What a client with this key sends to the enrolment door.
///
/// # Panics
/// When the random source fails.
#[must_use]
#[expect(clippy::expect_used, reason = "a test without its request has to stop")]
pub fn enrol_request(secret: &str, key: &PrivateKey, claims: DeviceClaims) -> EnrolRequest {
    let csr = BASE64.encode(signing_request(key).expect("a signing request"));
    EnrolRequest {
        secret: secret.to_owned(),
        csr,
        claims,
        attestation: None,
        enterprise: None,
        domain: None,
        serial: None,
    }
}

/// A hash of nothing in particular.
#[must_use]
pub fn some_hash(text: &str) -> Hash {
    sha256(text.as_bytes())
}
