//! A server of a test's own, and those who talk to it: nobody, administrators, devices.

use base64::{
    Engine, engine::general_purpose::STANDARD as BASE64, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use muster_model::{
    api::{Admin, Challenge, Device, Role, Session, TokenCreated},
    enrol::{DeviceClaims, EnrolAnswer, EnrolPoll, EnrolRequest, EnrolmentToken},
    id::{DeviceId, EnrolmentId, Hash},
    problem::{Code, Problem},
    profile::{KEY_FILE, PASSPHRASE_FILE},
    report::{Batch, Body, Channel, Message, REPORT_TYPE},
    status::{Component, MessageId, Severity, StatusMessage},
};
use muster_server::{
    clock::System,
    command::{InitArgs, init},
    config::{self, Config},
    serve::Server,
};
use muster_site::site::Sources;
use muster_trust::{PrivateKey, certificate, envelope, tls};
use serde::{Serialize, de::DeserializeOwned};
use std::{path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};

/// A server with its directory.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) server: Server,
    pub(crate) alice: Caller,
}

/// Who calls the API.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The refusal's code, after checking that it is one.
    pub(crate) fn code(&self) -> Code {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.kind, format!("urn:muster:problem:{}", problem.code));
        problem.code
    }
}

/// Arguments of `musterd init` for a directory.
pub(crate) fn init_args(dir: PathBuf) -> InitArgs {
    let any = Some("127.0.0.1:0".parse().unwrap());
    InitArgs {
        dir,
        code: "ABC".parse().unwrap(),
        name: "Main site".parse().unwrap(),
        admin_name: "alice".parse().unwrap(),
        hosts: vec!["localhost".into()],
        within: Vec::new(),
        admin_key: None,
        passphrase_file: None,
        unattended: true,
        database: None,
        listen_management_point: any,
        listen_enrolment: any,
        listen_admin: any,
        listen_revocation: any,
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with a changed configuration.
    pub(crate) async fn with(change: impl Fn(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("site");
        init(&init_args(site.clone()), &System).await.unwrap();
        let mut config = config::load(&site).unwrap();
        change(&mut config);
        let server = Server::start(&site, config, Arc::new(System)).await.unwrap();
        let mut world = Self { dir, server, alice: Caller { token: None } };
        world.alice = world.sign_in(&world.author()).await;
        world
    }

    pub(crate) fn site_dir(&self) -> PathBuf {
        self.dir.path().join("site")
    }

    /// The fingerprint that clients pin.
    pub(crate) fn root(&self) -> Hash {
        self.server.site().trust.load().root().unwrap()
    }

    pub(crate) fn nobody(&self) -> Caller {
        Caller { token: None }
    }

    /// Signs in with an administrator's key.
    pub(crate) async fn sign_in(&self, key: &PrivateKey) -> Caller {
        let id = key.public().id();
        let challenge: Challenge =
            self.post(&self.nobody(), "/session/challenge", &serde_json::json!({"key": id})).await.json();
        let bytes = BASE64URL.decode(&challenge.challenge).unwrap();
        let message = [b"muster/v1/sign-in\0", &b"ABC"[..], b"\0", &bytes].concat();
        let signature = BASE64URL.encode(key.sign(&message).unwrap());
        let request = serde_json::json!({"key": id, "challenge": challenge.challenge, "signature": signature});
        let session: Session = self.post(&self.nobody(), "/session", &request).await.json();
        Caller { token: Some(session.token) }
    }

    /// The first administrator's key, who is the first author.
    pub(crate) fn author(&self) -> PrivateKey {
        let admin = self.site_dir().join("admin");
        let passphrase = std::fs::read(admin.join(PASSPHRASE_FILE)).unwrap();
        PrivateKey::from_pem(&std::fs::read_to_string(admin.join(KEY_FILE)).unwrap(), Some(&passphrase)).unwrap()
    }

    /// A second administrator.
    pub(crate) async fn admin(&self, name: &str, role: Role) -> (Admin, Caller) {
        let key = PrivateKey::generate().unwrap();
        let request = serde_json::json!({"name": name, "role": role, "public_key": key.public().pem()});
        let admin = self.post(&self.alice, "/admins", &request).await.json();
        (admin, self.sign_in(&key).await)
    }

    pub(crate) async fn get(&self, who: &Caller, path: &str) -> Answer {
        self.call(who, Method::GET, path, None).await
    }

    pub(crate) async fn post<T: Serialize>(&self, who: &Caller, path: &str, body: &T) -> Answer {
        self.call(who, Method::POST, path, Some(serde_json::to_vec(body).unwrap())).await
    }

    /// A request to the API, `path` below `/api/v1`.
    pub(crate) async fn call(&self, who: &Caller, method: Method, path: &str, json: Option<Vec<u8>>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}")).header("host", "localhost");
        if let Some(token) = &who.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if json.is_some() {
            request = request.header("content-type", "application/json");
        }
        self.admin_request(request.body(Full::from(json.unwrap_or_default())).unwrap()).await
    }

    /// Any request to the administrators' door.
    pub(crate) async fn admin_request(&self, request: Request<Full<Bytes>>) -> Answer {
        let url = &self.server.urls().admin;
        if url.starts_with("https:") {
            let config = tls::client_pinned(self.root()).unwrap();
            return Client::over(connect(url, config).await.unwrap()).await.send(request).await;
        }
        let stream = TcpStream::connect(("127.0.0.1", port(url))).await.unwrap();
        Client::over(stream).await.send(request).await
    }

    /// Nobody's connection to the enrolment door, pinned as a token says.
    pub(crate) async fn enrolment(&self) -> Client {
        let config = tls::client_pinned(self.root()).unwrap();
        Client::over(connect(&self.server.urls().enrolment, config).await.unwrap()).await
    }

    /// A new device, approved.
    pub(crate) async fn device(&self, host_name: &str) -> TestDevice {
        let made: TokenCreated = self.post(&self.alice, "/tokens", &serde_json::json!({"name": "test"})).await.json();
        let token: EnrolmentToken = made.token.parse().unwrap();
        let key = PrivateKey::generate().unwrap();
        let claims = DeviceClaims {
            host_name: host_name.into(),
            operating_system: "Debian GNU/Linux 12 (bookworm)".into(),
            agent_version: "0.1.0".into(),
            hardware_id: Hash([7; 32]),
        };
        let csr = BASE64.encode(certificate::signing_request(&key).unwrap());
        let request = EnrolRequest {
            secret: token.secret,
            csr,
            claims,
            attestation: None,
            enterprise: None,
            domain: None,
            serial: None,
        };
        let mut door = self.enrolment().await;
        let answer: EnrolAnswer = door.post_json("/enrol/v1/requests", &request).await.json();
        let EnrolAnswer::Pending { enrolment, .. } = answer else { panic!("not pending: {answer:?}") };
        let approved =
            self.post(&self.alice, &format!("/enrolments/{enrolment}/approve"), &serde_json::json!({})).await;
        let device: Device = approved.json();
        let EnrolAnswer::Active { device: id, certificates, .. } = self.poll(&mut door, &key, enrolment).await else {
            panic!("not active")
        };
        assert_eq!(id, device.id);
        let chain = certificates.iter().map(|c| BASE64.decode(c).unwrap()).collect();
        TestDevice { id, key, chain, root: self.root_certificate() }
    }

    /// A signed poll.
    pub(crate) async fn poll(&self, door: &mut Client, key: &PrivateKey, enrolment: EnrolmentId) -> EnrolAnswer {
        let poll = EnrolPoll { site: "ABC".parse().unwrap(), enrolment, time: System.now() };
        let envelope = envelope::sign1_json(key, &poll).unwrap();
        door.post_cose("/enrol/v1/requests/poll", envelope).await.json()
    }

    pub(crate) fn root_certificate(&self) -> Vec<u8> {
        std::fs::read(self.site_dir().join("keys/root.crt.der")).unwrap()
    }

    /// A connection of a device to the management point, as bare stream.
    pub(crate) async fn device_stream(&self, device: &TestDevice) -> TlsStream<TcpStream> {
        connect(&self.server.urls().management_point, device.tls()).await.unwrap()
    }

    /// A connection of a device to the management point.
    pub(crate) async fn management_point(&self, device: &TestDevice) -> Client {
        Client::over(self.device_stream(device).await).await
    }
}

/// A device with its certificate.
pub(crate) struct TestDevice {
    pub(crate) id: DeviceId,
    pub(crate) key: PrivateKey,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) root: Vec<u8>,
}

