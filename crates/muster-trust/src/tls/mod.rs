//! TLS 1.3 configurations for both sides, and one for directories. Between client and site the only trust is the site's root: never the system's store, never a switch to turn it off.
//! Both sides check that the other's certificate is not revoked.

mod directory;
mod peer;
mod server;
mod signing;

pub use directory::client_of_directory;
pub use peer::{PeerSide, peer_key};
pub use server::{ClientAuth, EnterpriseClients, NoEnterprise, Presented, Revocations, server};
pub use signing::{client_enterprise, client_signing};

use crate::{PrivateKey, PublicKey, certificate, ocsp::StatusError, server_status::StatusMemory};
use muster_model::{id::Hash, time::UnixMillis};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, DistinguishedName, NamedGroup, OtherError,
    RootCertStore, SignatureScheme,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
        WantsClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    time_provider::{DefaultTimeProvider, TimeProvider},
};
use std::sync::Arc;

/// Servers with which a client may resume sessions.
const SESSIONS: usize = 64;

/// Why a configuration cannot be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TlsError {
    /// The TLS library refused a certificate or key.
    #[error("the TLS library refused the certificate or key: {0}")]
    Rustls(#[from] rustls::Error),
    /// A root certificate cannot be used as a trust anchor.
    #[error("the root certificate cannot be used as a trust anchor")]
    Anchor,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(certificates: &[Vec<u8>]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(CertificateDer::from(certificate.clone())).map_err(|_| TlsError::Anchor)?;
    }
    Ok(Arc::new(store))
}

fn private(key: &PrivateKey) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8().to_vec()))
}

fn chain(certificates: &[Vec<u8>]) -> Vec<CertificateDer<'static>> {
    certificates.iter().cloned().map(CertificateDer::from).collect()
}

/// Which servers a client believes.
#[derive(Debug, Clone)]
pub struct ServerTrust {
    anchor: Anchor,
    /// The newest status of each server.
    pub memory: Arc<StatusMemory>,
    /// The client's time.
    pub time: Arc<dyn TimeProvider>,
}

#[derive(Debug, Clone)]
enum Anchor {
    /// Nobody is believed, so it does not matter who it is.
    Anyone,
    /// Before there is a trust bundle: the root key with this fingerprint, somewhere in the chain.
    Pin(Hash),
    /// Certificates where chains end, and the issuing CAs whose certificates and statuses count; `None`: every one below the root.
    Roots { roots: Vec<Vec<u8>>, issuing: Option<Vec<Vec<u8>>> },
}

impl ServerTrust {
    fn new(anchor: Anchor) -> Self {
        Self { anchor, memory: Arc::default(), time: Arc::new(DefaultTimeProvider) }
    }

    /// Whoever answers, for objects that prove themselves.
    fn anyone() -> Self {
        Self::new(Anchor::Anyone)
    }

    /// A chain that ends in the root key whose fingerprint is pinned.
    #[must_use]
    pub fn pinned(pin: Hash) -> Self {
        Self::new(Anchor::Pin(pin))
    }

    /// A chain that ends in one of these certificates, over one of these issuing CAs where they are given.
    #[must_use]
    pub fn roots(roots: Vec<Vec<u8>>, issuing: Option<Vec<Vec<u8>>>) -> Self {
        Self::new(Anchor::Roots { roots, issuing })
    }
}

/// Client configuration for the first contact: the server's chain must end in the root key whose fingerprint is pinned.
///
/// # Errors
/// See [`TlsError`].
pub fn client_pinned(pin: Hash) -> Result<ClientConfig, TlsError> {
    client_trusting(ServerTrust::pinned(pin), None)
}

/// Client configuration for objects that prove themselves, and for nothing else: whoever answers is not believed, and hears
/// nothing that is not public. A client that slept while every certificate that it knows ended fetches by it the trust bundles
/// that follow on its own.
///
/// # Errors
/// See [`TlsError`].
pub fn client_of_anyone() -> Result<ClientConfig, TlsError> {
    client_trusting(ServerTrust::anyone(), None)
}

/// Client configuration with roots, and the client's own certificate where it has one.
///
/// # Errors
/// See [`TlsError`].
pub fn client(
    root_certificates: &[Vec<u8>],
    identity: Option<(&[Vec<u8>], &PrivateKey)>,
) -> Result<ClientConfig, TlsError> {
    client_trusting(ServerTrust::roots(root_certificates.to_vec(), None), identity)
}

