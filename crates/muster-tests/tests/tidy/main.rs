//! The tidy rules: what the house promises about its own shape, checked on the tree as it stands.
//!
//! One file per rule. A rule collects every breach before it fails, and each breach says where it is and what to do.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree has nothing better to do than to stop")]

mod arrows;
mod budgets;
mod documents;
mod fences;
mod headers;
mod limits;
mod matrix;
mod seeds;
mod source;
mod tree;
mod wings;
mod words;
