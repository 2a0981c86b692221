//! What is on the devices: inventory and its classes, the devices themselves, and the collections that they are in.
pub mod class;
pub mod collection;
pub mod discovery;
pub mod inventory;
pub mod query;
pub mod saved_query;
pub mod title;
pub mod update;
