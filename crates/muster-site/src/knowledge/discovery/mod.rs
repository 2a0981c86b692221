//! Discovery: what is there, found by several methods, and what of it is the same thing.
//!
//! A *record* is what one method said last of one thing. All records of one thing make one *resource*, which has the number that
//! queries and collections know. Records are display data: nobody is ever contacted because of one, and none changes what an
//! enrolled client attested.

mod directory;
mod merge;
mod network;
mod passed;
pub(crate) mod show;
mod source;
mod take;
mod upkeep;

pub use directory::{
    DirectoryRun, directory_due, directory_end, directory_gone, directory_members, directory_page,
    method as directory_method,
};
pub use network::{network_discovery_due, network_discovery_set, network_discovery_show, network_discovery_take};
pub use show::{discovery_settings_show, discovery_settings_update, resource_list, resource_remove, resource_show};
pub use source::{discovery_delete, discovery_list, discovery_run, discovery_set, discovery_show};
pub use take::{Taken, discovery_take};
pub(crate) use take::{heartbeat, take};
pub use upkeep::discovery_work;

use crate::SiteError;
use muster_model::time::UnixMillis;
use muster_store::Connection;

/// The moment that is so many milliseconds ago, without time in which the site did not run.
pub(crate) async fn lived_before(conn: &mut Connection, now: UnixMillis, keep: i64) -> Result<UnixMillis, SiteError> {
    Ok(passed::read(conn).await?.before(now, keep))
}
