//! Collections: devices in groups, by rules. Members are `((queries u direct u includes) n limiting) \ excludes`.

pub(crate) mod evaluate;
mod explain;
mod graph;
mod load;
mod query;
mod rules;
mod show;
mod worker;

pub use evaluate::collection_work;
pub use explain::{collection_explain, collection_preview};
pub use rules::{
    collection_change, collection_create, collection_delete, collection_evaluate, collection_rule_add,
    collection_rule_remove,
};
pub use show::{collection_list, collection_members, collection_show, device_collections};
pub use worker::CollectionWorker;
