//! The rules, asked as callers ask them, on both databases. One binary for the crate; one module for each noun.

mod enrolment;
mod session;
