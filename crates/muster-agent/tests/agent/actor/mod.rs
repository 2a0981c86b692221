//! A site that a test plays: real keys, real certificates, real TLS and HTTP, and every misbehaviour that a test asks for.

mod door;
pub(crate) mod machine;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    application::{Application, Command, ContentFile, Detection, Platform},
    chunk::{Chunk, ChunkList},
    enrol::EnrolmentToken,
    id::{ApplicationId, DeploymentId, DeviceId, EnrolmentId, Hash, SiteCode},
    peer::PeerAnnouncement,
    policy::{Assignment, BodyKind, BodyRef, DeploymentPolicy, Recipient},
    report::{Body, Channel, Message},
    status::{DeploymentReport, DeploymentState, MessageId},
    time::{DAY, UnixMillis},
};
use muster_trust::{
    PrivateKey, PublicKey, TrustBundle,
    bundle::{KeySet, NamedKey},
    certificate::{self, IssuingCa},
    envelope,
    ocsp::Status,
    sha256, tls,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};
use tokio::{sync::Notify, task::AbortHandle};
use uuid::Uuid;

/// How long a test waits for something before it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a chunk of [`Site::chunked`].
pub(crate) const CHUNK: usize = 20 << 10;

pub(crate) struct Keys {
    pub(crate) root: PrivateKey,
    pub(crate) policy: PrivateKey,
    pub(crate) author: PrivateKey,
    pub(crate) ca: IssuingCa,
    root_certificate: Vec<u8>,
}

impl Keys {
    pub(crate) fn root_certificate(&self) -> Vec<u8> {
        self.root_certificate.clone()
    }
}

/// What the site does wrong.
#[derive(Debug, Default, Clone)]
pub(crate) struct Mischief {
    /// Content answers end after so many bytes.
    pub(crate) cut_content: Option<usize>,
    /// Answers with chunks end after so many bytes.
    pub(crate) cut_chunks: Option<usize>,
    /// Answers with chunks go on and on.
    pub(crate) endless_chunks: bool,
    /// Answers to reports get lost after the commit.
    pub(crate) lose_answers: usize,
    /// The site is away: nothing is answered at the management point.
    pub(crate) away: bool,
    /// The certificate that is handed out is for another key.
    pub(crate) foreign_certificate: bool,
    /// The site forgets the last messages of every channel (a restored database).
    pub(crate) too_large_over: Option<usize>,
    /// What enrolment answers before it answers anything else: the connection is closed.
    pub(crate) drop_enrolments: usize,
    /// Content is refused.
    pub(crate) refuse_content: bool,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) mischief: Mischief,
    /// What the site says that it is by its clock.
    pub(crate) date: Option<UnixMillis>,
    /// Device key of the request, and whether it is approved.
    pub(crate) request: Option<(PublicKey, bool)>,
    pub(crate) used_secrets: HashMap<String, PublicKey>,
    pub(crate) assignment: Vec<u8>,
    pub(crate) version: u64,
    pub(crate) bodies: HashMap<Hash, Vec<u8>>,
    pub(crate) contents: HashMap<Hash, Vec<u8>>,
    /// Chunk lists, and the files as these speak of them.
    pub(crate) lists: HashMap<Hash, Vec<u8>>,
    pub(crate) stored: HashMap<Hash, Vec<u8>>,
    /// What was asked for of chunks, in order.
    pub(crate) asked: Vec<Vec<(u64, u64)>>,
    /// The chain of each channel.
    pub(crate) chains: BTreeMap<Channel, (u64, Hash)>,
    /// Everything that was committed, in order.
    pub(crate) messages: Vec<(Channel, u64, Message)>,
    pub(crate) lost: Vec<(Channel, u64, u64)>,
    pub(crate) forks: usize,
    pub(crate) resync: Vec<String>,
    /// `Range` headers that came.
    pub(crate) ranges: Vec<Option<String>>,
    /// What the client says that it serves, as often as it did.
    pub(crate) announced: Vec<PeerAnnouncement>,
    /// Grants by their content, and how often one was asked for.
    pub(crate) grants: HashMap<Hash, Vec<u8>>,
    pub(crate) grants_asked: usize,
    /// Statements of sealing keys, in the order in which they came.
    pub(crate) sealing_keys: Vec<Vec<u8>>,
    pub(crate) lives: usize,
    /// Requests at the management point.
    pub(crate) requests: usize,
    pub(crate) bundle: Vec<u8>,
    pub(crate) bundle_version: u64,
    /// Every bundle that was ever handed out, by its version.
    pub(crate) bundles: BTreeMap<u64, Vec<u8>>,
}

