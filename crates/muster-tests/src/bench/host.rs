//! A bare TLS server with the site's certificates: what the limit and the naive peer stand on.

use super::process;
use crate::fleet::{FleetError, clock, say};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::TokioIo;
use muster_model::time::DAY;
use muster_trust::{
    PrivateKey,
    certificate::{self, IssuingCa},
    ocsp::Status,
    tls::{self, ClientAuth, NoEnterprise, Presented, Revocations},
};
use rustls::ServerConfig;
use std::{fs, path::Path, sync::Arc};
use tokio_rustls::TlsAcceptor;

/// Nothing is revoked here.
#[derive(Debug)]
struct Nothing;

impl Revocations for Nothing {
    fn is_revoked(&self, _: u128) -> bool {
        false
    }

    fn generation(&self) -> u64 {
        0
    }
}

/// What a server of the site shows: a certificate of its own, with its chain and its status.
pub(super) struct Materials {
    /// Its certificate, the issuing CA's and the root's, DER.
    pub(super) chain: [Vec<u8>; 3],
    /// Its key.
    pub(super) key: PrivateKey,
    /// An OCSP answer that says good.
    pub(super) status: Vec<u8>,
}

/// A new server certificate of the site's issuing CA.
pub(super) fn materials(site: &Path) -> Result<Materials, FleetError> {
    let keys = site.join("keys");
    let read = |name: &str| {
        let path = keys.join(name);
        fs::read(&path).map_err(|error| FleetError::file(path, error))
    };
    let pem = String::from_utf8_lossy(&read("issuing.key.pem")?).into_owned();
    let issuing = PrivateKey::from_pem(&pem, Some(&read("site.key")?))?;
    let root = read("root.crt.der")?;
    let ca = IssuingCa::new(read("issuing.crt.der")?, &issuing)?;
    let key = PrivateKey::generate()?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let issued = ca.server(&names, key.public(), clock::now())?;
    let chain = [issued.der, ca.certificate().to_vec(), root];
    let now = clock::now();
    let serial = certificate::serial_number(&chain[0]).unwrap_or_default();
    let status = ca.ocsp_status(serial, Status::Good, now, now.plus(DAY))?;
    Ok(Materials { chain, key, status })
}

/// TLS as the management point has it, client certificates required.
fn config(site: &Path) -> Result<ServerConfig, FleetError> {
    let Materials { chain, key, status } = materials(site)?;
    let root = chain[2].clone();
    let presented = Arc::new(Presented::new(&chain, &key, status)?);
    Ok(tls::server(
        presented,
        ClientAuth::Required { roots: vec![root], revoked: Arc::new(Nothing), enterprise: Arc::new(NoEnterprise) },
    )?)
}

/// Serves until standard input ends: the parent is gone then.
///
/// # Errors
/// When it cannot start.
pub async fn serve<S, B>(site: &Path, service: S) -> Result<(), FleetError>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let acceptor = TlsAcceptor::from(Arc::new(config(site)?));
    let listener = process::listen().await?;
    let address = listener.local_addr().map_err(FleetError::io("listening"))?;
    say(&format!("https://localhost:{}", address.port()));
    let (gone, mut parent) = tokio::sync::oneshot::channel::<()>();
    // The thread waits for the end of standard input and then drops its end of the channel.
    std::thread::spawn(move || {
        let _gone = gone;
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
    });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut parent => return Ok(()),
        };
        // One that went away before it was taken is nobody's loss.
        let Ok((tcp, _)) = accepted else { continue };
        let (acceptor, service) = (acceptor.clone(), service.clone());
        tokio::spawn(async move {
            drop(tcp.set_nodelay(true));
            if let Ok(stream) = acceptor.accept(tcp).await {
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            }
        });
    }
}
