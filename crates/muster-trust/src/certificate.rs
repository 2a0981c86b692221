//! X.509: the root's and the issuing CA's certificates, server and client certificates, signing requests.
//!
//! A certificate says only what the issuer decides. Of a signing request nothing is taken but the public key.

use crate::{
    PrivateKey, PublicKey,
    key::{KeyError, Signer, signature_der},
    names_within,
};
use muster_model::{
    id::{DeviceId, Hash, SiteCode},
    time::{DAY, UnixMillis},
};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose as Eku, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose as Usage, SanType, SerialNumber,
    SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;
use std::{net::IpAddr, sync::Arc};
use x509_cert::{
    der::{
        Encode,
        asn1::{Ia5String, ObjectIdentifier},
    },
    ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax, name::GeneralName as Address},
};
use x509_parser::{
    certificate::X509Certificate, certification_request::X509CertificationRequest, extensions::GeneralName,
    oid_registry::OID_SIG_ECDSA_WITH_SHA256, prelude::FromDer,
};

/// Life of the root's certificate.
pub const ROOT_LIFETIME: i64 = 20 * 365 * DAY;
/// Life of an issuing CA's certificate.
pub const ISSUING_LIFETIME: i64 = 5 * 365 * DAY;
/// Life of a server certificate; renewed at every start of the server and at two thirds.
pub const SERVER_LIFETIME: i64 = 90 * DAY;
/// Life of a client certificate; renewed by the client at two thirds.
pub const CLIENT_LIFETIME: i64 = 30 * DAY;
/// How far a new certificate reaches back, for clients whose clocks are slow.
const BACKDATE: i64 = DAY;
/// `authorityInfoAccess`, and in it the address of an OCSP responder.
const AIA_OID: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 1];
const OCSP_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");

/// Why a certificate or signing request is not taken, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a certificate or request of the expected form.
    #[error("not a certificate or signing request of the expected form")]
    Malformed,
    /// The request is not signed by the key that it names.
    #[error("the signing request is not signed by its own key")]
    NotPossessed,
    /// The certificate does not name a device of a site.
    #[error("the certificate does not name a device of this site")]
    NotADevice,
    /// No issuing CA of the trust bundle signed it for TLS clients, or it is not valid at this time.
    #[error("the certificate was not issued by this site for a client, or is not valid at this time")]
    NotIssued,
    /// A key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A server name is neither a DNS name nor an IP address.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
    /// The issuing CA may not name this server.
    #[error("the issuing CA may name servers within {} only, and not {name:?}", .within.join(", "))]
    NotWithin {
        /// The server's name.
        name: String,
        /// What the CA may name.
        within: Vec<String>,
    },
    /// What an issuing CA shall be bounded to is no domain and no network.
    #[error("{0:?} is neither a domain (corp.example) nor a network (10.0.0.0/8) or address")]
    NameWithin(String),
}

/// What a client certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The site.
    pub site: SiteCode,
    /// The device.
    pub device: DeviceId,
    /// The device's key.
    pub key: PublicKey,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// When the certificate ends.
    pub expires: UnixMillis,
    /// The certificate of the enterprise that was shown, where it was not one of this site.
    pub enterprise: Option<EnterpriseIdentity>,
}

/// A certificate of the enterprise that a device is mapped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnterpriseIdentity {
    /// SHA-256 of the certificate.
    pub fingerprint: Hash,
    /// Its issuer.
    pub issuer: Hash,
    /// Its serial number.
    pub serial: crate::enterprise::Serial,
}

/// A new certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// DER.
    pub der: Vec<u8>,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// When it ends.
    pub expires: UnixMillis,
}

/// The issuing CA at work: its certificate and its key.
pub struct IssuingCa {
    certificate: Vec<u8>,
    issuer: Issuer<'static, CaKey>,
    key: Hash,
    published_at: Option<String>,
}

impl std::fmt::Debug for IssuingCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IssuingCa")
    }
}

