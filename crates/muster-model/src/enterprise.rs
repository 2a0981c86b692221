//! Client certificates of the enterprise on the wire: which ones a site takes, and the proof that a client has the key of one.

use crate::{
    api::IssuerCriteria,
    id::{DeviceId, Hash, SiteCode},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Content type of [`EnterpriseChange`].
pub const ENTERPRISE_TYPE: &str = "application/vnd.muster.enterprise+json";

/// `GET /enrol/v1/issuers`: whose certificates count, so that a client can choose among those that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuersAnswer {
    /// The issuers; none: the site takes no certificates but its own.
    pub issuers: Vec<IssuerOffer>,
}

/// One issuer, as a client needs it to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerOffer {
    /// The CA's certificate: DER, base64.
    pub certificate: String,
    /// Which of its certificates count.
    pub criteria: IssuerCriteria,
}

/// Proof that the client has the key of a certificate of the enterprise, made for one connection and one device key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseProof {
    /// The certificate: DER, base64.
    pub certificate: String,
    /// TLS `SignatureScheme` of the signature.
    pub scheme: u16,
    /// The signature by the certificate's key: base64.
    pub signature: String,
}

/// `POST /enrol/v1/enterprise-certificate`: a device goes on with another certificate of the enterprise. Payload of a
/// `COSE_Sign1` by the device's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseChange {
    /// The site.
    pub site: SiteCode,
    /// The device.
    pub device: DeviceId,
    /// The client's time.
    pub time: UnixMillis,
    /// The connection's TLS exporter, so that the statement is good on this connection only.
    pub exporter: Hash,
    /// The certificate, and the proof that its key is here.
    pub proof: EnterpriseProof,
}

impl crate::Signed for EnterpriseChange {
    const TYPE: &'static str = ENTERPRISE_TYPE;
}

/// The site's answer: the device talks with this certificate now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseAnswer {
    /// The device.
    pub device: DeviceId,
    /// SHA-256 of the certificate.
    pub certificate: Hash,
}
