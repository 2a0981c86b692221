//! The server's side: its certificate with the proof of its status, and clients that are refused in the handshake.

use super::{TlsError, chain, millis, private, provider, roots};
use crate::{PrivateKey, certificate, enterprise::EnterpriseError};
use muster_model::time::UnixMillis;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs::Ticketer,
    pki_types::{CertificateDer, UnixTime},
    server::{
        ClientHello, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// What a server shows: its certificate, the issuing CA's and the root's, and the signed status of the first. One for all doors,
/// and it can be replaced while they serve.
#[derive(Debug)]
pub struct Presented(RwLock<Arc<CertifiedKey>>);

impl Presented {
    /// `status` is the signed OCSP answer for the first of `certificates`; an empty one is not shown, and no client goes on then.
    ///
    /// # Errors
    /// When the TLS library refuses the key.
    pub fn new(certificates: &[Vec<u8>], key: &PrivateKey, status: Vec<u8>) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(certified(certificates, key, status)?)))
    }

    /// Shows another certificate from now on.
    ///
    /// # Errors
    /// As [`Self::new`]; nothing changes then.
    pub fn replace(&self, certificates: &[Vec<u8>], key: &PrivateKey, status: Vec<u8>) -> Result<(), TlsError> {
        self.put(certified(certificates, key, status)?);
        Ok(())
    }

    /// Shows another status from now on; an empty one is none.
    pub fn set_status(&self, status: Vec<u8>) {
        let mut next = CertifiedKey::clone(&self.get());
        next.ocsp = Some(status).filter(|status| !status.is_empty());
        self.put(Arc::new(next));
    }

    fn get(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, next: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

fn certified(certificates: &[Vec<u8>], key: &PrivateKey, status: Vec<u8>) -> Result<Arc<CertifiedKey>, TlsError> {
    let key = provider().key_provider.load_private_key(private(key))?;
    let mut certified = CertifiedKey::new(chain(certificates), key);
    certified.ocsp = Some(status).filter(|status| !status.is_empty());
    Ok(Arc::new(certified))
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

/// What the server knows of revoked client certificates; asked in every handshake, and answered from memory.
pub trait Revocations: fmt::Debug + Send + Sync {
    /// Whether the certificate with this serial number is revoked.
    fn is_revoked(&self, serial: u128) -> bool;
    /// Another number after each revocation.
    fn generation(&self) -> u64;
}

/// Which certificates of the enterprise the server takes in a handshake; asked for each that is not of this site, and answered
/// from memory. What is taken is no device yet: whose it is, the site looks up.
pub trait EnterpriseClients: fmt::Debug + Send + Sync {
    /// Whether the certificate (DER) is of an issuer that counts, meets its criteria, and is not revoked.
    ///
    /// # Errors
    /// Why it is not taken.
    fn admit(&self, certificate: &[u8], now: UnixMillis) -> Result<(), EnterpriseError>;
}

/// Takes none but the site's own.
#[derive(Debug, Clone, Copy)]
pub struct NoEnterprise;

impl EnterpriseClients for NoEnterprise {
    fn admit(&self, _: &[u8], _: UnixMillis) -> Result<(), EnterpriseError> {
        Err(EnterpriseError::NotIssued)
    }
}

/// Whether clients of a listener must present a certificate of this site.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// They must.
    Required {
        /// Where their chains end: the issuing CAs of the trust bundle.
        roots: Vec<Vec<u8>>,
        /// What was revoked.
        revoked: Arc<dyn Revocations>,
        /// Certificates of the enterprise that are taken as well.
        enterprise: Arc<dyn EnterpriseClients>,
    },
    /// They may, and it is one of this site then: the door of mobile devices, which come without one and renew with it.
    Possible {
        /// Where their chains end.
        roots: Vec<Vec<u8>>,
        /// What was revoked.
        revoked: Arc<dyn Revocations>,
    },
    /// They are not asked: the enrolment door, and the administrators' door.
    None,
}

/// Configuration of a listener.
///
/// # Errors
/// See [`TlsError`].
pub fn server(presented: Arc<Presented>, clients: ClientAuth) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let (builder, ticketer) = match clients {
        ClientAuth::None => (builder.with_no_client_auth(), Ticketer::new()?),
        ClientAuth::Required { .. } | ClientAuth::Possible { .. } => {
            let (certificates, revoked, enterprise) = match clients {
                ClientAuth::Required { roots, revoked, enterprise } => (roots, revoked, Some(enterprise)),
                ClientAuth::Possible { roots, revoked } => (roots, revoked, None),
                ClientAuth::None => return Err(TlsError::Anchor),
            };
            let inner = WebPkiClientVerifier::builder_with_provider(roots(&certificates)?, provider());
            let inner = if enterprise.is_some() { inner } else { inner.allow_unauthenticated() };
            let inner = inner.build().map_err(|_| TlsError::Anchor)?;
            let enterprise = enterprise.unwrap_or_else(|| Arc::new(NoEnterprise));
            let tickets = Tickets::new(revoked.clone())?;
            (
                builder.with_client_cert_verifier(Arc::new(Clients { inner, revoked, enterprise })),
                Arc::new(tickets) as _,
            )
        }
    };
    let mut config = builder.with_cert_resolver(presented);
    config.ticketer = ticketer;
    config.send_tls13_tickets = 1;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Takes clients whose chain ends in an anchor and whose certificate is not revoked; the others get the alert that says which.
#[derive(Debug)]
struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
    revoked: Arc<dyn Revocations>,
    enterprise: Arc<dyn EnterpriseClients>,
}

