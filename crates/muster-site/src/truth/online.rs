//! Which devices have a live channel at this moment. Filled by the server's live channel, read by lists and the dashboard.

use muster_model::id::DeviceId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The registry. A clone is the same registry.
#[derive(Debug, Clone, Default)]
pub struct Online(Arc<Mutex<HashMap<DeviceId, u32>>>);

/// One open live channel; the device counts as online until the last of its guards is dropped.
#[derive(Debug)]
pub struct OnlineGuard {
    online: Online,
    device: DeviceId,
}

impl Online {
    fn devices(&self) -> MutexGuard<'_, HashMap<DeviceId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A live channel of the device is open, until the guard is dropped.
    #[must_use]
    pub fn enter(&self, device: DeviceId) -> OnlineGuard {
        *self.devices().entry(device).or_default() += 1;
        OnlineGuard { online: self.clone(), device }
    }

    /// Whether the device has a live channel.
    #[must_use]
    pub fn contains(&self, device: DeviceId) -> bool {
        self.devices().contains_key(&device)
    }

    /// How many devices have one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.devices().len() as u64
    }
}

impl Drop for OnlineGuard {
    fn drop(&mut self) {
        let mut devices = self.online.devices();
        if let Some(channels) = devices.get_mut(&self.device) {
            *channels -= 1;
            if *channels == 0 {
                devices.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_online_while_any_of_its_channels_is_open() {
        let online = Online::default();
        let device = DeviceId(uuid::Uuid::from_u128(1));
        let first = online.enter(device);
        let second = online.enter(device);
        assert_eq!((online.count(), online.contains(device)), (1, true));
        drop(first);
        assert!(online.contains(device));
        drop(second);
        assert_eq!((online.count(), online.contains(device)), (0, false));
    }
}
