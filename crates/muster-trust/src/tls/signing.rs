//! The client's side of a handshake with a key that may be in hardware.

use super::{ServerTrust, TlsError, believing, chain, finished};
use crate::{
    enterprise::Choice,
    key::{Signer, signature_der},
};
use rustls::{
    ClientConfig, SignatureScheme,
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::sync::Arc;

/// As [`super::client_trusting`], for a client whose key may be in hardware.
///
/// # Errors
/// See [`TlsError`].
pub fn client_signing(
    trust: ServerTrust,
    certificates: &[Vec<u8>],
    key: Arc<dyn Signer>,
) -> Result<ClientConfig, TlsError> {
    let certified = CertifiedKey::new(chain(certificates), Arc::new(HandshakeKey(key)));
    let (builder, sessions, time) = believing(trust)?;
    Ok(finished(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))), sessions, time))
}

/// As [`client_signing`], for a client that talks with a certificate of the enterprise.
///
/// # Errors
/// See [`TlsError`].
pub fn client_enterprise(trust: ServerTrust, choice: &Choice) -> Result<ClientConfig, TlsError> {
    let certified = CertifiedKey::new(chain(std::slice::from_ref(&choice.certificate.der)), choice.key.signing());
    let (builder, sessions, time) = believing(trust)?;
    Ok(finished(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))), sessions, time))
}

/// A key for handshakes, wherever it is; it signs in the one way that there is.
#[derive(Debug, Clone)]
pub(super) struct HandshakeKey(pub(super) Arc<dyn Signer>);

impl rustls::sign::SigningKey for HandshakeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256).then(|| Box::new(self.clone()) as Box<_>)
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        rustls::SignatureAlgorithm::ECDSA
    }
}

impl rustls::sign::Signer for HandshakeKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signed = self.0.sign(message).and_then(|signature| signature_der(&signature));
        signed.map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
