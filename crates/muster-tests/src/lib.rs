//! Whole-system stories, test actors, fleet simulator and benchmarks. Nothing depends on this crate.

pub mod bench;
pub mod fleet;
pub mod samba;
pub mod skip;
