//! Which connections of which device are open, so that a notice reaches them: "something changed", and "you are locked out".

use muster_model::id::DeviceId;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};
use tokio::sync::Notify;

const CHANGED: u8 = 1;
const CLOSED: u8 = 2;
const STOPPING: u8 = 4;

/// What a connection is told. Telling never waits; what was not read yet is told once.
#[derive(Debug, Default)]
pub(crate) struct Line {
    flags: AtomicU8,
    notify: Notify,
}

/// What there is to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The assignment may have changed.
    Changed,
    /// The device is locked out: drop everything.
    Closed,
    /// The server stops: end in good order.
    Stopping,
}

impl Line {
    fn tell(&self, flag: u8) {
        self.flags.fetch_or(flag, Ordering::AcqRel);
        self.notify.notify_one();
    }

    /// Waits for news, the most urgent first. Safe to drop and call again.
    pub(crate) async fn news(&self) -> News {
        loop {
            let flags = self.flags.load(Ordering::Acquire);
            if flags & CLOSED != 0 {
                return News::Closed;
            }
            if flags & STOPPING != 0 {
                return News::Stopping;
            }
            if flags & CHANGED != 0 {
                self.flags.fetch_and(!CHANGED, Ordering::AcqRel);
                return News::Changed;
            }
            self.notify.notified().await;
        }
    }

    /// Waits for the end: what changed is not looked at.
    pub(crate) async fn end(&self) -> News {
        loop {
            let flags = self.flags.load(Ordering::Acquire);
            if flags & CLOSED != 0 {
                return News::Closed;
            }
            if flags & STOPPING != 0 {
                return News::Stopping;
            }
            self.notify.notified().await;
        }
    }
}

/// All open connections of devices.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    lines: Mutex<HashMap<DeviceId, Vec<Arc<Line>>>>,
}

/// A connection's place in the registry; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    device: DeviceId,
    line: Arc<Line>,
}

impl Registered {
    /// What the connection is told.
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut lines = self.registry.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_device) = lines.get_mut(&self.device) {
            of_device.retain(|line| !Arc::ptr_eq(line, &self.line));
            if of_device.is_empty() {
                lines.remove(&self.device);
            }
        }
    }
}

impl Registry {
    /// Enters a connection of `device`. Beyond `most` the oldest ends: it may be one that nobody holds any more.
    pub(crate) fn enter(self: &Arc<Self>, device: DeviceId, most: usize) -> Registered {
        let line = Arc::new(Line::default());
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // One connection is the rule: room for exactly one.
        let of_device = lines.entry(device).or_insert_with(|| Vec::with_capacity(1));
        if of_device.len() >= most && !of_device.is_empty() {
            metrics::counter!("muster_floods_total", "of" => "connections").increment(1);
            of_device.remove(0).tell(STOPPING);
        }
        of_device.push(line.clone());
        Registered { registry: self.clone(), device, line }
    }

    /// How many connections a device has.
    #[cfg(test)]
    fn of(&self, device: DeviceId) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).get(&device).map_or(0, Vec::len)
    }

    /// The device's assignment changed.
    pub(crate) fn changed(&self, device: DeviceId) {
        self.tell(device, CHANGED);
    }

    /// The device is locked out.
    pub(crate) fn close(&self, device: DeviceId) {
        self.tell(device, CLOSED);
    }

    /// Every assignment may have changed.
    pub(crate) fn all_changed(&self) {
        self.tell_all(CHANGED);
    }

    /// The server stops.
    pub(crate) fn stop(&self) {
        self.tell_all(STOPPING);
    }

    /// Every device with an open connection.
    pub(crate) fn devices(&self) -> Vec<DeviceId> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn tell(&self, device: DeviceId, flag: u8) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.get(&device).into_iter().flatten() {
            line.tell(flag);
        }
    }

    fn tell_all(&self, flag: u8) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.values().flatten() {
            line.tell(flag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test]
    async fn news_reach_the_lines_of_their_device_and_no_other() {
        let registry = Arc::new(Registry::default());
        let (a, b) = (DeviceId(Uuid::from_u128(1)), DeviceId(Uuid::from_u128(2)));
        let enter = |device| registry.enter(device, 2);
        let (oldest, first, second, other) = (enter(a), enter(a), enter(a), enter(b));
        assert_eq!(oldest.line().news().await, News::Stopping, "two of one device");
        drop(oldest);
        registry.changed(a);
        registry.changed(a);
        assert_eq!(first.line().news().await, News::Changed);
        assert_eq!(second.line().news().await, News::Changed);
        registry.close(a);
        registry.changed(a);
        assert_eq!(first.line().news().await, News::Closed, "the end comes first");
        assert_eq!(second.line().end().await, News::Closed);
        registry.stop();
        assert_eq!(other.line().news().await, News::Stopping, "told once, and not of the other's");
        assert_eq!(registry.of(a), 2);
        drop((first, second));
        assert_eq!((registry.of(a), registry.devices()), (0, vec![b]));
    }
}
