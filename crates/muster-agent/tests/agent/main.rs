//! The agent's integration tests, one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod collect;
mod rpm_database;
mod tree;