/// The self-signed certificate of the root key.
///
/// # Errors
/// When the random source fails.
pub fn root(site: SiteCode, key: &PrivateKey, now: UnixMillis) -> Result<Vec<u8>, CertificateError> {
    let mut params = params(&format!("Muster site {site} trusted root"), now, ROOT_LIFETIME)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![Usage::KeyCertSign, Usage::CrlSign];
    let certificate = params.self_signed(&key.issuer_key()?).map_err(|_| CertificateError::Malformed)?;
    Ok(certificate.der().to_vec())
}

/// A certificate for an issuing CA, signed by the root. It can issue for TLS clients and for servers `within` these domains and networks
/// (see [`names_within`]; empty: for all), and no further CA.
///
/// # Errors
/// When a key or the root's certificate is not usable; [`CertificateError::NameWithin`].
pub fn issuing(
    site: SiteCode,
    root_certificate: &[u8],
    root_key: &PrivateKey,
    key: &PublicKey,
    within: &[String],
    now: UnixMillis,
) -> Result<Vec<u8>, CertificateError> {
    let mut params = params(&format!("Muster site {site} issuing CA"), now, ISSUING_LIFETIME)?;
    params.name_constraints = names_within::constraints(within)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![Usage::KeyCertSign, Usage::CrlSign];
    params.extended_key_usages = vec![Eku::ServerAuth, Eku::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let root = IssuingCa::new(root_certificate.to_vec(), root_key)?;
    root.sign(&params, key)
}

impl IssuingCa {
    /// From the CA's certificate (DER) and key.
    ///
    /// # Errors
    /// When the certificate does not parse.
    pub fn new(certificate: Vec<u8>, key: &PrivateKey) -> Result<Self, CertificateError> {
        Self::signing(certificate, Arc::new(PrivateKey::from_pkcs8(key.pkcs8())?))
    }

    /// From the CA's certificate (DER) and whoever signs with its key.
    ///
    /// # Errors
    /// When the certificate does not parse, or is for another key.
    pub fn signing(certificate: Vec<u8>, key: Arc<dyn Signer>) -> Result<Self, CertificateError> {
        let der = CertificateDer::from(certificate.clone());
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| CertificateError::Malformed)?;
        if parsed.public_key().raw != key.public().spki() {
            return Err(CertificateError::Malformed);
        }
        let issuer = Issuer::from_ca_cert_der(&der, CaKey(key.clone())).map_err(|_| CertificateError::Malformed)?;
        Ok(Self { certificate, issuer, key: key.public().id(), published_at: None })
    }

    /// The same, writing into client certificates where their status is published: below `base`, such as `http://pki.example`.
    #[must_use]
    pub fn published_at(mut self, base: Option<&str>) -> Self {
        self.published_at = base.map(|base| base.trim_end_matches('/').to_owned());
        self
    }

    /// The id of the CA's key.
    #[must_use]
    pub fn key_id(&self) -> Hash {
        self.key
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, CaKey> {
        &self.issuer
    }

    /// A signature of the CA in the form of certificates.
    pub(crate) fn sign_bytes(&self, bytes: &[u8]) -> Result<Vec<u8>, CertificateError> {
        rcgen::SigningKey::sign(self.issuer.key(), bytes).map_err(|_| CertificateError::Key(KeyError::Hardware))
    }

    /// The CA's own certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn sign(&self, params: &CertificateParams, key: &PublicKey) -> Result<Vec<u8>, CertificateError> {
        let public = SubjectPublicKeyInfo::from_der(&key.spki()).map_err(|_| CertificateError::Malformed)?;
        let certificate = params.signed_by(&public, &self.issuer).map_err(|_| CertificateError::Malformed)?;
        Ok(certificate.der().to_vec())
    }

    /// A server certificate for these DNS names and IP addresses.
    ///
    /// # Errors
    /// [`CertificateError::ServerName`], [`CertificateError::NotWithin`].
    pub fn server(&self, names: &[String], key: &PublicKey, now: UnixMillis) -> Result<Issued, CertificateError> {
        let mut params = params(names.first().map_or("muster", String::as_str), now, SERVER_LIFETIME)?;
        let within = names_within::of_certificate(&self.certificate)?;
        for name in names {
            if !names_within::covers(&within, name) {
                return Err(CertificateError::NotWithin { name: name.clone(), within });
            }
            let bad = || CertificateError::ServerName(name.clone());
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.clone().try_into().map_err(|_| bad())?),
            });
        }
        params.extended_key_usages = vec![Eku::ServerAuth];
        self.leaf(params, key)
    }

    /// A client certificate. The device id and the key are all that is said; both are the caller's decision.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn client(
        &self,
        site: SiteCode,
        device: DeviceId,
        key: &PublicKey,
        now: UnixMillis,
    ) -> Result<Issued, CertificateError> {
        let mut params = params(&device.to_string(), now, CLIENT_LIFETIME)?;
        let uri = format!("urn:muster:{site}:device:{device}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(|_| CertificateError::Malformed)?)];
        params.extended_key_usages = vec![Eku::ClientAuth];
        self.say_where_published(&mut params)?;
        self.leaf(params, key)
    }

    /// Where the certificate's status is published, in it.
    pub(crate) fn say_where_published(&self, params: &mut CertificateParams) -> Result<(), CertificateError> {
        if let Some(base) = &self.published_at {
            params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![list_address(base, &self.key)] }];
            params.custom_extensions = vec![CustomExtension::from_oid_content(&AIA_OID, responder(base)?)];
        }
        Ok(())
    }

    fn leaf(&self, mut params: CertificateParams, key: &PublicKey) -> Result<Issued, CertificateError> {
        params.key_usages = vec![Usage::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let serial = params.serial_number.as_ref().map(|s| hex(&s.to_bytes())).unwrap_or_default();
        let expires = UnixMillis(params.not_after.unix_timestamp() * 1_000);
        Ok(Issued { der: self.sign(&params, key)?, serial, expires })
    }
}