pub(crate) struct Site {
    pub(crate) keys: Arc<Keys>,
    pub(crate) now: UnixMillis,
    pub(crate) code: SiteCode,
    pub(crate) device: DeviceId,
    pub(crate) enrolment: EnrolmentId,
    state: Mutex<State>,
    happened: Notify,
    changed: tokio::sync::broadcast::Sender<()>,
    pub(crate) enrol_address: String,
    pub(crate) mp_address: String,
    /// What both doors show, and the serial number of its certificate.
    presented: OnceLock<(Arc<tls::Presented>, Mutex<u128>)>,
    /// The management point, which a test can end.
    pub(crate) point: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct NothingRevoked;

impl tls::Revocations for NothingRevoked {
    fn is_revoked(&self, _: u128) -> bool {
        false
    }
    fn generation(&self) -> u64 {
        0
    }
}

/// The real time; a test plays with the agent's clock and not with the site's.
pub(crate) fn now() -> UnixMillis {
    muster_agent::clock::Clock::System.now()
}

impl Site {
    /// Starts a site with both of its doors.
    pub(crate) async fn start() -> Arc<Self> {
        Self::start_at(now()).await
    }

    pub(crate) async fn start_at(now: UnixMillis) -> Arc<Self> {
        let code: SiteCode = "TST".parse().unwrap();
        let generate = || PrivateKey::generate().unwrap();
        let (root, ca_key) = (generate(), generate());
        let root_certificate = certificate::root(code, &root, now).unwrap();
        let ca_certificate = certificate::issuing(code, &root_certificate, &root, ca_key.public(), &[], now).unwrap();
        let ca = IssuingCa::new(ca_certificate, &ca_key).unwrap();
        let keys = Keys { root, policy: generate(), author: generate(), ca, root_certificate };
        Self::start_with(Arc::new(keys), 7, now).await
    }

    /// The same site for another device of it.
    pub(crate) async fn twin(&self, device: u128) -> Arc<Self> {
        Self::start_with(self.keys.clone(), device, self.now).await
    }

    async fn start_with(keys: Arc<Keys>, device: u128, now: UnixMillis) -> Arc<Self> {
        let code: SiteCode = "TST".parse().unwrap();
        let enrol = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Arc::new(Self {
            now,
            code,
            device: DeviceId(Uuid::from_u128(device)),
            enrolment: EnrolmentId(Uuid::from_u128(5)),
            state: Mutex::new(State { bundle_version: 1, ..State::default() }),
            happened: Notify::new(),
            changed: tokio::sync::broadcast::channel(16).0,
            enrol_address: format!("https://{}", enrol.local_addr().unwrap()),
            mp_address: format!("https://{}", mp.local_addr().unwrap()),
            keys,
            presented: OnceLock::new(),
            point: OnceLock::new(),
        });
        site.sign_bundle(|_| {});
        site.assign(Vec::new());
        let server_key = PrivateKey::generate().unwrap();
        let server =
            site.keys.ca.server(&["127.0.0.1".to_owned(), "localhost".to_owned()], server_key.public(), now).unwrap();
        let chain = [server.der, site.keys.ca.certificate().to_vec(), site.keys.root_certificate.clone()];
        let presented = Arc::new(tls::Presented::new(&chain, &server_key, Vec::new()).unwrap());
        let serial = certificate::serial_number(&chain[0]).unwrap();
        assert!(site.presented.set((presented.clone(), Mutex::new(serial))).is_ok());
        site.prove(Status::Good, now, now.plus(60 * DAY));
        let anonymous = Arc::new(tls::server(presented, tls::ClientAuth::None).unwrap());
        tokio::spawn(door::serve(site.clone(), enrol, anonymous, door::Door::Enrol));
        site.point.set(site.serve_point(mp)).unwrap();
        site
    }

