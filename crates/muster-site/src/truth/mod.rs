//! What happened: reports, status messages, the history of devices, quarantine, the dashboard.

pub mod alert;
pub mod alert_told;
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
pub mod rule_index;
pub(crate) mod rule_run;
pub(crate) mod spread;
pub mod status_action;
pub mod status_count;
pub mod status_rule;
mod step;
pub mod subscription;
pub mod timeline;
