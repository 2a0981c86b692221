//! Maintenance windows of collections, and what they come to for a device.

use crate::{
    id::{CollectionId, Name, WindowId},
    time::UnixMillis,
    window::{MaintenanceWindow, WallTime},
};
use serde::{Deserialize, Serialize};

api! {
    /// A maintenance window of a collection.
    struct CollectionWindow {
        /// Its id.
        id: WindowId,
        /// The collection whose members it holds for.
        collection: CollectionId,
        /// What it is.
        window: MaintenanceWindow,
        /// The same in words.
        sentence: String,
        /// When it begins next by its own clock: the device's, or UTC. Absent: never again.
        next: Option<WallTime>,
        /// When it was changed last.
        changed: UnixMillis,
        /// Who changed it.
        changed_by: String,
        /// Changes with every change.
        revision: u64,
    }
}
api! {
    /// A window that holds for a device.
    struct DeviceWindow {
        /// The collection that it comes from.
        collection: CollectionId,
        /// Its name.
        collection_name: Name,
        /// The window.
        window: CollectionWindow,
    }
}
