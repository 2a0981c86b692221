//! Enrolment tokens.

use crate::{
    id::{EnrolmentId, Name, TokenId},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// Where a token is in its life.
    enum TokenState {
        /// It can be used.
        Open = "open",
        /// It was used.
        Used = "used",
        /// It is past its end.
        Expired = "expired",
        /// An administrator took it back.
        Revoked = "revoked",
    }
}
api! {
    /// An enrolment token, without its secret.
    struct Token {
        /// The id.
        id: TokenId,
        /// What it is for, in the administrator's words.
        name: Name,
        /// Its state.
        state: TokenState,
        /// When it was made.
        created: UnixMillis,
        /// When it ends.
        expires: UnixMillis,
        /// Who made it.
        created_by: Name,
        /// The request that used it.
        used_by: Option<EnrolmentId>,
        /// The serial number of the one machine that it was made for.
        serial: Option<String>,
    }
}
api! {
    /// `POST /api/v1/tokens`.
    struct TokenCreate {
        /// What it is for.
        name: Name,
        /// Seconds that it can be used: 60 to 2,592,000 (30 days). Default: 1 day.
        #[serde(default = "one_day")] valid_seconds: u32,
        /// Only for the machine that states this serial number; another is refused.
        #[serde(default)] serial: Option<String>,
    }
}
const fn one_day() -> u32 {
    86_400
}
/// A new token. The text is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenCreated {
    /// The id.
    pub id: TokenId,
    /// The text that a client is started with: `muster1....`
    pub token: String,
    /// When it ends.
    pub expires: UnixMillis,
}
impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreated").field("id", &self.id).field("expires", &self.expires).finish_non_exhaustive()
    }
}
