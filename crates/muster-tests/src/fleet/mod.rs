//! A simulated fleet: N devices with real TLS, keys, signatures and package lists, seeded and repeatable. `muster-fleet` is its program.
//!
//! It stays on the loopback network, is bounded in number and time, and stops by itself.

pub mod clock;
pub mod command;
pub mod device;
pub mod enrol;
pub mod error;
pub mod http;
pub mod limit;
pub mod progress;
pub mod random;
pub mod run;
pub mod software;
pub mod store;

pub use error::FleetError;
pub use store::Fleet;

/// Prints a line for whoever started the program.
#[expect(clippy::print_stdout, reason = "the programs of this crate answer on standard output")]
pub fn say(line: &str) {
    println!("{line}");
}
