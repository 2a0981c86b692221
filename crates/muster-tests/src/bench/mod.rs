//! Measurements: CPU time and memory of `musterd` beside the limit of its libraries and a naive peer, in one interleaved run.
//! `muster-bench` is their program; the results are in `docs/BENCHMARKS.md`.

pub mod agent;
pub mod collections;
pub mod collections_site;
pub mod command;
pub mod content;
pub mod cpu;
pub mod delta;
pub mod delta_peer;
pub mod deployments;
pub mod flood;
pub mod hold;
pub mod host;
pub mod lists;
pub mod live;
pub mod load;
pub mod memory;
pub mod openssl;
pub mod package;
pub mod process;
pub mod ratios;
pub mod report;
pub mod role_limit;
pub mod role_peer;
pub mod signature;
pub mod size;
