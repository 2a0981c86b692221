//! Refusals on the wire: `application/problem+json` (RFC 9457) with a stable code.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $status:literal;)+) => {
        /// Why something was refused. The text is stable: clients, scripts and tests may compare it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Code { $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+ }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Code] = &[$(Code::$name,)+];
            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Code::$name => $text,)+ } }
            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Code::$name => $status,)+ } }
            /// What it means, for the list in the documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str { match self { $(Code::$name => concat!($($doc),+),)+ } }
        }
    };
}

codes! {
    /// There is nothing at this address for this caller. The same answer for what does not exist and what is another's.
    NotFound = "not_found", 404;
    /// The caller is not signed in, or the session ended.
    Unauthenticated = "unauthenticated", 401;
    /// The caller is known, and may not do this.
    Forbidden = "forbidden", 403;
    /// The request is not well-formed.
    Malformed = "malformed", 400;
    /// The body, a field or a list is over its limit.
    TooLarge = "too_large", 413;
    /// Too many requests; wait and try again.
    TooMany = "too_many", 429;
    /// The content type is not the one this address takes.
    UnsupportedMediaType = "unsupported_media_type", 415;
    /// The thing changed since the caller read it (If-Match).
    Changed = "changed", 412;
    /// The state of the thing does not allow this.
    Conflict = "conflict", 409;
    /// The site cannot answer at the moment; nothing was changed.
    Unavailable = "unavailable", 503;
    /// A fault of the site; nothing was changed. The log has the reason.
    Internal = "internal", 500;

    /// The enrolment token is not known to this site.
    TokenUnknown = "token_unknown", 403;
    /// The enrolment token was used before.
    TokenUsed = "token_used", 403;
    /// The enrolment token is past its expiry.
    TokenExpired = "token_expired", 403;
    /// The enrolment token was revoked.
    TokenRevoked = "token_revoked", 403;
    /// The signing request is not a PKCS#10 request of a P-256 key with a good signature by that key.
    CsrInvalid = "csr_invalid", 400;
    /// The attestation is not believed; `detail` says why. The request may be made again, with another one or without.
    AttestationRefused = "attestation_refused", 403;
    /// The enterprise's certificate is not one that this site takes, or not the caller's; `detail` says why.
    EnterpriseRefused = "enterprise_refused", 403;
    /// The proof of the computer's domain is not believed; `detail` says why. The request may be made again, with another one or
    /// without.
    DomainRefused = "domain_refused", 403;
    /// The token was made for a machine with another serial number than the one that is stated.
    SerialMismatch = "serial_mismatch", 403;
    /// The enrolment was refused by an administrator, or it expired.
    EnrolmentRefused = "enrolment_refused", 403;

    /// The device is blocked, retired or unknown; its connection is closed.
    DeviceNotActive = "device_not_active", 403;
    /// The envelope's signature is not the connected device's.
    SignatureInvalid = "signature_invalid", 403;
    /// The envelope names another site.
    ForeignSite = "foreign_site", 403;
    /// The envelope starts after the next expected sequence number; `expected` says which that is.
    SequenceGap = "sequence_gap", 409;
    /// Two histories of one device: the envelope does not continue the one that this site has.
    SequenceFork = "sequence_fork", 409;
    /// The key in the request is not the key of the certificate.
    KeyMismatch = "key_mismatch", 403;

    /// A signed object has no valid signature of a key that the trust bundle names for this purpose.
    AuthorUnknown = "author_unknown", 403;
    /// The bytes are not those that the hash names.
    HashMismatch = "hash_mismatch", 400;
    /// A content file that the application names is not there yet.
    ContentMissing = "content_missing", 409;
    /// The sign-in code is wrong, used or expired.
    SignInInvalid = "sign_in_invalid", 401;
    /// The form was not sent by a page of this console (CSRF token missing or wrong).
    CsrfInvalid = "csrf_invalid", 403;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
/// A refusal as sent: RFC 9457 with Muster's `code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:muster:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status, repeated.
    pub status: u16,
    /// The stable code.
    pub code: Code,
    /// One sentence: what happened, and what to do next.
    pub detail: String,
    /// With `sequence_gap` and `sequence_fork`: the sequence number the site wants next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
}

impl Problem {
    /// A problem with its code and sentence.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:muster:problem:{code}"),
            status: code.status(),
            code,
            detail: detail.into(),
            expected: None,
        }
    }
}
