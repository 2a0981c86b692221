//! What was counted over the many devices of a deployment, for everybody who looks at it in the next seconds: a page that is open asks
//! every two.

use muster_model::{
    id::DeploymentId,
    time::{SECOND, UnixMillis},
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// From so many devices on something is kept.
const MANY: u64 = 2_000;
/// So long at least (milliseconds), and as long again for so many devices.
const KEPT: i64 = 5 * SECOND;
/// See [`KEPT`].
const DEVICES: u64 = 20_000;
/// So long at most.
const MOST: i64 = 30 * SECOND;

/// Until when something of a deployment is kept, and what it is.
#[derive(Debug)]
pub(crate) struct Kept<T>(Mutex<HashMap<DeploymentId, (UnixMillis, i64, T)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<T: Clone> Kept<T> {
    /// What was found a moment ago.
    pub(super) fn get(&self, id: DeploymentId, now: UnixMillis) -> Option<T> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (since, rest, _)| (0..*rest).contains(&now.since(*since)));
        kept.get(&id).map(|(_, _, value)| value.clone())
    }

    /// Keeps what was counted over so many devices, where they are many.
    pub(super) fn put(&self, id: DeploymentId, now: UnixMillis, devices: u64, value: &T) {
        if devices >= MANY {
            let times = i64::try_from(devices / DEVICES).unwrap_or(i64::MAX).saturating_add(1);
            let rest = KEPT.saturating_mul(times).min(MOST);
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(id, (now, rest, value.clone()));
        }
    }

    /// Somebody did something: whoever looks sees it at once.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_devices_say_is_kept_for_seconds_and_what_few_say_is_not() {
        let (kept, id) = (Kept::default(), DeploymentId(uuid::Uuid::from_u128(1)));
        let at = |seconds: i64| UnixMillis(seconds * SECOND);
        kept.put(id, at(0), 10, &1);
        assert_eq!(kept.get(id, at(0)), None);
        kept.put(id, at(0), 2_000, &2);
        assert_eq!((kept.get(id, at(4)), kept.get(id, at(5))), (Some(2), None));
        kept.put(id, at(0), 100_000, &3);
        assert_eq!((kept.get(id, at(29)), kept.get(id, at(30))), (Some(3), None));
        kept.put(id, at(0), 2_000, &4);
        assert_eq!(kept.get(id, at(-1)), None, "a clock that was set back");
        kept.put(id, at(0), 2_000, &5);
        kept.forget();
        assert_eq!(kept.get(id, at(1)), None);
    }
}
