//! The server as others meet it: real sockets, real TLS, a site directory of each test's own.

mod access;
mod doors;
mod harness;
mod init;
mod limits;
mod management_point;
mod protocol;
