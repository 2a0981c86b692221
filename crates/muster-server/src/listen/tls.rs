//! The server's certificate, the proof of its status, and the TLS side of each door. The certificate is issued at each start, at
//! two thirds of its life, and when it was revoked; the status is signed anew every hour.

use arc_swap::ArcSwap;
use muster_model::time::{HOUR, UnixMillis};
use muster_site::{Notice, Site, SiteError};
use muster_trust::{
    PrivateKey,
    certificate::SERVER_LIFETIME,
    key::KeyError,
    tls::{self, ClientAuth, Presented, TlsError},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, sync::broadcast::error::RecvError};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

/// Time between two looks at the clock.
const LOOK: Duration = Duration::from_secs(5);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// No key could be made.
    #[error("no key for the server's certificate could be made: {0}")]
    Key(#[from] KeyError),
    /// No certificate could be issued.
    #[error("no server certificate could be issued: {0}")]
    Site(#[from] SiteError),
    /// The TLS library refused it.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The trust bundle's certificates do not parse.
    #[error("the trust bundle holds a certificate that does not parse; restore the database from a backup")]
    Bundle,
}

/// The TLS configurations: with client certificates for devices, without for everyone else. Both show one certificate.
#[derive(Debug)]
pub(crate) struct ServerTls {
    devices: ArcSwap<ServerConfig>,
    others: Arc<ServerConfig>,
    mobile: ArcSwap<ServerConfig>,
    presented: Arc<Presented>,
    names: Vec<String>,
    own: Mutex<Own>,
    /// One change of them at a time.
    turn: tokio::sync::Mutex<()>,
}

/// The certificate that is shown.
#[derive(Debug, Clone)]
struct Own {
    serial: String,
    /// Version of the trust bundle under which it was issued.
    trust: u64,
    issued: UnixMillis,
    /// When its status was signed.
    proven: UnixMillis,
}

/// What is shown in handshakes.
struct Made {
    chain: Vec<Vec<u8>>,
    key: PrivateKey,
    status: Vec<u8>,
    own: Own,
}

/// Which TLS a door has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A client certificate of this site is required.
    Certificate,
    /// One of this site may be shown.
    Perhaps,
    /// None is asked for.
    Nothing,
}

