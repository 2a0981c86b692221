//! TLS 1.3 configurations for both sides. The only trust is the site's root: never the system's store, never a switch to turn it off.

use crate::{PrivateKey, PublicKey, certificate};
use muster_model::id::Hash;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::WebPkiClientVerifier,
};
use std::sync::Arc;

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

/// Whether clients of a listener must present a certificate of this site.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// They must; the roots are those of the trust bundle.
    Required(Vec<Vec<u8>>),
    /// They are not asked: the enrolment door, and the administrators' door.
    None,
}

/// Configuration of a listener. `certificates` is the server's, then the issuing CA's, then the root's.
///
/// # Errors
/// See [`TlsError`].
pub fn server(certificates: &[Vec<u8>], key: &PrivateKey, clients: ClientAuth) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match clients {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Required(certificates) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(&certificates)?, provider())
                .build()
                .map_err(|_| TlsError::Anchor)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain(certificates), private(key))?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Client configuration for the first contact: the server's chain must end in the root key whose fingerprint is pinned.
///
/// # Errors
/// See [`TlsError`].
pub fn client_pinned(pin: Hash) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedVerifier { pin, provider: provider() }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Client configuration after enrolment: the roots of the trust bundle, and the client's own certificate where it has one.
///
/// # Errors
/// See [`TlsError`].
pub fn client(
    root_certificates: &[Vec<u8>],
    identity: Option<(&[Vec<u8>], &PrivateKey)>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(root_certificates)?);
    let mut config = match identity {
        Some((certificates, key)) => builder.with_client_auth_cert(chain(certificates), private(key))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Takes a server whose chain ends in the pinned root key, and otherwise checks what every TLS client checks.
#[derive(Debug)]
struct PinnedVerifier {
    pin: Hash,
    provider: Arc<CryptoProvider>,
}

impl PinnedVerifier {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        certificate::public_key(certificate).as_ref().map(PublicKey::id).ok() == Some(self.pin)
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let pinned = intermediates.iter().find(|c| self.is_pinned(c)).ok_or_else(unknown)?;
        let mut store = RootCertStore::empty();
        store.add(pinned.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), self.provider.clone())
            .build()
            .map_err(|_| unknown())?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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
