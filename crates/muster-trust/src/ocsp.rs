//! OCSP (RFC 6960): requests read, answers signed by the issuing CA itself, and answers checked.
//!
//! The CA signs directly, which RFC 6960 names first: no second certificate whose status would be a question of its own, and an
//! answer that is small enough for every TLS handshake.

use crate::{
    PublicKey,
    certificate::{CertificateError, IssuingCa},
    crl::Revoked,
};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use muster_model::{
    api::RevocationReason,
    limits::{OCSP_CERTIFICATES, OCSP_REQUEST_BYTES, OCSP_RESPONSE_BYTES},
    time::UnixMillis,
};
use std::time::Duration;
use x509_cert::{
    der::{
        Decode, Encode,
        asn1::{BitString, GeneralizedTime, Null, ObjectIdentifier, OctetString},
    },
    ext::{Extension, pkix::CrlReason},
    serial_number::SerialNumber,
    spki::AlgorithmIdentifierOwned,
};
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse, OcspResponseStatus,
    ResponderId, ResponseData, RevokedInfo, SingleResponse, TbsRequest, Version,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

const SHA1_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const ECDSA_SHA256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const BASIC_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const NONCE_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
/// Bytes of a nonce, RFC 9654.
const NONCE_BYTES: std::ops::RangeInclusive<usize> = 1..=128;

/// What is said of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was issued and not revoked.
    Good,
    /// It was revoked.
    Revoked {
        /// When.
        at: UnixMillis,
        /// Why.
        reason: RevocationReason,
    },
    /// This CA issued no such certificate, or it ended long ago.
    Unknown,
}

impl From<Revoked> for Status {
    fn from(revoked: Revoked) -> Self {
        Self::Revoked { at: revoked.at, reason: revoked.reason }
    }
}

/// Why a status is not what a verifier can go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// There is none.
    #[error("the server showed no proof that its certificate is not revoked")]
    Missing,
    /// It does not parse, or has another form than this site's.
    #[error("the status of the server's certificate is not well-formed")]
    Malformed,
    /// Another key signed it.
    #[error("the status of the server's certificate is not signed by the CA that issued it")]
    Forged,
    /// It is about another certificate.
    #[error("the status is that of another certificate")]
    Foreign,
    /// It has ended.
    #[error("the status of the server's certificate is out of date")]
    Stale,
    /// It begins later than clocks differ.
    #[error("the status of the server's certificate is from the future")]
    NotYet,
    /// The CA does not know the certificate.
    #[error("the CA does not know the server's certificate")]
    Unknown,
    /// It is revoked.
    #[error("the server's certificate is revoked")]
    Revoked,
    /// No CA that may issue server certificates signed the certificate.
    #[error("the server's certificate is not of an issuing CA that is in force")]
    IssuerUnknown,
}

impl StatusError {
    /// A stable word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "status_missing",
            Self::Malformed => "status_malformed",
            Self::Forged => "status_forged",
            Self::Foreign => "status_foreign",
            Self::Stale => "status_stale",
            Self::NotYet => "status_not_yet",
            Self::Unknown => "status_unknown",
            Self::Revoked => "revoked",
            Self::IssuerUnknown => "issuer_unknown",
        }
    }
}

/// Why a request gets no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not a request of the expected form.
    Malformed,
    /// The site has a fault of its own.
    Internal,
    /// Too many asked; come again.
    TryLater,
}

impl Refusal {
    /// The unsigned answer that says so.
    #[must_use]
    pub fn to_der(self) -> Vec<u8> {
        let answer = match self {
            Self::Malformed => OcspResponse::malformed_request(),
            Self::Internal => OcspResponse::internal_error(),
            Self::TryLater => OcspResponse::try_later(),
        };
        answer.to_der().unwrap_or_default()
    }
}

/// The CA as requests and answers name it: by hashes of its name and of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    name: Vec<u8>,
    key: PublicKey,
}

impl Issuer {
    /// From a CA's certificate, DER.
    ///
    /// # Errors
    /// [`CertificateError`] when it is none with a P-256 key.
    pub fn from_certificate(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        let key = PublicKey::from_spki(certificate.public_key().raw)?;
        Ok(Self { name: certificate.subject().as_raw().to_vec(), key })
    }

    /// The CA's key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    fn id(&self, serial: u128) -> Result<CertId, x509_cert::der::Error> {
        Ok(CertId {
            hash_algorithm: AlgorithmIdentifierOwned { oid: SHA256_OID, parameters: Some(Null.into()) },
            issuer_name_hash: OctetString::new(digest::digest(&SHA256, &self.name).as_ref())?,
            issuer_key_hash: OctetString::new(digest::digest(&SHA256, &self.key.point()[..]).as_ref())?,
            serial_number: SerialNumber::new(&serial.to_be_bytes())?,
        })
    }

    /// Whether `id` names this CA. SHA-1 is what most clients name it with; it identifies here and proves nothing.
    fn is_named_by(&self, id: &CertId) -> bool {
        let algorithm = match id.hash_algorithm.oid {
            SHA1_OID => &SHA1_FOR_LEGACY_USE_ONLY,
            SHA256_OID => &SHA256,
            _ => return false,
        };
        id.issuer_name_hash.as_bytes() == digest::digest(algorithm, &self.name).as_ref()
            && id.issuer_key_hash.as_bytes() == digest::digest(algorithm, &self.key.point()[..]).as_ref()
    }
}

