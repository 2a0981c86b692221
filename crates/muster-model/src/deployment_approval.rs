//! Approval of a deployment: what a second person signs, with a key of their own, before many devices run it.

use crate::{
    api::Target,
    id::{DeploymentId, Hash, SiteCode},
    time::{DAY, UnixMillis},
};
use serde::{Deserialize, Serialize};

/// Content type of a signed approval.
pub const APPROVAL_TYPE: &str = "application/vnd.muster.deployment-approval+json";

/// How long an approval may be good for.
pub const APPROVAL_LIFETIME: i64 = 90 * DAY;

/// Payload of an approval, a `COSE_Sign1` by an author key of the trust bundle that signed nothing of what is approved.
///
/// It names the deployment by the hash of its policy body, so that it holds for these applications, this action, these times and no
/// others: whatever is edited has another hash, and no approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentApproval {
    /// The site.
    pub site: SiteCode,
    /// The deployment.
    pub deployment: DeploymentId,
    /// SHA-256 of its policy body.
    pub order: Hash,
    /// For whom it is.
    pub target: Target,
    /// How many devices may ever get it.
    pub devices: u64,
    /// When it was signed.
    pub issued: UnixMillis,
    /// When it ends: nothing is begun by it any more.
    pub expires: UnixMillis,
}

impl crate::Signed for DeploymentApproval {
    const TYPE: &'static str = APPROVAL_TYPE;
}

impl DeploymentApproval {
    /// Whether something may be begun by it now. One that is good for longer than [`APPROVAL_LIFETIME`], or comes from more than a day
    /// ahead, never may.
    #[must_use]
    pub fn is_in_time(&self, now: UnixMillis) -> bool {
        let lives = (1..=APPROVAL_LIFETIME).contains(&self.expires.since(self.issued));
        lives && self.issued <= now.plus(DAY) && now < self.expires
    }
}