impl TestDevice {
    pub(crate) fn tls(&self) -> ClientConfig {
        tls::client(std::slice::from_ref(&self.root), Some((&self.chain, &self.key))).unwrap()
    }

    /// A signed report of one status message, the first of its channel.
    pub(crate) fn report(&self) -> Vec<u8> {
        let message = Message {
            time: System.now(),
            body: Body::Status(StatusMessage {
                component: Component::Agent,
                id: MessageId::AgentStarted,
                severity: Severity::Information,
                values: [("version".to_owned(), "0.1.0".to_owned())].into(),
            }),
        };
        let batch = Batch {
            site: "ABC".parse().unwrap(),
            channel: Channel::Status,
            time: System.now(),
            first: 1,
            previous: Hash::ZERO,
            resume_after_loss: false,
            messages: vec![serde_json::value::to_raw_value(&message).unwrap()],
        };
        let compressed = zstd::encode_all(&serde_json::to_vec(&batch).unwrap()[..], 3).unwrap();
        envelope::sign1(&self.key, REPORT_TYPE, compressed).unwrap()
    }
}

/// The port of an address.
pub(crate) fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

/// A TLS connection, after the handshake as the client sees it.
pub(crate) async fn connect(url: &str, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port(url))).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// An HTTP connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Self {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends, and waits for the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.unwrap()
    }

    /// Sends; an error when the connection is closed before an answer.
    pub(crate) async fn try_send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        let (parts, body) = self.open(request).await?.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.collect().await?.to_bytes() })
    }

    /// Sends, and waits for the head of the answer.
    pub(crate) async fn open(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<http::Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn post_json<T: Serialize>(&mut self, path: &str, body: &T) -> Answer {
        self.post(path, "application/json", serde_json::to_vec(body).unwrap()).await
    }

    pub(crate) async fn post_cose(&mut self, path: &str, body: Vec<u8>) -> Answer {
        self.post(path, "application/cose", body).await
    }

    pub(crate) async fn post(&mut self, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
        let request = Request::post(path).header("host", "localhost").header("content-type", content_type);
        self.send(request.body(Full::from(body)).unwrap()).await
    }
}
