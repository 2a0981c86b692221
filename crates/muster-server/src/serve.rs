//! A site server from its start to its end. At the start every error stops it with one sentence; afterwards the log has them.

use crate::{
    audit_export, authority,
    config::{self, Config},
    directory::Directories,
    endorsement, foreign_list,
    http::{
        App, AppState,
        agent::ManagementPoint,
        enrol::{self, EnrolmentDoor},
        mobile::MobileDoor,
        rate::Rate,
        revocation::{self, RevocationDoor},
        route,
    },
    keytab,
    layout::{Layout, private_dir, replace_file},
    listen::{
        self, Door, Stop, Stopper,
        gate::Gate,
        pace::Pace,
        registry::Registry,
        tls::{Ask, ServerTls, ServerTlsError},
    },
    network,
    ring::Ring,
    serve_mobile,
    target::Targets,
};
use axum::extract::ConnectInfo;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use muster_site::{
    Channel, CollectionWorker, ContentWorker, MobileAuthority, Notice, Site, SiteError, SiteParts, Store, Worker,
    identity::new_site::ROOT_CERTIFICATE_FILE,
    site::{Addresses, Sources},
};
use muster_trust::{attestation::EXPORTER_LABEL, certificate};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::net::TcpListener;
use tower::ServiceExt;
use zeroize::Zeroizing;

/// Time between two writes of the last contacts.
const CONTACTS: Duration = Duration::from_secs(5);

