//! What is on the devices: inventory and the devices themselves.
pub mod inventory;
