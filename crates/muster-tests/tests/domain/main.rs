//! Tests against a real Active Directory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod discovery;
mod kerberos;