/// Where the revocation list of the CA with this key is published.
#[must_use]
pub fn list_address(base: &str, key: &Hash) -> String {
    format!("{base}/crl/{key}.crl")
}

/// The content of `authorityInfoAccess`: where to ask for a status.
fn responder(base: &str) -> Result<Vec<u8>, CertificateError> {
    let address = Ia5String::new(&format!("{base}/ocsp")).map_err(|_| CertificateError::Malformed)?;
    let description =
        AccessDescription { access_method: OCSP_OID, access_location: Address::UniformResourceIdentifier(address) };
    AuthorityInfoAccessSyntax(vec![description]).to_der().map_err(|_| CertificateError::Malformed)
}

/// A time as certificates have it, in whole seconds.
pub(crate) fn moment(at: UnixMillis) -> Result<time::OffsetDateTime, CertificateError> {
    time::OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000)).map_err(|_| CertificateError::Malformed)
}

/// The serial number of a certificate of this site; they have at most 16 bytes.
#[must_use]
pub fn serial_number(der: &[u8]) -> Option<u128> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let bytes = certificate.raw_serial();
    (bytes.len() <= 16).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
}

/// Whether `key` signed this certificate.
pub(crate) fn is_signed_by(der: &[u8], key: &PublicKey) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, certificate)| {
        certificate.signature_algorithm.algorithm == OID_SIG_ECDSA_WITH_SHA256
            && key.verify_der(certificate.tbs_certificate.as_ref(), &certificate.signature_value.data).is_ok()
    })
}

