//! The beginning of an enrolment: what a token says is kept on the disk.

use super::EnrolError;
use crate::{
    identity::{self, Identity, Stage},
    os::PrivateDirectory,
};
use muster_model::enrol::EnrolmentToken;

/// Keeps what a token says. Nothing is sent yet. The same token again changes nothing.
///
/// # Errors
/// When the client is enrolled already and `again` is not said.
pub fn accept_token(directory: &PrivateDirectory, token: &EnrolmentToken, again: bool) -> Result<(), EnrolError> {
    match Identity::load(directory)? {
        Some(identity) if again && matches!(identity.stage, Stage::Active { .. }) => identity::forget(directory)?,
        Some(Identity { site, stage: Stage::Active { .. }, .. }) => return Err(EnrolError::Enrolled(site)),
        // An assignment is not left by a token of another site, only by a reset.
        Some(Identity { site, stage: Stage::Assigned, root, .. }) if (site, root) != (token.site, token.root) => {
            return Err(EnrolError::Enrolled(site));
        }
        Some(identity) if identity.root == token.root && identity.site == token.site && !again => {
            if matches!(&identity.stage, Stage::Requesting { secret } if *secret == token.secret) {
                return Ok(());
            }
            // The key may be that of a device that was retired; no request with it is approved any more.
            if identity.refused {
                identity::forget(directory)?;
            }
        }
        // Another site gets another key, and nothing of the one before is believed.
        Some(_) => identity::forget(directory)?,
        None => {}
    }
    let stage = Stage::Requesting { secret: token.secret.clone() };
    let (enrol, trust_version) = (token.enrol.clone(), token.trust_version);
    let (site, root) = (token.site, token.root);
    let identity = Identity { site, root, enrol, trust_version, stage, enterprise: None, refused: false };
    Ok(identity.store(directory)?)
}
