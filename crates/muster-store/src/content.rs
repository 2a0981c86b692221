//! Content files, by hash.
