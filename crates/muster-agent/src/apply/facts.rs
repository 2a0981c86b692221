//! Which deployments were looked at since the last inventory: for a device that did not meet a requirement then, it may be otherwise now.

use muster_model::{
    id::DeploymentId,
    time::{HOUR, UnixMillis},
};
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts inventories, and knows at which one each deployment was looked at. Of this run of the agent: another one looks again.
#[derive(Debug, Default)]
pub(crate) struct Inventories {
    taken: AtomicU64,
    looked: Mutex<HashMap<DeploymentId, u64>>,
    held: Mutex<HashMap<DeploymentId, (u32, UnixMillis)>>,
}

impl Inventories {
    /// Another inventory was taken.
    pub(crate) fn taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// A deployment is looked at now.
    pub(crate) fn looked(&self, id: DeploymentId) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).insert(id, taken);
    }

    /// Whether an inventory was taken since then.
    pub(crate) fn changed(&self, id: DeploymentId) -> bool {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.get(&id) != Some(&self.taken.load(Ordering::Relaxed))
    }

    /// A command that takes so many seconds found no window now: of something that comes along it may be longer than the
    /// deployment's own.
    pub(crate) fn hold(&self, id: DeploymentId, seconds: u32, now: UnixMillis) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(id, (seconds, now));
    }

    /// How many seconds a window has to have, as it was found within the last hour: after that it is looked at again.
    pub(crate) fn held(&self, id: DeploymentId, now: UnixMillis) -> Option<u32> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&id).filter(|(_, since)| (0..HOUR).contains(&now.since(*since))).map(|(seconds, _)| *seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_found_no_window_is_looked_at_again_after_an_hour() {
        let (facts, id, now) = (Inventories::default(), DeploymentId(uuid::Uuid::from_u128(1)), UnixMillis(HOUR));
        assert_eq!(facts.held(id, now), None);
        facts.hold(id, 7_200, now);
        assert_eq!(facts.held(id, now.plus(HOUR - 1)), Some(7_200));
        assert_eq!(facts.held(id, now.plus(HOUR)), None);
        // A clock that was set back ends it too.
        assert_eq!(facts.held(id, now.plus(-1)), None);
    }
}
