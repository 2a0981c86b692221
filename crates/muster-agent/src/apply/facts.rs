//! Which deployments were looked at since the last inventory: for a device that did not meet a requirement then, it may be otherwise now.

use muster_model::id::DeploymentId;
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
}
