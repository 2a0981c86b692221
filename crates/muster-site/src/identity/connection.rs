//! Who may talk over an open connection, and when a device was last in contact: both without a query for each request.

use super::sign::client_signs_flush;
use crate::{SiteError, ctx::DeviceCaller, site::Site};
use lru::LruCache;
use muster_model::{
    api::DeviceState,
    id::{DeviceId, Hash},
    problem::Code,
    time::{SECOND, UnixMillis},
};
use muster_store::{
    db::{
        assignment,
        device::{self, Standing},
    },
    transaction,
};
use muster_trust::certificate::ClientIdentity;
use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Devices whose verdict is remembered.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");
/// How long a verdict is gone by before it is read again: another process may have decided otherwise.
const LIFETIME: i64 = SECOND;
/// Devices whose last contact is written by one statement.
const SEEN_ROWS: usize = 1_000;

/// The one answer to every connection that may not talk.
pub(super) fn not_active() -> SiteError {
    SiteError::refused(
        Code::DeviceNotActive,
        "This device is blocked, quarantined, retired or unknown here; its administrator can say why and let it in again.",
    )
}

/// What is known of a device: enough to judge a connection. Serial numbers have 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    active: bool,
    key: Hash,
    serial: u128,
    previous_serial: Option<u128>,
    /// The certificate of the enterprise that it talks with, and with no other.
    enterprise: Option<Hash>,
}

impl Verdict {
    fn of(standing: &Standing) -> Option<Self> {
        let number = |text: &str| u128::from_str_radix(text, 16).ok();
        Some(Self {
            active: standing.state == DeviceState::Active && !standing.key_revoked,
            key: standing.key,
            serial: number(&standing.serial)?,
            previous_serial: standing.previous_serial.as_deref().and_then(number),
            enterprise: standing.enterprise,
        })
    }

    fn admits(&self, key: &Hash, serial: &str, enterprise: Option<&Hash>) -> bool {
        let serial = u128::from_str_radix(serial, 16).ok();
        self.active
            && self.enterprise.as_ref() == enterprise
            && self.key == *key
            && serial.is_some()
            && (serial == Some(self.serial) || serial == self.previous_serial)
    }
}

#[derive(Debug)]
struct Cached {
    verdicts: LruCache<DeviceId, (Verdict, UnixMillis)>,
    /// Grows whenever something is forgotten, so that what was read before is not remembered after.
    generation: u64,
}

/// Verdicts that this process remembers.
#[derive(Debug)]
pub struct Verdicts(Mutex<Cached>);

impl Default for Verdicts {
    fn default() -> Self {
        Self(Mutex::new(Cached { verdicts: LruCache::new(CAPACITY), generation: 0 }))
    }
}

impl Verdicts {
    fn cached(&self) -> MutexGuard<'_, Cached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is known of a device; the next request asks the database. For [`muster_store::bus::Notice::DeviceClosed`].
    pub fn forget(&self, device: DeviceId) {
        let mut cached = self.cached();
        cached.verdicts.pop(&device);
        cached.generation += 1;
    }

    /// Forgets everything: notices may have been lost.
    pub fn forget_all(&self) {
        let mut cached = self.cached();
        cached.verdicts.clear();
        cached.generation += 1;
    }

    /// What was read of a device in the last [`LIFETIME`], and the generation for what is read now.
    fn get(&self, device: DeviceId, now: UnixMillis) -> (Option<Verdict>, u64) {
        let mut cached = self.cached();
        let fresh =
            |(verdict, read): &(Verdict, UnixMillis)| (0..LIFETIME).contains(&now.since(*read)).then_some(*verdict);
        (cached.verdicts.get(&device).and_then(fresh), cached.generation)
    }

    fn keep(&self, device: DeviceId, verdict: Verdict, read: UnixMillis, generation: u64) {
        let mut cached = self.cached();
        if cached.generation == generation {
            cached.verdicts.put(device, (verdict, read));
        }
    }
}

/// Whether the holder of this client certificate may talk now. Asked at the handshake and for every request: it costs a look
/// into memory, and once a second a row of the database. What memory refuses is read again before it is refused: the certificate may
/// have been renewed, or the device unblocked, through another process. Whoever keeps a connection open registers it for [`muster_store::bus::Notice::DeviceClosed`] first and asks then.
///
/// # Errors
/// `device_not_active`, the same for a foreign site, an unknown device, another key or serial number, and an expired certificate.
pub async fn device_connected(
    site: &Site,
    identity: &ClientIdentity,
    now: UnixMillis,
) -> Result<DeviceCaller, SiteError> {
    if identity.site != site.code || now >= identity.expires {
        return Err(not_active());
    }
    let key_id = identity.key.id();
    let shown = identity.enterprise.as_ref();
    let fingerprint = shown.map(|shown| &shown.fingerprint);
    let (known, generation) = site.memory.verdicts.get(identity.device, now);
    let verdict = match known.filter(|verdict| verdict.admits(&key_id, &identity.serial, fingerprint)) {
        Some(verdict) => verdict,
        None => {
            metrics::counter!("muster_verdicts_read_total").increment(1);
            let standing = device::standing(&mut *site.store.reader().await?, identity.device).await?;
            let verdict = standing.as_ref().and_then(Verdict::of).ok_or_else(not_active)?;
            site.memory.verdicts.keep(identity.device, verdict, now, generation);
            verdict
        }
    };
    let admitted = verdict.admits(&key_id, &identity.serial, fingerprint);
    if !admitted || site.is_revoked(&identity.serial) {
        return Err(not_active());
    }
    if let Some(shown) = shown {
        site.memory.issuers.standing(&shown.issuer, &shown.serial, now).map_err(|_| not_active())?;
    }
    Ok(DeviceCaller { id: identity.device, key: identity.key.clone(), key_id, serial: identity.serial.clone() })
}