/// Why a server does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has problems.
    #[error("the configuration is not usable: {0} (`musterd config check` lists everything)")]
    Config(String),
    /// A file of the site cannot be read or written.
    #[error("{}: {error}; run `musterd doctor` to see what is missing", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others can read a key.
    #[error("{} can be read by others (mode {mode:o}); take that away with: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another server runs on this directory.
    #[error("another musterd runs on {}; stop it first", .0.display())]
    Running(PathBuf),
    /// An address cannot be listened on.
    #[error("{name} = {address} cannot be used: {error}; another program has it, or this machine has no such address")]
    Listen {
        /// The key of the configuration.
        name: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A file in the directory of vendor roots is none.
    #[error("{} is not a certificate that can vouch for TPMs; take it out of the directory, or put PEM or DER into it", .0.display())]
    EndorsementRoot(PathBuf),
    /// A file in the directory of keytabs cannot be used.
    #[error("{} {why}", path.display())]
    Keytab {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The database, the keys or the trust bundle.
    #[error("{0}")]
    Site(#[from] SiteError),
    /// The server's certificate.
    #[error(transparent)]
    Tls(#[from] ServerTlsError),
}

/// Addresses by which a running server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Urls {
    /// The management point.
    pub management_point: String,
    /// The enrolment door.
    pub enrolment: String,
    /// API and console.
    pub admin: String,
    /// Revocation lists and OCSP, where they are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<String>,
    /// Certificates for mobile devices by EST, where they are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub est: Option<String>,
    /// And by SCEP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scep: Option<String>,
}

/// A running server.
pub struct Server {
    urls: Urls,
    site: Arc<Site>,
    registry: Arc<Registry>,
    stopper: Stopper,
    patience: Duration,
    layout: Layout,
    _lock: File,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// The sockets of the doors.
struct Sockets {
    management_point: TcpListener,
    enrolment: TcpListener,
    admin: TcpListener,
    revocation: Option<TcpListener>,
    est: Option<TcpListener>,
    scep: Option<TcpListener>,
}

impl Server {
    /// Starts the server of the site in `dir`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(dir: &Path, config: Config, sources: Arc<dyn Sources>) -> Result<Self, StartError> {
        if let Some(problem) = config::problems(&config).into_iter().next() {
            return Err(StartError::Config(problem));
        }
        let layout = Layout::new(dir);
        let lock = lock(&layout)?;
        let keys = keys(&layout, &config)?;
        let sockets = Sockets::bind(&config).await?;
        let urls = sockets.urls(&config);
        let site = Arc::new(open(&layout, &config, &urls, keys, sources).await?);
        let tls = ServerTls::issue(&site, &config.names.server, site.sources.now()).await?;
        let authority = match config.mobile.legacy_scep {
            true => Some(Arc::new(authority::authority(&layout, &config, &site).await?)),
            false => None,
        };
        let registry = Arc::new(Registry::default());
        let (stopper, stop) = Stop::new();
        let known = Known {
            directories: Directories::new(&layout.resolve(&config.discovery.directories)),
            targets: Targets::new(&layout.resolve(&config.status.targets)),
            leases: config.discovery.lease_files.iter().map(|path| layout.resolve(path)).collect(),
            authority,
            audit: Some(&config.audit.export).filter(|path| !path.is_empty()).map(|path| layout.resolve(path)),
        };
        spawn(&site, &tls, &registry, &config, known, sockets, &stop);
        let text = serde_json::to_vec_pretty(&urls).unwrap_or_default();
        replace_file(&layout.addresses(), &text)
            .map_err(|error| StartError::File { path: layout.addresses(), error })?;
        tracing::info!(
            site = %site.code,
            management_point = urls.management_point,
            enrolment = urls.enrolment,
            admin = urls.admin,
            "The site server runs."
        );
        let patience = Duration::from_secs(config.http.shutdown_seconds);
        Ok(Self { urls, site, registry, stopper, patience, layout, _lock: lock })
    }

    /// Addresses by which it is reached.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The site that it serves.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Stops: no new connections, running requests end. Whether all of them did in time.
    pub async fn stop(self) -> bool {
        self.registry.stop();
        let all = self.stopper.stop(self.patience).await;
        self.site.store.close().await;
        // A file that is not there says the same.
        drop(fs::remove_file(self.layout.addresses()));
        all
    }
}

impl Sockets {
    async fn bind(config: &Config) -> Result<Self, StartError> {
        let bind = async |name, address: SocketAddr| {
            TcpListener::bind(address).await.map_err(|error| StartError::Listen { name, address, error })
        };
        Ok(Self {
            management_point: bind("listen.management_point", config.listen.management_point).await?,
            enrolment: bind("listen.enrolment", config.listen.enrolment).await?,
            admin: bind("listen.admin", config.listen.admin).await?,
            revocation: match config.listen.revocation_served {
                true => Some(bind("listen.revocation", config.listen.revocation).await?),
                false => None,
            },
            est: match config.mobile.est_served {
                true => Some(bind("mobile.est", config.mobile.est).await?),
                false => None,
            },
            scep: match config.mobile.legacy_scep {
                true => Some(bind("mobile.scep", config.mobile.scep).await?),
                false => None,
            },
        })
    }

    fn urls(&self, config: &Config) -> Urls {
        let port = |listener: &TcpListener| listener.local_addr().map_or(0, |address| address.port());
        let name = config.names.server.first().map_or("localhost", String::as_str);
        let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        let names = &config.names;
        let https = |listener| format!("https://{host}:{}", port(listener));
        let admin = match (&names.console, config.listen.admin_tls) {
            (Some(url), _) => url.clone(),
            (None, true) => https(&self.admin),
            (None, false) => {
                let listening = self.admin.local_addr().unwrap_or(config.listen.admin);
                format!("http://{listening}")
            }
        };
        Urls {
            management_point: names.management_points.first().cloned().unwrap_or_else(|| https(&self.management_point)),
            enrolment: names.enrolment.clone().unwrap_or_else(|| https(&self.enrolment)),
            admin,
            revocation: self.revocation.as_ref().map(|listener| format!("http://{host}:{}", port(listener))),
            est: self.est.as_ref().map(https),
            scep: self.scep.as_ref().map(|listener| format!("http://{host}:{}/scep", port(listener))),
        }
    }
}

/// Takes the site's directory for one program.
pub(crate) fn lock(layout: &Layout) -> Result<File, StartError> {
    let path = layout.lock();
    let at = |error| StartError::File { path: path.clone(), error };
    if let Some(parent) = path.parent() {
        private_dir(parent).map_err(at)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::Running(layout.dir().to_owned())),
        Err(error) => Err(at(error.into())),
    }
}

/// Reads a file that nobody else may read.
pub(crate) fn private(path: &Path) -> Result<Zeroizing<String>, StartError> {
    let at = |error| StartError::File { path: path.to_owned(), error };
    let mode = fs::metadata(path).map_err(at)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StartError::Exposed { path: path.to_owned(), mode });
    }
    Ok(Zeroizing::new(fs::read_to_string(path).map_err(at)?))
}

