//! Between two clients of a site: both show the certificate of their device. Who connects knows whose key must answer; who answers
//! takes every device of the site, and asks afterwards what it may have.

use super::{TlsError, chain, provider, roots, signing::HandshakeKey};
use crate::{certificate::client_identity, key::Signer};
use muster_model::{id::Hash, peer::PEER_PROTOCOL};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
};
use std::sync::Arc;

/// One side of a connection between clients.
#[derive(Debug, Clone)]
pub struct PeerSide {
    /// Where chains end: the issuing CAs of the trust bundle.
    pub issuing: Vec<Vec<u8>>,
    /// The certificate of the device with its chain.
    pub certificates: Vec<Vec<u8>>,
    /// The device's key.
    pub key: Arc<dyn Signer>,
    /// The device's time.
    pub time: Arc<dyn TimeProvider>,
}

impl PeerSide {
    /// Devices of the site. There is no list of what was revoked on a client: a grant of the site says who may, for an hour.
    fn devices(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let builder = WebPkiClientVerifier::builder_with_provider(roots(&self.issuing)?, provider());
        Ok(Arc::new(Devices(builder.build().map_err(|_| TlsError::Anchor)?)))
    }

    fn own(&self) -> Arc<SingleCertAndKey> {
        let key = Arc::new(HandshakeKey(self.key.clone()));
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain(&self.certificates), key)))
    }

    /// The side that answers. No session is resumed: each connection shows its certificate.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn server(&self) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_details(provider(), self.time.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(self.devices()?)
            .with_cert_resolver(self.own());
        config.alpn_protocols = vec![PEER_PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// The side that connects to the device with this key and to nobody else.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn client(&self, key: Hash) -> Result<ClientConfig, TlsError> {
        let verifier = Arc::new(ThatDevice { devices: self.devices()?, key });
        let mut config = ClientConfig::builder_with_details(provider(), self.time.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(self.own());
        config.alpn_protocols = vec![PEER_PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }
}

/// The id of the key of the device on the other side.
#[must_use]
pub fn peer_key(certificates: Option<&[CertificateDer<'_>]>) -> Option<Hash> {
    client_identity(certificates?.first()?).ok().map(|identity| identity.key.id())
}

/// Takes devices of the site, and nothing else that its CA vouches for.
#[derive(Debug)]
struct Devices(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Devices {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now)?;
        client_identity(end_entity).map_err(|_| CertificateError::ApplicationVerificationFailure)?;
        Ok(verified)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Takes a device of the site that has one key. What a certificate is called does not matter: addresses of clients change.
#[derive(Debug)]
struct ThatDevice {
    devices: Arc<dyn ClientCertVerifier>,
    key: Hash,
}

impl ServerCertVerifier for ThatDevice {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // A device's certificate is one of a client on both sides.
        self.devices.verify_client_cert(end_entity, intermediates, now)?;
        match peer_key(Some(std::slice::from_ref(end_entity))) {
            Some(key) if key == self.key => Ok(ServerCertVerified::assertion()),
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.devices.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.devices.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.devices.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrivateKey;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
    use rustls::time_provider::DefaultTimeProvider;

    #[test]
    fn a_peer_shows_the_certificate_of_a_device_and_of_nothing_else() {
        // proves S10: what the site's CA says of another kind of holder is no device's, also for the same key.
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca_der = ca.self_signed(&ca_key).unwrap().der().to_vec();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let certificate = |uri: &str| {
            let mut params = CertificateParams::default();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
            params.signed_by(&key, &issuer).unwrap().der().clone()
        };
        let side = PeerSide {
            issuing: vec![ca_der],
            certificates: Vec::new(),
            key: Arc::new(PrivateKey::generate().unwrap()),
            time: Arc::new(DefaultTimeProvider),
        };
        let device = "00000000-0000-0000-0000-000000000009";
        let (good, admin) = (
            certificate(&format!("urn:muster:TST:device:{device}")),
            certificate(&format!("urn:muster:TST:admin:{device}")),
        );
        let devices = side.devices().unwrap();
        let now = UnixTime::now();
        let verified = |certificate: &CertificateDer<'_>| devices.verify_client_cert(certificate, &[], now).is_ok();
        assert!(verified(&good) && !verified(&admin));
        let key = peer_key(Some(std::slice::from_ref(&good))).unwrap();
        assert_eq!(peer_key(Some(std::slice::from_ref(&admin))), None);
        let that = ThatDevice { devices: devices.clone(), key };
        let name = ServerName::try_from("10.0.0.1").unwrap();
        let answers =
            |certificate: &CertificateDer<'_>| that.verify_server_cert(certificate, &[], &name, &[], now).is_ok();
        assert!(answers(&good) && !answers(&admin));
    }
}
