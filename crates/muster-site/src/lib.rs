//! The rules of a site. No HTTP and no SQL text: a handler parses, calls one rule here, and encodes its answer.
//!
//! Every public rule takes the caller's context first, and authorises. The wings tell the story in order: `identity` (who may
//! talk), `knowledge` (what is on the devices), `delivery` (what they shall run), `truth` (what happened). A wing may use the wings
//! before it.

pub mod audit;
pub mod authz;
pub mod ctx;
pub mod delivery;
pub mod error;
pub mod identity;
pub mod knowledge;
pub mod memory;
pub mod site;
pub mod truth;

pub use ctx::{Caller, Ctx};
pub use error::SiteError;
pub use site::Site;