/// Where the keys of a server lie, and the fingerprint of the first root key.
pub(crate) struct Keys {
    pub(crate) ring: Arc<Ring>,
    pub(crate) root: muster_model::id::Hash,
}

pub(crate) fn keys(layout: &Layout, config: &Config) -> Result<Keys, StartError> {
    let ring = Arc::new(Ring::open(layout, config)?);
    let path = layout.keys().join(ROOT_CERTIFICATE_FILE);
    let root = fs::read(&path).map_err(|error| StartError::File { path, error })?;
    let root = certificate::public_key(&root)
        .map_err(|error| SiteError::Fault(format!("{ROOT_CERTIFICATE_FILE}: {error}; restore it from a backup")))?;
    Ok(Keys { ring, root: root.id() })
}

async fn open(
    layout: &Layout,
    config: &Config,
    urls: &Urls,
    keys: Keys,
    sources: Arc<dyn Sources>,
) -> Result<Site, StartError> {
    let store = Store::open(&layout.database(&config.site.database)).await.map_err(SiteError::from)?;
    let path = layout.resolve(&config.site.content);
    let content = muster_site::ContentStore::open(path.clone()).map_err(|error| StartError::File { path, error })?;
    let management_points = match &config.names.management_points[..] {
        [] => vec![urls.management_point.clone()],
        named => named.to_vec(),
    };
    let site = Site::open(SiteParts {
        store,
        content,
        keys: keys.ring,
        root: keys.root,
        keytabs: keytab::keytabs(&layout.resolve(&config.approval.keytabs))?,
        endorsement_roots: endorsement::roots(&layout.resolve(&config.attestation.roots))?,
        limits: config.limits.clone(),
        addresses: Addresses { enrol: urls.enrolment.clone(), management_points, console: urls.admin.clone() },
        sources,
    })
    .await?;
    if site.code != config.site.code {
        return Err(StartError::Config(format!(
            "site.code is {}, and the database holds the site {}; name the right database in site.database",
            config.site.code, site.code
        )));
    }
    Ok(site)
}

/// The metrics of this process; there is one recorder, however many servers a test starts.
fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            PrometheusBuilder::new()
                .install_recorder()
                .unwrap_or_else(|_| PrometheusBuilder::new().build_recorder().handle())
        })
        .clone()
}

/// What discovery may read, who answers for SCEP, and where the audit log is exported to.
struct Known {
    directories: Directories,
    leases: Vec<PathBuf>,
    authority: Option<Arc<MobileAuthority>>,
    audit: Option<PathBuf>,
    /// What messages may be sent to.
    targets: Targets,
}