    fn serve_point(self: &Arc<Self>, listener: tokio::net::TcpListener) -> AbortHandle {
        let required = tls::ClientAuth::Required {
            roots: vec![self.keys.root_certificate.clone()],
            revoked: Arc::new(NothingRevoked),
            enterprise: Arc::new(tls::NoEnterprise),
        };
        let config = Arc::new(tls::server(self.presented.get().unwrap().0.clone(), required).unwrap());
        tokio::spawn(door::serve(self.clone(), listener, config, door::Door::ManagementPoint)).abort_handle()
    }

    /// Another management point of this site; its port.
    pub(crate) async fn second_point(self: &Arc<Self>) -> (u16, AbortHandle) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (port, self.serve_point(listener))
    }

    /// Shows this status of the server's certificate from now on.
    pub(crate) fn prove(&self, status: Status, from: UnixMillis, until: UnixMillis) {
        self.show_status(self.keys.ca.ocsp_status(self.serial(), status, from, until).unwrap());
    }

    /// Shows another certificate from now on, which proves nothing yet.
    pub(crate) fn recertify(&self) {
        let key = PrivateKey::generate().unwrap();
        let server = self.keys.ca.server(&["127.0.0.1".to_owned()], key.public(), self.now).unwrap();
        let chain = [server.der, self.keys.ca.certificate().to_vec(), self.keys.root_certificate.clone()];
        let (presented, serial) = self.presented.get().unwrap();
        presented.replace(&chain, &key, Vec::new()).unwrap();
        *serial.lock().unwrap() = certificate::serial_number(&chain[0]).unwrap();
    }

    /// Shows these bytes in the place of a status.
    pub(crate) fn show_status(&self, status: Vec<u8>) {
        self.presented.get().unwrap().0.set_status(status);
    }

