//! Everything that is durable or shared on the server. No rule is decided here, and nothing is signed or judged.

pub mod bus;
pub mod content;
pub mod db;
#[cfg(feature = "testing")]
pub mod testing;

pub use db::{Connection, Store, StoreError, Tx};
