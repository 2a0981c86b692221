//! Whether a second person approved a deployment: another key than those that signed what it runs.

use crate::{
    PublicKey, TrustBundle, Verified,
    envelope::{self, EnvelopeError},
};
use muster_model::{
    deployment_approval::DeploymentApproval,
    id::{DeploymentId, Hash, SiteCode},
};

/// Why an approval does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// Not signed by an author key of the trust bundle.
    #[error("the approval is {0}")]
    Envelope(#[from] EnvelopeError),
    /// For another site.
    #[error("the approval is for another site")]
    ForeignSite,
    /// For another deployment, or for this one as it was before somebody changed it.
    #[error("the approval is for another deployment, or for other content than this")]
    OtherOrder,
    /// Who approves signed some of what is approved.
    #[error("the key that approves has signed some of what the deployment runs; another person must approve")]
    OwnWork,
}

/// What is to be approved.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The site.
    pub site: SiteCode,
    /// The deployment.
    pub deployment: DeploymentId,
    /// SHA-256 of its policy body.
    pub hash: Hash,
    /// Keys that signed any of the objects that it names.
    pub authors: &'a [Hash],
}

/// Opens an approval of this order. Time is another question: [`DeploymentApproval::is_in_time`].
///
/// Keys are compared, and neither names nor accounts: a second account of the author, or a copy of the object, helps nobody.
///
/// # Errors
/// See [`ApprovalError`].
pub fn open(
    signed: &[u8],
    bundle: &TrustBundle,
    order: &Order<'_>,
) -> Result<Verified<DeploymentApproval>, ApprovalError> {
    let by = |id: &Hash| -> Option<PublicKey> { bundle.author_key(id) };
    let approval = envelope::open1_json::<DeploymentApproval>(signed, by)?;
    let value = approval.value();
    if value.site != order.site {
        return Err(ApprovalError::ForeignSite);
    }
    if value.order != order.hash || value.deployment != order.deployment {
        return Err(ApprovalError::OtherOrder);
    }
    if approval.signers().iter().any(|signer| order.authors.contains(signer)) {
        return Err(ApprovalError::OwnWork);
    }
    Ok(approval)
}