impl Clients {
    /// What is not of the site may be of the enterprise. `None`: nor that.
    fn enterprise(&self, end_entity: &[u8], now: UnixTime) -> Option<Result<ClientCertVerified, rustls::Error>> {
        match self.enterprise.admit(end_entity, millis(now)) {
            Ok(()) => Some(Ok(ClientCertVerified::assertion())),
            Err(EnterpriseError::NotIssued | EnterpriseError::Malformed) => None,
            Err(EnterpriseError::Revoked) => Some(Err(CertificateError::Revoked.into())),
            Err(EnterpriseError::ListStale) => Some(Err(CertificateError::UnknownRevocationStatus.into())),
            Err(EnterpriseError::NotInTime) => Some(Err(CertificateError::Expired.into())),
            Err(_) => Some(Err(CertificateError::ApplicationVerificationFailure.into())),
        }
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = match self.inner.verify_client_cert(end_entity, intermediates, now) {
            Ok(verified) => verified,
            Err(error) => return self.enterprise(end_entity, now).unwrap_or(Err(error)),
        };
        match certificate::serial_number(end_entity) {
            Some(serial) if !self.revoked.is_revoked(serial) => Ok(verified),
            _ => Err(CertificateError::Revoked.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Session tickets that are worth nothing after the next revocation: a resumed session shows no certificate, so whoever comes
/// with an older ticket does the whole handshake, and is judged in it.
struct Tickets {
    revoked: Arc<dyn Revocations>,
    inner: RwLock<(u64, Arc<dyn ProducesTickets>)>,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl Tickets {
    fn new(revoked: Arc<dyn Revocations>) -> Result<Self, TlsError> {
        let generation = revoked.generation();
        Ok(Self { revoked, inner: RwLock::new((generation, Ticketer::new()?)) })
    }

    /// The keys of the present generation.
    fn present(&self) -> Option<Arc<dyn ProducesTickets>> {
        let generation = self.revoked.generation();
        {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            if inner.0 == generation {
                return Some(inner.1.clone());
            }
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.0 != generation {
            *inner = (generation, Ticketer::new().ok()?);
        }
        Some(inner.1.clone())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).1.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.present()?.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.present()?.decrypt(cipher)
    }
}
