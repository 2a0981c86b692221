//! Requests to be enrolled, and the decisions on them.

use super::{DomainAccount, EnterpriseCertificate, KeyProtection};
use crate::{
    enrol::DeviceClaims,
    id::{DeviceId, EnrolmentId, Hash, TokenId},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// Where a request to enrol is in its life.
    enum EnrolmentState {
        /// Nobody decided yet.
        Pending = "pending",
        /// It became a device.
        Approved = "approved",
        /// An administrator refused it.
        Refused = "refused",
    }
}
api! {
    /// A request to be enrolled.
    struct Enrolment {
        /// The id.
        id: EnrolmentId,
        /// Its state.
        state: EnrolmentState,
        /// What the device says about itself.
        claims: DeviceClaims,
        /// Key id of the device's key: compare it with what the device shows.
        key: Hash,
        /// How the key is kept, as far as the site could prove it.
        key_protection: KeyProtection,
        /// The hardware identity that it proved.
        hardware: Option<Hash>,
        /// The computer's account that it proved. Its host name follows from it then.
        account: Option<DomainAccount>,
        /// The serial number that it states: nobody has checked it.
        serial: Option<String>,
        /// Which machine that is, where an administrator put that number on the list.
        serial_note: Option<String>,
        /// Why it was approved without an administrator, or why a proof of its domain was not enough.
        verdict: Option<String>,
        /// The address the request came from.
        address: String,
        /// When it was made.
        created: UnixMillis,
        /// The token that it used.
        token: TokenId,
        /// The device that it became.
        device: Option<DeviceId>,
        /// The certificate of the enterprise that it showed, and will talk with.
        enterprise: Option<EnterpriseCertificate>,
        /// Devices with the same key, hardware identity, hardware id, host name or certificate of the enterprise: why to look twice.
        conflicts: Vec<String>,
    }
}
