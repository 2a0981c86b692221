//! Enrolment on the wire: the token that an administrator hands out, and the messages of the enrolment door.

use crate::{
    id::{DeviceId, EnrolmentId, Hash, SiteCode},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// What `muster token create` prints and a client is started with. One text, `muster1.<base64url of this JSON>`.
///
/// The secret is single-use; the rest says where to go and whom to believe, so that the first connection is pinned already.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentToken {
    /// The site.
    pub site: SiteCode,
    /// Fingerprint of the trusted root key: SHA-256 of its SubjectPublicKeyInfo.
    pub root: Hash,
    /// Address of the enrolment door: `https://host:port`.
    pub enrol: String,
    /// The secret: 32 bytes, base64url. The site keeps only its SHA-256.
    pub secret: String,
}

impl std::fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolmentToken").field("site", &self.site).field("enrol", &self.enrol).finish_non_exhaustive()
    }
}

/// `POST /enrol/v1/requests`: a client asks to be enrolled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The token's secret.
    pub secret: String,
    /// PKCS#10 request, DER, base64. Proves possession of the key; everything in it but the public key is ignored.
    pub csr: String,
    /// What the client says about itself: shown to the administrator who approves, never believed.
    pub claims: DeviceClaims,
}

impl std::fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolRequest").field("claims", &self.claims).finish_non_exhaustive()
    }
}

/// What a device says about itself. Each text has at most 255 bytes and no control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceClaims {
    /// Host name.
    pub host_name: String,
    /// Operating system, for example `Debian GNU/Linux 12 (bookworm)`.
    pub operating_system: String,
    /// Version of the agent.
    pub agent_version: String,
    /// `/etc/machine-id` or the platform's like, hashed with the site code.
    pub hardware_id: Hash,
}

impl DeviceClaims {
    /// Whether every text obeys its limit.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        [&self.host_name, &self.operating_system, &self.agent_version]
            .iter()
            .all(|text| !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control))
    }
}

/// `POST /enrol/v1/requests/poll`: payload of a `COSE_Sign1` by the device's key
/// (content type [`crate::report::POLL_TYPE`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolPoll {
    /// The site.
    pub site: SiteCode,
    /// Which request.
    pub enrolment: EnrolmentId,
    /// The client's time.
    pub time: UnixMillis,
}

impl crate::Signed for EnrolPoll {
    const TYPE: &'static str = crate::report::POLL_TYPE;
}

/// The site's answer to a request or a poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EnrolAnswer {
    /// An administrator has not decided yet.
    Pending {
        /// Use it to poll.
        enrolment: EnrolmentId,
        /// Seconds to wait before the next poll.
        retry_after: u32,
        /// The empty policy: a signed assignment without bodies, base64.
        assignment: String,
    },
    /// The device is active.
    Active {
        /// The id that the site gave.
        device: DeviceId,
        /// Client certificate, then the issuing CA's: DER, base64.
        certificates: Vec<String>,
        /// Addresses of management points: `https://host:port`.
        management_points: Vec<String>,
    },
    /// Refused; ask the administrator for a new token.
    Refused,
}

/// `POST /mp/v1/certificate`: renewal over the connection that the old certificate authenticates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// PKCS#10 request of the same key, DER, base64.
    pub csr: String,
}

/// The renewed certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewAnswer {
    /// Client certificate, then the issuing CA's: DER, base64.
    pub certificates: Vec<String>,
    /// Addresses of management points, as known now.
    pub management_points: Vec<String>,
}