impl ServerTls {
    /// With a new certificate for `names`.
    pub(crate) async fn issue(site: &Site, names: &[String], now: UnixMillis) -> Result<Arc<Self>, ServerTlsError> {
        let made = make(site, names, now).await?;
        let presented = Arc::new(Presented::new(&made.chain, &made.key, made.status)?);
        Ok(Arc::new(Self {
            devices: ArcSwap::from_pointee(devices(site, &presented)?),
            others: Arc::new(tls::server(presented.clone(), ClientAuth::None)?),
            mobile: ArcSwap::from_pointee(mobile(site, &presented)?),
            presented,
            names: names.to_vec(),
            own: Mutex::new(made.own),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    fn own(&self) -> Own {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the certificate by a new one.
    async fn renew(&self, site: &Site, now: UnixMillis) -> Result<(), ServerTlsError> {
        let made = make(site, &self.names, now).await?;
        self.presented.replace(&made.chain, &made.key, made.status)?;
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = made.own;
        tracing::info!("The server has a new certificate.");
        Ok(())
    }

    /// Takes what a new trust bundle says: another certificate for the server, and other issuing CAs for devices. Sessions from
    /// before are not resumed.
    pub(crate) async fn follow(&self, site: &Site) -> Result<(), ServerTlsError> {
        let _turn = self.turn.lock().await;
        if self.own().trust == site.trust.load().bundle().version { Ok(()) } else { self.replace(site).await }
    }

    async fn replace(&self, site: &Site) -> Result<(), ServerTlsError> {
        self.devices.store(Arc::new(devices(site, &self.presented)?));
        self.mobile.store(Arc::new(mobile(site, &self.presented)?));
        self.renew(site, site.sources.now()).await
    }

    /// What is due: a new certificate when the present one is old or revoked, and a new proof of its status when that is an hour
    /// old. `look`: something was revoked, which may be this certificate.
    async fn refresh(&self, site: &Site, look: bool) -> Result<(), ServerTlsError> {
        let _turn = self.turn.lock().await;
        let (own, now, trust) = (self.own(), site.sources.now(), site.trust.load_full());
        if own.trust != trust.bundle().version {
            return self.replace(site).await;
        }
        let proven = (0..HOUR).contains(&now.since(own.proven));
        if proven && !look {
            return Ok(());
        }
        let young = (0..SERVER_LIFETIME / 3 * 2).contains(&now.since(own.issued));
        if !young || muster_site::server_certificate_is_revoked(site, &own.serial).await? {
            return self.renew(site, now).await;
        }
        self.presented.set_status(muster_site::server_status(site, &trust.keys.issuing, &own.serial, now).await?);
        self.own.lock().unwrap_or_else(PoisonError::into_inner).proven = now;
        Ok(())
    }

    /// Does the handshake, within `patience`. `None`: it failed, and the metrics say so.
    pub(crate) async fn handshake(
        &self,
        ask: Ask,
        stream: TcpStream,
        patience: Duration,
    ) -> Option<TlsStream<TcpStream>> {
        let config = match ask {
            Ask::Certificate => self.devices.load_full(),
            Ask::Perhaps => self.mobile.load_full(),
            Ask::Nothing => self.others.clone(),
        };
        let outcome = tokio::time::timeout(patience, TlsAcceptor::from(config).accept(stream)).await;
        let label = match &outcome {
            Ok(Ok(_)) => "done",
            Ok(Err(_)) => "failed",
            Err(_) => "timed_out",
        };
        metrics::counter!("muster_handshakes_total", "outcome" => label).increment(1);
        match outcome {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "A TLS handshake failed.");
                None
            }
            Err(_) => None,
        }
    }
}

/// Devices come by an issuing CA that the bundle names: what the root once certified is not enough.
fn devices(site: &Site, presented: &Arc<Presented>) -> Result<ServerConfig, ServerTlsError> {
    let roots = site.trust.load().bundle().issuing_certificates().map_err(|_| ServerTlsError::Bundle)?;
    let (revoked, enterprise) = (site.memory.revoked.clone(), site.memory.issuers.clone());
    let clients = ClientAuth::Required { roots, revoked, enterprise };
    Ok(tls::server(presented.clone(), clients)?)
}

/// A mobile device comes without a certificate first, and with one of this site for the next.
fn mobile(site: &Site, presented: &Arc<Presented>) -> Result<ServerConfig, ServerTlsError> {
    let roots = site.trust.load().bundle().issuing_certificates().map_err(|_| ServerTlsError::Bundle)?;
    let clients = ClientAuth::Possible { roots, revoked: site.memory.revoked.clone() };
    Ok(tls::server(presented.clone(), clients)?)
}

async fn make(site: &Site, names: &[String], now: UnixMillis) -> Result<Made, ServerTlsError> {
    let key = PrivateKey::generate()?;
    let trust = site.trust.load_full();
    let (issued, status) =
        muster_site::server_certificate_issue(site, &trust.keys.issuing, names, key.public(), now).await?;
    let root = trust.bundle().root_certificate().map_err(|_| ServerTlsError::Bundle)?;
    let chain = vec![issued.der, trust.keys.issuing.certificate().to_vec(), root];
    let own = Own { serial: issued.serial, trust: trust.bundle().version, issued: now, proven: now };
    Ok(Made { chain, key, status, own })
}

/// Keeps the server's certificate and its status fresh for as long as the server runs. It looks at the clock every few
/// seconds: a machine that slept for a day proves itself again at once.
pub(crate) async fn keep_fresh(tls: Arc<ServerTls>, site: Arc<Site>, mut stop: super::Stop) {
    let mut notices = site.bus.subscribe();
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let look = tokio::select! {
            () = stop.wait() => return,
            _ = every.tick() => false,
            notice = notices.recv() => match notice {
                Ok(Notice::ServerCertificateRevoked) | Err(RecvError::Lagged(_)) => true,
                Ok(_) => continue,
                Err(RecvError::Closed) => return,
            }
        };
        if let Err(error) = tls.refresh(&site, look).await {
            tracing::error!(%error, "The server's certificate or its status could not be renewed; trying again.");
        }
    }
}
