//! Whole-system stories, test actors, fleet simulator and benchmarks. Nothing depends on this crate.

pub mod skip;
