//! The server's certificate, the proof of its status, and the TLS side of each door. The certificate is issued at each start, at
//! two thirds of its life, and when it was revoked; the status is signed anew every hour.

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
    devices: Arc<ServerConfig>,
    others: Arc<ServerConfig>,
    presented: Arc<Presented>,
    names: Vec<String>,
    own: Mutex<Own>,
}

/// The certificate that is shown.
#[derive(Debug, Clone)]
struct Own {
    serial: String,
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
    /// None is asked for.
    Nothing,
}

impl ServerTls {
    /// With a new certificate for `names`.
    pub(crate) async fn issue(site: &Site, names: &[String], now: UnixMillis) -> Result<Arc<Self>, ServerTlsError> {
        let made = make(site, names, now).await?;
        let presented = Arc::new(Presented::new(&made.chain, &made.key, made.status)?);
        let clients = ClientAuth::Required { roots: vec![root(site)?], revoked: site.memory.revoked.clone() };
        Ok(Arc::new(Self {
            devices: Arc::new(tls::server(presented.clone(), clients)?),
            others: Arc::new(tls::server(presented.clone(), ClientAuth::None)?),
            presented,
            names: names.to_vec(),
            own: Mutex::new(made.own),
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

    /// What is due: a new certificate when the present one is old or revoked, and a new proof of its status when that is an hour
    /// old. `look`: something was revoked, which may be this certificate.
    async fn refresh(&self, site: &Site, look: bool) -> Result<(), ServerTlsError> {
        let (own, now) = (self.own(), site.sources.now());
        let proven = (0..HOUR).contains(&now.since(own.proven));
        if proven && !look {
            return Ok(());
        }
        let young = (0..SERVER_LIFETIME / 3 * 2).contains(&now.since(own.issued));
        if !young || muster_site::server_certificate_is_revoked(site, &own.serial).await? {
            return self.renew(site, now).await;
        }
        self.presented.set_status(muster_site::server_status(site, &own.serial, now).await?);
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
            Ask::Certificate => self.devices.clone(),
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

fn root(site: &Site) -> Result<Vec<u8>, ServerTlsError> {
    site.trust.load().bundle.value().root_certificate().map_err(|_| ServerTlsError::Bundle)
}

async fn make(site: &Site, names: &[String], now: UnixMillis) -> Result<Made, ServerTlsError> {
    let key = PrivateKey::generate()?;
    let (issued, status) = muster_site::server_certificate_issue(site, names, key.public(), now).await?;
    let chain = vec![issued.der, site.keys.issuing.certificate().to_vec(), root(site)?];
    Ok(Made { chain, key, status, own: Own { serial: issued.serial, issued: now, proven: now } })
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
