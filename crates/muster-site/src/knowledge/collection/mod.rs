//! Collections: devices in groups, by rules. Members are `((queries u direct u includes) n limiting) \ excludes`.

pub(crate) mod evaluate;
mod explain;
mod graph;
mod ids;
mod index;
pub(crate) mod known;
mod load;
mod query;
mod rules;
mod show;
mod transfer;
mod turn;
mod why;
mod window;
mod worker;

pub use evaluate::collection_work;
pub use explain::{collection_explain, collection_preview};
pub use rules::{
    collection_change, collection_create, collection_delete, collection_evaluate, collection_rule_add,
    collection_rule_remove,
};
pub use show::{collection_index, collection_list, collection_members, collection_show, device_collections};
pub use transfer::{collection_export, collection_import};
pub use window::{
    collection_window_add, collection_window_delete, collection_window_list, collection_window_update, device_windows,
};
pub use worker::CollectionWorker;

use crate::{Site, SiteError};
use muster_store::Tx;

/// Whether all collections are as they may be, with the settings that they bring.
pub(crate) async fn check_all(tx: &mut Tx, site: &Site) -> Result<(), SiteError> {
    load::Stored::read(tx).await?.sound(site).map(drop)
}
