//! Signs of life that come without a message of their own: noted in memory, and written once an hour.

use crate::{Site, SiteError};
use muster_model::{
    id::DeviceId,
    time::{HOUR, UnixMillis},
};
use muster_store::{
    db::client_status::{self, Signs},
    transaction,
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A sign of life of the same kind is written again after so long: many come in a minute, and days are what counts.
const FRESH: i64 = HOUR;

/// A sign of life that comes without a message of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The client asked for its policy.
    PolicyRequest,
    /// A status message came.
    StatusMessage,
    /// Its live channel stands.
    LiveChannel,
}

/// Signs of life that are not written yet. Losing them costs an hour's exactness.
#[derive(Debug, Default)]
pub struct SignMemory(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// The last that was taken of each device and kind.
    known: HashMap<DeviceId, Signs>,
    waiting: HashMap<DeviceId, Signs>,
}

impl SignMemory {
    fn inner(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a sign of life. Nothing is written until [`client_signs_flush`].
    pub fn note(&self, device: DeviceId, sign: Sign, now: UnixMillis) {
        let mut inner = self.inner();
        let known = &mut inner.known.entry(device).or_default()[sign as usize];
        if (0..FRESH).contains(&(now.0 - *known)) {
            return;
        }
        *known = now.0;
        inner.waiting.entry(device).or_default()[sign as usize] = now.0;
    }

    fn take(&self) -> Vec<(DeviceId, Signs)> {
        // In one order everywhere, so that two processes never wait for each other.
        let mut all: Vec<_> = std::mem::take(&mut self.inner().waiting).into_iter().collect();
        all.sort_unstable();
        all
    }

    fn put_back(&self, rows: &[(DeviceId, Signs)]) {
        let mut inner = self.inner();
        for (device, signs) in rows {
            let waiting = inner.waiting.entry(*device).or_default();
            for (waiting, sign) in waiting.iter_mut().zip(signs) {
                *waiting = (*waiting).max(*sign);
            }
        }
    }
}

/// Notes that the live channel of a device stands.
pub fn device_live(site: &Site, device: DeviceId, now: UnixMillis) {
    site.memory.signs.note(device, Sign::LiveChannel, now);
}

/// Writes the signs of life that were noted; how many devices gave some.
///
/// # Errors
/// When the store fails; what was not written is tried again with the next call.
pub async fn client_signs_flush(site: &Site) -> Result<usize, SiteError> {
    let rows = site.memory.signs.take();
    for (at, chunk) in rows.chunks(1_000).enumerate() {
        let done: Result<(), SiteError> =
            transaction!(site.store, "client_signs", |tx| { Ok(client_status::note(tx, chunk).await?) });
        if let Err(error) = done {
            site.memory.signs.put_back(&rows[at * 1_000..]);
            return Err(error);
        }
    }
    Ok(rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::time::MINUTE;

    #[test]
    fn a_sign_is_written_once_an_hour_and_not_lost() {
        let (memory, device) = (SignMemory::default(), DeviceId(uuid::Uuid::from_u128(1)));
        memory.note(device, Sign::LiveChannel, UnixMillis(HOUR));
        memory.note(device, Sign::LiveChannel, UnixMillis(HOUR + MINUTE));
        let taken = memory.take();
        assert_eq!(taken, [(device, [0, 0, HOUR])]);
        memory.note(device, Sign::LiveChannel, UnixMillis(HOUR + 2 * MINUTE));
        assert!(memory.take().is_empty(), "it is known");
        memory.note(device, Sign::PolicyRequest, UnixMillis(HOUR + 2 * MINUTE));
        memory.put_back(&taken);
        assert_eq!(memory.take(), [(device, [HOUR + 2 * MINUTE, 0, HOUR])]);
        memory.note(device, Sign::LiveChannel, UnixMillis(1));
        assert_eq!(memory.take().len(), 1, "a clock that was set back is heard");
    }
}
