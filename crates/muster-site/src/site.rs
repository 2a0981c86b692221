//! A site at work: its store, keys, trust bundle, limits, and its sources of time and ids.

use crate::memory::Memory;
use arc_swap::ArcSwap;
use muster_model::{
    catalogue::Catalogue,
    id::{Name, SiteCode},
    limits::Limits,
    time::UnixMillis,
};
use muster_store::{Store, bus::Bus, content::ContentStore};
use muster_trust::{PrivateKey, TrustBundle, Verified, certificate::IssuingCa};
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
    /// The site's keys.
    pub keys: SiteKeys,
    /// The trust bundle in force.
    pub trust: ArcSwap<Trust>,
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
