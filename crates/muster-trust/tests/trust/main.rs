//! The trust layer from outside: who is believed, and every way in which somebody else tries to be.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

mod bundle;
mod cms;
mod drills;
mod foreign_list;
mod proposal;
mod signed_before;
mod tls;
