//! Whether a server's certificate is still good: the status that the server shows in the handshake, signed by its CA. It must be
//! there (a site always has one), and a client that cannot tell does not go on.
//!
//! A client keeps the newest status of each server. One that is in time fills in when the server has none to show, also after a
//! restart; and one that says "revoked" is never undone: not by another one, and not by the time.

use crate::{
    certificate,
    ocsp::{self, Issuer, Signed, StatusError},
};
use muster_model::time::{DAY, UnixMillis};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How far ahead the site's clock may be. The same that a signed assignment is granted.
const AHEAD: i64 = DAY;
/// Servers whose status is kept.
const SERVERS: usize = 64;

#[derive(Debug, Clone)]
struct Kept {
    response: Vec<u8>,
    /// Until when the server is known to be good; `None` when that was not verified in this process, or it is not.
    good_until: Option<UnixMillis>,
}

#[derive(Debug, Default)]
struct Servers {
    kept: BTreeMap<String, Kept>,
    changed: bool,
}

/// The newest status of each server.
#[derive(Debug, Default)]
pub struct StatusMemory(Mutex<Servers>);

impl StatusMemory {
    /// With what was kept before, by server name. Nothing of it is believed until it is verified with a server's certificate.
    #[must_use]
    pub fn restored(kept: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let entry = |(name, response)| (name, Kept { response, good_until: None });
        Self(Mutex::new(Servers { kept: kept.into_iter().take(SERVERS).map(entry).collect(), changed: false }))
    }

    /// Everything that is kept, when it changed since this was asked before.
    #[must_use]
    pub fn changed(&self) -> Option<Vec<(String, Vec<u8>)>> {
        let mut servers = self.servers();
        let all = || servers.kept.iter().map(|(name, kept)| (name.clone(), kept.response.clone())).collect();
        let changed = servers.changed.then(all);
        servers.changed = false;
        changed
    }

    /// Whether the server of this name is known to be good at `now`, so that a session with it may be resumed.
    #[must_use]
    pub fn is_good(&self, name: &str, now: UnixMillis) -> bool {
        self.servers().kept.get(name).and_then(|kept| kept.good_until).is_some_and(|until| now < until)
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, name: &str, response: &[u8], signed: &Signed) {
        let mut servers = self.servers();
        if servers.kept.len() >= SERVERS && !servers.kept.contains_key(name) {
            servers.kept.pop_first();
        }
        let good_until = signed.verdict.is_ok().then_some(signed.next_update);
        let known = servers.kept.get(name).is_some_and(|kept| kept.response == response);
        servers.changed |= !known;
        servers.kept.insert(name.to_owned(), Kept { response: response.to_vec(), good_until });
    }

    /// Checks the status of a server's certificate that one of `issuers` must have issued; the chain was checked before.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub fn check(
        &self,
        name: &str,
        certificate: &[u8],
        issuers: &[Vec<u8>],
        shown: &[u8],
        now: UnixMillis,
    ) -> Result<(), StatusError> {
        let issuer = issuers
            .iter()
            .filter_map(|der| Issuer::from_certificate(der).ok())
            .find(|issuer| certificate::is_signed_by(certificate, issuer.key()))
            .ok_or(StatusError::IssuerUnknown)?;
        let serial = certificate::serial_number(certificate).ok_or(StatusError::IssuerUnknown)?;
        let read = |der: &[u8]| ocsp::read_status(der, &issuer, serial).and_then(|signed| in_time(signed, now));
        let fresh = match shown {
            [] => Err(StatusError::Missing),
            shown => read(shown),
        };
        let before = self.servers().kept.get(name).map(|kept| kept.response.clone());
        let before = before.and_then(|der| Some((ocsp::read_status(&der, &issuer, serial).ok()?, der)));
        // A server's certificate is revoked for good: no clock takes that back, and no other answer.
        if before.as_ref().is_some_and(|(signed, _)| signed.verdict == Err(StatusError::Revoked)) {
            return Err(StatusError::Revoked);
        }
        let before = before.and_then(|(signed, der)| Some((in_time(signed, now).ok()?, der)));
        let (signed, response) = match (fresh, before) {
            (Ok(fresh), Some((kept, response))) if kept.this_update > fresh.this_update => (kept, response),
            (Ok(fresh), _) => (fresh, shown.to_vec()),
            (Err(StatusError::Missing | StatusError::Stale), Some(kept)) => kept,
            (Err(error), _) => return Err(error),
        };
        self.keep(name, &response, &signed);
        signed.verdict
    }
}

fn in_time(signed: Signed, now: UnixMillis) -> Result<Signed, StatusError> {
    if signed.next_update <= now {
        return Err(StatusError::Stale);
    }
    if signed.this_update > now.plus(AHEAD) {
        return Err(StatusError::NotYet);
    }
    Ok(signed)
}