pub(crate) fn params(common_name: &str, now: UnixMillis, lifetime: i64) -> Result<CertificateParams, CertificateError> {
    let mut serial = [0; 16];
    crate::random(&mut serial)?;
    // Positive, and of full length, so that two spellings of one serial number do not exist.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.not_before = moment(now.plus(-BACKDATE))?;
    params.not_after = moment(now.plus(lifetime))?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = name;
    params.key_identifier_method = KeyIdMethod::Sha256;
    Ok(params)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads what a client certificate says. Whether it is to be believed was decided by the TLS handshake.
///
/// # Errors
/// [`CertificateError::NotADevice`] when it is not a client certificate of this kind.
pub fn client_identity(der: &[u8]) -> Result<ClientIdentity, CertificateError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    let names = certificate.subject_alternative_name().ok().flatten().ok_or(CertificateError::NotADevice)?;
    let [GeneralName::URI(uri)] = names.value.general_names[..] else { return Err(CertificateError::NotADevice) };
    let mut parts = uri.strip_prefix("urn:muster:").ok_or(CertificateError::NotADevice)?.split(':');
    let (site, class, device) = (parts.next(), parts.next(), parts.next());
    if class != Some("device") || parts.next().is_some() {
        return Err(CertificateError::NotADevice);
    }
    Ok(ClientIdentity {
        site: site.and_then(|s| s.parse().ok()).ok_or(CertificateError::NotADevice)?,
        device: device.and_then(|d| d.parse().ok()).ok_or(CertificateError::NotADevice)?,
        key: PublicKey::from_spki(certificate.public_key().raw)?,
        serial: hex(certificate.raw_serial()),
        expires: UnixMillis(certificate.validity().not_after.timestamp() * 1_000),
        enterprise: None,
    })
}

/// What a client certificate says, after checking what a client checks of its own new one: issued by one of `issuing` (DER)
/// for TLS clients, and valid at `now`.
///
/// # Errors
/// [`CertificateError::NotIssued`], or as [`client_identity`].
pub fn issued_client(der: &[u8], issuing: &[Vec<u8>], now: UnixMillis) -> Result<ClientIdentity, CertificateError> {
    let identity = client_identity(der)?;
    issued_for_clients(der, issuing, now)?;
    Ok(identity)
}

/// That one of `issuing` (DER) issued a certificate for TLS clients, and that it is valid at `now`.
pub(crate) fn issued_for_clients(der: &[u8], issuing: &[Vec<u8>], now: UnixMillis) -> Result<(), CertificateError> {
    let issuers: Vec<CertificateDer<'_>> = issuing.iter().map(|c| CertificateDer::from(c.as_slice())).collect();
    let anchors: Vec<_> = issuers.iter().filter_map(|c| webpki::anchor_from_trusted_cert(c).ok()).collect();
    let leaf = CertificateDer::from(der);
    let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(|_| CertificateError::Malformed)?;
    let seconds = u64::try_from(now.0.div_euclid(1_000)).map_err(|_| CertificateError::NotIssued)?;
    let at = rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let usage = webpki::KeyUsage::client_auth();
    leaf.verify_for_usage(&[webpki::aws_lc_rs::ECDSA_P256_SHA256], &anchors, &[], at, usage, None, None)
        .map_err(|_| CertificateError::NotIssued)?;
    Ok(())
}

/// The public key of any certificate with a P-256 key.
///
/// # Errors
/// [`CertificateError::Malformed`].
pub fn public_key(der: &[u8]) -> Result<PublicKey, CertificateError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    Ok(PublicKey::from_spki(certificate.public_key().raw)?)
}

/// A signing request: proof that the caller has the key. It asks for nothing else.
///
/// # Errors
/// When the random source or the key's hardware fails.
pub fn signing_request(key: &dyn Signer) -> Result<Vec<u8>, CertificateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&RequestKey(key)).map_err(|_| KeyError::Hardware)?;
    Ok(request.der().to_vec())
}

/// A key for a signing request, wherever it is.
struct RequestKey<'a>(&'a dyn Signer);

/// The key of a CA, wherever it is.
pub(crate) struct CaKey(Arc<dyn Signer>);