fn spawn(
    site: &Arc<Site>,
    tls: &Arc<ServerTls>,
    registry: &Arc<Registry>,
    config: &Config,
    known: Known,
    sockets: Sockets,
    stop: &Stop,
) {
    let metrics = recorder();
    tokio::spawn(upkeep(metrics.clone(), stop.clone()));
    tokio::spawn(listen::tls::keep_fresh(tls.clone(), site.clone(), stop.clone()));
    tokio::spawn(contacts(site.clone(), stop.clone()));
    if let Some(directory) = known.audit {
        let every = Duration::from_secs(config.audit.export_seconds);
        tokio::spawn(audit_export::keep_exported(site.clone(), directory, every, stop.clone()));
    }
    tokio::spawn(foreign_list::keep_fetched(site.clone(), stop.clone()));
    tokio::spawn(known.directories.keep_read(site.clone(), stop.clone()));
    tokio::spawn(known.targets.keep_sending(site.clone(), stop.clone()));
    tokio::spawn(network::keep_looking(site.clone(), known.leases, stop.clone()));
    let mut ending = stop.clone();
    tokio::spawn(Worker::new(site.clone()).run(async move { ending.wait().await }));
    let mut ending = stop.clone();
    tokio::spawn(CollectionWorker::new(site.clone()).run(async move { ending.wait().await }));
    let mut ending = stop.clone();
    tokio::spawn(ContentWorker::new(site.clone()).run(async move { ending.wait().await }));
    tokio::spawn(notices(site.clone(), registry.clone(), tls.clone(), stop.clone()));
    let point = Arc::new(ManagementPoint {
        site: site.clone(),
        tls: tls.clone(),
        http: config.http.clone(),
        registry: registry.clone(),
    });
    let http = &config.http;
    let pace = http.handshakes_per_minute;
    let door =
        |name, listener, most, each| Door { name, listener, gate: Gate::new(name, most, each), pace: Pace::new(pace) };
    let devices = door("management_point", sockets.management_point, http.management_point_connections, 0);
    let running = stop.clone();
    tokio::spawn(listen::accept(devices, stop.clone(), move |stream, peer, ticket| {
        listen::serve_devices(point.clone(), stream, peer, ticket, running.clone())
    }));
    let each = http.connections_per_address;
    let enrolment = door("enrolment", sockets.enrolment, http.enrolment_connections, each);
    serve_enrolment(site, tls, config, enrolment, stop);
    if let Some(listener) = sockets.revocation {
        serve_revocation(site, config, door("revocation", listener, http.revocation_connections, each), stop);
    }
    let mobile =
        Arc::new(MobileDoor { site: site.clone(), http: http.clone(), rate: Rate::new(http.requests_per_minute) });
    if let Some(listener) = sockets.est {
        serve_mobile::est(&mobile, tls, door("est", listener, config.mobile.connections, each), stop);
    }
    if let Some((listener, authority)) = sockets.scep.zip(known.authority) {
        serve_mobile::scep(&mobile, authority, door("scep", listener, config.mobile.connections, each), stop);
    }
    let app: AppState = Arc::new(App {
        site: site.clone(),
        http: http.clone(),
        tls: config.listen.admin_tls,
        loopback: config.listen.admin.ip().is_loopback(),
        sign_ins: Rate::new(http.requests_per_minute),
        stopping: stop.signal(),
        metrics,
    });
    serve_admin(&app, tls, door("admin", sockets.admin, http.admin_connections, each), stop);
}

fn serve_enrolment(site: &Arc<Site>, tls: &Arc<ServerTls>, config: &Config, door: Door, stop: &Stop) {
    let enrolment = Arc::new(EnrolmentDoor {
        site: site.clone(),
        http: config.http.clone(),
        rate: Rate::new(config.http.requests_per_minute),
    });
    let (tls, running) = (tls.clone(), stop.clone());
    tokio::spawn(listen::accept(door, stop.clone(), move |stream, peer, ticket| {
        let (enrolment, tls, stop) = (enrolment.clone(), tls.clone(), running.clone());
        async move {
            let times = &enrolment.http;
            let patience = Duration::from_secs(times.handshake_seconds);
            if let Some(stream) = tls.handshake(Ask::Nothing, stream, patience).await {
                let channel = channel(&stream);
                let respond = |request| enrol::dispatch(&enrolment, peer.ip(), &channel, request);
                listen::serve_http(stream, times, stop, respond).await;
            }
            drop(ticket);
        }
    }));
}

/// Plain HTTP: what is served here proves itself.
fn serve_revocation(site: &Arc<Site>, config: &Config, door: Door, stop: &Stop) {
    let revocation = Arc::new(RevocationDoor {
        site: site.clone(),
        http: config.http.clone(),
        rate: Rate::new(config.http.requests_per_minute),
    });
    let running = stop.clone();
    tokio::spawn(listen::accept(door, stop.clone(), move |stream, peer, ticket| {
        let (revocation, stop) = (revocation.clone(), running.clone());
        async move {
            let respond = |request| revocation::dispatch(&revocation, peer.ip(), request);
            listen::serve_http(stream, &revocation.http, stop, respond).await;
            drop(ticket);
        }
    }));
}