/// A request that was read.
#[derive(Debug, Clone)]
pub struct Request {
    asked: Vec<CertId>,
    nonce: Option<Extension>,
}

impl Request {
    /// Reads a request. A signature on it is not looked at: who asks is of no account.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], also for a request over its limits.
    pub fn read(der: &[u8]) -> Result<Self, Refusal> {
        if der.len() > OCSP_REQUEST_BYTES {
            return Err(Refusal::Malformed);
        }
        let request = OcspRequest::from_der(der).map_err(|_| Refusal::Malformed)?.tbs_request;
        let asked: Vec<_> = request.request_list.into_iter().map(|one| one.req_cert).collect();
        if asked.is_empty() || asked.len() > OCSP_CERTIFICATES {
            return Err(Refusal::Malformed);
        }
        let mut nonce = None;
        for extension in request.request_extensions.into_iter().flatten() {
            if extension.extn_id == NONCE_OID {
                let value = OctetString::from_der(extension.extn_value.as_bytes()).map_err(|_| Refusal::Malformed)?;
                if nonce.is_some() || !NONCE_BYTES.contains(&value.as_bytes().len()) {
                    return Err(Refusal::Malformed);
                }
                nonce = Some(Extension { critical: false, ..extension });
            } else if extension.critical {
                return Err(Refusal::Malformed);
            }
        }
        Ok(Self { asked, nonce })
    }

    /// Whether the answer is for this request alone, and no cache may keep it.
    #[must_use]
    pub fn has_nonce(&self) -> bool {
        self.nonce.is_some()
    }

    /// The serial numbers that are asked about, in their order; `None` for a certificate of another CA.
    #[must_use]
    pub fn serials(&self, issuer: &Issuer) -> Vec<Option<u128>> {
        let number = |id: &CertId| serial(&id.serial_number).filter(|_| issuer.is_named_by(id));
        self.asked.iter().map(number).collect()
    }
}

/// A request about one certificate, as a verifier sends it.
///
/// # Errors
/// When it cannot be written.
pub fn request(issuer: &Issuer, serial: u128, nonce: Option<&[u8]>) -> Result<Vec<u8>, CertificateError> {
    let malformed = |_| CertificateError::Malformed;
    let request_extensions = match nonce {
        None => None,
        Some(nonce) => {
            let value = OctetString::new(nonce).and_then(|nonce| nonce.to_der()).map_err(malformed)?;
            let extn_value = OctetString::new(value).map_err(malformed)?;
            Some(vec![Extension { extn_id: NONCE_OID, critical: false, extn_value }])
        }
    };
    let req_cert = issuer.id(serial).map_err(malformed)?;
    let request_list = vec![x509_ocsp::Request { req_cert, single_request_extensions: None }];
    let tbs_request = TbsRequest { version: Version::V1, requestor_name: None, request_list, request_extensions };
    OcspRequest { tbs_request, optional_signature: None }.to_der().map_err(malformed)
}

fn serial(number: &SerialNumber) -> Option<u128> {
    let bytes = number.as_bytes();
    let bytes = if bytes.len() == 17 { bytes.strip_prefix(&[0])? } else { bytes };
    if bytes.len() > 16 {
        return None;
    }
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
}

fn time(at: UnixMillis) -> Result<OcspGeneralizedTime, CertificateError> {
    let seconds = u64::try_from(at.0.div_euclid(1_000)).map_err(|_| CertificateError::Malformed)?;
    let time = GeneralizedTime::from_unix_duration(Duration::from_secs(seconds));
    time.map(OcspGeneralizedTime).map_err(|_| CertificateError::Malformed)
}

fn millis(at: OcspGeneralizedTime) -> UnixMillis {
    UnixMillis(i64::try_from(at.0.to_unix_duration().as_millis()).unwrap_or(i64::MAX))
}

impl IssuingCa {
    /// Answers a request: one status for each certificate that it asks about.
    ///
    /// # Errors
    /// When the number of statuses is another, or the key fails.
    pub fn ocsp_answer(
        &self,
        request: &Request,
        statuses: &[Status],
        now: UnixMillis,
        next_update: UnixMillis,
    ) -> Result<Vec<u8>, CertificateError> {
        if request.asked.len() != statuses.len() {
            return Err(CertificateError::Malformed);
        }
        let about = request.asked.iter().cloned().zip(statuses.iter().copied()).collect();
        self.ocsp_sign(about, request.nonce.clone(), now, next_update)
    }

