//! A site at work: its store, keys, trust bundle, limits, and its sources of time and ids.

use crate::{
    SiteError,
    identity::revocation::{number, revocation_load},
    memory::Memory,
};
use arc_swap::ArcSwap;
use muster_model::{
    api::PageQuery,
    catalogue::Catalogue,
    id::{Hash, Name, SiteCode},
    limits::Limits,
    problem::Code,
    time::UnixMillis,
};
use muster_store::{
    Store,
    bus::Bus,
    content::ContentStore,
    db::{site_row, trust_bundle},
};
use muster_trust::{PrivateKey, TrustBundle, Verified, certificate::IssuingCa, tls::Revocations};
use std::sync::Arc;
use uuid::Uuid;

/// Where time and ids come from: the system in a running server, a script in tests.
pub trait Sources: Send + Sync {
    /// The time.
    fn now(&self) -> UnixMillis;
    /// A new id (UUID version 7).
    fn id(&self) -> Uuid;
}

/// The trust bundle in force.
#[derive(Debug, Clone)]
pub struct Trust {
    /// What it says.
    pub bundle: Verified<TrustBundle>,
    /// Its exact bytes, as clients fetch them.
    pub envelope: Vec<u8>,
}

/// The keys that a site server holds. None of them can make a client run anything.
#[derive(Debug)]
pub struct SiteKeys {
    /// Issues client and server certificates.
    pub issuing: IssuingCa,
    /// Signs policy assignments.
    pub policy: PrivateKey,
}

/// Addresses that the site tells others.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// The enrolment door: `https://host:port`.
    pub enrol: String,
    /// Management points.
    pub management_points: Vec<String>,
    /// The console and the API.
    pub console: String,
}

/// What a site is opened from.
pub struct SiteParts {
    /// The database.
    pub store: Store,
    /// Content files.
    pub content: ContentStore,
    /// The site's keys.
    pub keys: SiteKeys,
    /// Fingerprint of the trusted root key, from the site's own files and not from the database.
    pub root: Hash,
    /// Certificates (DER) of those who vouch for TPMs; none: only an administrator does.
    pub endorsement_roots: Vec<Vec<u8>>,
    /// What is taken from outside.
    pub limits: Limits,
    /// Addresses that the site tells others.
    pub addresses: Addresses,
    /// Time and ids.
    pub sources: Arc<dyn Sources>,
}

/// A site.
pub struct Site {
    /// The site code.
    pub code: SiteCode,
    /// The site's name.
    pub name: Name,
    /// Fingerprint of the trusted root key: what clients pin.
    pub root: Hash,
    /// The database.
    pub store: Store,
    /// Content files.
    pub content: ContentStore,
    /// Notices to the other parts.
    pub bus: Bus,
    /// The site's keys.
    pub keys: SiteKeys,
    /// The trust bundle in force.
    pub trust: ArcSwap<Trust>,
    /// Certificates (DER) of those who vouch for TPMs; none: only an administrator does.
    pub endorsement_roots: Vec<Vec<u8>>,
    /// What is taken from outside.
    pub limits: Limits,
    /// Inventory classes.
    pub catalogue: &'static Catalogue,
    /// Addresses that the site tells others.
    pub addresses: Addresses,
    /// Time and ids.
    pub sources: Arc<dyn Sources>,
    /// Registries and caches of this process; `Memory::default()` at the start.
    pub memory: Memory,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("code", &self.code).finish_non_exhaustive()
    }
}

impl Site {
    /// Opens the site that [`crate::site_create`] made in this database. An expired trust bundle does not stop it: clients
    /// refuse it by themselves, and administrators must be able to bring a new one.
    ///
    /// # Errors
    /// [`SiteError::Fault`] with a sentence for whoever starts the server: no site here, a trust bundle that the root key did
    /// not sign, or keys that the trust bundle does not name.
    pub async fn open(parts: SiteParts) -> Result<Self, SiteError> {
        let (row, envelope) = {
            let mut reader = parts.store.reader().await?;
            let row = site_row::get(&mut reader).await?;
            (row, trust_bundle::newest(&mut reader).await?)
        };
        let (Some(row), Some(envelope)) = (row, envelope) else {
            return Err(SiteError::Fault("This database holds no site; make one with `musterd init`.".to_owned()));
        };
        let bundle = TrustBundle::kept(&envelope, &parts.root, row.code).map_err(|error| {
            SiteError::Fault(format!("The trust bundle in the database is not one of this site's root key: {error}."))
        })?;
        check_keys(bundle.value(), &parts.keys)?;
        let site = Self {
            code: row.code,
            name: row.name,
            root: parts.root,
            store: parts.store,
            content: parts.content,
            bus: Bus::default(),
            keys: parts.keys,
            trust: ArcSwap::from_pointee(Trust { bundle, envelope }),
            endorsement_roots: parts.endorsement_roots,
            limits: parts.limits,
            catalogue: Catalogue::built_in(),
            addresses: parts.addresses,
            sources: parts.sources,
            memory: Memory::default(),
        };
        revocation_load(&site).await?;
        Ok(site)
    }

    /// Whether the certificate of this serial number is revoked, as this process knows it.
    pub(crate) fn is_revoked(&self, serial: &str) -> bool {
        number(serial).is_none_or(|serial| self.memory.revoked.is_revoked(serial))
    }

    /// The page that is asked for, within the limits.
    ///
    /// # Errors
    /// `too_large` when more rows are asked for than one page may have.
    pub fn page(&self, query: PageQuery) -> Result<PageQuery, SiteError> {
        if query.limit > self.limits.page_rows {
            let detail = format!("A page has at most {} rows; ask for several pages.", self.limits.page_rows);
            return Err(SiteError::refused(Code::TooLarge, detail));
        }
        Ok(query)
    }
}

/// Whether clients will believe what these keys sign.
fn check_keys(bundle: &TrustBundle, keys: &SiteKeys) -> Result<(), SiteError> {
    if bundle.policy_key(&keys.policy.public().id()).is_none() {
        return Err(SiteError::Fault(
            "The policy key of this server is not in the trust bundle; no client would believe it.".to_owned(),
        ));
    }
    let issuing = bundle.issuing_certificates().map_err(|error| SiteError::Fault(error.to_string()))?;
    if !issuing.iter().any(|certificate| certificate == keys.issuing.certificate()) {
        return Err(SiteError::Fault(
            "The issuing CA of this server is not in the trust bundle; no client would believe it.".to_owned(),
        ));
    }
    Ok(())
}
