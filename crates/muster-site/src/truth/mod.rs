//! What happened: reports, status messages, audit, the dashboard.

pub mod online;
