//! The agent's integration tests, one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod actor;
mod again;
mod application;
mod collect;
mod collector;
mod comply;
mod content;
mod content_attack;
mod defer;
mod deployment;
mod deployment_approval;
mod directory;
mod disk;
mod dns;
mod enrolment;
mod location;
mod outbox;
mod policy;
mod restart;
mod rpm_database;
mod secret;
mod server_status;
mod servicing;
mod settings;
mod software;
mod tree;
mod trust;
mod trust_kills;
mod update;
mod update_bounds;
mod update_dnf;
mod window;
