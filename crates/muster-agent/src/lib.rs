//! The client: it reads its machine, verifies what it is told, applies it, and reports.

pub mod agent;
pub mod apply;
pub mod clock;
pub mod collect;
pub mod command;
pub mod config;
pub mod content;
pub mod domain;
pub mod enrol;
pub mod enterprise;
pub mod http;
pub mod identity;
pub mod image;
pub mod locate;
pub mod os;
pub mod points;
pub mod policy;
pub mod reset;
pub mod run;
pub mod secret;
pub mod session;
pub mod site;
pub mod store;
pub mod tpm;
pub mod trust;
pub mod window_time;
