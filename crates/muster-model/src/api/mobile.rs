//! Devices that are managed by foreign protocols: their tokens, and what they were given a certificate for.

use crate::{
    id::{MobileId, Name, TokenId},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// What kind of device a certificate is for. It stands in the certificate, and is checked where the certificate is used.
    enum MobileClass {
        /// Apple's telephones, tablets and computers.
        Apple = "apple",
        /// Android.
        Android = "android",
        /// Windows, by its own management protocol.
        Windows = "windows",
        /// Network equipment and whatever else speaks SCEP or EST.
        Equipment = "equipment",
    }
}
api! {
    /// Where a token of a mobile device is in its life.
    enum MobileTokenState {
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
    /// A token for one device of one class and user, without its secret.
    struct MobileToken {
        /// The id.
        id: TokenId,
        /// What it is for, in the administrator's words.
        name: Name,
        /// For which class of devices.
        class: MobileClass,
        /// Whose the device is.
        user: Name,
        /// Its state.
        state: MobileTokenState,
        /// When it was made.
        created: UnixMillis,
        /// When it ends.
        expires: UnixMillis,
        /// Who made it.
        created_by: Name,
        /// The device that used it.
        used_by: Option<MobileId>,
    }
}
api! {
    /// `POST /api/v1/mobile/tokens`.
    struct MobileTokenCreate {
        /// What it is for.
        name: Name,
        /// For which class of devices.
        class: MobileClass,
        /// Whose the device is.
        user: Name,
        /// Seconds that it can be used: 60 to 604,800 (7 days). Default: 1 day.
        #[serde(default = "one_day")] valid_seconds: u32,
    }
}
const fn one_day() -> u32 {
    86_400
}
/// A new token. The challenge is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MobileTokenCreated {
    /// The id; with EST the name of the user.
    pub id: TokenId,
    /// The secret: SCEP's challenge, or with EST the password.
    pub challenge: String,
    /// When it ends.
    pub expires: UnixMillis,
}
impl std::fmt::Debug for MobileTokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MobileTokenCreated")
            .field("id", &self.id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}
api! {
    /// A device that was given a certificate for a foreign protocol.
    struct MobileDevice {
        /// The id.
        id: MobileId,
        /// Its class.
        class: MobileClass,
        /// Whose it is.
        user: Name,
        /// When it got its first certificate.
        created: UnixMillis,
        /// When it was blocked, where it was.
        blocked: Option<UnixMillis>,
        /// Why.
        reason: Option<String>,
        /// Serial number of its certificate, where it has one that was not revoked or replaced.
        serial: Option<String>,
        /// When that ends.
        expires: Option<UnixMillis>,
    }
}
