//! What is on the devices: inventory, the devices themselves, and the collections that they are in.
pub mod collection;
pub mod inventory;
pub mod query;
