//! The trust bundle as it comes: the versions after the one in force, one by one, each checked before the next is asked for.

use crate::http::{Ask, Connection, HttpError};
use muster_model::{limits::Limits, time::UnixMillis};
use muster_trust::{TrustBundle, TrustChain, bundle::BundleError, envelope};

/// Versions that are taken in one go. Each had to be signed by hand, so that more is not somebody who slept.
const STEPS: u64 = 1_000;

/// Why there is no newer trust bundle.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The site cannot be reached, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The bundle is not one that may follow.
    #[error("the site's trust bundle was refused: {0}")]
    Bundle(#[from] BundleError),
}

/// The chain with everything that the site has beyond it, the last in time; `None`: the site has nothing newer. `path` is
/// where the bundles are on this connection. Whoever answers need not be believed: the bundles prove themselves.
///
/// # Errors
/// See [`TrustError`]; nothing of what came is to be used then.
pub async fn fetch(
    connection: &mut Connection,
    path: &str,
    chain: &TrustChain,
    limits: &Limits,
    now: UnixMillis,
) -> Result<Option<TrustChain>, TrustError> {
    let (_, _, newest) = connection.fetch(Ask::get(path), limits.object_bytes).await?;
    let have = chain.bundle().version;
    let claimed = claimed_version(&newest)?;
    // What the claim is worth shows when it is checked; until then it only says how many to ask for.
    let between = claimed.saturating_sub(have).saturating_sub(1);
    if between > STEPS {
        return Err(BundleError::Skipped.into());
    }
    let mut walked = chain.clone();
    for version in (have + 1..).take(usize::try_from(between).unwrap_or(0)) {
        let (_, _, step) = connection.fetch(Ask::get(&format!("{path}/{version}")), limits.object_bytes).await?;
        walked = walked.extended(&[step], UnixMillis(i64::MIN))?;
    }
    let walked = walked.extended(&[newest], now)?;
    Ok((walked.bundle().version > have).then_some(walked))
}

fn claimed_version(bytes: &[u8]) -> Result<u64, BundleError> {
    let payload = envelope::unverified_payload(bytes)?;
    let claimed: TrustBundle = serde_json::from_slice(&payload).map_err(|_| envelope::EnvelopeError::Malformed)?;
    Ok(claimed.version)
}
