//! `muster` as a program: its help is the committed one, and what needs no site works and fails as it says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;
mod reference;
