//! The typed client of the administrators' API, and everything that `muster` does with it.
//!
//! [`client`] speaks to the site, one method a rule; [`author`] makes and signs applications, which the site cannot; [`command`] is
//! the command line. Reading order: `command/mod.rs`, then the noun.

pub mod author;
pub mod baseline_author;
pub mod client;
pub mod command;
pub mod error;
pub mod files;
pub mod key;
pub mod list;
pub mod output;
pub mod profile;
pub mod seal;
pub mod watch;
pub mod when;

pub use client::{Client, ClientError};
pub use error::CliError;
