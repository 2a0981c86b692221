//! Enrolment on the wire: the token that an administrator hands out, and the messages of the enrolment door.

use crate::{
    attestation::AttestationProof,
    enterprise::EnterpriseProof,
    id::{DeviceId, EnrolmentId, Hash, SiteCode},
    time::UnixMillis,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use serde::{Deserialize, Serialize};

/// What a token's text begins with.
const TOKEN_PREFIX: &str = "muster1.";
/// Bytes of a token's text; a real one has about 300.
const TOKEN_BYTES: usize = 2048;

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
    /// Version of the trust bundle when the token was made: an older one, which may name what was revoked since, is not taken.
    #[serde(default)]
    pub trust_version: u64,
}

impl std::fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolmentToken").field("site", &self.site).field("enrol", &self.enrol).finish_non_exhaustive()
    }
}

/// Why a text is not an enrolment token. Says nothing of the text itself, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenTextError {
    /// It does not begin as a token does.
    #[error("an enrolment token begins with `muster1.`; take the whole line that `muster token create` printed")]
    Prefix,
    /// Cut, or altered.
    #[error("the enrolment token is cut or altered; take the whole line that `muster token create` printed")]
    Malformed,
    /// The address is not `https://host:port`.
    #[error("the enrolment token names an address that is not https://host:port")]
    Address,
    /// The secret is not 32 bytes in base64url.
    #[error("the enrolment token's secret does not have 32 bytes")]
    Secret,
}

impl EnrolmentToken {
    /// The one text that is handed out: `muster1.<base64url of the JSON>`. It holds the secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{TOKEN_PREFIX}{}", BASE64URL.encode(serde_json::to_vec(self).unwrap_or_default()))
    }
}

impl std::str::FromStr for EnrolmentToken {
    type Err = TokenTextError;
    /// Blanks and a line end around the text are allowed.
    fn from_str(text: &str) -> Result<Self, TokenTextError> {
        let encoded = text.trim().strip_prefix(TOKEN_PREFIX).ok_or(TokenTextError::Prefix)?;
        if encoded.len() > TOKEN_BYTES {
            return Err(TokenTextError::Malformed);
        }
        let json = BASE64URL.decode(encoded).map_err(|_| TokenTextError::Malformed)?;
        let token: Self = serde_json::from_slice(&json).map_err(|_| TokenTextError::Malformed)?;
        if !is_https_authority(&token.enrol) {
            return Err(TokenTextError::Address);
        }
        if BASE64URL.decode(&token.secret).map_or(0, |secret| secret.len()) != 32 {
            return Err(TokenTextError::Secret);
        }
        Ok(token)
    }
}

/// Whether a text is `https://host` or `https://host:port` and nothing more: no user, no path, no query.
#[must_use]
pub fn is_https_authority(text: &str) -> bool {
    let Some(authority) = text.strip_prefix("https://") else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_ok = match v6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.len() <= 253 && host.bytes().all(plain),
    };
    host_ok && port.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok_and(|p| p != 0))
}

/// Whether a text is the name of a host or domain as RFC 1123 has it: labels of letters, digits and inner hyphens, 253 bytes at most.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether a text is the name of a host, and not an address in some disguise: resolvers take `2130706433`, `127.1` and `0x7f.1` for
/// 127.0.0.1. The last label of a name begins with a letter.
#[must_use]
pub fn is_server_name(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    is_host_name(text) && last.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// `POST /enrol/v1/requests`: a client asks to be enrolled.
///
/// The token is bound to the key of the first request that used it. The same token with the same key is the same request
/// again (its answer was lost, or the client was killed before it kept it) and is answered with that enrolment's state now.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The token's secret.
    pub secret: String,
    /// PKCS#10 request, DER, base64. Proves possession of the key; everything in it but the public key is ignored.
    pub csr: String,
    /// What the client says about itself: shown to the administrator who approves, never believed.
    pub claims: DeviceClaims,
    /// Proof that the key lives in the TPM that was offered over this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<AttestationProof>,
    /// Proof that the client has a certificate of the enterprise; once it is let in, it talks with that one and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<EnterpriseProof>,
    /// Proof that the account of this computer in its domain asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainProof>,
    /// The machine's serial number, as it says: 1 to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// In the request to enrol: a Kerberos `AP-REQ` of the computer's account for the site's service, made for this connection, this
/// key and these claims.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainProof {
    /// `AP-REQ`, DER, base64.
    pub request: String,
}

impl std::fmt::Debug for DomainProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DomainProof").finish_non_exhaustive()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> EnrolmentToken {
        EnrolmentToken {
            site: "ABC".parse().unwrap(),
            root: Hash([7; 32]),
            enrol: "https://site.example:8441".into(),
            secret: BASE64URL.encode([9; 32]),
            trust_version: 3,
        }
    }

    #[test]
    fn a_token_survives_its_text_and_a_cut_one_is_refused() {
        let text = token().to_text();
        assert_eq!(format!(" {text}\n").parse::<EnrolmentToken>(), Ok(token()));
        for at in 0..text.len() {
            let error = text[..at].parse::<EnrolmentToken>().unwrap_err();
            assert!(!error.to_string().contains(&token().secret), "{error}");
        }
        let altered = |change: fn(&mut EnrolmentToken)| {
            let mut other = token();
            change(&mut other);
            other.to_text().parse::<EnrolmentToken>()
        };
        assert_eq!(altered(|t| t.enrol = "http://site.example".into()), Err(TokenTextError::Address));
        assert_eq!(altered(|t| t.secret = "c2hvcnQ".into()), Err(TokenTextError::Secret));
        assert_eq!("x".repeat(3000).parse::<EnrolmentToken>(), Err(TokenTextError::Prefix));
        assert_eq!(format!("muster1.{}", "x".repeat(3000)).parse::<EnrolmentToken>(), Err(TokenTextError::Malformed));
        assert!(!format!("{:?}", token()).contains(&token().secret));
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["https://a", "https://a.example:443", "https://127.0.0.1:1", "https://[::1]:8443", "https://[::1]"]
        {
            assert!(is_https_authority(good), "{good}");
        }
        for bad in [
            "http://a",
            "https://",
            "https://a/",
            "https://a:0",
            "https://a:65536",
            "https://a:+1",
            "https://u@a",
            "https://a?x",
            "https://::1",
            "https://[x]",
            "https://a:",
            "https://a b",
            "HTTPS://a",
            "file:///etc/passwd",
        ] {
            assert!(!is_https_authority(bad), "{bad}");
        }
    }
}