macro_rules! signs {
    ($($key:ty),*) => { $(
        impl rcgen::PublicKeyData for $key {
            fn der_bytes(&self) -> &[u8] {
                self.0.public().point()
            }

            fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
                &rcgen::PKCS_ECDSA_P256_SHA256
            }
        }

        impl rcgen::SigningKey for $key {
            fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
                let signed = self.0.sign(message).and_then(|signature| signature_der(&signature));
                signed.map_err(|_| rcgen::Error::RemoteKeyError)
            }
        }
    )* };
}
signs!(RequestKey<'_>, CaKey);

/// The public key of a signing request that is signed by that key. Everything else in the request is ignored.
///
/// # Errors
/// [`CertificateError::Malformed`] or [`CertificateError::NotPossessed`].
pub fn signing_request_key(der: &[u8]) -> Result<PublicKey, CertificateError> {
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    if der.first() != Some(&0x30) || request.signature_algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA256 {
        return Err(CertificateError::Malformed);
    }
    let info = &request.certification_request_info;
    let key = PublicKey::from_spki(info.subject_pki.raw)?;
    let verifier = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
        &info.subject_pki.subject_public_key.data,
    );
    verifier.verify(info.raw, &request.signature_value.data).map_err(|_| CertificateError::NotPossessed)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn site() -> SiteCode {
        "ABC".parse().unwrap()
    }

    fn issuing_of(root_key: &PrivateKey, key: &PrivateKey) -> Vec<u8> {
        issuing(site(), &root(site(), root_key, NOW).unwrap(), root_key, key.public(), &[], NOW).unwrap()
    }

    #[test]
    fn a_client_certificate_says_what_the_issuer_decided() {
        let (root_key, ca_key, device_key) =
            (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let root_certificate = root(site(), &root_key, NOW).unwrap();
        let ca_certificate = {
            let within = ["localhost".to_owned(), "127.0.0.0/8".to_owned()];
            issuing(site(), &root_certificate, &root_key, ca_key.public(), &within, NOW).unwrap()
        };
        let ca = IssuingCa::new(ca_certificate, &ca_key).unwrap();
        let device: DeviceId = "0192f0c1-7a3b-7c4d-8e5f-0123456789ab".parse().unwrap();
        let issued = ca.client(site(), device, device_key.public(), NOW).unwrap();
        let identity = client_identity(&issued.der).unwrap();
        assert_eq!((identity.site, identity.device, &identity.key), (site(), device, device_key.public()));
        assert_eq!((&identity.serial, identity.expires), (&issued.serial, issued.expires));
        let issuing = [ca.certificate().to_vec()];
        assert_eq!(issued_client(&issued.der, &issuing, NOW).as_ref(), Ok(&identity));
        for at in [NOW.plus(-2 * DAY), NOW.plus(CLIENT_LIFETIME + DAY)] {
            assert_eq!(issued_client(&issued.der, &issuing, at), Err(CertificateError::NotIssued));
        }
        let other = issuing_of(&PrivateKey::generate().unwrap(), &ca_key);
        assert_eq!(issued_client(&issued.der, &[other], NOW).as_ref(), Ok(&identity), "the CA's key decides");
        let stranger = issuing_of(&root_key, &PrivateKey::generate().unwrap());
        assert_eq!(issued_client(&issued.der, &[stranger], NOW), Err(CertificateError::NotIssued));
        let server = ca.server(&["localhost".into(), "127.0.0.1".into()], ca_key.public(), NOW).unwrap();
        assert_eq!(client_identity(&server.der), Err(CertificateError::NotADevice));
        let outside = ca.server(&["localhost".into(), "login.example".into()], ca_key.public(), NOW);
        assert!(matches!(outside, Err(CertificateError::NotWithin { name, .. }) if name == "login.example"));
        let odd = ca.server(&["b\u{fc}ro.localhost".into()], ca_key.public(), NOW);
        assert!(matches!(odd, Err(CertificateError::ServerName(_))));
    }

    #[test]
    fn a_signing_request_proves_possession_and_nothing_else_is_read() {
        let key = PrivateKey::generate().unwrap();
        let request = signing_request(&key).unwrap();
        assert_eq!(signing_request_key(&request).unwrap(), *key.public());
        let spki = key.public().spki();
        let key_at = request.windows(spki.len()).position(|window| window == spki).unwrap();
        for at in (key_at..key_at + spki.len()).chain(request.len() - 40..request.len()) {
            let mut altered = request.clone();
            altered[at] ^= 0x20;
            assert_ne!(signing_request_key(&altered).as_ref(), Ok(key.public()), "byte {at}");
        }
        // Hostile wishes in the request change nothing about the key that is taken.
        let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages = vec![Eku::Any];
        let hostile = params.serialize_request(&key.issuer_key().unwrap());
        if let Ok(hostile) = hostile {
            assert_eq!(signing_request_key(hostile.der()).unwrap(), *key.public());
        }
    }
}
