//! What happened: reports, status messages, the history of devices, quarantine, the dashboard.

pub mod alert;
pub(crate) mod budget;
pub mod client_log;
pub mod client_status;
pub mod compliance;
pub mod dashboard;
pub mod deployment_event;
pub mod foreign;
pub mod maintenance;
pub mod message;
pub mod online;
pub mod quarantine;
pub mod report;
pub(crate) mod spread;
mod step;
pub mod timeline;