/// What a proof over this connection is bound to. A connection without it is bound to nothing that a client could name.
fn channel(stream: &tokio_rustls::server::TlsStream<tokio::net::TcpStream>) -> Channel {
    let exported = stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None);
    Channel::new(muster_model::id::Hash(exported.unwrap_or_else(|error| {
        tracing::error!(%error, "A connection has no TLS exporter; no attestation over it is believed.");
        let mut unknown = [0; 32];
        let _ = muster_trust::random(&mut unknown);
        unknown
    })))
}

fn serve_admin(app: &AppState, tls: &Arc<ServerTls>, door: Door, stop: &Stop) {
    let router = route::router(app);
    let (app, tls, running) = (app.clone(), tls.clone(), stop.clone());
    tokio::spawn(listen::accept(door, stop.clone(), move |stream, peer, ticket| {
        let (app, tls, stop, router) = (app.clone(), tls.clone(), running.clone(), router.clone());
        async move {
            let respond = |request: http::Request<hyper::body::Incoming>| {
                let mut request = request.map(crate::http::Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                let answer = router.clone().oneshot(request);
                async move { answer.await.unwrap_or_else(|never| match never {}) }
            };
            if app.tls {
                let patience = Duration::from_secs(app.http.handshake_seconds);
                if let Some(stream) = tls.handshake(Ask::Nothing, stream, patience).await {
                    listen::serve_http(stream, &app.http, stop, respond).await;
                }
            } else {
                listen::serve_http(stream, &app.http, stop, respond).await;
            }
            drop(ticket);
        }
    }));
}

/// Keeps the memory of the metrics small.
async fn upkeep(metrics: PrometheusHandle, mut stop: Stop) {
    let mut every = tokio::time::interval(Duration::from_secs(10));
    loop {
        tokio::select! {
            () = stop.wait() => return,
            _ = every.tick() => metrics.run_upkeep(),
        }
    }
}

/// Writes the last contacts of devices every few seconds, and at the end.
async fn contacts(site: Arc<Site>, mut stop: Stop) {
    let mut every = tokio::time::interval(CONTACTS);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            () = stop.wait() => true,
            _ = every.tick() => false,
        };
        if let Err(error) = muster_site::device_seen_flush(&site).await {
            tracing::warn!(%error, "The last contacts of devices could not be written; trying again.");
        }
        if last {
            return;
        }
    }
}

/// A server certificate of the issuing CA in force, and the issuing CAs in force for devices.
async fn certify(site: &Site, tls: &ServerTls) {
    if let Err(error) = tls.follow(site).await {
        tracing::error!(%error, "No server certificate could be issued under the new trust bundle; trying again.");
    }
}

/// Carries the site's notices to the connections of devices.
async fn notices(site: Arc<Site>, registry: Arc<Registry>, tls: Arc<ServerTls>, mut stop: Stop) {
    use tokio::sync::broadcast::error::RecvError;
    let mut notices = site.bus.subscribe();
    loop {
        let notice = tokio::select! {
            () = stop.wait() => return,
            notice = notices.recv() => notice,
        };
        match notice {
            Ok(Notice::PolicyChanged(device)) => registry.changed(device),
            Ok(Notice::AllPoliciesChanged) => registry.all_changed(),
            Ok(Notice::DeviceClosed(device)) => {
                site.memory.verdicts.forget(device);
                registry.close(device);
            }
            Ok(Notice::TrustChanged { dropped }) => {
                certify(&site, &tls).await;
                // Whoever came in by an issuing CA that is believed no longer comes again, and is asked for another certificate.
                if dropped {
                    registry.devices().into_iter().for_each(|device| registry.close(device));
                }
            }
            Ok(Notice::Changed(_) | Notice::ServerCertificateRevoked) => {}
            // Some were missed: whoever is locked out may be among them. All come back, and each is asked who it is.
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "Notices were missed; all devices connect again.");
                site.memory.verdicts.forget_all();
                certify(&site, &tls).await;
                registry.devices().into_iter().for_each(|device| registry.close(device));
            }
            Err(RecvError::Closed) => return,
        }
    }
}
