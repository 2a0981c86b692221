//! The management point: what a device with a certificate may ask. A closed list of addresses, each with one file.
//!
//! There is no router: an address is one of these, letter for letter, or it is not there.

mod trust_bundle;

use super::{
    Body,
    respond::{Refusal, problem},
};
use crate::{
    config::Http,
    listen::{
        registry::{News, Registered, Registry},
        tls::ServerTls,
    },
};
use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use muster_model::problem::{Code, Problem};
use muster_site::{Caller, Ctx, Site, ctx::DeviceCaller};
use muster_trust::certificate::client_identity;
use std::{
    future::pending,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

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

/// A device that is welcome.
struct Known {
    caller: DeviceCaller,
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
            Some(der) => known(&point, der, peer.ip()).await.map_err(|refusal| refusal.0),
            None => Err(Refusal::not_found().0),
        };
        Arc::new(Self { point, device, address: peer.ip(), live: AtomicBool::new(false) })
    }

    /// The context of a request on this connection.
    fn ctx(&self, known: &Known) -> Ctx {
        Ctx {
            caller: Caller::Device(known.caller.clone()),
            now: self.point.site.sources.now(),
            address: self.address.to_string(),
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
    pub(crate) async fn end(&self) -> News {
        match &self.device {
            Ok(known) => known.registered.line().end().await,
            Err(_) => pending().await,
        }
    }
}

async fn known(point: &Arc<ManagementPoint>, certificate: &[u8], address: IpAddr) -> Result<Known, Refusal> {
    let not_active = || Refusal::new(Code::DeviceNotActive, "This certificate is not one of a device of this site.");
    let identity = client_identity(certificate).map_err(|_| not_active())?;
    // Entered before it is asked: a block that comes in between is heard.
    let registered = point.registry.enter(identity.device);
    let ctx = Ctx { caller: Caller::Anonymous, now: point.site.sources.now(), address: address.to_string() };
    let _ = (registered, ctx);
    Err(not_active())
}

/// Answers one request.
pub(crate) async fn dispatch(connection: &Arc<Connection>, request: Request<Incoming>) -> Response<Body> {
    let known = match &connection.device {
        Ok(known) => known,
        Err(refused) => return closing(problem(refused)),
    };
    let ctx = connection.ctx(known);
    let outcome = answer(connection, &ctx, request).await;
    match outcome {
        Ok(response) => response,
        Err(refusal) if refusal.0.code == Code::DeviceNotActive => closing(refusal.into()),
        Err(refusal) => refusal.into(),
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
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/mp/v1/trust-bundle") => trust_bundle::show(ctx, point).await,
        (&Method::GET, "/mp/v1/live") => {
            connection.live.store(true, Ordering::Relaxed);
            // The connection takes the stream back and goes on without HTTP.
            pending().await
        }
        _ => Err(Refusal::not_found()),
    }
}
