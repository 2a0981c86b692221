//! The server as others meet it: real sockets, real TLS, a site directory of each test's own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

mod access;
mod audit_export;
mod commands;
mod doors;
mod flood;
mod harness;
mod init;
mod limits;
mod management_point;
mod mobile;
mod others;
mod protocol;
mod protocol_tables;
mod revocation;
mod trust;