/// Last contacts that are not written yet.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<DeviceId, UnixMillis>>);

impl Seen {
    fn devices(&self) -> MutexGuard<'_, HashMap<DeviceId, UnixMillis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a contact.
    pub fn note(&self, device: DeviceId, now: UnixMillis) {
        let mut devices = self.devices();
        let seen = devices.entry(device).or_insert(now);
        *seen = now.max(*seen);
    }

    /// The last contact that is not written yet.
    #[must_use]
    pub fn of(&self, device: DeviceId) -> Option<UnixMillis> {
        self.devices().get(&device).copied()
    }
}

/// Devices that said that they have their policy of some version, and when; not written yet.
#[derive(Debug, Default)]
pub struct Confirmed(Mutex<HashMap<DeviceId, (u64, UnixMillis)>>);

impl Confirmed {
    fn devices(&self) -> MutexGuard<'_, HashMap<DeviceId, (u64, UnixMillis)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a device has. An earlier version than is noted is old news.
    pub fn note(&self, device: DeviceId, version: u64, now: UnixMillis) {
        let mut devices = self.devices();
        let known = devices.entry(device).or_insert((version, now));
        if version >= known.0 {
            *known = (version, now);
        }
    }
}

/// Writes what devices have confirmed. What was not written is heard again at their next contact.
async fn confirmed_flush(site: &Site) -> Result<(), SiteError> {
    let confirmed = std::mem::take(&mut *site.memory.confirmed.devices());
    let mut confirmed: Vec<_> = confirmed.into_iter().map(|(device, (version, at))| (device, version, at)).collect();
    confirmed.sort_unstable();
    for chunk in confirmed.chunks(SEEN_ROWS) {
        transaction!(site.store, "device_confirmed", |tx| {
            Ok::<_, SiteError>(assignment::confirm(tx, chunk).await?)
        })?;
    }
    Ok(())
}

/// Notes that a device was in contact. Nothing is written until [`device_seen_flush`].
pub fn device_seen(site: &Site, device: DeviceId, now: UnixMillis) {
    site.memory.seen.note(device, now);
}

/// Writes the last contacts, many with one statement; returns how many. To be called every few seconds, and at the end. Losing
/// what was not written costs nothing but the exactness of "last seen".
///
/// # Errors
/// When the store fails; what was not written is tried again with the next call.
pub async fn device_seen_flush(site: &Site) -> Result<usize, SiteError> {
    let mut seen: Vec<_> = std::mem::take(&mut *site.memory.seen.devices()).into_iter().collect();
    // In one order everywhere, so that two processes never wait for each other.
    seen.sort_unstable();
    let mut written = 0;
    while written < seen.len() {
        let chunk = &seen[written..seen.len().min(written + SEEN_ROWS)];
        let result: Result<(), SiteError> =
            transaction!(site.store, "device_seen", |tx| { Ok(device::seen(tx, chunk).await?) });
        if let Err(error) = result {
            for (device, at) in &seen[written..] {
                site.memory.seen.note(*device, *at);
            }
            return Err(error);
        }
        written += chunk.len();
    }
    confirmed_flush(site).await?;
    client_signs_flush(site).await?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_block_is_not_remembered_after_it() {
        let verdicts = Verdicts::default();
        let device = DeviceId(uuid::Uuid::from_u128(1));
        let verdict = Verdict { active: true, key: Hash::ZERO, serial: 1, previous_serial: None, enterprise: None };
        let at = UnixMillis(1_000_000);
        let (_, before) = verdicts.get(device, at);
        verdicts.forget(device);
        verdicts.keep(device, verdict, at, before);
        let (none, now) = verdicts.get(device, at);
        assert_eq!(none, None);
        verdicts.keep(device, verdict, at, now);
        assert_eq!(verdicts.get(device, at.plus(LIFETIME - 1)).0, Some(verdict));
        for other in [at.plus(LIFETIME), at.plus(-1)] {
            assert_eq!(verdicts.get(device, other).0, None, "another process may know better by now");
        }
        verdicts.forget_all();
        assert_eq!(verdicts.get(device, at).0, None);
    }

    #[test]
    fn a_serial_number_is_the_present_or_the_one_before() {
        let verdict =
            Verdict { active: true, key: Hash::ZERO, serial: 0x40ff, previous_serial: Some(0x4001), enterprise: None };
        assert!(verdict.admits(&Hash::ZERO, "40ff", None) && verdict.admits(&Hash::ZERO, "4001", None));
        for other in ["", "40fe", "xyz", &"f".repeat(33)] {
            assert!(!verdict.admits(&Hash::ZERO, other, None), "{other}");
        }
        assert!(!Verdict { previous_serial: None, ..verdict }.admits(&Hash::ZERO, "", None));
        assert!(!verdict.admits(&Hash([1; 32]), "40ff", None));
        // Who is mapped to a certificate of the enterprise talks with that one only.
        let mapped = Verdict { enterprise: Some(Hash([2; 32])), ..verdict };
        assert!(mapped.admits(&Hash::ZERO, "40ff", Some(&Hash([2; 32]))));
        assert!(!mapped.admits(&Hash::ZERO, "40ff", None));
        assert!(!mapped.admits(&Hash::ZERO, "40ff", Some(&Hash([3; 32]))));
        assert!(!verdict.admits(&Hash::ZERO, "40ff", Some(&Hash([2; 32]))));
        assert!(!Verdict { active: false, ..verdict }.admits(&Hash::ZERO, "40ff", None));
    }
}
