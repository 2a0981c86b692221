//! The client: it reads its machine, verifies what it is told, applies it, and reports.

pub mod collect;
pub mod os;
