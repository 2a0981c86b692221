//! The management point: what a device with a certificate may ask. A closed list of addresses, each with one file.
//!
//! There is no router: an address is one of these, letter for letter, or it is not there.

mod assignment;
mod body;
mod certificate;
mod chunk;
mod content;
mod content_peer;
mod foreign;
mod report;
mod sealing_key;
mod trust_bundle;

use super::{
    Body,
    respond::{Refusal, problem},
};
use crate::{
    config::Http,
    listen::{
        Stop,
        registry::{News, Registered, Registry},
        tls::ServerTls,
    },
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use muster_model::{
    id::Hash,
    problem::{Code, Problem},
};
use muster_site::{Caller, Ctx, Site, SiteError, truth::online::OnlineGuard};
use muster_trust::certificate::ClientIdentity;
use std::{
    future::pending,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// How long a device waits for the answer that it asked too much.
const SLOWED: Duration = Duration::from_secs(1);

/// A management point at work.
pub(crate) struct ManagementPoint {
    /// The site.
    pub(crate) site: Arc<Site>,
    /// Its TLS.
    pub(crate) tls: Arc<ServerTls>,
    /// Times and limits.
    pub(crate) http: Http,
    /// Open connections of devices.
    pub(crate) registry: Arc<Registry>,
}

/// A connection of a device. Who it is comes from its certificate, once; whether it is still welcome is asked at each request.
pub(crate) struct Connection {
    /// The management point.
    pub(crate) point: Arc<ManagementPoint>,
    device: Result<Known, Box<Problem>>,
    address: IpAddr,
    live: AtomicBool,
}

/// A device that was welcome when it connected.
struct Known {
    identity: ClientIdentity,
    registered: Registered,
}

impl Connection {
    /// Asks the site who this is. Whoever is not welcome is told so at the first request.
    pub(crate) async fn open(
        point: Arc<ManagementPoint>,
        stream: &TlsStream<TcpStream>,
        peer: SocketAddr,
    ) -> Arc<Self> {
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let device = match certificate {
            Some(der) => known(&point, der).await.map_err(|refusal| refusal.0),
            None => Err(Refusal::not_found().0),
        };
        Arc::new(Self { point, device, address: peer.ip(), live: AtomicBool::new(false) })
    }

    /// The context of a request on this connection: whether the device is still welcome is asked each time.
    async fn ctx(&self, known: &Known) -> Result<Ctx, SiteError> {
        let site = &self.point.site;
        let now = site.sources.now();
        let caller = muster_site::device_connected(site, &known.identity, now).await?;
        muster_site::device_seen(site, caller.id, now);
        Ok(Ctx { caller: Caller::Device(caller), now, address: self.address.to_string() })
    }

    /// Counts the device as online for as long as the guard lives.
    pub(crate) fn go_online(&self) -> Option<OnlineGuard> {
        self.device.as_ref().ok().map(|known| self.point.site.memory.online.enter(known.identity.device))
    }

    /// Notes that the device was in contact.
    pub(crate) fn seen(&self) {
        if let Ok(known) = &self.device {
            let site = &self.point.site;
            let (device, now) = (known.identity.device, site.sources.now());
            muster_site::device_seen(site, device, now);
            muster_site::device_live(site, device, now);
        }
    }

    /// Whether the device asked for its live channel.
    pub(crate) fn wants_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// Waits for what the device is told.
    pub(crate) async fn news(&self) -> News {
        match &self.device {
            Ok(known) => known.registered.line().news().await,
            Err(_) => pending().await,
        }
    }

    /// Waits until the connection must end.
    pub(crate) async fn end(&self, stop: &mut Stop) -> News {
        match &self.device {
            Ok(known) => known.registered.line().end().await,
            Err(_) => {
                stop.wait().await;
                News::Stopping
            }
        }
    }
}

async fn known(point: &Arc<ManagementPoint>, certificate: &[u8]) -> Result<Known, Refusal> {
    let now = point.site.sources.now();
    let identity = muster_site::device_identified(&point.site, certificate, now).await?;
    // Entered before it is asked: a block that comes in between is heard.
    let registered = point.registry.enter(identity.device, point.site.limits.device_connections);
    muster_site::device_connected(&point.site, &identity, point.site.sources.now()).await?;
    Ok(Known { identity, registered })
}

/// Answers one request.
pub(crate) async fn dispatch(connection: &Arc<Connection>, request: Request<Incoming>) -> Response<Body> {
    let known = match &connection.device {
        Ok(known) => known,
        Err(refused) => {
            slow(refused).await;
            return closing(problem(refused));
        }
    };
    let outcome = match connection.ctx(known).await {
        Ok(ctx) => match muster_site::device_admitted(&ctx, &connection.point.site).await {
            Ok(()) => answer(connection, &ctx, request).await,
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(response) => response,
        Err(refusal) if refusal.0.code == Code::DeviceNotActive => closing(refusal.into()),
        Err(refusal) => {
            slow(&refusal.0).await;
            refusal.into()
        }
    }
}

/// Whoever asks too much and does not wait by itself waits here: one request on each of its few connections.
async fn slow(problem: &Problem) {
    if problem.code == Code::TooMany {
        tokio::time::sleep(SLOWED).await;
    }
}

/// The last answer on a connection.
fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn answer(
    connection: &Arc<Connection>,
    ctx: &Ctx,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let point = &connection.point;
    if request.uri().query().is_some() {
        return Err(Refusal::not_found());
    }
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::GET, "/mp/v1/assignment") => {
            metrics::counter!("muster_device_requests_total", "verb" => "assignment").increment(1);
            assignment::show(ctx, point, request.headers()).await
        }
        (&Method::POST, "/mp/v1/reports") => {
            metrics::counter!("muster_device_requests_total", "verb" => "report").increment(1);
            report::submit(ctx, point, request).await
        }
        (&Method::POST, "/mp/v1/foreign/inventory") => {
            metrics::counter!("muster_device_requests_total", "verb" => "foreign").increment(1);
            foreign::submit(ctx, point, request).await
        }
        (&Method::GET, "/mp/v1/live") => {
            metrics::counter!("muster_device_requests_total", "verb" => "live").increment(1);
            connection.live.store(true, Ordering::Relaxed);
            // The connection takes the stream back and goes on without HTTP.
            pending().await
        }
        (&Method::GET, "/mp/v1/trust-bundle") => trust_bundle::show(ctx, point).await,
        (&Method::POST, "/mp/v1/assignment") => assignment::ahead(ctx, point, request).await,
        (&Method::POST, "/mp/v1/sealing-key") => sealing_key::set(ctx, point, request).await,
        (&Method::POST, "/mp/v1/content-peers") => content_peer::announce(ctx, point, request).await,
        (&Method::POST, "/mp/v1/certificate") => certificate::renew(ctx, point, request).await,
        (&Method::GET, _) => named(ctx, point, path, request.headers()).await,
        (&Method::POST, _) => match hash_after(path, "/mp/v1/chunks/") {
            Some(hash) => chunk::fetch(ctx, point, request, hash).await,
            None => Err(Refusal::not_found()),
        },
        _ => Err(Refusal::not_found()),
    }
}

/// What is asked for by its hash or version.
async fn named(ctx: &Ctx, point: &ManagementPoint, path: &str, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    if let Some(hash) = hash_after(path, "/mp/v1/bodies/") {
        return body::show(ctx, point, hash).await;
    }
    if let Some(hash) = hash_after(path, "/mp/v1/content/") {
        return content::show(ctx, point, headers, hash).await;
    }
    if let Some(hash) = hash_after(path, "/mp/v1/chunks/") {
        return chunk::show(ctx, point, hash).await;
    }
    if let Some(hash) = hash_after(path, "/mp/v1/content-peers/") {
        return content_peer::show(ctx, point, hash).await;
    }
    match version_after(path, "/mp/v1/trust-bundle/") {
        Some(version) => trust_bundle::show_version(ctx, point, version).await,
        None => Err(Refusal::not_found()),
    }
}

/// The version that follows `prefix` and ends the address, in the one spelling of a number.
pub(crate) fn version_after(path: &str, prefix: &str) -> Option<u64> {
    let text = path.strip_prefix(prefix)?;
    text.parse().ok().filter(|version: &u64| version.to_string() == text)
}

/// The hash that follows `prefix` and ends the address.
fn hash_after(path: &str, prefix: &str) -> Option<Hash> {
    path.strip_prefix(prefix)?.parse().ok()
}
