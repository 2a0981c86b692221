//! Certificates for devices that foreign protocols manage, and for the registration authority that speaks with them.
//!
//! Of what a device asks nothing is taken but its key. The class of the device stands in its certificate: a name that no computer's
//! certificate has, and no computer's door takes; and the other way round.

use crate::certificate::{CertificateError, Issued, IssuingCa, hex, issued_for_clients, params};
use crate::cms::{certificate::parts, oid, verify::AnyKey};
use muster_model::{
    api::MobileClass,
    id::{Hash, MobileId, SiteCode},
    time::{DAY, UnixMillis},
};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose as Eku, KeyUsagePurpose as Usage, PublicKeyData, SanType,
    SignatureAlgorithm,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// Life of a mobile device's certificate.
pub const MOBILE_LIFETIME: i64 = 90 * DAY;
/// Life of a registration authority's certificate. Clients keep it, so it lives long; what it can do is to open requests.
pub const AUTHORITY_LIFETIME: i64 = 365 * DAY;
/// `id-kp-cmcRA`: a registration authority. No TLS client or server has it.
const AUTHORITY_USE: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 28];

/// What a mobile device's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MobileIdentity {
    /// The site.
    pub site: SiteCode,
    /// The class of devices.
    pub class: MobileClass,
    /// The device.
    pub device: MobileId,
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub key: Hash,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
}

/// A key that is not ours.
struct Foreign<'a> {
    key: &'a [u8],
    algorithm: &'static SignatureAlgorithm,
}

impl<'a> Foreign<'a> {
    fn from_spki(spki: &'a [u8]) -> Result<Self, CertificateError> {
        let key = AnyKey::from_spki(spki).map_err(|_| CertificateError::Malformed)?;
        let algorithm = match key.curve() {
            None => &rcgen::PKCS_RSA_SHA256,
            Some(oid::P256) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Some(_) => &rcgen::PKCS_ECDSA_P384_SHA384,
        };
        Ok(Self { key: key.bytes(), algorithm })
    }
}

impl PublicKeyData for Foreign<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl IssuingCa {
    /// A certificate for a mobile device. Class, device and key are all that is said, and all are the caller's decision.
    ///
    /// # Errors
    /// When the key is of no kind that is taken, or the random source fails.
    pub fn mobile(
        &self,
        site: SiteCode,
        (class, device): (MobileClass, MobileId),
        spki: &[u8],
        now: UnixMillis,
    ) -> Result<Issued, CertificateError> {
        let mut params = params(&device.to_string(), now, MOBILE_LIFETIME)?;
        let uri = format!("urn:muster:{site}:mobile:{class}:{device}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(|_| CertificateError::Malformed)?)];
        params.extended_key_usages = vec![Eku::ClientAuth];
        self.say_where_published(&mut params)?;
        self.foreign(params, spki)
    }

    /// A certificate for the registration authority: it opens requests and signs answers, and can do nothing else.
    ///
    /// # Errors
    /// When the key is of no kind that is taken, or the random source fails.
    pub fn authority(&self, site: SiteCode, spki: &[u8], now: UnixMillis) -> Result<Issued, CertificateError> {
        let mut params = params(&format!("Muster site {site} registration authority"), now, AUTHORITY_LIFETIME)?;
        params.extended_key_usages = vec![Eku::Other(AUTHORITY_USE.to_vec())];
        self.foreign(params, spki)
    }

    fn foreign(&self, mut params: CertificateParams, spki: &[u8]) -> Result<Issued, CertificateError> {
        let key = Foreign::from_spki(spki)?;
        params.key_usages = vec![Usage::DigitalSignature];
        if key.algorithm == &rcgen::PKCS_RSA_SHA256 {
            params.key_usages.push(Usage::KeyEncipherment);
        }
        params.use_authority_key_identifier_extension = true;
        let serial = params.serial_number.as_ref().map(|serial| hex(&serial.to_bytes())).unwrap_or_default();
        let expires = UnixMillis(params.not_after.unix_timestamp() * 1_000);
        let certificate = params.signed_by(&key, self.issuer()).map_err(|_| CertificateError::Malformed)?;
        Ok(Issued { der: certificate.der().to_vec(), serial, expires })
    }
}

/// What a mobile device's certificate says, after checking that one of `issuing` (DER) issued it for clients and that it is valid at
/// `now`. A computer's certificate says nothing here.
///
/// # Errors
/// [`CertificateError::NotADevice`], [`CertificateError::NotIssued`].
pub fn issued_mobile(der: &[u8], issuing: &[Vec<u8>], now: UnixMillis) -> Result<MobileIdentity, CertificateError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    let names = certificate.subject_alternative_name().ok().flatten().ok_or(CertificateError::NotADevice)?;
    let [GeneralName::URI(uri)] = names.value.general_names[..] else { return Err(CertificateError::NotADevice) };
    let mut said = uri.strip_prefix("urn:muster:").ok_or(CertificateError::NotADevice)?.split(':');
    let (Some(site), Some("mobile"), Some(class), Some(device), None) =
        (said.next(), said.next(), said.next(), said.next(), said.next())
    else {
        return Err(CertificateError::NotADevice);
    };
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    issued_for_clients(der, issuing, now)?;
    Ok(MobileIdentity {
        site: site.parse().map_err(|_| CertificateError::NotADevice)?,
        class: class.parse().map_err(|_| CertificateError::NotADevice)?,
        device: device.parse().map_err(|_| CertificateError::NotADevice)?,
        key: crate::sha256(parts(der).map_err(|_| CertificateError::Malformed)?.spki),
        serial: hex(certificate.raw_serial()),
    })
}

/// Whether a registration authority's certificate is by this CA, for this key, and valid for a while yet.
#[must_use]
pub fn is_good_authority(der: &[u8], ca: &[u8], spki: &[u8], now: UnixMillis) -> bool {
    let parsed = X509Certificate::from_der(der).ok();
    let by = crate::certificate::public_key(ca);
    by.is_ok_and(|by| crate::certificate::is_signed_by(der, &by))
        && parts(der).is_ok_and(|parts| parts.spki == spki)
        && parsed.is_some_and(|(_, parsed)| {
            let until = UnixMillis(parsed.validity().not_after.timestamp().saturating_mul(1_000));
            until.since(now) > AUTHORITY_LIFETIME / 3
        })
}