    /// The status of one certificate, to be shown by its holder in TLS handshakes.
    ///
    /// # Errors
    /// When the key fails.
    pub fn ocsp_status(
        &self,
        serial: u128,
        status: Status,
        now: UnixMillis,
        next_update: UnixMillis,
    ) -> Result<Vec<u8>, CertificateError> {
        let issuer = Issuer::from_certificate(self.certificate())?;
        let id = issuer.id(serial).map_err(|_| CertificateError::Malformed)?;
        self.ocsp_sign(vec![(id, status)], None, now, next_update)
    }

    fn ocsp_sign(
        &self,
        about: Vec<(CertId, Status)>,
        nonce: Option<Extension>,
        now: UnixMillis,
        next_update: UnixMillis,
    ) -> Result<Vec<u8>, CertificateError> {
        let malformed = |_| CertificateError::Malformed;
        let single = |(cert_id, status)| {
            Ok(SingleResponse {
                cert_id,
                cert_status: encoded(status)?,
                this_update: time(now)?,
                next_update: Some(time(next_update)?),
                single_extensions: None,
            })
        };
        let issuer = Issuer::from_certificate(self.certificate())?;
        // RFC 6960 says SHA-1 for this field; it only helps to find the certificate that verifies.
        let key_hash = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &issuer.key.point()[..]);
        let data = ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByKey(OctetString::new(key_hash.as_ref()).map_err(malformed)?),
            produced_at: time(now)?,
            responses: about.into_iter().map(single).collect::<Result<_, CertificateError>>()?,
            response_extensions: nonce.map(|nonce| vec![nonce]),
        };
        let signature = self.sign_bytes(&data.to_der().map_err(malformed)?)?;
        let basic = BasicOcspResponse {
            tbs_response_data: data,
            signature_algorithm: AlgorithmIdentifierOwned { oid: ECDSA_SHA256_OID, parameters: None },
            signature: BitString::from_bytes(&signature).map_err(malformed)?,
            certs: None,
        };
        OcspResponse::successful(basic).and_then(|answer| answer.to_der()).map_err(malformed)
    }
}

fn encoded(status: Status) -> Result<CertStatus, CertificateError> {
    Ok(match status {
        Status::Good => CertStatus::good(),
        Status::Unknown => CertStatus::unknown(),
        Status::Revoked { at, reason } => {
            let revocation_reason = match reason {
                RevocationReason::Unspecified => None,
                RevocationReason::KeyCompromise => Some(CrlReason::KeyCompromise),
                RevocationReason::AffiliationChanged => Some(CrlReason::AffiliationChanged),
                RevocationReason::Superseded => Some(CrlReason::Superseded),
                RevocationReason::CessationOfOperation => Some(CrlReason::CessationOfOperation),
                RevocationReason::CertificateHold => Some(CrlReason::CertificateHold),
                RevocationReason::PrivilegeWithdrawn => Some(CrlReason::PrivilegeWithdrawn),
            };
            CertStatus::revoked(RevokedInfo { revocation_time: time(at)?, revocation_reason })
        }
    })
}

/// A status that the CA signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// From when on.
    pub this_update: UnixMillis,
    /// Until when.
    pub next_update: UnixMillis,
    /// Whether the certificate is good.
    pub verdict: Result<(), StatusError>,
}

/// Reads the signed status of the certificate `serial` of `issuer`. Whether it is in time is the caller's to say.
///
/// # Errors
/// [`StatusError::Malformed`], [`StatusError::Forged`], [`StatusError::Foreign`].
pub fn read_status(der: &[u8], issuer: &Issuer, serial: u128) -> Result<Signed, StatusError> {
    if der.len() > OCSP_RESPONSE_BYTES {
        return Err(StatusError::Malformed);
    }
    let answer = OcspResponse::from_der(der).map_err(|_| StatusError::Malformed)?;
    let bytes = answer
        .response_bytes
        .filter(|bytes| answer.response_status == OcspResponseStatus::Successful && bytes.response_type == BASIC_OID)
        .ok_or(StatusError::Malformed)?;
    let basic = BasicOcspResponse::from_der(bytes.response.as_bytes()).map_err(|_| StatusError::Malformed)?;
    if basic.signature_algorithm.oid != ECDSA_SHA256_OID {
        return Err(StatusError::Malformed);
    }
    // DER has one encoding: what was read and is written again are the bytes that were signed.
    let signed = basic.tbs_response_data.to_der().map_err(|_| StatusError::Malformed)?;
    let signature = basic.signature.as_bytes().ok_or(StatusError::Malformed)?;
    issuer.key.verify_der(&signed, signature).map_err(|_| StatusError::Forged)?;
    let [single] = &basic.tbs_response_data.responses[..] else { return Err(StatusError::Malformed) };
    if issuer.id(serial).as_ref() != Ok(&single.cert_id) {
        return Err(StatusError::Foreign);
    }
    let next_update = single.next_update.ok_or(StatusError::Malformed)?;
    let verdict = match single.cert_status {
        CertStatus::Good(_) => Ok(()),
        CertStatus::Revoked(_) => Err(StatusError::Revoked),
        CertStatus::Unknown(_) => Err(StatusError::Unknown),
    };
    Ok(Signed { this_update: millis(single.this_update), next_update: millis(next_update), verdict })
}
