//! The words and the wire of Muster: ids, inventory classes, policy, status, API types.
//!
//! Pure: no clock, no I/O, no randomness. Everything that crosses a process boundary has its shape here, once.

pub mod api;
pub mod application;
pub mod attestation;
pub mod audit;
pub mod baseline;
pub mod boundary;
pub mod catalogue;
pub mod chunk;
pub mod compliance;
pub mod deployment_approval;
pub mod discovery;
pub mod enrol;
pub mod enterprise;
pub mod glob;
pub mod health;
pub mod id;
pub mod inventory;
pub mod ldap;
pub mod limits;
pub mod log;
pub mod mof;
pub mod peer;
pub mod policy;
pub mod problem;
pub mod profile;
pub mod program;
pub mod report;
pub mod restart;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod status;
pub mod status_catalogue;
pub mod time;
pub mod title;
pub mod update;
pub mod version;
pub mod window;
pub mod wql;

/// A payload that travels signed. The content type stands in the signed header, so that a signature over one kind of
/// payload is never taken for another kind.
pub trait Signed {
    /// The media type.
    const TYPE: &'static str;
}
