//! Automatic assignment: which site this machine belongs to, found by directory or DNS. It needs an anchor, the fingerprint of the
//! trusted root key, that came on another way. Without one the first server that answers would be believed, and so there is no
//! assignment.

use super::{LocationConfig, Service, hints};
use crate::{
    clock::Clock,
    http::{Address, Ask, Connection, HttpError},
    identity::{self, Identity, IdentityError, Stage},
    os::PrivateDirectory,
};
use muster_model::{
    id::{Hash, SiteCode},
    limits::Limits,
};
use muster_trust::{
    TrustBundle, TrustChain,
    bundle::BundleError,
    envelope,
    tls::{self, ServerTrust},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Whom to believe, as the machine's administrator said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorConfig {
    /// Fingerprint of the trusted root key: `muster site show` prints it.
    pub root: Hash,
    /// The site, where it is known; another one is refused then.
    #[serde(default)]
    pub site: Option<SiteCode>,
}

/// Why there is no assignment. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AssignError {
    /// Nobody said whom to believe.
    #[error(
        "there is no automatic assignment without an anchor: this client would believe whoever answers first. Take an enrolment token (`muster token create`), or set \"anchor\": {{\"root\": FINGERPRINT}} in agent.json; `muster site show` prints the fingerprint"
    )]
    NoAnchor,
    /// Nobody is configured to ask.
    #[error(
        "agent.json names neither a directory nor a DNS domain under \"location\", so there is nobody to ask for a site"
    )]
    NoSource,
    /// It is assigned.
    #[error("this client is assigned to site {0}; to move it, run `muster-agent trust reset` first")]
    Assigned(SiteCode),
    /// Nothing that was found is the site.
    #[error("no site of the pinned root was found: {}", if .0.is_empty() { "no source named one".to_owned() } else { .0.join("; ") })]
    NotFound(Vec<String>),
    /// The root's site is another one than the one that was wanted.
    #[error("the pinned root is that of site {found}, and the anchor says {wanted}; one of them is wrong")]
    OtherSite {
        /// The site that the administrator named.
        wanted: SiteCode,
        /// The site that the root vouches for.
        found: SiteCode,
    },
    /// The disk.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Why one door is not that of the site.
#[derive(Debug, thiserror::Error)]
enum DoorError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error("its trust bundle is none")]
    Malformed,
}

/// Finds the site of the anchor, and keeps it as this client's. Nothing is said to anybody but a request for public bytes.
///
/// # Errors
/// See [`AssignError`]; nothing is kept then.
pub async fn assign(
    directory: &PrivateDirectory,
    location: &LocationConfig,
    anchor: Option<AnchorConfig>,
    clock: &Clock,
) -> Result<Identity, AssignError> {
    if let Some(identity) = Identity::load(directory)? {
        return Err(AssignError::Assigned(identity.site));
    }
    let anchor = anchor.ok_or(AssignError::NoAnchor)?;
    if !location.has_source() {
        return Err(AssignError::NoSource);
    }
    let found = hints(location, anchor.site, Service::Enrolment, clock).await;
    let mut reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    for hint in found.hints {
        match chain(&hint.address, &anchor.root, clock).await {
            Ok(chain) => {
                let site = chain.bundle().site;
                if let Some(wanted) = anchor.site.filter(|wanted| *wanted != site) {
                    return Err(AssignError::OtherSite { wanted, found: site });
                }
                let enrol = format!("https://{}", hint.address);
                // No older bundle is taken from here on.
                let trust_version = chain.bundle().version;
                let identity = Identity {
                    site,
                    root: anchor.root,
                    enrol,
                    trust_version,
                    enterprise: None,
                    refused: false,
                    stage: Stage::Assigned,
                };
                identity.store(directory)?;
                identity::store_trust(directory, &chain)?;
                return Ok(identity);
            }
            Err(error) => reasons.push(format!("{} named {}: {error}", hint.source, hint.address)),
        }
    }
    Err(AssignError::NotFound(reasons))
}

/// The trust bundle at a door that proves the pinned root; the site is the one that the root says.
async fn chain(address: &Address, root: &Hash, clock: &Clock) -> Result<TrustChain, DoorError> {
    let mut trust = ServerTrust::pinned(*root);
    trust.time = Arc::new(clock.clone());
    let mut door = Connection::open(Arc::new(tls::client_trusting(trust, None)?), address).await?;
    let (_, _, bundle) = door.fetch(Ask::get("/enrol/v1/trust-bundle"), Limits::default().object_bytes).await?;
    // Which site it claims to be; whether that is so, the signature of the pinned root says.
    let claimed = envelope::unverified_payload(&bundle).map_err(|_| DoorError::Malformed)?;
    let claimed: TrustBundle = serde_json::from_slice(&claimed).map_err(|_| DoorError::Malformed)?;
    Ok(TrustChain::first(&bundle, root, claimed.site, clock.now())?)
}
