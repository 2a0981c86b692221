//! Signing in and out.

use super::Admin;
use crate::{id::Hash, time::UnixMillis};
use serde::{Deserialize, Serialize};

api! {
    /// `POST /api/v1/session/challenge`: the first step of signing in with an administrator's key.
    struct ChallengeRequest {
        /// Key id of the administrator's key.
        key: Hash,
    }
}
api! {
    /// What to sign: `muster/v1/sign-in` NUL, the site code, NUL, and the challenge's bytes.
    struct Challenge {
        /// 32 random bytes, base64url. Valid once, for 60 seconds.
        challenge: String,
    }
}
api! {
    /// `POST /api/v1/session`: the signed challenge.
    struct SessionRequest {
        /// Key id.
        key: Hash,
        /// The challenge, as it was given.
        challenge: String,
        /// ECDSA P-256 SHA-256 signature, 64 bytes `r || s`, base64url.
        signature: String,
    }
}
/// A session of an administrator. The token is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// Bearer token, for the `Authorization` header.
    pub token: String,
    /// When it ends.
    pub expires: UnixMillis,
    /// Who is signed in.
    pub admin: Admin,
}
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("expires", &self.expires).field("admin", &self.admin).finish_non_exhaustive()
    }
}
/// `POST /api/v1/session/code`: a one-time code that signs a browser in as the caller.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignInCode {
    /// The code. Valid once, for 5 minutes.
    pub code: String,
    /// Address to open in a browser; `<console>/sign-in?code=...`.
    pub url: String,
    /// When it ends.
    pub expires: UnixMillis,
}
impl std::fmt::Debug for SignInCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignInCode").field("expires", &self.expires).finish_non_exhaustive()
    }
}
