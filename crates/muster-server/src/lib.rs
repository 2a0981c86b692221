//! The site server: configuration, listeners, HTTP, console, background work.

pub mod audit_export;
mod authority;
pub mod clock;
pub mod command;
pub mod config;
mod console;
pub mod directory;
mod endorsement;
mod foreign_list;
pub mod http;
mod keytab;
pub mod layout;
mod listen;
mod network;
mod pem;
mod pkcs11;
mod ring;
pub mod serve;
mod serve_mobile;
pub mod target;
#[cfg(test)]
mod testing;