    /// The serial number of the server's certificate.
    pub(crate) fn serial(&self) -> u128 {
        *self.presented.get().unwrap().1.lock().unwrap()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn tell(&self) {
        self.happened.notify_waiters();
    }

    /// Waits until `condition` answers something.
    pub(crate) async fn wait<T>(&self, what: &str, condition: impl Fn(&State) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let told = self.happened.notified();
                tokio::pin!(told);
                told.as_mut().enable();
                if let Some(found) = condition(&self.state()) {
                    return found;
                }
                told.await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for {what}; the site has {:#?}", self.said()),
        }
    }

    /// In short, everything that the client said.
    pub(crate) fn said(&self) -> Vec<String> {
        let short = |message: &Message| match &message.body {
            Body::Status(status) => format!("{} {:?}", status.id.as_str(), status.values),
            Body::Deployment(d) => format!("{} {:?} {:?} {:?}", d.state.as_str(), d.reason, d.exit_code, d.output),
            Body::Heartbeat(_) => "heartbeat".to_owned(),
            Body::Discovery(_) => "discovery".to_owned(),
            Body::Network(said) => format!("network {said:?}"),
            Body::Compliance(said) => format!("compliance {:?}", said.outcome),
            Body::Log(anchor) => format!("log at {}, altered {:?}", anchor.sequence, anchor.broken),
            Body::LogPiece(piece) => format!("{} lines of the log", piece.lines.len()),
            Body::Health(said) => format!("health {:?}", said.checks),
            Body::Inventory(report) => format!("inventory of {}", report.sections.len()),
        };
        self.state().messages.iter().map(|(_, n, message)| format!("{n} {}", short(message))).collect()
    }

    /// Waits for a status message, returns its values.
    pub(crate) async fn wait_status(&self, id: MessageId) -> BTreeMap<String, String> {
        self.wait(id.as_str(), |state| {
            state.messages.iter().find_map(|(_, _, message)| match &message.body {
                Body::Status(status) if status.id == id => Some(status.values.clone()),
                _ => None,
            })
        })
        .await
    }

    /// Steps of a deployment so far.
    pub(crate) fn steps(state: &State, deployment: DeploymentId) -> Vec<DeploymentReport> {
        let reports = state.messages.iter().filter_map(|(_, _, message)| match &message.body {
            Body::Deployment(report) if report.deployment == deployment => Some(report.clone()),
            _ => None,
        });
        reports.collect()
    }

    /// Waits until a deployment has come to its end; returns all of its steps.
    pub(crate) async fn wait_end(&self, deployment: DeploymentId) -> Vec<DeploymentReport> {
        self.wait("the end of a deployment", |state| {
            let steps = Self::steps(state, deployment);
            let end = |s: &DeploymentReport| matches!(s.state, DeploymentState::Succeeded | DeploymentState::Failed);
            steps.last().is_some_and(end).then_some(steps)
        })
        .await
    }

    pub(crate) fn token(&self) -> EnrolmentToken {
        EnrolmentToken {
            site: self.code,
            root: self.keys.root.public().id(),
            enrol: self.enrol_address.clone(),
            secret: base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([1; 32]),
            trust_version: 1,
        }
    }

    /// Signs the next trust bundle, changed as the test wants.
    pub(crate) fn sign_bundle(&self, change: impl FnOnce(&mut TrustBundle)) {
        self.sign_bundle_by(&[&self.keys.root], change);
    }

    /// As [`Site::sign_bundle`], by other root keys.
    pub(crate) fn sign_bundle_by(&self, roots: &[&PrivateKey], change: impl FnOnce(&mut TrustBundle)) {
        let mut state = self.state();
        let mut bundle = TrustBundle {
            site: self.code,
            version: state.bundle_version,
            issued: self.now,
            expires: self.now.plus(300 * DAY),
            root: KeySet { threshold: 1, keys: vec![NamedKey::new("root", self.keys.root.public())] },
            root_certificate: BASE64.encode(&self.keys.root_certificate),
            issuing: vec![BASE64.encode(self.keys.ca.certificate())],
            policy: vec![NamedKey::new("policy", self.keys.policy.public())],
            authors: KeySet { threshold: 1, keys: vec![NamedKey::new("author", self.keys.author.public())] },
            revoked: Vec::new(),
            approval: None,
        };
        change(&mut bundle);
        state.bundle_version = bundle.version;
        state.bundle = envelope::sign_json(roots, &bundle).unwrap();
        let envelope = state.bundle.clone();
        state.bundles.insert(bundle.version, envelope);
    }

    /// The next version of the assignment, with these bodies.
    pub(crate) fn next_assignment(&self, bodies: Vec<BodyRef>) -> Assignment {
        let mut state = self.state();
        state.version += 1;
        Assignment {
            site: self.code,
            recipient: Recipient::Device(self.device),
            version: state.version,
            issued: self.now,
            expires: self.now.plus(7 * DAY),
            trust_version: 1,
            bodies,
        }
    }

    /// Signs and publishes.
    pub(crate) fn publish(&self, assignment: &Assignment) {
        self.publish_bytes(envelope::sign1_json(&self.keys.policy, assignment).unwrap());
    }

    pub(crate) fn publish_bytes(&self, envelope: Vec<u8>) {
        self.state().assignment = envelope;
        let _ = self.changed.send(());
    }

    pub(crate) fn assign(&self, bodies: Vec<BodyRef>) {
        let assignment = self.next_assignment(bodies);
        self.publish(&assignment);
    }

    /// Puts a body where clients fetch it.
    pub(crate) fn body(&self, kind: BodyKind, bytes: Vec<u8>) -> BodyRef {
        let reference = BodyRef { kind, hash: sha256(&bytes), size: bytes.len() as u64 };
        self.state().bodies.insert(reference.hash, bytes);
        reference
    }

    /// A file of an application.
    pub(crate) fn content(&self, name: &str, bytes: &[u8]) -> ContentFile {
        let hash = sha256(bytes);
        self.state().contents.insert(hash, bytes.to_vec());
        ContentFile { name: name.parse().unwrap(), hash, size: bytes.len() as u64 }
    }

    /// A file of an application, cut into chunks of [`CHUNK`] bytes and compressed. (A real site cuts elsewhere; a client takes what it
    /// is told.)
    pub(crate) fn chunked(&self, name: &str, bytes: &[u8]) -> ContentFile {
        let file = self.content(name, bytes);
        let (mut stored, mut chunks) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(CHUNK) {
            let frame = zstd::bulk::compress(piece, 3).unwrap();
            let kept = if frame.len() < piece.len() { &frame[..] } else { piece };
            stored.extend_from_slice(kept);
            let four = |length: usize| u32::try_from(length).unwrap();
            chunks.push(Chunk { hash: sha256(piece), size: four(piece.len()), stored: four(kept.len()) });
        }
        let list = ChunkList::new(chunks, file.size).unwrap().encode();
        let mut state = self.state();
        state.lists.insert(file.hash, list);
        state.stored.insert(file.hash, stored);
        file
    }

    /// Signs an application with these keys and deploys it, to start at `deadline`. Returns the deployment.
    pub(crate) fn deploy(
        &self,
        authors: &[&PrivateKey],
        application: &Application,
        deadline: UnixMillis,
    ) -> DeploymentId {
        let (deployment, bodies) = self.deployment(authors, application, deadline);
        self.assign(bodies);
        deployment
    }

    /// Assigns deployments: each with its own application, and others that come along.
    pub(crate) fn assign_all(&self, deployments: &[(DeploymentPolicy, &Application, &[&Application])]) {
        let author = [&self.keys.author];
        let bodies = deployments.iter().flat_map(|(policy, own, along)| self.signed(&author, policy, own, along));
        self.assign(bodies.collect());
    }

    /// The bodies of one deployment, with what comes along signed by other authors.
    pub(crate) fn signed(
        &self,
        authors_along: &[&PrivateKey],
        policy: &DeploymentPolicy,
        own: &Application,
        along: &[&Application],
    ) -> Vec<BodyRef> {
        let object = |authors: &[&PrivateKey], application: &Application| {
            self.body(BodyKind::Application, envelope::sign_json(authors, application).unwrap())
        };
        let own = object(&[&self.keys.author], own);
        let along: Vec<BodyRef> = along.iter().map(|application| object(authors_along, application)).collect();
        let related = along.iter().map(|body| body.hash).collect();
        let policy = DeploymentPolicy { application: own.hash, related, ..policy.clone() };
        let policy = self.body(BodyKind::Deployment, serde_json::to_vec(&policy).unwrap());
        [vec![policy, own], along].concat()
    }

    /// As [`Site::deploy`], but only what would be assigned.
    pub(crate) fn deployment(
        &self,
        authors: &[&PrivateKey],
        application: &Application,
        deadline: UnixMillis,
    ) -> (DeploymentId, Vec<BodyRef>) {
        let object = envelope::sign_json(authors, application).unwrap();
        let application = self.body(BodyKind::Application, object);
        let deployment = DeploymentId(Uuid::from_u128(u128::from(self.state().version) + 100));
        let policy = DeploymentPolicy {
            deployment,
            application: application.hash,
            available: deadline,
            deadline,
            outside_windows: false,
            volatile: false,
            software_update: false,
            action: muster_model::policy::Action::Install,
            purpose: muster_model::policy::Purpose::Required,
            related: Vec::new(),
            deferral: None,
            attempt: 0,
            options: muster_model::program::DeploymentOptions::default(),
            needs: Vec::new(),
        };
        let policy = self.body(BodyKind::Deployment, serde_json::to_vec(&policy).unwrap());
        (deployment, vec![policy, application])
    }
}

/// An application that runs a shell script of its own and is detected by a file.
pub(crate) fn application(script: ContentFile, detected: &std::path::Path, max_run_seconds: u32) -> Application {
    Application {
        id: ApplicationId(Uuid::from_u128(1)),
        name: "Sample".parse().unwrap(),
        version: "1.0".into(),
        platform: Platform::Linux,
        install: Command {
            program: format!("content/{}", script.name.as_str()),
            arguments: vec![detected.display().to_string()],
            success_codes: vec![0],
        },
        content: vec![script],
        detection: Detection::File { path: detected.display().to_string(), hash: None },
        secrets: Vec::new(),
        collector: None,
        uninstall: None,
        repair: None,
        requirements: Vec::new(),
        return_codes: Vec::new(),
        retries: None,
        dependencies: Vec::new(),
        supersedes: Vec::new(),
        type_name: None,
        types: Vec::new(),
        parameters: Vec::new(),
        max_run_seconds,
    }
}
