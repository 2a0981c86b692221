//! The server's certificate and the TLS side of each door. The certificate is issued at each start, and again at two thirds of its life.

use arc_swap::ArcSwap;
use muster_model::time::{DAY, UnixMillis};
use muster_site::Site;
use muster_trust::{
    PrivateKey,
    certificate::{CertificateError, SERVER_LIFETIME},
    key::KeyError,
    tls::{self, ClientAuth, TlsError},
};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// No key could be made.
    #[error("no key for the server's certificate could be made: {0}")]
    Key(#[from] KeyError),
    /// No certificate could be issued.
    #[error("no server certificate could be issued: {0}; check names.server")]
    Certificate(#[from] CertificateError),
    /// The TLS library refused it.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The trust bundle's certificates do not parse.
    #[error("the trust bundle holds a certificate that does not parse; restore the database from a backup")]
    Bundle,
}

/// The TLS configurations in force: with client certificates for devices, without for everyone else.
#[derive(Debug)]
pub(crate) struct ServerTls {
    devices: ArcSwap<ServerConfig>,
    others: ArcSwap<ServerConfig>,
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
    pub(crate) fn issue(site: &Site, names: &[String], now: UnixMillis) -> Result<Arc<Self>, ServerTlsError> {
        let (devices, others) = configurations(site, names, now)?;
        Ok(Arc::new(Self { devices: ArcSwap::from_pointee(devices), others: ArcSwap::from_pointee(others) }))
    }

    /// Replaces the certificate by a new one.
    fn renew(&self, site: &Site, names: &[String], now: UnixMillis) -> Result<(), ServerTlsError> {
        let (devices, others) = configurations(site, names, now)?;
        self.devices.store(Arc::new(devices));
        self.others.store(Arc::new(others));
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
            Ask::Nothing => self.others.load_full(),
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

fn configurations(
    site: &Site,
    names: &[String],
    now: UnixMillis,
) -> Result<(ServerConfig, ServerConfig), ServerTlsError> {
    let key = PrivateKey::generate()?;
    let issued = site.keys.issuing.server(names, key.public(), now)?;
    let trust = site.trust.load();
    let root = trust.bundle.value().root_certificate().map_err(|_| ServerTlsError::Bundle)?;
    let chain = [issued.der, site.keys.issuing.certificate().to_vec(), root.clone()];
    Ok((tls::server(&chain, &key, ClientAuth::Required(vec![root]))?, tls::server(&chain, &key, ClientAuth::None)?))
}

/// Renews the server's certificate for as long as the server runs.
pub(crate) async fn keep_fresh(tls: Arc<ServerTls>, site: Arc<Site>, names: Vec<String>, mut stop: super::Stop) {
    let two_thirds = Duration::from_millis(u64::try_from(SERVER_LIFETIME / 3 * 2).unwrap_or(0));
    let again = Duration::from_millis(u64::try_from(DAY / 24).unwrap_or(0));
    let mut wait = two_thirds;
    loop {
        tokio::select! {
            () = stop.wait() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = match tls.renew(&site, &names, site.sources.now()) {
            Ok(()) => {
                tracing::info!("The server's certificate was renewed.");
                two_thirds
            }
            Err(error) => {
                tracing::error!(%error, "The server's certificate could not be renewed; trying again in an hour.");
                again
            }
        };
    }
}
