//! The rules of a site. No HTTP, no SQL text: a handler parses, calls one rule here, and encodes its answer.
//!
//! Every public rule takes the caller's context first, and authorises. The wings tell the story in order: `identity` (who may
//! talk), `knowledge` (what is on the devices), `delivery` (what they shall run), `truth` (what happened). A wing may use the wings
//! before it. Every rule is at the root of the crate under its one name: `muster_site::token_create`.

pub mod audit;
pub mod authz;
pub mod ctx;
pub mod delivery;
pub mod error;
pub mod identity;
pub mod knowledge;
pub mod memory;
pub mod site;
#[cfg(feature = "testing")]
pub mod testing;
pub mod truth;

pub use audit::{audit_list, audit_verify};
pub use ctx::{Caller, Ctx};
pub use error::SiteError;
pub use identity::{
    admin::{admin_create, admin_list},
    certificate::certificate_renew,
    connection::{device_connected, device_seen, device_seen_flush},
    device::{device_block, device_list, device_retire, device_show, device_unblock},
    enrolment::{enrolment_approve, enrolment_list, enrolment_poll, enrolment_refuse, enrolment_request},
    new_site::{NewSite, site_create},
    session::{
        session_caller, session_challenge, session_code, session_code_redeem, session_create, session_end, session_show,
    },
    token::{token_create, token_list, token_revoke},
    trust::{site_show, trust_show},
};
pub use site::{Site, SiteParts};

// What a server needs to open a site and to hear its notices. Rows are reached through the rules alone.
pub use muster_store::{
    Store,
    bus::{Notice, Noun},
    content::ContentStore,
};
