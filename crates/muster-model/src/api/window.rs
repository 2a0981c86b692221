//! Maintenance windows of collections, and what they come to for a device.

use crate::{
    id::{CollectionId, DeviceId, Name, WindowId},
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
    /// When the devices of a deployment can begin at the earliest, by their maintenance windows.
    struct Forecast {
        /// How many devices were looked at: those on which it is not through.
        devices: u64,
        /// Of these: no window holds for them; they begin at the deadline.
        free: u64,
        /// When others begin, the earliest first.
        groups: Vec<ForecastGroup>,
        /// Devices that begin after the last of these.
        later: u64,
        /// Devices that never begin: no window is long enough, or none opens again.
        never: u64,
        /// The first of them, by name.
        never_devices: Vec<ForecastDevice>,
    }
}
api! {
    /// Devices that begin at the same moment.
    struct ForecastGroup {
        /// When, at the earliest.
        starts: UnixMillis,
        /// The site does not know the time zone of these devices: the moment is what their own clock shows, written as if that were UTC.
        own_clock: bool,
        /// How many.
        devices: u64,
        /// The first of them, by name.
        examples: Vec<String>,
    }
}
api! {
    /// A device for which no window is long enough.
    struct ForecastDevice {
        /// The device.
        id: DeviceId,
        /// Its host name.
        name: String,
    }
}
impl Forecast {
    /// Whether any window holds back any of the devices.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.free < self.devices
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
