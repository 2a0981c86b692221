//! Approval of deployments by a second key.

use crate::{
    id::{DeploymentId, Hash},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// `GET /api/v1/deployments/{id}/approval`: what is to be approved, and who did.
    struct DeploymentOrder {
        /// The deployment.
        deployment: DeploymentId,
        /// The trust bundle demands a second key for more devices than this. Absent: it demands none.
        above: Option<u64>,
        /// SHA-256 of the order: what an approval names.
        order: Hash,
        /// The order itself, exactly as clients get it; JSON, base64.
        body: String,
        /// Devices that it ever got to, those that wait included.
        devices: u64,
        /// Devices of its target that it may not get to.
        left_out: u64,
        /// How many devices it may ever get to. Absent: no rule was there when it was made.
        reach: Option<u64>,
        /// It waits for the approval of a second key: no device is told of it.
        waits_for_approval: bool,
        /// Keys that signed what it runs. None of them can approve it.
        authors: Vec<Hash>,
        /// Who approved it.
        approval: Option<DeploymentApproved>,
    }
}
api! {
    /// An approval.
    struct DeploymentApproved {
        /// The key that signed it.
        key: Hash,
        /// The name that the trust bundle gives it; absent: it names this key no longer.
        name: Option<String>,
        /// The account that handed it in.
        sent_by: String,
        /// For how many devices.
        devices: u64,
        /// When it was signed.
        issued: UnixMillis,
        /// When it ends.
        expires: UnixMillis,
        /// Why it does not count any more, in words.
        dead: Option<String>,
    }
}
api! {
    /// `PUT /api/v1/deployments/{id}/approval`.
    struct DeploymentApprove {
        /// The signed approval, base64.
        approval: String,
    }
}
