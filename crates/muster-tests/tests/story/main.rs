//! Whole-system stories: the real `musterd`, `muster-agent` and `muster`, as an administrator and a device see them.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on stops")]

mod applications;
mod attestation;
mod away;
mod baseline;
mod clock;
mod clones;
mod collection_kills;
mod content;
mod domain;
mod enterprise;
mod enterprise_ca;
mod evil_server;
mod files;
mod foreign;
mod forgeries;
mod harness;
mod hsm;
mod kills;
mod location;
mod logs;
mod loop_closes;
mod move_database;
mod ports;
mod reference;
mod refusals;
mod revocation;
mod roles;
mod second_server;
mod secrets;
mod silence;
mod swtpm;
mod trust;
mod window;
