//! Site maintenance: what is removed when it has been kept for long enough, each kind by a task of its own.

mod task;
mod work;

pub use task::{
    maintenance_history, maintenance_list, maintenance_preview, maintenance_run, maintenance_set, maintenance_show,
};
pub(crate) use work::{MaintenanceWork, maintenance_work};
