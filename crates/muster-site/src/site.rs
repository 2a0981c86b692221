//! A site at work: its store, keys, trust bundle, limits, and its sources of time and ids.

use crate::{
    SiteError,
    identity::{
        keys::{KeyRing, SiteKeys},
        revocation::{number, revocation_load},
    },
    knowledge::class::class_load,
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
use muster_trust::{TrustBundle, TrustChain, bundle::BundleError, kerberos::Keytab, tls::Revocations};
use std::sync::Arc;
use uuid::Uuid;

/// Where time and ids come from: the system in a running server, a script in tests.
pub trait Sources: Send + Sync {
    /// The time.
    fn now(&self) -> UnixMillis;
    /// A new id (UUID version 7).
    fn id(&self) -> Uuid;
}

/// The trust bundle in force, and the keys that this server works with under it: one changes with the other.
#[derive(Debug)]
pub struct Trust {
    /// From the pinned root key to the bundle in force.
    pub chain: TrustChain,
    /// The keys at work.
    pub keys: SiteKeys,
}

impl Trust {
    /// What the bundle in force says.
    #[must_use]
    pub fn bundle(&self) -> &TrustBundle {
        self.chain.bundle()
    }

    /// Fingerprint of the trusted root key: what new clients pin.
    ///
    /// # Errors
    /// When the root's certificate does not parse.
    pub fn root(&self) -> Result<Hash, SiteError> {
        let key = self.bundle().root_certificate_key();
        key.map(|key| key.id()).map_err(|error| SiteError::Fault(error.to_string()))
    }
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
    /// Where the site's keys lie.
    pub keys: Arc<dyn KeyRing>,
    /// Fingerprint of the first trusted root key, from the site's own files and not from the database. What is in force is
    /// verified from there.
    pub root: Hash,
    /// Certificates (DER) of those who vouch for TPMs; none: only an administrator does.
    pub endorsement_roots: Vec<Vec<u8>>,
    /// Keys of the site's service in the domains that it may trust.
    pub keytabs: Vec<Keytab>,
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
    /// The database.
    pub store: Store,
    /// Content files.
    pub content: ContentStore,
    /// Notices to the other parts.
    pub bus: Bus,
    /// Where the site's keys lie.
    pub ring: Arc<dyn KeyRing>,
    /// The trust bundle in force, and the keys at work.
    pub trust: ArcSwap<Trust>,
    /// Certificates (DER) of those who vouch for TPMs; none: only an administrator does.
    pub endorsement_roots: Vec<Vec<u8>>,
    /// Keys of the site's service in the domains that it may trust.
    pub keytabs: Vec<Keytab>,
    /// What is taken from outside.
    pub limits: Limits,
    /// Inventory classes, as this process knows them. It follows what administrators add.
    pub catalogue: Arc<ArcSwap<Catalogue>>,
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
        let (row, envelopes) = {
            let mut reader = parts.store.reader().await?;
            let row = site_row::get(&mut reader).await?;
            (row, trust_bundle::after(&mut reader, 0).await?)
        };
        let (Some(row), false) = (row, envelopes.is_empty()) else {
            return Err(SiteError::Fault("This database holds no site; make one with `musterd init`.".to_owned()));
        };
        let chain = trust_chain(&envelopes, &parts.root, row.code).map_err(|error| {
            SiteError::Fault(format!("The trust bundle in the database is not one of this site's root key: {error}."))
        })?;
        let keys = SiteKeys::of(chain.bundle(), parts.keys.as_ref())?;
        let site = Self {
            code: row.code,
            name: row.name,
            store: parts.store,
            content: parts.content,
            bus: Bus::default(),
            ring: parts.keys,
            trust: ArcSwap::from_pointee(Trust { chain, keys }),
            endorsement_roots: parts.endorsement_roots,
            keytabs: parts.keytabs,
            limits: parts.limits,
            catalogue: Arc::new(ArcSwap::new(Catalogue::built_in().clone())),
            addresses: parts.addresses,
            sources: parts.sources,
            memory: Memory::default(),
        };
        revocation_load(&site).await?;
        class_load(&site).await?;
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

/// The chain of a site's bundles, all of them in order, from the pin. Whether the last one is in time is not asked.
pub(crate) fn trust_chain(envelopes: &[Vec<u8>], pin: &Hash, site: SiteCode) -> Result<TrustChain, BundleError> {
    let (first, rest) = envelopes.split_first().ok_or(BundleError::NotPinned)?;
    let at_any_time = UnixMillis(i64::MIN);
    TrustChain::first(first, pin, site, at_any_time)?.extended(rest, at_any_time)
}