/// Client configuration for servers that `trust` believes.
///
/// # Errors
/// See [`TlsError`].
pub fn client_trusting(
    trust: ServerTrust,
    identity: Option<(&[Vec<u8>], &PrivateKey)>,
) -> Result<ClientConfig, TlsError> {
    let (builder, sessions, time) = believing(trust)?;
    let config = match identity {
        Some((certificates, key)) => builder.with_client_auth_cert(chain(certificates), private(key))?,
        None => builder.with_no_client_auth(),
    };
    Ok(finished(config, sessions, time))
}

/// A configuration that lacks its own certificate, and what is put into it afterwards.
type Believing = (ConfigBuilder<ClientConfig, WantsClientCert>, Sessions, Arc<dyn TimeProvider>);

fn believing(trust: ServerTrust) -> Result<Believing, TlsError> {
    let sessions = Sessions {
        inner: ClientSessionMemoryCache::new(SESSIONS),
        memory: trust.memory.clone(),
        time: trust.time.clone(),
    };
    let time = trust.time.clone();
    let verifier = Servers { verifier: trust.anchor.verifier()?, trust, provider: provider() };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok((builder, sessions, time))
}

fn finished(mut config: ClientConfig, sessions: Sessions, time: Arc<dyn TimeProvider>) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::store(Arc::new(sessions));
    config.time_provider = time;
    config
}

impl Anchor {
    /// What checks chains, where that is known before the chain is.
    fn verifier(&self) -> Result<Option<Arc<WebPkiServerVerifier>>, TlsError> {
        match self {
            Self::Anyone | Self::Pin(_) => Ok(None),
            Self::Roots { roots: certificates, .. } => chains(roots(certificates)?).map(Some),
        }
    }
}

fn chains(store: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(store, provider()).build().map_err(|_| TlsError::Anchor)
}

/// Takes a server whose chain ends where the client's trust begins, and whose certificate its CA says is not revoked.
#[derive(Debug)]
struct Servers {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    trust: ServerTrust,
    provider: Arc<CryptoProvider>,
}

impl Servers {
    fn verifier(&self, intermediates: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        match (&self.verifier, &self.trust.anchor) {
            (Some(verifier), _) => Ok(verifier.clone()),
            (None, Anchor::Pin(pin)) => {
                let is_pinned =
                    |c: &&CertificateDer<'_>| certificate::public_key(c).as_ref().map(PublicKey::id).ok() == Some(*pin);
                let pinned = intermediates.iter().find(is_pinned).ok_or_else(unknown)?;
                let mut store = RootCertStore::empty();
                store.add(pinned.clone().into_owned())?;
                chains(Arc::new(store)).map_err(|_| unknown())
            }
            (None, Anchor::Anyone | Anchor::Roots { .. }) => Err(unknown()),
        }
    }

    /// The certificates of CAs that may have issued the server's.
    fn issuers(&self, intermediates: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
        match &self.trust.anchor {
            Anchor::Roots { issuing: Some(issuing), .. } => issuing.clone(),
            // Whichever of them signed the server's certificate is the one that the chain was checked with.
            Anchor::Roots { issuing: None, .. } | Anchor::Anyone | Anchor::Pin(_) => {
                intermediates.iter().map(|c| c.to_vec()).collect()
            }
        }
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if matches!(self.trust.anchor, Anchor::Anyone) {
            return Ok(ServerCertVerified::assertion());
        }
        let verifier = self.verifier(intermediates)?;
        let verified = verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let (name, issuers) = (server_name.to_str(), self.issuers(intermediates));
        match self.trust.memory.check(&name, end_entity, &issuers, ocsp_response, millis(now)) {
            Ok(()) => Ok(verified),
            Err(StatusError::Revoked) => Err(CertificateError::Revoked.into()),
            Err(error) => Err(CertificateError::Other(OtherError(Arc::new(error))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

fn millis(now: UnixTime) -> UnixMillis {
    UnixMillis(i64::try_from(now.as_secs()).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000))
}

/// Why the status of a server's certificate was refused, when that is what an error is about.
#[must_use]
pub fn status_error(error: &rustls::Error) -> Option<StatusError> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Revoked) => Some(StatusError::Revoked),
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            other.downcast_ref::<StatusError>().copied()
        }
        _ => None,
    }
}

/// Sessions that may be resumed, with servers that are known to be good at this moment and no others: a resumed session shows
/// neither certificate nor status.
#[derive(Debug)]
struct Sessions {
    inner: ClientSessionMemoryCache,
    memory: Arc<StatusMemory>,
    time: Arc<dyn TimeProvider>,
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.inner.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.inner.kx_hint(server_name)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.inner.insert_tls13_ticket(server_name, value);
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let ticket = self.inner.take_tls13_ticket(server_name)?;
        let now = self.time.current_time()?;
        self.memory.is_good(&server_name.to_str(), millis(now)).then_some(ticket)
    }
}
